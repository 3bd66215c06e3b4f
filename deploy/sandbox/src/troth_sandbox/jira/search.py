"""The enhanced search: bounded JQL, token paging, id only by default, no total.

Vendor rules from the platform OpenAPI (`search/jql`): `maxResults` default 50 and at most 5,000, fewer when more than
ids is asked for; `nextPageToken` is missing on the last page; up to 50 `reconcileIssues`. Nulls in a POST body are
accepted, because the `jira` client sends them (unverified on a live site).
"""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from troth_sandbox.jira.answers import Here, Visit, answer, body_as
from troth_sandbox.jira.errors import BadRequestError, GoneError, QueryError
from troth_sandbox.jira.index import Slice
from troth_sandbox.jira.issues import FieldChoice, IssueRenderer
from troth_sandbox.jira.jql import Query as Jql
from troth_sandbox.jira.jql import parse
from troth_sandbox.jira.paging import Token, fingerprint, read_token, spoiled
from troth_sandbox.jira.records import Issue, Json

router = APIRouter()

DEFAULT_PAGE = 50
LARGEST_PAGE = 5_000
MOST_RECONCILED = 50
MOST_PROPERTIES = 5
UNBOUNDED = "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."
GONE = (
    "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. "
    "A full migration guide is available at https://developer.atlassian.com/changelog/#CHANGE-2046"
)


class SearchRequest(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The body of `POST search/jql`; GET carries the same."""

    jql: str | None = None
    next_page_token: str | None = None
    max_results: int | None = None
    fields: list[str] | None = None
    expand: str | None = None
    properties: list[str] | None = None
    fields_by_keys: bool | None = None
    reconcile_issues: list[int] | None = None


class CountRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST search/approximate-count`."""

    jql: str


@router.get("/search/jql")
async def search_by_get(
    here: Here,
    *,
    jql: str | None = None,
    next_page_token: Annotated[str | None, Query(alias="nextPageToken")] = None,
    max_results: Annotated[int, Query(alias="maxResults")] = 50,
    fields: Annotated[list[str] | None, Query()] = None,
    expand: str | None = None,
    properties: Annotated[list[str] | None, Query()] = None,
    reconcile: Annotated[list[str] | None, Query(alias="reconcileIssues")] = None,
) -> Response:
    """One page of matching issues."""
    asked = SearchRequest(
        jql=jql,
        next_page_token=next_page_token,
        max_results=max_results,
        fields=fields,
        expand=expand,
        properties=properties,
        reconcile_issues=_ids(reconcile or []),
    )
    return answer(_page(here, asked))


@router.post("/search/jql")
async def search_by_post(here: Here, request: Request) -> Response:
    """One page of matching issues."""
    return answer(_page(here, await body_as(request, SearchRequest)))


@router.post("/search/approximate-count")
async def approximate_count(here: Here, request: Request) -> Response:
    """How many issues the index holds for the query."""
    asked = await body_as(request, CountRequest)
    query = _bounded(asked.jql)
    return answer({"count": here.site.index.count(query, here.site.reading(here.now))})


@router.api_route("/search", methods=["GET", "POST"])
async def removed_search() -> Response:
    """The offset search is gone from Cloud."""
    raise GoneError(GONE)


def _page(here: Visit, asked: SearchRequest) -> Json:
    query = _bounded(asked.jql)
    _check(asked)
    choice = FieldChoice(asked.fields or [], default="id")
    expands = set((asked.expand or "").split(","))
    name = fingerprint(asked.jql, asked.fields or [], asked.expand, asked.reconcile_issues or [])
    token = read_token(asked.next_page_token, name, here.now, here.page_fault)
    cap = here.site.switches.search_page_cap
    limit = _limit(asked, cap, identity_only=choice.only_identity and "changelog" not in expands)
    limit = DEFAULT_PAGE if here.page_fault == "max_results_ignored" else limit
    started = token.started if token else here.now
    found = here.site.index.search(
        query,
        here.site.reading(started),
        (tuple(token.position) or None) if token else None,
        limit,
        _reconciled(here, asked.reconcile_issues or []),
    )
    if here.page_fault == "empty_page":
        found = Slice([], tuple(token.position) if token else ())
    render = IssueRenderer(here.render, choice, with_changelog="changelog" in expands)
    page: Json = {"issues": [render.issue(issue) for issue in found.issues]}
    page |= {"names": render.names()} if "names" in expands else {}
    page |= {"schema": render.schema()} if "schema" in expands else {}
    return spoiled(page | _ending(here, found, name, started), here.page_fault, asked.next_page_token)


def _ending(here: Visit, found: Slice, name: str, started: int) -> Json:
    if found.resume is not None:
        token = Token(name, here.now, started, list(found.resume))
        return {"nextPageToken": token.text(), "isLast": False}
    absent = here.site.switches.last_page_token == "absent"
    return {"isLast": True} | ({} if absent else {"nextPageToken": None})


def _bounded(jql: str | None) -> Jql:
    query = parse(jql or "")
    if query.where is None:
        raise QueryError(UNBOUNDED)
    return query


def _check(asked: SearchRequest) -> None:
    if len(asked.reconcile_issues or []) > MOST_RECONCILED:
        raise BadRequestError(f"A maximum of {MOST_RECONCILED} issues can be reconciled.")
    if len(asked.properties or []) > MOST_PROPERTIES:
        raise BadRequestError(f"A maximum of {MOST_PROPERTIES} properties can be requested.")


def _limit(asked: SearchRequest, cap: int, *, identity_only: bool) -> int:
    wanted = DEFAULT_PAGE if asked.max_results is None else asked.max_results
    if wanted < 1:
        raise BadRequestError("The value of maxResults must be between 1 and 5000.")
    return min(wanted, LARGEST_PAGE if identity_only else cap)


def _reconciled(here: Visit, ids: list[int]) -> dict[int, Issue | None]:
    return {issue_id: here.site.store.find(issue_id) for issue_id in ids}


def _ids(texts: list[str]) -> list[int]:
    try:
        return [int(part) for text in texts for part in text.split(",") if part]
    except ValueError as error:
        raise BadRequestError("reconcileIssues must be a list of issue ids.") from error
