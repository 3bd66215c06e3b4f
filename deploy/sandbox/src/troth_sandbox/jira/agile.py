"""The agile API: boards, their configuration and projects, sprints.

Facts from the software OpenAPI and recordings: pages end with `isLast`; board pages have `total` on some sites, sprint
pages have none; sprints sort closed, active, future; boards without sprints answer 400; kanban boards have no
`estimation`; a board the account may not see answers 403 or 404.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from troth_sandbox.jira.answers import Here, Visit, answer
from troth_sandbox.jira.clock import agile_stamp, parse_instant, site_stamp
from troth_sandbox.jira.errors import BadRequestError, ForbiddenError, NotFoundError
from troth_sandbox.jira.issues import sprint_dates
from troth_sandbox.jira.records import STATE_ORDER, Board, Json, Project, Sprint, Version

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
    return _page(here, rows, start_at, max_results, _board, total=here.site.switches.agile_total)


@router.get("/board/{board_id}")
async def board(here: Here, board_id: int) -> Response:
    """One board."""
    return answer(_board(here, _visible(here, board_id)))


@router.get("/board/{board_id}/configuration")
async def configuration(here: Here, board_id: int) -> Response:
    """Columns with their statuses, estimation and filter."""
    return answer(_configuration(here, _visible(here, board_id)))


@router.get("/board/{board_id}/project")
async def board_projects(here: Here, board_id: int, start_at: Start = 0, max_results: Size = 50) -> Response:
    """A page of the projects of a board, ordered by name."""
    projects = here.site.store.catalogue.projects
    known = [projects[i] for i in _visible(here, board_id).project_ids if i in projects]
    rows = sorted((p for p in known if p.state == "live"), key=lambda p: p.name)
    return _page(here, rows, start_at, max_results, _project, total=True)


@router.get("/board/{board_id}/sprint")
async def board_sprints(
    here: Here, board_id: int, start_at: Start = 0, max_results: Size = 50, state: str = ""
) -> Response:
    """A page of the sprints of a scrum board; `state` is a comma-separated filter."""
    if _visible(here, board_id).type == "kanban":
        raise BadRequestError(NO_SPRINTS)
    states = set(state.split(",")) if state else set(STATE_ORDER)
    if unknown := states.difference(STATE_ORDER):
        raise BadRequestError(f"Invalid sprint state: {', '.join(sorted(unknown))}")
    rows = [sprint for sprint in here.site.store.board_sprints(board_id) if sprint.state in states]
    return _page(here, rows, start_at, max_results, _sprint)


@router.get("/board/{board_id}/version")
async def board_versions(here: Here, board_id: int, start_at: Start = 0, max_results: Size = 50) -> Response:
    """A page of the versions of the board's projects: numeric ids and dates as timestamps, unlike the platform."""
    store = here.site.store
    rows = [v for project in _visible(here, board_id).project_ids for v in store.project_versions(project)]
    return _page(here, rows, start_at, max_results, _version)


@router.get("/sprint/{sprint_id}")
async def sprint(here: Here, sprint_id: int) -> Response:
    """One sprint, if the account may see the board it was created on."""
    found = here.site.store.sprint(sprint_id)
    if found.origin_board_id in here.site.store.catalogue.boards:
        _visible(here, found.origin_board_id)
    return answer(_sprint(here, found))


def _visible(here: Visit, board_id: int) -> Board:
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
    show: Callable[[Visit, Any], Json],
    *,
    total: bool = False,
) -> Response:
    size = min(size, here.site.switches.agile_page_cap)
    given = max(1, size // 2) if here.site.switches.agile_short_pages else size
    values = [show(here, row) for row in rows[start : start + given]]
    last = start + given >= len(rows)
    counted = {"total": len(rows)} if total else {}
    return answer({"maxResults": size, "startAt": start} | counted | {"isLast": last, "values": values})


def _board(here: Visit, board: Board) -> Json:
    shown: Json = {
        "id": board.id,
        "self": f"{here.render.base}/rest/agile/1.0/board/{board.id}",
        "name": board.name,
        "type": board.type,
    }
    project = here.site.store.catalogue.projects.get(board.location_project_id or "")
    return shown | ({"location": _location(project)} if project else {})


def _location(project: Project) -> Json:
    name = f"{project.name} ({project.key})"
    return {
        "projectId": int(project.id),
        "displayName": name,
        "projectName": project.name,
        "projectKey": project.key,
        "projectTypeKey": project.project_type_key,
        "name": name,
    }


def _configuration(here: Visit, board: Board) -> Json:
    rest = f"{here.render.base}/rest/api/2"
    shown: Json = {
        "id": board.id,
        "name": board.name,
        "type": board.type,
        "self": f"{here.render.base}/rest/agile/1.0/board/{board.id}/configuration",
    }
    project = here.site.store.catalogue.projects.get(board.location_project_id or "")
    if project:
        shown["location"] = {
            "type": "project",
            "key": project.key,
            "id": project.id,
            "self": f"{rest}/project/{project.id}",
            "name": project.name,
        }
    filter_id = str(10_000 + board.id)
    shown["filter"] = {"id": filter_id, "self": f"{rest}/filter/{filter_id}"}
    if board.type == "kanban":
        shown["subQuery"] = {"query": "fixVersion in unreleasedVersions() OR fixVersion is EMPTY"}
    shown["columnConfig"] = _columns(board, rest)
    return shown | _estimation(here, board) | {"ranking": {"rankCustomFieldId": 10019}}


def _columns(board: Board, rest: str) -> Json:
    columns = [
        {
            "name": column.name,
            "statuses": [{"id": status, "self": f"{rest}/status/{status}"} for status in column.status_ids],
        }
        for column in board.columns
    ]
    return {"columns": columns, "constraintType": "issueCount" if board.type == "kanban" else "none"}


def _estimation(here: Visit, board: Board) -> Json:
    if board.type == "kanban":
        return {}
    if board.estimation_field_id is None:
        return {"estimation": {"type": "none"}}
    name = here.site.store.fields.name(board.estimation_field_id)
    field = {"fieldId": board.estimation_field_id, "displayName": name}
    return {"estimation": {"type": "field", "field": field}}


def _project(here: Visit, project: Project) -> Json:
    return here.render.project_reference(project) | {"style": project.style}


def _sprint(here: Visit, sprint: Sprint) -> Json:
    shown: Json = {
        "id": sprint.id,
        "self": f"{here.render.base}/rest/agile/1.0/sprint/{sprint.id}",
        "state": sprint.state,
        "name": sprint.name,
    }
    shown |= sprint_dates(sprint)
    if sprint.state != "future" and sprint.activated is not None:
        shown["activatedDate"] = agile_stamp(sprint.activated)
    if sprint.created is not None:
        shown["createdDate"] = agile_stamp(sprint.created)
    shown["originBoardId"] = sprint.origin_board_id
    if sprint.goal is not None or sprint.state != "future":
        shown["goal"] = sprint.goal or ""
    return shown


def _version(here: Visit, version: Version) -> Json:
    shown: Json = {
        "self": f"{here.render.base}/rest/agile/1.0/version/{version.id}",
        "id": int(version.id),
        "projectId": version.project_id,
        "name": version.name,
        "archived": version.archived,
        "released": version.released,
    }
    if version.description is not None:
        shown["description"] = version.description
    if version.release_date:
        shown["releaseDate"] = site_stamp(parse_instant(version.release_date), here.site.store.settings.zone)
    return shown
