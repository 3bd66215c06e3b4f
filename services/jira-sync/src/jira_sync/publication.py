"""From tellings to records: the only place of this service that names topics, versions and transactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec.structs import replace

from jira_sync.errors import UnreadableError
from jira_sync.figures import SprintTelling
from jira_sync.metrics import Feed, SyncMetrics
from jira_sync.scan import IssueTelling, RawIssue, milliseconds
from troth_chassis.clock import Clock
from troth_chassis.dead_letters import dead_letter
from troth_chassis.errors import TransientError
from troth_chassis.publisher import Publisher
from troth_contracts.codec import OutRecord
from troth_contracts.jira import Board, IssueEvent, PlanChange, SprintEvent, Version
from troth_contracts.sync import SyncStatus, Watermark
from troth_contracts.topics import (
    BOARDS,
    ISSUE_EVENTS,
    ISSUES,
    JIRA_STATE,
    PLAN_CHANGES,
    SPRINT_EVENTS,
    SPRINTS,
    SYNC_STATUS,
    VERSIONS,
    Topic,
)

SERVICE = "jira-sync"
TOPICS = (
    ISSUES,
    ISSUE_EVENTS,
    SPRINTS,
    SPRINT_EVENTS,
    PLAN_CHANGES,
    BOARDS,
    VERSIONS,
    SYNC_STATUS,
    JIRA_STATE,
)
CHUNK = 5_000
"""Records per transaction at the end of a scan."""
_BEGINNING = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


def project_stream(site_id: str, project_id: str) -> str:
    """The stream of a project's backfill on the state topic."""
    return f"{site_id}/project/{project_id}"


def by_project(marks: Mapping[str, Watermark], site_id: str) -> dict[str, Watermark]:
    """Of the marks of all streams those of the site's projects, by project id."""
    prefix = project_stream(site_id, "")
    return {
        stream.removeprefix(prefix): replace(mark, stream="")
        for stream, mark in marks.items()
        if stream.startswith(prefix)
    }


def census_stream(site_id: str) -> str:
    """The stream of the census mark on the state topic."""
    return f"{site_id}/census"


