"""What every call needs: the simulated site, the API version in the path, and a session that may call."""

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from troth_sandbox.salesforce.access import Source
from troth_sandbox.salesforce.errors import api_error
from troth_sandbox.salesforce.schema import ObjectType
from troth_sandbox.salesforce.simulation import Site

VERSIONS = range(31, 68)
"""REST 21 to 30 are retired; v67 is Summer '26, the newest that is not a preview."""
COMPOSITE = "troth_sandbox.composite"
"""Marks the scope of a subrequest."""
_VERSION = re.compile(r"v(\d+)\.0")
_BEARER = re.compile(r"(?:Bearer|OAuth) (\S+)", re.IGNORECASE)


def simulated(request: Request) -> Site:
    """The site behind this application."""
    site: Site = request.app.state.site
    return site


def version_prefix(version: str) -> str:
    """`/services/data/vXX.0` of a version the org serves. Raises ApiError NOT_FOUND."""
    match = _VERSION.fullmatch(version)
    if match is None or int(match.group(1)) not in VERSIONS:
        raise api_error("not_found")
    return f"/services/data/{version}"


@dataclass(frozen=True, slots=True)
class Caller:
    """A live session: its token and whose it is."""

    token: str
    user_id: str


def caller(request: Request, site: Annotated[Site, Depends(simulated)]) -> Caller:
    """The caller, the call counted. Raises ApiError 401 without a live session, 403 over the allowance."""
    match = _BEARER.fullmatch(request.headers.get("authorization", ""))
    user_id = site.sessions.touch(match.group(1)) if match else None
    if match is None or user_id is None:
        # What a request without any token is told is not documented (U).
        raise api_error("session_expired")
    # A composite is one call, however many subrequests it carries.
    allowed = COMPOSITE in request.scope or site.usage.count()
    request.scope["usage"] = site.usage.header()
    if not allowed:
        raise api_error("daily_limit")
    return Caller(match.group(1), user_id)


def session(caller: Annotated[Caller, Depends(caller)]) -> str:
    """The caller's token."""
    return caller.token


Simulated = Annotated[Site, Depends(simulated)]
Prefix = Annotated[str, Depends(version_prefix)]


def seen(site: Annotated[Site, Depends(simulated)], caller: Annotated[Caller, Depends(caller)]) -> Source:
    """The org as the caller may see it."""
    return site.access.view(caller.user_id)


Called = Annotated[Caller, Depends(caller)]
Token = Annotated[str, Depends(session)]
Seen = Annotated[Source, Depends(seen)]


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response as the vendor sends it."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, status, headers, media_type="application/json;charset=UTF-8")


def object_type(source: Source, name: str) -> ObjectType:
    """The object a path names, if the caller may see it. Raises ApiError NOT_FOUND."""
    kind = source.schema.get(name)
    if kind is None:
        raise api_error("not_found")
    return kind


def own_url(request: Request) -> str:
    """Where the org lives: where this caller reached it, unless it has moved."""
    asked = request.headers.get("host", request.url.netloc)
    return f"{request.url.scheme}://{simulated(request).location.here(asked)}"


def both(path: str) -> tuple[str, str]:
    """A path with and without a slash at its end; the vendor answers both and redirects neither."""
    return path, f"{path}/"
