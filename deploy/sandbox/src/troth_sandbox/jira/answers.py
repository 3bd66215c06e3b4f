"""What every route shares: the request's view of the site, and answers in Jira's JSON."""

from typing import Annotated, TypeVar, cast

import msgspec
from fastapi import Depends, Request, Response

from troth_sandbox.jira.errors import BadRequestError, JiraError
from troth_sandbox.jira.faults import PageFault
from troth_sandbox.jira.render import Renderer
from troth_sandbox.jira.site import Site

Body = TypeVar("Body")
JSON_TYPE = "application/json;charset=UTF-8"


class Visit(msgspec.Struct, frozen=True):
    """One request: the settled site, the time (ms) it is answered at, and the renderer for its version and address.

    `page_fault` is how a planned fault spoils the page that is asked for.
    """

    site: Site
    now: int
    render: Renderer
    address: str
    page_fault: PageFault | None = None


async def visit(request: Request) -> Visit:
    """Settle the site and look at it as this request does."""
    site = cast("Site", request.app.state.site)
    now = site.settle()
    base = str(request.base_url).rstrip("/")
    version = "2" if request.url.path.startswith("/rest/api/2/") or site.store.data_center else "3"
    return Visit(
        site, now, site.renderer(version, base), f"{base}{request.url.path}", request.scope.get("page_fault")
    )


Here = Annotated[Visit, Depends(visit)]


def answer(content: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(content), status, media_type=JSON_TYPE)


def refusal(error: JiraError) -> Response:
    """Jira's `ErrorCollection`."""
    return answer({"errorMessages": list(error.messages), "errors": error.errors}, error.status)


async def body_as(request: Request, kind: type[Body]) -> Body:
    """The JSON body as `kind`; BadRequestError for unknown fields and wrong types."""
    try:
        return msgspec.json.decode(await request.body() or b"{}", type=kind)
    except msgspec.MsgspecError as error:
        raise BadRequestError(
            f"Invalid request payload. Refer to the REST API documentation: {error}"
        ) from error
