"""The agile API: boards, their configuration and projects, sprints.

Facts from the software OpenAPI and recordings: pages end with `isLast`; board pages have `total` on some sites, sprint
pages have none; sprints sort closed, active, future; boards without sprints answer 400; kanban boards have no
`estimation`; a board the account may not see answers 403 or 404.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from troth_sandbox.jira.agile_shapes import (
    board_configuration,
    shown_board,
    shown_project,
    shown_sprint,
    shown_version,
)
from troth_sandbox.jira.answers import Here, Visit, answer
from troth_sandbox.jira.errors import BadRequestError, ForbiddenError, NotFoundError
from troth_sandbox.jira.records import STATE_ORDER, Board, Json
from troth_sandbox.jira.render import Renderer

router = APIRouter(prefix="/rest/agile/1.0")

Start = Annotated[int, Query(alias="startAt", ge=0)]
Size = Annotated[int, Query(alias="maxResults", ge=1)]
NO_SPRINTS = "The board does not support sprints"
HIDDEN_BOARD = (
    "The requested board cannot be viewed because it either does not exist "
    "or you do not have permission to view it."
)


@router.get("/board")
async def boards(
    here: Here,
    *,
    start_at: Start = 0,
    max_results: Size = 50,
    kind: Annotated[str, Query(alias="type")] = "",
    name: str = "",
    project: Annotated[str, Query(alias="projectKeyOrId")] = "",
) -> Response:
    """A page of boards."""
    project_id = here.site.store.project(project).id if project else ""
    rows = [
        board
        for board in here.site.store.catalogue.boards.values()
        if board.listed
        and (not kind or board.type in kind.split(","))
        and name.lower() in board.name.lower()
        and (not project_id or project_id in board.project_ids)
    ]
    return _page(here, rows, start_at, max_results, shown_board, total=here.site.switches.agile_total)


@router.get("/board/{board_id}")
async def board(here: Here, board_id: int) -> Response:
    """One board."""
    return answer(shown_board(here.render, visible_board(here, board_id)))


@router.get("/board/{board_id}/configuration")
async def configuration(here: Here, board_id: int) -> Response:
    """Columns with their statuses, estimation and filter."""
    return answer(board_configuration(here.render, visible_board(here, board_id)))


@router.get("/board/{board_id}/project")
async def board_projects(here: Here, board_id: int, start_at: Start = 0, max_results: Size = 50) -> Response:
    """A page of the projects of a board, ordered by name."""
    projects = here.site.store.catalogue.projects
    known = [projects[i] for i in visible_board(here, board_id).project_ids if i in projects]
    rows = sorted((p for p in known if p.open), key=lambda p: p.name)
    return _page(here, rows, start_at, max_results, shown_project, total=True)


@router.get("/board/{board_id}/sprint")
async def board_sprints(
    here: Here, board_id: int, start_at: Start = 0, max_results: Size = 50, state: str = ""
) -> Response:
    """A page of the sprints of a scrum board; `state` is a comma-separated filter."""
    if visible_board(here, board_id).type == "kanban":
        raise BadRequestError(NO_SPRINTS)
    states = set(state.split(",")) if state else set(STATE_ORDER)
    if unknown := states.difference(STATE_ORDER):
        raise BadRequestError(f"Invalid sprint state: {', '.join(sorted(unknown))}")
    rows = [sprint for sprint in here.site.store.board_sprints(board_id) if sprint.state in states]
    return _page(here, rows, start_at, max_results, shown_sprint)


@router.get("/board/{board_id}/version")
async def board_versions(here: Here, board_id: int, start_at: Start = 0, max_results: Size = 50) -> Response:
    """A page of the versions of the board's projects: numeric ids and dates as timestamps, unlike the platform."""
    store = here.site.store
    rows = [
        v for project in visible_board(here, board_id).project_ids for v in store.project_versions(project)
    ]
    return _page(here, rows, start_at, max_results, shown_version)


@router.get("/sprint/{sprint_id}")
async def sprint(here: Here, sprint_id: int) -> Response:
    """One sprint, if the account may see the board it was created on."""
    found = here.site.store.sprint(sprint_id)
    if found.origin_board_id in here.site.store.catalogue.boards:
        visible_board(here, found.origin_board_id)
    return answer(shown_sprint(here.render, found))


def visible_board(here: Visit, board_id: int) -> Board:
    """The board, if the account may look at it; else ForbiddenError or NotFoundError."""
    board = here.site.store.board(board_id)
    if board.denied == 403:
        raise ForbiddenError("The user does not have permission to view this board.")
    if board.denied:
        raise NotFoundError(HIDDEN_BOARD)
    return board


def _page(
    here: Visit,
    rows: list[Any],
    start: int,
    size: int,
    show: Callable[[Renderer, Any], Json],
    *,
    total: bool = False,
) -> Response:
    size = min(size, here.site.switches.agile_page_cap)
    given = max(1, size // 2) if here.site.switches.agile_short_pages else size
    values = [show(here.render, row) for row in rows[start : start + given]]
    last = start + given >= len(rows)
    counted = {"total": len(rows)} if total else {}
    return answer({"maxResults": size, "startAt": start} | counted | {"isLast": last, "values": values})
