"""Issues of boards and sprints in the agile API, by offset with `total`.

Rule: a board's list applies its filter, and a kanban board's also the sub-query that drops released issues
(https://github.com/apache/devlake/pull/8923).
"""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from troth_sandbox.jira.agile import Size, Start, visible_board
from troth_sandbox.jira.answers import Here, Visit, answer
from troth_sandbox.jira.filters import board_predicate
from troth_sandbox.jira.issues import FieldChoice, IssueRenderer
from troth_sandbox.jira.jql import parse
from troth_sandbox.jira.matching import Predicate, predicate

router = APIRouter(prefix="/rest/agile/1.0")

MOST_ISSUES = 100
Fields = Annotated[list[str] | None, Query()]


@router.get("/board/{board_id}/issue")
async def board_issues(
    here: Here,
    board_id: int,
    *,
    start_at: Start = 0,
    max_results: Size = 50,
    jql: str = "",
    fields: Fields = None,
    expand: str = "",
) -> Response:
    """A page of the issues on a board."""
    board = visible_board(here, board_id)
    tests = [board_predicate(here.site.store, board, here.site.reading(here.now)), *_narrowed(here, jql)]
    return _page(here, tests, (start_at, max_results), fields, expand)


@router.get("/board/{board_id}/sprint/{sprint_id}/issue")
async def board_sprint_issues(
    here: Here,
    board_id: int,
    sprint_id: int,
    *,
    start_at: Start = 0,
    max_results: Size = 50,
    jql: str = "",
    fields: Fields = None,
    expand: str = "",
) -> Response:
    """A page of the issues of a sprint that its board's filter shows."""
    board = visible_board(here, board_id)
    shown = board_predicate(here.site.store, board, here.site.reading(here.now))
    tests = [_member(here, sprint_id), shown, *_narrowed(here, jql)]
    return _page(here, tests, (start_at, max_results), fields, expand)


@router.get("/sprint/{sprint_id}/issue")
async def sprint_issues(
    here: Here,
    sprint_id: int,
    *,
    start_at: Start = 0,
    max_results: Size = 50,
    jql: str = "",
    fields: Fields = None,
    expand: str = "",
) -> Response:
    """A page of the issues of a sprint, whatever board shows them."""
    tests = [_member(here, sprint_id), *_narrowed(here, jql)]
    return _page(here, tests, (start_at, max_results), fields, expand)


def _member(here: Visit, sprint_id: int) -> Predicate:
    wanted = here.site.store.sprint(sprint_id).id
    return lambda issue: wanted in issue.sprint_ids


def _narrowed(here: Visit, jql: str) -> list[Predicate]:
    where = parse(jql).where
    return [predicate(where, here.site.reading(here.now))] if where else []


def _page(
    here: Visit, tests: list[Predicate], window: tuple[int, int], fields: list[str] | None, expand: str
) -> Response:
    start, size = window[0], min(window[1], MOST_ISSUES)
    tests = [*tests, here.site.store.visible]
    found = [issue for issue in here.site.store.issues() if all(test(issue) for test in tests)]
    choice = FieldChoice(fields or [], default="*navigable")
    render = IssueRenderer(here.render, choice, with_changelog="changelog" in expand.split(","))
    return answer(
        {
            "expand": "schema,names",
            "startAt": start,
            "maxResults": size,
            "total": len(found),
            "issues": [render.whole(issue) for issue in found[start : start + size]],
        }
    )