class Publication:
    """One site's way onto Kafka. After a failed commit ``is_loaded`` is False: load before the next one."""

    def __init__(self, site_id: str, publisher: Publisher, *, clock: Clock, metrics: SyncMetrics) -> None:
        self._site_id = site_id
        self._publisher = publisher
        self._clock = clock
        self._metrics = metrics
        self._lettered: dict[str, str] = {}
        self._happened: Counter[str] = Counter()
        """Events made since the last commit, by type."""
        self.is_loaded = False

    async def load(self) -> None:
        """Reads back what is published."""
        await self._publisher.load(TOPICS)
        self._happened.clear()
        self.is_loaded = True

    def doubt(self) -> None:
        """What is remembered may differ from what is published: read it back before the next commit."""
        self.is_loaded = False

    def has_issues(self) -> bool:
        """True when issues of this site are published."""
        return any(key.startswith(f"{self._site_id}:") for key in self._publisher.keys(ISSUES))

    async def commit(self, records: Iterable[OutRecord | None], feed: Feed = "own") -> None:
        """One transaction with everything that is news. TransientError while an earlier one's outcome is unknown."""
        await self._commit([record for record in records if record is not None])
        for what, count in self._happened.items():
            self._metrics.events.labels(what, feed).inc(count)
        self._happened.clear()

    async def _commit(self, news: Sequence[OutRecord]) -> None:
        if not news:
            return
        if not self.is_loaded:
            raise TransientError("whether Kafka took the last transaction is unknown: it is read back first")
        self.is_loaded = False
        await self._publisher.commit(news)
        self.is_loaded = True
        for topic, count in Counter(record.topic for record in news).items():
            self._metrics.published.labels(topic).inc(count)

    async def commit_last(
        self, records: Iterable[OutRecord | None], closing: Sequence[OutRecord | None], feed: Feed
    ) -> None:
        """As many transactions as needed; ``closing`` goes with the last of them, never before."""
        news = [record for record in records if record is not None]
        while len(news) > CHUNK:
            await self._commit(news[:CHUNK])
            news = news[CHUNK:]
        await self.commit([*news, *closing], feed)

    def issue(self, telling: IssueTelling, version: int) -> Iterable[OutRecord | None]:
        """The issue's state and its events."""
        issue = telling.issue
        self._lettered.pop(issue.key, None)
        yield self._publisher.state(ISSUES, issue.key, issue, version)
        for event in telling.events:
            yield self._event(ISSUE_EVENTS, event, event.field)

    def issue_gone(self, issue_id: str, version: int) -> OutRecord | None:
        """The issue's tombstone, when it is published."""
        key = f"{self._site_id}:{issue_id}"
        self._lettered.pop(key, None)
        return self._publisher.tombstone(ISSUES, key, version)

    def gone(self, topic: Topic, entity_id: str, version: int) -> OutRecord | None:
        """The tombstone of a sprint, board or version, when it is published."""
        return self._publisher.tombstone(topic, f"{self._site_id}:{entity_id}", version)

    def ids(self, topic: Topic) -> frozenset[str]:
        """Ids of this site that are published on the topic and not deleted."""
        prefix = f"{self._site_id}:"
        keys = self._publisher.keys(topic)
        return frozenset(key.removeprefix(prefix) for key in keys if key.startswith(prefix))

    def sprint(self, telling: SprintTelling, version: int) -> Iterable[OutRecord | None]:
        """What happened to it, the sprint's state with its figures, and its events.

        Changes come first: they are not found again once the state they led to is published.
        """
        sprint = telling.sprint
        yield from map(self.change, telling.changes)
        yield self._publisher.state(SPRINTS, sprint.key, sprint, version)
        for event in telling.events:
            yield self._event(SPRINT_EVENTS, event, event.effect)

    def change(self, change: PlanChange) -> OutRecord | None:
        """What happened to a sprint or board itself."""
        return self._event(PLAN_CHANGES, change, change.change)

    def _event(
        self, topic: Topic, event: IssueEvent | SprintEvent | PlanChange, what: str
    ) -> OutRecord | None:
        record = self._publisher.event(topic, event.key, event, event.event_id, event.at)
        if record is not None:
            self._happened[what] += 1
        return record

    def board(self, board: Board, changes: Iterable[PlanChange], version: int) -> Iterable[OutRecord | None]:
        """What happened to it, and the board's state."""
        yield from map(self.change, changes)
        yield self._publisher.state(BOARDS, board.key, board, version)

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
        self, covered: datetime, overlap: timedelta, version: int, scope: str
    ) -> tuple[Watermark, OutRecord | None]:
        """The mark of a finished scan: the server's time at its start minus the overlap."""
        mark = Watermark(
            service=SERVICE,
            stream=self._site_id,
            position=covered - overlap,
            backfill_complete=True,
            scope=scope,
        )
        return mark, self._publisher.state(JIRA_STATE, mark.key, mark, version)

    def project_mark(self, project_id: str, mark: Watermark) -> OutRecord | None:
        """How far the backfill of a project is; told many times in one scan, so it counts its versions itself."""
        stream = project_stream(self._site_id, project_id)
        version = self._publisher.version_of(JIRA_STATE, stream) + 1
        return self._publisher.state(JIRA_STATE, stream, replace(mark, stream=stream), version)

    def census_taken(self, server_now: datetime, version: int) -> OutRecord | None:
        """The mark of a finished census: ids were compared as of this time."""
        stream = census_stream(self._site_id)
        mark = Watermark(service=SERVICE, stream=stream, position=server_now, backfill_complete=True)
        return self._publisher.state(JIRA_STATE, mark.key, mark, version)

    def status(
        self,
        state: Literal["backfilling", "complete", "paused"],
        *,
        records: int,
        fresh_at: datetime | None = None,
        reason: str | None = None,
        detail: str | None = None,
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
            detail=detail,
        )
        return self._publisher.state(SYNC_STATUS, status.key, status, milliseconds(now))
