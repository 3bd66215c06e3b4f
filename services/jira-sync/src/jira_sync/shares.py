"""Which issues each board of a shared sprint shows: its saved filter, asked once per issue and board.

Not the board's issue endpoint, whose sub-query hides what is released (https://github.com/apache/devlake/pull/8923).
Sprints on one board, and on boards whose filters say the same, cost no request. Otherwise a filter is read with the
boards, and ids are asked for in batches: ``boards x issues of their shared sprints / 100`` requests once, then only for
issues that changed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jira_sync.errors import ForbiddenError, MissingError, ScanFailedError, UnreadableError
from jira_sync.frame import Frame
from jira_sync.memory import PlanningMemory
from jira_sync.paging import token_pages
from jira_sync.parse import text
from jira_sync.reader import JiraReader
from troth_contracts.jira import Sprint

BATCH = 100
Selection = Mapping[str, frozenset[str]]
"""Issues by board."""
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|(?P<order>\border\s+by\b)', re.IGNORECASE)


def condition_of(jql: str) -> str:
    """A filter without its order; words inside quotes are no order."""
    order = next((found for found in _WORD.finditer(jql) if found.group("order")), None)
    return (jql if order is None else jql[: order.start()]).strip()


@dataclass
class _Shown:
    """What is known of one board."""

    condition: str
    issues: dict[str, bool] = field(default_factory=dict)


class BoardFilters:
    """The filters of boards that share sprints, and what they select as far as it was asked."""

    def __init__(self) -> None:
        self._boards: dict[str, _Shown] = {}
        self._fresh: set[str] = set()
        self.set_aside: dict[str, str] = {}
        """The reason by board of every filter that could not be used: its sprints are told as one."""

    def expire(self) -> None:
        """Filters may have been edited: each is read again when it is needed."""
        self._fresh.clear()
        self.set_aside.clear()

    def forget(self, issue_id: str) -> bool:
        """The issue changed, so other filters may select it now; True when a filter was asked about it."""
        known = [board.issues.pop(issue_id, None) for board in self._boards.values()]
        return any(answer is not None for answer in known)

    async def look(
        self, reader: JiraReader, frame: Frame, sprints: Iterable[Sprint], memory: PlanningMemory
    ) -> None:
        """Finds out what is not known yet of these sprints' boards."""
        shared = {sprint.id: boards for sprint in sprints if len(boards := _boards(sprint, frame)) > 1}
        for board_id in sorted({board_id for boards in shared.values() for board_id in boards}):
            await self._read_filter(reader, frame, board_id)
        asked: dict[str, set[str]] = {}
        for sprint_id, boards in shared.items():
            if self._differ(boards):
                for board_id in boards:
                    asked.setdefault(board_id, set()).update(memory.members_of(sprint_id))
        for board_id, issues in asked.items():
            await self._ask(reader, board_id, issues)

    def selection(self, sprint: Sprint, frame: Frame, members: Collection[str]) -> Selection | None:
        """Of these issues those each board shows; None where the boards show the same or one cannot tell."""
        boards = _boards(sprint, frame)
        if not self._differ(boards):
            return None
        shown = {board_id: self._boards[board_id].issues for board_id in boards}
        if any(issue not in issues for issues in shown.values() for issue in members):
            return None
        return {
            board_id: frozenset(issue for issue in members if issues[issue])
            for board_id, issues in shown.items()
        }

    def _differ(self, boards: Sequence[str]) -> bool:
        known = [self._boards[board_id].condition for board_id in boards if board_id in self._boards]
        is_whole = len(known) == len(boards) and not self.set_aside.keys() & set(boards)
        return is_whole and len(set(known)) > 1

    async def _read_filter(self, reader: JiraReader, frame: Frame, board_id: str) -> None:
        if board_id in self._fresh or (board_id in frame.kept and board_id in self._boards):
            return
        self._fresh.add(board_id)
        filter_id = frame.filters.get(board_id)
        try:
            document = await reader.find("filter", filter_id) if filter_id else {}
            condition = condition_of(text(document, "jql"))
        except (ForbiddenError, MissingError, UnreadableError) as error:
            self.set_aside[board_id] = f"its filter cannot be read: {error}"
            return
        known = self._boards.get(board_id)
        if known is None or known.condition != condition:
            self._boards[board_id] = _Shown(condition)

    async def _ask(self, reader: JiraReader, board_id: str, issues: Collection[str]) -> None:
        board = self._boards[board_id]
        unknown = sorted(set(issues) - board.issues.keys(), key=int)
        for start in range(0, len(unknown), BATCH):
            batch = unknown[start : start + BATCH]
            try:
                found = await _selected(reader, board.condition, batch)
            except ScanFailedError as error:
                self.set_aside[board_id] = f"its filter cannot be searched: {error}"
                return
            board.issues |= {issue: issue in found for issue in batch}


async def _selected(reader: JiraReader, condition: str, ids: Sequence[str]) -> frozenset[str]:
    clauses = [f"({condition})"] if condition else []
    query = " AND ".join([*clauses, f"id in ({', '.join(ids)})"]) + " ORDER BY id ASC"
    pages = token_pages(lambda token: reader.search(query, ("id",), token, BATCH))
    return frozenset([text(issue, "id") async for page in pages for issue in page])


def _boards(sprint: Sprint, frame: Frame) -> tuple[str, ...]:
    return tuple(board_id for board_id in sprint.board_ids if board_id in frame.boards)
