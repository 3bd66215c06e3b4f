"""The frame and the sprints as last read, and which sprints a new reading touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from msgspec import structs

from jira_sync.domain.structure import with_past
from jira_sync.frame import Frame, SprintBook, read_frame
from jira_sync.parse import Json, by_number
from jira_sync.reader import JiraReader
from jira_sync.scope import Scope
from jira_sync.shares import BoardFilters
from troth_contracts.jira import Board, Sprint


class Planning:
    """Boards and sprints of one site between scans."""

    def __init__(self, scope: Scope | None = None, *, comments: bool = False) -> None:
        self._scope = scope or Scope()
        self._comments = comments
        self.frame = Frame()
        self.sprints: dict[str, Sprint] = {}
        """Without figures, by id."""
        self.versions_aside: Mapping[str, str] = {}
        self.version_ids: frozenset[str] | None = None
        """Of every version in the last list; None before the first."""
        self.filters = BoardFilters()
        self._book = SprintBook()
        self._unseen: Mapping[str, Sequence[str]] = {}
        """By sprint the boards that cannot be read now and were last known to list it."""
        self._read_at: float | None = None
        self._differing: set[str] = set()

    def is_due(self, now: float, every: float) -> bool:
        """True when fields and boards were not read within ``every`` seconds."""
        return self._read_at is None or now - self._read_at >= every

    def expire(self) -> None:
        """Something said that the frame changed: it is due."""
        self._read_at = None

    async def refresh_frame(
        self, reader: JiraReader, site_id: str, now: float, before: Mapping[str, Board], began: datetime
    ) -> set[str]:
        """Reads fields and boards; every sprint is touched when a board's rules changed.

        ``before``: the boards as published; what they counted by until now goes with them.
        """
        frame = await read_frame(reader, site_id, self._scope, before)
        frame = replace(frame, fields=replace(frame.fields, comments=self._comments))
        boards = {
            board_id: with_past(board, before.get(board_id), began)
            for board_id, board in frame.boards.items()
        }
        changed = boards != self.frame.boards
        self.frame, self._read_at = replace(frame, boards=boards), now
        self.filters.expire()
        return set(self.sprints) if changed else set()

    async def refresh_sprints(
        self, reader: JiraReader, site_id: str, published: Mapping[str, Sprint], *, full: bool
    ) -> set[str]:
        """Reads the sprints of boards that can be read; the ids of those that are new or changed."""
        kept = self.frame.kept
        self._unseen = {s.id: [b for b in s.board_ids if b in kept] for s in published.values() if kept}
        open_boards = {
            board_id: board for board_id, board in self.frame.boards.items() if board_id not in kept
        }
        await self._book.refresh(reader, open_boards, full=full)
        return self._take(site_id)

    def seen_now(self, *, full: bool) -> list[Sprint]:
        """Sprints that the last refresh read: all after a full one, else those that are not closed."""
        return [sprint for sprint in self.sprints.values() if full or sprint.state != "closed"]

    def put_sprint(self, site_id: str, document: Json) -> set[str]:
        """Takes one sprint as just read; the ids of those that are new or changed."""
        self._book.put(document)
        return self._take(site_id)

    def drop_sprint(self, sprint_id: str) -> None:
        """The sprint is deleted."""
        self._book.drop(sprint_id)
        self.sprints.pop(sprint_id, None)

    def _take(self, site_id: str) -> set[str]:
        found = {sprint.id: self._on_all(sprint) for sprint in self._book.sprints(site_id)}
        changed = {sprint_id for sprint_id, sprint in found.items() if self.sprints.get(sprint_id) != sprint}
        self.sprints = found
        return changed

    def _on_all(self, sprint: Sprint) -> Sprint:
        unseen = self._unseen.get(sprint.id)
        return (
            structs.replace(sprint, board_ids=by_number({*sprint.board_ids, *unseen})) if unseen else sprint
        )

    def note_reading(self, sprint_id: str, *, differs: bool) -> None:
        """Remembers whether the vendor's two definitions disagree about the sprint."""
        (self._differing.add if differs else self._differing.discard)(sprint_id)

    @property
    def out_of_sight(self) -> frozenset[str]:
        """Sprints of boards that cannot be read now: a 404 for one of them says nothing."""
        return frozenset(sprint_id for sprint_id, boards in self._unseen.items() if boards)

    @property
    def read_differently(self) -> int:
        """Sprints about which they disagree."""
        return len(self._differing)

    def set_aside(self) -> dict[str, str]:
        """Everything that could not be read, with the reason."""
        filters = {f"filter of board {board_id}": why for board_id, why in self.filters.set_aside.items()}
        return {**self.frame.set_aside, **self._book.set_aside, **filters, **self.versions_aside}
