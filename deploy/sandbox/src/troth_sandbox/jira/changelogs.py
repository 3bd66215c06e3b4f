"""Changelogs outside of search: one issue oldest first by offset, and many issues at once by token.

Vendor rules from the platform OpenAPI: `changelog/bulkfetch` takes up to 1,000 issues and 10 field ids, gives up to
10,000 histories (default 1,000) sorted by date, then issue id, oldest first. Issues without histories are left out;
with `fieldIds` only the matching items are returned (both unverified).
"""

from collections.abc import Iterator
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from troth_sandbox.jira.answers import Here, Visit, answer, body_as
from troth_sandbox.jira.errors import BadRequestError, NotFoundError
from troth_sandbox.jira.paging import Token, fingerprint, offset_page, read_token, spoiled
from troth_sandbox.jira.records import History, Issue, Json
from troth_sandbox.jira.store import Store

router = APIRouter()

MOST_ISSUES = 1_000
MOST_FIELDS = 10
DEFAULT_RESULTS = 1_000
MOST_RESULTS = 10_000
_Entry = tuple[int, int, int, History]


class BulkRequest(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The body of `POST changelog/bulkfetch`."""

    issue_ids_or_keys: list[str]
    field_ids: list[str] | None = None
    max_results: int | None = None
    next_page_token: str | None = None


@router.get("/issue/{id_or_key}/changelog")
async def issue_changelog(
    here: Here,
    id_or_key: str,
    start_at: Annotated[int, Query(alias="startAt", ge=0)] = 0,
    max_results: Annotated[int, Query(alias="maxResults", ge=1)] = 100,
) -> Response:
    """A page of one issue's histories, oldest first, at most 100."""
    issue = here.site.store.issue(id_or_key)
    page = offset_page(here.address, list(issue.histories), start_at, min(max_results, 100))
    return answer(page | {"values": [here.render.history(history) for history in page["values"]]})


@router.post("/changelog/bulkfetch")
async def bulk_changelogs(here: Here, request: Request) -> Response:
    """A page of the histories of many issues."""
    asked = await body_as(request, BulkRequest)
    _check(asked)
    limit = asked.max_results or DEFAULT_RESULTS
    limit = DEFAULT_RESULTS if here.page_fault == "max_results_ignored" else limit
    name = fingerprint(asked.issue_ids_or_keys, asked.field_ids)
    token = read_token(asked.next_page_token, name, here.now, here.page_fault)
    entries = sorted(_entries(here.site.store, asked), key=_place)
    if token and token.position:
        done = tuple(int(part) for part in token.position)
        entries = [entry for entry in entries if _place(entry) > done]
    page, more = entries[:limit], len(entries) > limit
    position: list[int | str] = list(_place(page[-1])) if page else []
    if here.page_fault == "empty_page":
        page, more, position = [], True, token.position if token else []
    ending = {"nextPageToken": Token(name, here.now, here.now, position).text()} if more else {}
    whole = {"issueChangeLogs": _grouped(here, page)} | ending
    return answer(spoiled(whole, here.page_fault, asked.next_page_token))


def _check(asked: BulkRequest) -> None:
    if not 1 <= len(asked.issue_ids_or_keys) <= MOST_ISSUES:
        raise BadRequestError(f"Between 1 and {MOST_ISSUES} issue ids or keys must be given.")
    if len(asked.field_ids or []) > MOST_FIELDS:
        raise BadRequestError(f"At most {MOST_FIELDS} field ids can be given.")
    if asked.max_results is not None and not 1 <= asked.max_results <= MOST_RESULTS:
        raise BadRequestError(f"maxResults must be between 1 and {MOST_RESULTS}.")


def _entries(store: Store, asked: BulkRequest) -> Iterator[_Entry]:
    fields = set(asked.field_ids or [])
    for issue in _issues(store, asked.issue_ids_or_keys):
        for history in issue.histories:
            if not fields:
                yield history.created, issue.id, history.id, history
            elif items := tuple(item for item in history.items if item.field_id in fields):
                yield history.created, issue.id, history.id, msgspec.structs.replace(history, items=items)


def _issues(store: Store, names: list[str]) -> list[Issue]:
    found: dict[int, Issue] = {}
    for name in names:
        try:
            issue = store.issue(name)
        except NotFoundError:
            continue
        found[issue.id] = issue
    return list(found.values())


def _place(entry: _Entry) -> tuple[int, int, int]:
    return entry[0], entry[1], entry[2]


def _grouped(here: Visit, page: list[_Entry]) -> list[Json]:
    groups: dict[int, list[Json]] = {}
    for created, issue_id, _, history in page:
        rendered = here.render.history(history) | _created(here, created)
        groups.setdefault(issue_id, []).append(rendered)
    return [
        {"issueId": str(issue_id), "changeHistories": histories} for issue_id, histories in groups.items()
    ]


def _created(here: Visit, created: int) -> Json:
    match here.site.switches.bulk_created:
        case "seconds":
            return {"created": created // 1000}
        case "milliseconds":
            return {"created": created}
        case _:
            return {}
