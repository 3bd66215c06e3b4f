"""The poll: scan by scan, from Jira to the topics, with a watermark that never claims more than is published.

The watermark is the server's time at the start of the scan minus the overlap; it is committed with the last data of
the scan, after every page was acknowledged. Sprints are read after the issues, so that no change made after a close
is taken for one made inside. Deletions and lost access are not told yet: an issue that is gone stays as published
until there is a census of ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from jira_sync.errors import (
    AccessLostError,
    CredentialsError,
    ForbiddenError,
    JiraUnavailableError,
    NotSupportedError,
    ScanFailedError,
    StateLostError,
    UnreadableError,
)
from jira_sync.figures import SprintTelling, is_out_of_reach, tell_sprint
from jira_sync.frame import read_versions
from jira_sync.memory import PlanningMemory
from jira_sync.metrics import SyncMetrics
from jira_sync.planning import Planning
from jira_sync.progress import Progress
from jira_sync.publication import Publication
from jira_sync.reader import JiraReader
from jira_sync.restore import ReadBack, read_watermark, restore_memory
from jira_sync.scan import RawIssue, issue_pages, issue_query, milliseconds, tell_issue
from troth_chassis.clock import Clock
from troth_chassis.dead_letters import LetterLimit
from troth_chassis.errors import TransientError
from troth_chassis.health import Health
from troth_chassis.service import Beat
from troth_contracts.codec import OutRecord
from troth_contracts.sync import Watermark
from troth_contracts.topics import ISSUES, JIRA_STATE


@dataclass(frozen=True, slots=True)
class PollPlan:
    """What to read, how often, and how far back each time."""

    site_id: str
    projects: tuple[str, ...]
    poll_seconds: float
    structure_seconds: float
    overlap: timedelta
    rebuild: bool = False


class Poller:
    """One site's poll. ``run`` is called again after every TransientError."""

    def __init__(
        self,
        plan: PollPlan,
        reader: JiraReader,
        publication: Publication,
        read_back: ReadBack,
        *,
        clock: Clock,
        health: Health,
        metrics: SyncMetrics,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._plan = plan
        self._reader = reader
        self._publication = publication
        self._read_back = read_back
        self._clock = clock
        self._health = health
        self._metrics = metrics
        self._log = log
        self._memory = PlanningMemory()
        self._planning = Planning()
        self._watermark: Watermark | None = None
        self._dirty: set[str] = set()
        self._letters = LetterLimit()
        self._version = 0
        metrics.watermark_age.labels(plan.site_id).set_function(self._watermark_age)

    async def run(self, beat: Beat) -> None:
        """Scans for ever."""
        try:
            await self._check_access()
            if not self._publication.is_loaded:
                await self._load()
            while True:
                await self._scan(beat)
                beat()
                await self._clock.sleep(self._plan.poll_seconds)
        except (JiraUnavailableError, ScanFailedError, AccessLostError) as error:
            await self._tell_pause(error)
            raise

    async def _check_access(self) -> None:
        """ConfigurationError when the site is not Cloud or does not accept the credentials."""
        try:
            info = await self._reader.server_info()
            await self._reader.myself()
        except (AccessLostError, ForbiddenError) as error:
            raise CredentialsError(
                "Jira does not accept the credentials: check TROTH_JIRA_EMAIL and TROTH_JIRA_API_TOKEN"
                f" ({error})"
            ) from error
        if info.deployment.lower() != "cloud":
            raise NotSupportedError(
                f"{self._plan.site_id} calls itself {info.deployment or 'nothing'!r}; only Jira Cloud is read so far"
            )

    async def _load(self) -> None:
        """Reads the published topics back. StateLostError when there is data and no watermark."""
        plan = self._plan
        await self._publication.load()
        self._watermark = await read_watermark(self._read_back, plan.site_id)
        if self._watermark is None and self._publication.has_issues() and not plan.rebuild:
            raise StateLostError(
                f"{ISSUES.name} holds issues of {plan.site_id} but {JIRA_STATE.name} has no watermark for it:"
                " restore that topic, or start once with --rebuild to read everything again"
            )
        self._memory = await restore_memory(self._read_back, plan.site_id)
        self._planning = Planning()
        self._dirty = set(self._memory.published)
        self._log.info("read back", issues=len(self._memory), sprints=len(self._memory.published))

    async def _scan(self, beat: Beat) -> None:
        began = self._clock.monotonic()
        info = await self._reader.server_info()
        self._version = max(milliseconds(info.now), self._version + 1)
        full = await self._refresh_frame()
        beat()
        await self._read_issues(beat)
        self._dirty |= await self._planning.refresh_sprints(self._reader, self._plan.site_id, full=full)
        beat()
        await self._finish(info.now, full=full)
        self._note_complete(self._clock.monotonic() - began)

    async def _refresh_frame(self) -> bool:
        """Reads fields and boards when due; True when it did."""
        now, plan = self._clock.monotonic(), self._plan
        if not self._planning.is_due(now, plan.structure_seconds):
            return False
        self._dirty |= await self._planning.refresh_frame(self._reader, plan.site_id, plan.projects, now)
        return True

    def _since(self) -> datetime | None:
        """Where this scan begins; None for everything: the first time, and after a project was renamed."""
        mark = self._watermark
        if mark is None or not mark.backfill_complete:
            return None
        return None if self._planning.renames(self._memory.project_keys) else mark.position

    async def _read_issues(self, beat: Beat) -> None:
        since = self._since()
        query = issue_query(self._plan.projects, since)
        progress = None if since else await self._begin_backfill(query)
        fields = self._planning.frame.fields.requested()
        async for page in issue_pages(self._reader, query, fields):
            await self._publish_page(page)
            beat()
            if progress:
                progress.advance(len(page))

    async def _begin_backfill(self, query: str) -> Progress:
        """Leaves a mark before the first data, so that a restart knows a backfill was under way."""
        if self._watermark is None:
            self._watermark, record = self._publication.begun(self._version)
            status = self._publication.status("backfilling", records=len(self._memory))
            await self._publication.commit([record, status])
        try:
            expected = await self._reader.approximate_count(query.partition(" ORDER BY ")[0])
        except (ForbiddenError, ScanFailedError):
            expected = 0
        return Progress(expected, self._metrics.backfill, self._log)

    async def _publish_page(self, page: Sequence[RawIssue]) -> None:
        """One transaction per page. Memory is noted first: after a failed commit it is read back from Kafka."""
        records: list[OutRecord | None] = []
        dead = 0
        for raw in page:
            try:
                telling = tell_issue(self._plan.site_id, raw, self._planning.frame.fields, self._memory)
            except UnreadableError as error:
                dead += 1
                self._log.warning("issue set aside", issue=raw.document.get("id"), reason=error.reason)
                records.append(self._publication.letter(raw, error))
                continue
            self._dirty |= self._memory.note(telling.issue, telling.events)
            records += self._publication.issue(telling, self._version)
        await self._publication.commit(records)
        self._letters.note(good=len(page) - dead, dead=dead)

    async def _finish(self, server_now: datetime, *, full: bool) -> None:
        """Boards, versions, sprints and their events; the watermark goes with the last of them."""
        version, publication = self._version, self._publication
        records = [publication.board(board, version) for board in self._planning.frame.boards.values()]
        if full:
            records += await self._versions()
        tellings = self._tell_sprints(server_now)
        for telling in tellings:
            records += publication.sprint(telling, version)
        mark, closing = publication.complete(server_now, self._plan.overlap, version)
        status = publication.status("complete", fresh_at=server_now, records=len(self._memory))
        await publication.commit_last(records, [status, closing])
        self._watermark = mark
        self._settle(tellings)

    async def _versions(self) -> list[OutRecord | None]:
        projects = {**self._memory.project_keys, **self._planning.frame.projects}
        found, aside = await read_versions(self._reader, self._plan.site_id, projects)
        self._planning.versions_aside = aside
        return [self._publication.version(version, self._version) for version in found]

    def _tell_sprints(self, server_now: datetime) -> list[SprintTelling]:
        """Sprints whose figures may have changed. All issues are read by now, so figures may be final."""
        settled_before = server_now - self._plan.overlap
        return [
            tell_sprint(sprint, self._planning.frame.boards, self._memory, settled_before=settled_before)
            for sprint_id, sprint in self._planning.sprints.items()
            if sprint_id in self._dirty
            and not is_out_of_reach(self._memory.published.get(sprint_id), server_now)
        ]

    def _settle(self, tellings: Sequence[SprintTelling]) -> None:
        """After the commit: what was told is published; what may still change is looked at again."""
        self._memory.project_keys.update(self._planning.frame.projects)
        for telling in tellings:
            self._memory.published[telling.sprint.id] = telling.sprint
            self._planning.note_reading(telling.sprint.id, differs=telling.readings_differ)
        self._dirty = {
            sprint_id
            for sprint_id, sprint in self._memory.published.items()
            if sprint.provisional and sprint.state == "closed"
        }

    def _note_complete(self, seconds: float) -> None:
        aside = self._planning.set_aside()
        detail = f"{len(self._memory)} issues, {len(self._planning.sprints)} sprints"
        if aside:
            detail += "; set aside: " + "; ".join(
                f"{name} ({reason})" for name, reason in sorted(aside.items())
            )
        self._health.check("jira", ok=True, detail=detail)
        metrics = self._metrics
        metrics.scans.labels("complete").inc()
        metrics.scan_seconds.observe(seconds)
        metrics.backfill.set(1)
        metrics.issues.set(len(self._memory))
        metrics.set_aside.labels("board").set(len(aside))
        metrics.set_aside.labels("issue").set(self._publication.issues_set_aside)
        metrics.readings_differ.set(self._planning.read_differently)
        self._log.debug("scan complete", seconds=round(seconds, 2), issues=len(self._memory))

    async def _tell_pause(self, error: TransientError) -> None:
        """Jira's fault is told on Kafka too; if Kafka fails as well, the first fault is the one to report."""
        self._metrics.scans.labels("failed").inc()
        self._health.check("jira", ok=False, detail=str(error))
        if not self._publication.is_loaded:
            return
        status = self._publication.status("paused", records=len(self._memory), reason=str(error))
        try:
            await self._publication.commit([status])
        except TransientError as kafka:
            self._log.warning("pause not told", reason=str(kafka))

    def _watermark_age(self) -> float:
        position = self._watermark.position if self._watermark else None
        return (self._clock.now() - position).total_seconds() if position else 0.0
