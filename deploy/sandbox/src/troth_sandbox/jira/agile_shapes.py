"""How boards, their configuration, sprints and versions look in the agile API and in webhooks."""

from troth_sandbox.jira.clock import agile_stamp, parse_instant, site_stamp
from troth_sandbox.jira.filters import FIRST_FILTER
from troth_sandbox.jira.issues import sprint_dates
from troth_sandbox.jira.records import Board, Json, Project, Sprint, Version
from troth_sandbox.jira.render import Renderer


def shown_board(render: Renderer, board: Board) -> Json:
    """A board as lists and events show it."""
    shown: Json = {
        "id": board.id,
        "self": f"{render.base}/rest/agile/1.0/board/{board.id}",
        "name": board.name,
        "type": board.type,
    }
    project = render.store.catalogue.projects.get(board.location_project_id or "")
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


def board_configuration(render: Renderer, board: Board) -> Json:
    """Columns with their statuses, filter and, unless kanban, estimation."""
    rest = f"{render.base}/rest/api/2"
    shown: Json = {
        "id": board.id,
        "name": board.name,
        "type": board.type,
        "self": f"{render.base}/rest/agile/1.0/board/{board.id}/configuration",
    }
    project = render.store.catalogue.projects.get(board.location_project_id or "")
    if project:
        shown["location"] = {
            "type": "project",
            "key": project.key,
            "id": project.id,
            "self": f"{rest}/project/{project.id}",
            "name": project.name,
        }
    filter_id = str(FIRST_FILTER + board.id)
    shown["filter"] = {"id": filter_id, "self": f"{rest}/filter/{filter_id}"}
    if board.type == "kanban":
        shown["subQuery"] = {"query": "fixVersion in unreleasedVersions() OR fixVersion is EMPTY"}
    shown["columnConfig"] = _columns(board, rest)
    return shown | _estimation(render, board) | {"ranking": {"rankCustomFieldId": 10019}}


def _columns(board: Board, rest: str) -> Json:
    columns = [
        {
            "name": column.name,
            "statuses": [{"id": status, "self": f"{rest}/status/{status}"} for status in column.status_ids],
        }
        for column in board.columns
    ]
    return {"columns": columns, "constraintType": "issueCount" if board.type == "kanban" else "none"}


def _estimation(render: Renderer, board: Board) -> Json:
    if board.type == "kanban":
        return {}
    if board.estimation_field_id is None:
        return {"estimation": {"type": "none"}}
    name = render.store.fields.name(board.estimation_field_id)
    field = {"fieldId": board.estimation_field_id, "displayName": name}
    return {"estimation": {"type": "field", "field": field}}


def shown_project(render: Renderer, project: Project) -> Json:
    """A project of a board."""
    return render.project_reference(project) | {"style": project.style}


def shown_sprint(render: Renderer, sprint: Sprint) -> Json:
    """A sprint as the agile API and events show it."""
    shown: Json = {
        "id": sprint.id,
        "self": f"{render.base}/rest/agile/1.0/sprint/{sprint.id}",
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


def shown_version(render: Renderer, version: Version) -> Json:
    """A version as boards list it: numeric id, date as timestamp."""
    shown: Json = {
        "self": f"{render.base}/rest/agile/1.0/version/{version.id}",
        "id": int(version.id),
        "projectId": version.project_id,
        "name": version.name,
        "archived": version.archived,
        "released": version.released,
    }
    if version.description is not None:
        shown["description"] = version.description
    if version.release_date:
        shown["releaseDate"] = site_stamp(parse_instant(version.release_date), render.store.settings.zone)
    return shown
