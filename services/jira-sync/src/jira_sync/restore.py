"""A restart without a backfill: the published topics are the mirror from which the memory is filled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from jira_sync.memory import PLANNING_FIELDS, PlanningMemory
from troth_contracts.codec import decode
from troth_contracts.errors import UndecodableRecord
from troth_contracts.jira import Board, Issue, IssueEvent, PlanChange, Sprint
from troth_contracts.sync import Watermark
from troth_contracts.topics import BOARDS, ISSUE_EVENTS, ISSUES, JIRA_STATE, PLAN_CHANGES, SPRINTS, Topic
from troth_contracts.values import Contract

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Record(Protocol):
    """A record as it lies in a topic."""

    @property
    def key(self) -> bytes | None:
        """Raw key."""
        ...

    @property
    def value(self) -> bytes | None:
        """Raw value; None is a tombstone."""
        ...

    @property
    def headers(self) -> Iterable[tuple[str, bytes]]:
        """CloudEvents attributes."""
        ...


ReadBack = Callable[[Topic], AsyncIterator[Sequence[Record]]]
"""Reads a topic from its beginning to its present end."""


async def restore_memory(read: ReadBack, site_id: str) -> PlanningMemory:
    """The memory as it was when the last transaction was committed. Other sites' records are left alone."""
    events: defaultdict[str, dict[str, IssueEvent]] = defaultdict(dict)
    async for _, body, _ in _bodies(read, ISSUE_EVENTS):
        if isinstance(body, IssueEvent) and body.site_id == site_id and body.field in PLANNING_FIELDS:
            events[body.issue_id][body.event_id] = body
    memory = PlanningMemory()
    for issue, _ in (await _latest(read, ISSUES)).values():
        if isinstance(issue, Issue) and issue.site_id == site_id:
            memory.note(issue, events.get(issue.id, {}).values())
    changes = [body async for _, body, _ in _bodies(read, PLAN_CHANGES) if isinstance(body, PlanChange)]
    memory.trails.restore(change for change in changes if change.site_id == site_id)
    for sprint, read_at in (await _latest(read, SPRINTS)).values():
        if isinstance(sprint, Sprint) and sprint.site_id == site_id:
            memory.published[sprint.id] = sprint
            memory.trails.saw(sprint, read_at)
    for board, read_at in (await _latest(read, BOARDS)).values():
        if isinstance(board, Board) and board.site_id == site_id:
            memory.boards[board.id] = board
            memory.trails.saw(board, read_at)
    return memory


async def read_marks(read: ReadBack) -> dict[str, Watermark]:
    """The last committed mark of every stream."""
    found = await _latest(read, JIRA_STATE)
    return {stream: mark for stream, (mark, _) in found.items() if isinstance(mark, Watermark)}


async def _latest(read: ReadBack, topic: Topic) -> dict[str, tuple[Contract, datetime]]:
    """The newest body per key, and when the source was read for it."""
    latest: dict[str, tuple[Contract, datetime]] = {}
    async for key, body, version in _bodies(read, topic):
        if body is None:
            latest.pop(key, None)
        else:
            latest[key] = body, _EPOCH + timedelta(milliseconds=version)
    return latest


async def _bodies(read: ReadBack, topic: Topic) -> AsyncIterator[tuple[str, Contract | None, int]]:
    """Decoded records in order with their versions; a record somebody else broke never stops the writer."""
    async for page in read(topic):
        for record in page:
            try:
                decoded = decode(topic.name, record.key, record.value, record.headers)
            except UndecodableRecord:
                continue
            yield decoded.key, decoded.body, decoded.version
