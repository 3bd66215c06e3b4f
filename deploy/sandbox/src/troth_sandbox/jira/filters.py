"""The saved filter behind each board: JQL over its projects, narrowed by what the board was given.

Two boards may share projects and sprints and still show different issues, each those of its own filter.
"""

from urllib.parse import quote

from fastapi import APIRouter, Response

from troth_sandbox.jira.answers import Here, answer
from troth_sandbox.jira.errors import NotFoundError
from troth_sandbox.jira.jql import parse
from troth_sandbox.jira.matching import Predicate, Reading, predicate
from troth_sandbox.jira.records import Board, Issue
from troth_sandbox.jira.store import Store

router = APIRouter()

FIRST_FILTER = 10_000


def board_jql(store: Store, board: Board) -> str:
    """The JQL of the board's filter, as the site shows it."""
    return f"{_condition(store, board)} ORDER BY Rank ASC"


def board_predicate(store: Store, board: Board, reading: Reading) -> Predicate:
    """True for the issues on the board. A kanban board's sub-query drops what is released."""
    where = parse(_condition(store, board)).where
    if where is None:
        return lambda _: False
    inside = predicate(where, reading)
    if board.type != "kanban":
        return inside
    return lambda issue: inside(issue) and not _released(store, issue)


def _condition(store: Store, board: Board) -> str:
    projects = store.catalogue.projects
    keys = [projects[i].key for i in board.project_ids if i in projects and projects[i].open]
    scope = f"project in ({', '.join(keys)})" if keys else ""
    own = f"({board.filter})" if board.filter and scope else board.filter or ""
    return " AND ".join(part for part in (scope, own) if part)


def _released(store: Store, issue: Issue) -> bool:
    ids = [str(reference["id"]) for reference in issue.fields.get("fixVersions") or []]
    known = [store.catalogue.versions[i] for i in ids if i in store.catalogue.versions]
    return bool(known) and all(version.released for version in known)


@router.get("/filter/{filter_id}")
async def saved_filter(here: Here, filter_id: int) -> Response:
    """The filter of a board the account may see."""
    board = here.site.store.catalogue.boards.get(filter_id - FIRST_FILTER)
    if board is None or board.denied:
        raise NotFoundError("The selected filter is not available to you, perhaps it has been deleted.")
    owner = here.render.user(here.site.store.settings.account.account_id)
    jql = board_jql(here.site.store, board)
    return answer(
        {
            "self": f"{here.render.rest}/filter/{filter_id}",
            "id": str(filter_id),
            "name": f"Filter for {board.name}",
            "owner": owner,
            "jql": jql,
            "viewUrl": f"{here.render.base}/issues/?filter={filter_id}",
            "searchUrl": f"{here.render.rest}/search?jql={quote(jql)}",
            "favourite": False,
            "favouritedCount": 0,
            "sharePermissions": [],
        }
    )
