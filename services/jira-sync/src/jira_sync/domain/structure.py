"""Boards, sprints and versions: the frame of planning, as contract types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from jira_sync.domain.fields import SiteFields
from jira_sync.errors import UnreadableError
from jira_sync.parse import (
    Json,
    by_number,
    optional_instant,
    optional_part,
    optional_text,
    parts,
    plain_date,
    text,
)
from troth_contracts.jira import Board, BoardColumn, Sprint, SprintState, Version

_STATES = ("future", "active", "closed")


@dataclass(frozen=True, slots=True)
class BoardRules:
    """What a board counts: statuses on one of its columns, and those of its last column that has any."""

    mapped: frozenset[str]
    done: frozenset[str]


def read_board(
    site_id: str, document: Json, configuration: Json, projects: Sequence[Json], fields: SiteFields
) -> Board:
    """The board with its columns and projects; the estimate field by the order of reference 3.5."""
    columns = parts(optional_part(configuration, "columnConfig"), "columns")
    project_ids = tuple(text(project, "id") for project in projects)
    default = fields.estimates[0] if fields.estimates else None
    return Board(
        site_id=site_id,
        id=text(document, "id"),
        name=text(document, "name"),
        type=optional_text(document, "type") or "scrum",
        project_ids=by_number(project_ids),
        project_keys=tuple(sorted(text(project, "key") for project in projects)),
        columns=tuple(_column(column) for column in columns),
        estimation_field=configured_estimate(configuration) or default,
    )


def configured_estimate(configuration: Json) -> str | None:
    """The field the board's estimation names; None for ``none``, ``issueCount`` and boards without estimation."""
    estimation = optional_part(configuration, "estimation")
    if estimation.get("type") != "field":
        return None
    return optional_text(optional_part(estimation, "field"), "fieldId")


def read_sprint(site_id: str, document: Json, board_ids: Sequence[str]) -> Sprint:
    """The sprint as the agile API tells it, without figures."""
    state = text(document, "state").lower()
    if state not in _STATES:
        raise UnreadableError(f"sprint state {state!r} is unknown")
    return Sprint(
        site_id=site_id,
        id=text(document, "id"),
        name=optional_text(document, "name") or "",
        state=cast("SprintState", state),
        origin_board_id=optional_text(document, "originBoardId"),
        board_ids=by_number(board_ids),
        goal=optional_text(document, "goal") or None,
        planned_start_at=optional_instant(document.get("startDate")),
        planned_end_at=optional_instant(document.get("endDate")),
        activated_at=optional_instant(document.get("activatedDate")),
        completed_at=optional_instant(document.get("completeDate")),
    )


def read_version(site_id: str, document: Json, project_id: str) -> Version:
    """A platform version; ``userReleaseDate`` is localised and never read."""
    return Version(
        site_id=site_id,
        id=text(document, "id"),
        project_id=optional_text(document, "projectId") or project_id,
        name=optional_text(document, "name") or "",
        released=bool(document.get("released")),
        archived=bool(document.get("archived")),
        release_date=plain_date(document.get("releaseDate")),
    )


def board_rules(board: Board) -> BoardRules:
    """Done is the last column that has statuses, by the vendor's definition."""
    mapped = frozenset(status for column in board.columns for status in column.status_ids)
    return BoardRules(mapped, frozenset(board.done_status_ids))


def rules_of(sprint: Sprint, boards: Mapping[str, Board]) -> BoardRules | None:
    """The rules of the board the sprint was made on, else of the first known board that shows it."""
    candidates = (sprint.origin_board_id or "", *sprint.board_ids)
    board = next((boards[board_id] for board_id in candidates if board_id in boards), None)
    return None if board is None else board_rules(board)


def started_at(sprint: Sprint) -> datetime | None:
    """The commitment instant: when it was activated, else its start date; None while it is in the future."""
    return None if sprint.state == "future" else sprint.activated_at or sprint.planned_start_at


def closed_at(sprint: Sprint) -> datetime | None:
    """The instant of the result; the planned end only where Jira kept no ``completeDate``."""
    return (sprint.completed_at or sprint.planned_end_at) if sprint.state == "closed" else None


def _column(document: Json) -> BoardColumn:
    statuses = tuple(text(status, "id") for status in parts(document, "statuses"))
    return BoardColumn(name=optional_text(document, "name") or "", status_ids=statuses)
