"""Reads the frame of planning (fields, boards, sprints, versions); what cannot be read is set aside, one by one.

A board the account may not open, a sprint or version that makes no sense: each is named, its neighbours are read, and
what a board was last known to count by still holds. Boards, sprints and versions that disappear are left as published
here: whether they are deleted is for ``absence.py`` to find out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from jira_sync.domain.fields import SiteFields, discover, with_boards
from jira_sync.domain.structure import (
    configured_estimate,
    mistyped_dates,
    read_board,
    read_sprint,
    read_version,
)
from jira_sync.errors import ForbiddenError, ScanFailedError, UnreadableError
from jira_sync.paging import all_offset_items
from jira_sync.parse import Json, by_number, optional_part, optional_text, text, whole_number
from jira_sync.reader import JiraReader
from jira_sync.scope import Scope
from troth_chassis.together import together
from troth_contracts.jira import Board, Sprint, Version

T = TypeVar("T")
R = TypeVar("R")
_OPEN = ("active", "future")
_CLOSED = ("closed",)


@dataclass(frozen=True, slots=True)
class Frame:
    """Fields and boards as last read; ``set_aside`` has the reason per entity that could not be read."""

    fields: SiteFields = field(default_factory=SiteFields)
    boards: Mapping[str, Board] = field(default_factory=dict)
    projects: Mapping[str, str] = field(default_factory=dict)
    """Key by id of every project a board shows."""
    set_aside: Mapping[str, str] = field(default_factory=dict)
    filters: Mapping[str, str | None] = field(default_factory=dict)
    """Id of the saved filter by board."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """The rule by board id of every board the configuration leaves out."""
    kept: frozenset[str] = frozenset()
    """Ids of the boards that could not be read now and stand as they were published."""


@dataclass(frozen=True, slots=True)
class _RawBoard:
    """Of ``keys``: key by id of every project it shows."""

    id: str
    document: Json
    configuration: Json
    keys: Mapping[str, str]


async def read_frame(reader: JiraReader, site_id: str, scope: Scope, published: Mapping[str, Board]) -> Frame:
    """Fields, and all wanted boards that show a wanted project."""
    of_fields, of_boards = await together(reader.fields(), all_offset_items(reader.boards))
    found = discover(of_fields)
    documents = {text(board, "id"): board for board in of_boards}
    left_out = {board_id: rule for board_id in documents if (rule := scope.why_not_board(board_id))}
    asked = sorted(documents.keys() - left_out.keys(), key=int)
    answers = await _each(asked, lambda board_id: _raw_board(reader, documents[board_id]))
    raw = [answer for answer in answers if isinstance(answer, _RawBoard)]
    aside = _aside("board", dict(zip(asked, answers, strict=True)))
    wanted = scope.projects
    left_out |= {b.id: "no wanted project" for b in raw if not _is_wanted(b.keys.values(), wanted)}
    raw = [board for board in raw if board.id not in left_out]
    kept = {
        board_id: published[board_id]
        for board_id in published.keys() & set(asked) - {board.id for board in raw} - left_out.keys()
        if _is_wanted(published[board_id].project_keys, wanted)
    }
    fields = with_boards(found, _estimates(raw, kept.values()))
    boards, unreadable = _each_read(
        "board",
        {board.id: board for board in raw},
        lambda board: read_board(site_id, board.document, board.configuration, board.keys, fields),
    )
    projects = {project_id: key for board in raw for project_id, key in board.keys.items()}
    filters = {board.id: _filter_id(board.configuration) for board in raw}
    kept |= {board.id: published[board.id] for board in raw if board.id in published.keys() - boards.keys()}
    return Frame(fields, boards | kept, projects, aside | unreadable, filters, left_out, frozenset(kept))


async def read_versions(
    reader: JiraReader, site_id: str, projects: Mapping[str, str]
) -> tuple[list[Version], dict[str, str]]:
    """Versions of every project (key by id), and what could not be read."""
    answers = await _each(list(projects.values()), reader.versions)
    aside = _aside("versions of", dict(zip(projects.values(), answers, strict=True)))
    documents = {
        str(document.get("id")): (document, project_id)
        for project_id, answer in zip(projects, answers, strict=True)
        if not isinstance(answer, Exception)
        for document in answer
    }
    versions, unreadable = _each_read("version", documents, lambda found: read_version(site_id, *found))
    return list(versions.values()), aside | unreadable


class SprintBook:
    """The sprints every board lists. Open ones are read each time, closed ones when asked or when one is missing."""

    def __init__(self) -> None:
        self._by_board: dict[str, dict[str, Json]] = {}
        self._unlisted: Mapping[str, str] = {}
        self._unreadable: Mapping[str, str] = {}

    @property
    def set_aside(self) -> Mapping[str, str]:
        """The reason for every board whose sprints cannot be listed, and for every sprint that makes no sense."""
        return {**self._unlisted, **self._unreadable}

    async def refresh(self, reader: JiraReader, boards: Mapping[str, Board], *, full: bool) -> None:
        """Reads the open sprints first, the closed ones after: a sprint that closes in between is seen twice."""
        asked = [board for board in boards.values() if board.type != "kanban"]
        answers = await _each(asked, lambda board: self._of_board(reader, board, full=full))
        found = dict(zip((board.id for board in asked), answers, strict=True))
        self._by_board |= {board: sprints for board, sprints in found.items() if isinstance(sprints, dict)}
        self._unlisted = _aside("sprints of board", found)
        for gone in set(self._by_board) - set(boards):
            del self._by_board[gone]

    def put(self, document: Json) -> None:
        """Takes one sprint as just read: on every board that lists it, else on the one it was made on."""
        sprint_id, origin = text(document, "id"), str(document.get("originBoardId"))
        listing = [board for board, listed in self._by_board.items() if sprint_id in listed] or [origin]
        for board_id in listing:
            if board_id in self._by_board:
                self._by_board[board_id][sprint_id] = document

    def drop(self, sprint_id: str) -> None:
        """The sprint is deleted."""
        for listed in self._by_board.values():
            listed.pop(sprint_id, None)

    def sprints(self, site_id: str) -> list[Sprint]:
        """Every sprint once, with all boards that list it; identity is the sprint id alone."""
        boards: dict[str, list[str]] = {}
        documents: dict[str, Json] = {}
        for board_id, listed in self._by_board.items():
            for sprint_id, document in listed.items():
                boards.setdefault(sprint_id, []).append(board_id)
                documents[sprint_id] = _further(documents.get(sprint_id), document)
        found, unreadable = _each_read(
            "sprint", documents, lambda document: read_sprint(site_id, document, boards[text(document, "id")])
        )
        mistyped = {f"sprint {key}": wrong for key, d in documents.items() if (wrong := mistyped_dates(d))}
        self._unreadable = {**mistyped, **unreadable}
        return list(found.values())

    async def _of_board(self, reader: JiraReader, board: Board, *, full: bool) -> dict[str, Json]:
        known = self._by_board.get(board.id)
        if known is None and (whole := await _at_once(reader, board)) is not None:
            return whole
        found = await _listed(reader, board, _OPEN)
        closed = {} if known is None else {key: doc for key, doc in known.items() if _is_closed(doc)}
        missing = known is None or any(key not in found for key in known if key not in closed)
        if full or missing:
            return {**found, **await _listed(reader, board, _CLOSED)}
        return {**closed, **found}  # one that was closed when last read may run again


async def _raw_board(reader: JiraReader, document: Json) -> _RawBoard:
    board_id = text(document, "id")
    configuration = await reader.board_configuration(board_id)
    projects = await all_offset_items(lambda start: reader.board_projects(board_id, start))
    keys = {whole_number(project, "id"): text(project, "key") for project in projects}
    return _RawBoard(board_id, document, configuration, keys)


async def _listed(reader: JiraReader, board: Board, states: Sequence[str]) -> dict[str, Json]:
    """A 400 on a board that is not scrum means: no sprints here. The text of the answer is never looked at."""
    try:
        items = await all_offset_items(lambda start: reader.sprints(board.id, states, start))
    except ScanFailedError:
        if board.type == "scrum":
            raise
        return {}
    return {text(item, "id"): item for item in items}


async def _at_once(reader: JiraReader, board: Board) -> dict[str, Json] | None:
    """All sprints when they fit into one page: nothing can move between pages then. None when they do not."""
    try:
        page = await reader.sprints(board.id, (*_CLOSED, *_OPEN), 0)
    except ScanFailedError:
        return None
    return {text(item, "id"): item for item in page.items} if page.is_last else None


async def _each(
    items: Sequence[T], read: Callable[[T], Awaitable[R]]
) -> list[R | ForbiddenError | UnreadableError]:
    """Reads all at once, within the budget; what is wrong with one item is its answer, all else is raised."""
    answers = await asyncio.gather(*(read(item) for item in items), return_exceptions=True)
    kept: list[R | ForbiddenError | UnreadableError] = []
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, ForbiddenError | UnreadableError):
            raise answer
        kept.append(answer)
    return kept


def _aside(kind: str, answers: Mapping[str, object]) -> dict[str, str]:
    """The reason for each that could not be asked for."""
    return {
        f"{kind} {name}": str(answer) for name, answer in answers.items() if isinstance(answer, Exception)
    }


def _each_read(
    kind: str, documents: Mapping[str, T], read: Callable[[T], R]
) -> tuple[dict[str, R], dict[str, str]]:
    """What can be read of these, and the reason for each that makes no sense: its neighbours are read."""
    found: dict[str, R] = {}
    aside: dict[str, str] = {}
    for name, document in documents.items():
        try:
            found[name] = read(document)
        except UnreadableError as error:
            aside[f"{kind} {name}"] = error.reason
    return found, aside


def _is_wanted(keys: Collection[str], wanted: Collection[str]) -> bool:
    return not wanted or not set(wanted).isdisjoint(keys)


def _estimates(boards: Sequence[_RawBoard], kept: Iterable[Board]) -> list[tuple[Sequence[str], str]]:
    """In the order of the boards' ids, whether they could be read now or not."""
    configured = {board.id: (tuple(board.keys), configured_estimate(board.configuration)) for board in boards}
    configured |= {board.id: (board.project_ids, board.estimation_field) for board in kept}
    ordered = (configured[board_id] for board_id in by_number(configured))
    return [(projects, field_id) for projects, field_id in ordered if field_id is not None]


def _filter_id(configuration: Json) -> str | None:
    found = optional_text(optional_part(configuration, "filter"), "id")
    return found if found and found.isascii() and found.isdigit() else None


def _is_closed(document: Json) -> bool:
    return str(document.get("state", "")).lower() == "closed"


def _further(one: Json | None, other: Json) -> Json:
    """Of two boards' copies of a sprint the one that is further in its life."""
    return other if one is None or _is_closed(other) else one
