"""What only Data Center serves: search by offset with a total, and all projects in one list.

Rules: `/rest/api/2/search` with `startAt` and `total`, complete `expand=changelog`, unbounded JQL allowed; pages are
cut by offset, so they shift under concurrent writes
(https://support.atlassian.com/jira/kb/inconsistent-paginated-api-search-result-while-using-jql).
"""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from troth_sandbox.jira.answers import Here, Visit, answer, body_as
from troth_sandbox.jira.issues import FieldChoice, IssueRenderer
from troth_sandbox.jira.jql import AllOf, parse
from troth_sandbox.jira.records import Json

router = APIRouter()

LARGEST_PAGE = 1_000


class OffsetSearch(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The body of `POST search`; GET carries the same."""

    jql: str = ""
    start_at: int = 0
    max_results: int = 50
    fields: list[str] | None = None
    expand: list[str] | None = None
    validate_query: bool | str | None = None


@router.get("/search")
async def search_by_get(
    here: Here,
    *,
    jql: str = "",
    start_at: Annotated[int, Query(alias="startAt", ge=0)] = 0,
    max_results: Annotated[int, Query(alias="maxResults", ge=0)] = 50,
    fields: Annotated[list[str] | None, Query()] = None,
    expand: str = "",
) -> Response:
    """One page of matching issues."""
    return answer(_page(here, OffsetSearch(jql, start_at, max_results, fields, expand.split(","))))


@router.post("/search")
async def search_by_post(here: Here, request: Request) -> Response:
    """One page of matching issues."""
    return answer(_page(here, await body_as(request, OffsetSearch)))


@router.get("/project")
async def projects(
    here: Here, include_archived: Annotated[bool, Query(alias="includeArchived")] = False
) -> Response:
    """All projects the account may see; archived ones, marked so, on request (newer versions; unverified)."""
    known = sorted(here.site.store.catalogue.projects.values(), key=lambda p: p.key)
    shown = [p for p in known if p.open or (include_archived and p.browsable and p.state == "archived")]
    return answer([here.render.project(p) for p in shown])


def _page(here: Visit, asked: OffsetSearch) -> Json:
    query = parse(asked.jql)
    if query.where is None:
        query = msgspec.structs.replace(query, where=AllOf(()))
    limit = min(asked.max_results, LARGEST_PAGE)
    reading = here.site.reading(here.now)
    found, total = here.site.index.window(query, reading, asked.start_at, limit)
    expands = {part for text in asked.expand or [] for part in text.split(",")}
    choice = FieldChoice(asked.fields or [], default="*navigable")
    render = IssueRenderer(here.render, choice, with_changelog="changelog" in expands)
    page: Json = {
        "expand": "schema,names",
        "startAt": asked.start_at,
        "maxResults": limit,
        "total": total,
        "issues": [render.whole(issue) for issue in found],
    }
    page |= {"names": render.names()} if "names" in expands else {}
    return page | ({"schema": render.schema()} if "schema" in expands else {})
