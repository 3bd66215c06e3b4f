"""Boards, sprints and versions: the frame of planning, as contract types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Literal, cast

from msgspec.structs import replace

from jira_sync.domain.fields import SiteFields
from jira_sync.domain.timeline import Standing, Timeline
from jira_sync.errors import UnreadableError
from jira_sync.parse import (
    Json,
    by_number,
    optional_instant,
    optional_part,
    optional_text,
    parts,
    plain_date,
    planned_instant,
    text,
    whole_number,
)
from troth_contracts.jira import Board, BoardColumn, BoardConfiguration, Sprint, SprintState, Version

StartBy = Literal["activatedDate", "startDate"]
_STATES = ("future", "active", "closed")


@dataclass(frozen=True, slots=True)
class BoardRules:
    """What a board counts: statuses on one of its columns, and those of its last column that has any."""

    mapped: frozenset[str]
    done: frozenset[str]
    estimate_field: str | None = None
    """None: each issue's own."""

    def points(self, timeline: Timeline, standing: Standing) -> Decimal | None:
        """The estimate in the field this board counts in; None is null."""
        return standing.estimates.get(self.estimate_field or timeline.estimate_field or "")


def read_board(
    site_id: str, document: Json, configuration: Json, keys: Mapping[str, str], fields: SiteFields
) -> Board:
    """The board with its columns and projects (key by id); the estimate field by the order of reference 3.5."""
    columns = parts(optional_part(configuration, "columnConfig"), "columns")
    default = next((field for p in keys if (field := fields.estimate_of(p))), None)
    return Board(
        site_id=site_id,
        id=whole_number(document, "id"),
        name=text(document, "name"),
        type=optional_text(document, "type") or "scrum",
        project_ids=by_number(keys),
        project_keys=tuple(sorted(keys.values())),
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
    """The sprint as the agile API tells it, without figures; a planned date that is none is left out."""
    state = text(document, "state").lower()
    if state not in _STATES:
        raise UnreadableError(f"sprint state {state!r} is unknown")
    return Sprint(
        site_id=site_id,
        id=whole_number(document, "id"),
        name=optional_text(document, "name") or "",
        state=cast("SprintState", state),
        origin_board_id=optional_text(document, "originBoardId"),
        board_ids=by_number(board_ids),
        goal=optional_text(document, "goal") or None,
        planned_start_at=planned_instant(document.get("startDate")),
        planned_end_at=planned_instant(document.get("endDate")),
        activated_at=optional_instant(document.get("activatedDate")),
        completed_at=optional_instant(document.get("completeDate")),
        created_at=optional_instant(document.get("createdDate")),
    )


def mistyped_dates(document: Json) -> str | None:
    """What is wrong with a sprint's planned dates, for people; None when nothing is."""
    wrong = [
        f"{name} {value!r}"
        for name in ("startDate", "endDate")
        if (value := document.get(name)) and planned_instant(value) is None
    ]
    return f"{' and '.join(wrong)} cannot be: mend it in Jira" if wrong else None


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


def with_past(board: Board, before: Board | None, now: datetime) -> Board:
    """The board as just read, with the configurations it had before: ``before`` is how it was last read."""
    if before is None:
        return board
    if configuration_of(before) == configuration_of(board):
        return replace(board, former=before.former)
    left = BoardConfiguration(until=now, columns=before.columns, estimation_field=before.estimation_field)
    return replace(board, former=(*before.former, left))


def configuration_of(board: Board) -> tuple[tuple[BoardColumn, ...], str | None]:
    """What decides about its figures."""
    return board.columns, board.estimation_field


def board_rules(board: Board, moment: datetime | None = None) -> BoardRules:
    """Its rules at that moment as far as they were seen, today's without one.

    Done is the last column that has statuses, by the vendor's definition.
    """
    left = (former for former in board.former if moment is not None and moment < former.until)
    valid = next(left, board)
    mapped = [column.status_ids for column in valid.columns if column.status_ids]
    done = frozenset(mapped[-1]) if mapped else frozenset[str]()
    return BoardRules(frozenset(chain.from_iterable(mapped)), done, valid.estimation_field)


def rules_of(sprint: Sprint, boards: Mapping[str, Board]) -> BoardRules | None:
    """The rules of the board the sprint was made on, else of the first known board that shows it.

    A closed sprint keeps those of its close.
    """
    candidates = (sprint.origin_board_id or "", *sprint.board_ids)
    board = next((boards[board_id] for board_id in candidates if board_id in boards), None)
    return None if board is None else board_rules(board, closed_at(sprint))


def started_at(sprint: Sprint, start_by: StartBy = "activatedDate") -> datetime | None:
    """The commitment instant: when it was activated, else its start date; None while it is in the future.

    Clients disagree which of the two Jira's reports take (reference 11.9): ``start_by`` puts either first.
    """
    if sprint.state == "future":
        return None
    dates = (sprint.activated_at, sprint.planned_start_at)
    first, second = dates if start_by == "activatedDate" else dates[::-1]
    return first or second


def closed_at(sprint: Sprint) -> datetime | None:
    """The instant of the result; the planned end only where Jira kept no ``completeDate``."""
    return (sprint.completed_at or sprint.planned_end_at) if sprint.state == "closed" else None


def _column(document: Json) -> BoardColumn:
    statuses = tuple(text(status, "id") for status in parts(document, "statuses"))
    return BoardColumn(name=optional_text(document, "name") or "", status_ids=statuses)
