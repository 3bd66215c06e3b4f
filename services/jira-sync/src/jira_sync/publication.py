"""From tellings to records: the only place of this service that names topics, versions and transactions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

from jira_sync.errors import UnreadableError
from jira_sync.figures import SprintTelling
from jira_sync.metrics import SyncMetrics
from jira_sync.scan import IssueTelling, RawIssue, milliseconds
from troth_chassis.clock import Clock
from troth_chassis.dead_letters import dead_letter
from troth_chassis.publisher import Publisher
from troth_contracts.codec import OutRecord
from troth_contracts.jira import Board, Version
from troth_contracts.sync import SyncStatus, Watermark
from troth_contracts.topics import (
    BOARDS,
    ISSUE_EVENTS,
    ISSUES,
    JIRA_STATE,
    SPRINT_EVENTS,
    SPRINTS,
    SYNC_STATUS,
    VERSIONS,
)

SERVICE = "jira-sync"
TOPICS = (ISSUES, ISSUE_EVENTS, SPRINTS, SPRINT_EVENTS, BOARDS, VERSIONS, SYNC_STATUS, JIRA_STATE)
CHUNK = 5_000
"""Records per transaction at the end of a scan."""
_BEGINNING = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


class Publication:
    """One site's way onto Kafka. After a failed commit ``is_loaded`` is False: load before the next one."""

    def __init__(self, site_id: str, publisher: Publisher, *, clock: Clock, metrics: SyncMetrics) -> None:
        self._site_id = site_id
        self._publisher = publisher
        self._clock = clock
        self._metrics = metrics
        self._lettered: dict[str, str] = {}
        self.is_loaded = False

    async def load(self) -> None:
        """Reads back what is published."""
        await self._publisher.load(TOPICS)
        self.is_loaded = True

    def has_issues(self) -> bool:
        """True when issues of this site are published."""
        return any(key.startswith(f"{self._site_id}:") for key in self._publisher.keys(ISSUES))

    async def commit(self, records: Iterable[OutRecord | None]) -> None:
        """One transaction with everything that is news."""
        news = [record for record in records if record is not None]
        if not news:
            return
        self.is_loaded = False
        await self._publisher.commit(news)
        self.is_loaded = True
        for record in news:
            self._metrics.published.labels(record.topic).inc()

    async def commit_last(
        self, records: Iterable[OutRecord | None], closing: Sequence[OutRecord | None]
    ) -> None:
        """As many transactions as needed; ``closing`` goes with the last of them, never before."""
        news = [record for record in records if record is not None]
        while len(news) > CHUNK:
            await self.commit(news[:CHUNK])
            news = news[CHUNK:]
        await self.commit([*news, *closing])

    def issue(self, telling: IssueTelling, version: int) -> Iterable[OutRecord | None]:
        """The issue's state and its events."""
        issue = telling.issue
        self._lettered.pop(issue.key, None)
        yield self._publisher.state(ISSUES, issue.key, issue, version)
        for event in telling.events:
            yield self._publisher.event(ISSUE_EVENTS, event.key, event, event.event_id, event.at)

    def sprint(self, telling: SprintTelling, version: int) -> Iterable[OutRecord | None]:
        """The sprint's state with its figures, and its events."""
        sprint = telling.sprint
        yield self._publisher.state(SPRINTS, sprint.key, sprint, version)
        for event in telling.events:
            yield self._publisher.event(SPRINT_EVENTS, event.key, event, event.event_id, event.at)

    def board(self, board: Board, version: int) -> OutRecord | None:
        """The board's state."""
        return self._publisher.state(BOARDS, board.key, board, version)

    def version(self, found: Version, version: int) -> OutRecord | None:
        """The release version's state."""
        return self._publisher.state(VERSIONS, found.key, found, version)

    def letter(self, raw: RawIssue, error: UnreadableError) -> OutRecord | None:
        """A dead letter, once per reason: the overlap shows the same issue again and again."""
        key = f"{self._site_id}:{raw.document.get('id')}"
        if self._lettered.get(key) == error.reason:
            return None
        self._lettered[key] = error.reason
        self._metrics.dead_letters.inc()
        return dead_letter(SERVICE, reason=error.reason, source="jira:issue", key=key, value=raw.original())

    @property
    def issues_set_aside(self) -> int:
        """Issues that could not be read when last seen."""
        return len(self._lettered)

    def begun(self, version: int) -> tuple[Watermark, OutRecord | None]:
        """The mark left before the first data: a backfill is under way. One older than the scan's own."""
        mark = Watermark(service=SERVICE, stream=self._site_id, position=_BEGINNING)
        return mark, self._publisher.state(JIRA_STATE, mark.key, mark, version - 1)

    def complete(
        self, server_now: datetime, overlap: timedelta, version: int
    ) -> tuple[Watermark, OutRecord | None]:
        """The mark of a finished scan: the server's time at its start minus the overlap."""
        mark = Watermark(
            service=SERVICE, stream=self._site_id, position=server_now - overlap, backfill_complete=True
        )
        return mark, self._publisher.state(JIRA_STATE, mark.key, mark, version)

    def status(
        self,
        state: Literal["backfilling", "complete", "paused"],
        *,
        records: int,
        fresh_at: datetime | None = None,
        reason: str | None = None,
    ) -> OutRecord | None:
        """What the service says of itself, and its heartbeat. Versioned by our own clock: it is our own record."""
        now = self._clock.now()
        status = SyncStatus(
            service=SERVICE,
            scope=self._site_id,
            state=state,
            at=now,
            fresh_at=fresh_at,
            records=records,
            reason=reason,
        )
        return self._publisher.state(SYNC_STATUS, status.key, status, milliseconds(now))
