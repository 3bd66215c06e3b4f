"""The poll: scan by scan, from Jira to the topics, with a watermark that never claims more than is published.

The watermark is the server's time at the start of the scan minus the overlap; it is committed with the last data of
the scan, after every page was acknowledged. The first scan reads every project (``backfill.py``); a project that is to
be read again later takes its turn between polls. Once an hour, and first after a start, a scan reads 26 hours back: the
index may be that late. Sprints are read after the issues, so that no change made after a close is taken for one made
inside. Between scans the poll does what was asked for meanwhile (``desk.py``) and looks after what is missing
(``census.py``): one task reads and writes a site, so nothing needs a lock.
"""

from __future__ import annotations

import math
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from jira_sync.backfill import Backfill
from jira_sync.budget import Priority, asking_as
from jira_sync.census import Census
from jira_sync.desk import Desk
from jira_sync.domain.places import ReferenceRules
from jira_sync.domain.structure import StartBy
from jira_sync.errors import (
    AccessLostError,
    ForbiddenError,
    JiraUnavailableError,
    ScanFailedError,
    StateLostError,
    UnreadableError,
)
from jira_sync.frame import read_versions
from jira_sync.hints import Hints
from jira_sync.intake import IssueIntake
from jira_sync.link_backlog import LinkBacklog
from jira_sync.login_choice import LoginKind
from jira_sync.metrics import Feed, SyncMetrics
from jira_sync.probe import NOT_THERE, admit, greet
from jira_sync.publication import Publication, by_project, census_stream
from jira_sync.reader import JiraReader
from jira_sync.restore import ReadBack, read_marks, restore_memory
from jira_sync.scan import issue_pages, issue_query
from jira_sync.scope import Scope
from jira_sync.view import DEEP_OVERLAP, SiteView
from troth_chassis.clock import Clock
from troth_chassis.errors import TransientError
from troth_chassis.health import Health
from troth_chassis.service import Beat
from troth_chassis.together import together
from troth_contracts.codec import OutRecord
from troth_contracts.sync import Watermark
from troth_contracts.topics import ISSUES, JIRA_STATE


@dataclass(frozen=True, slots=True)
class PollPlan:
    """What to read, how often, and how far back each time."""

    site_id: str
    scope: Scope
    poll_seconds: float
    structure_seconds: float
    overlap: timedelta
    deep_seconds: float = 3_600.0
    census_seconds: float = 86_400.0
    rebuild: bool = False
    login: LoginKind = LoginKind.API_TOKEN
    start_by: StartBy = "activatedDate"
    references: ReferenceRules = field(default_factory=ReferenceRules)


@dataclass(frozen=True, slots=True)
class Pass:
    """How far back one scan reads; ``since`` is None for the first, which reads everything."""

    feed: Feed
    since: datetime | None
    reach: timedelta | None


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
        hints: Hints | None = None,
    ) -> None:
        self._plan = plan
        self._reader = reader
        self._publication = publication
        self._read_back = read_back
        self._clock = clock
        self._health = health
        self._metrics = metrics
        self._log = log
        self._hints = hints or Hints(clock)
        self._watermark: Watermark | None = None
        self._deep_at: datetime | None = None
        self._admitted = False
        self._view = SiteView(plan.site_id, plan.scope, clock.monotonic, plan.start_by, plan.references)
        self._intake = IssueIntake(self._view, reader, publication, self._hints, log)
        self._links = LinkBacklog(self._view, self._intake, reader)
        self._census = Census(
            self._view, self._intake, reader, publication, self._links, plan.census_seconds, metrics
        )
        self._backfill = Backfill(self._view, self._intake, reader, publication, metrics, log)
        self._desk = Desk(
            self._view, self._intake, reader, publication, self._hints, self._census, self._backfill, log
        )
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
                await self._census.look_after(beat)
                await self._rest(beat)
        except (JiraUnavailableError, ScanFailedError) as error:
            await self._tell_pause(error)
            raise
        except UnreadableError as error:
            failed = ScanFailedError(str(error))
            await self._tell_pause(failed)
            raise failed from error
        except (AccessLostError, ForbiddenError) as error:
            self._admitted = False
            lost = AccessLostError(str(error))
            await self._tell_pause(lost)
            raise lost from error

    async def _check_access(self) -> None:
        """Tries all that is needed once, and again after access was lost. ConfigurationError says what is missing."""
        if self._admitted:
            await greet(self._reader, self._plan.login)
        else:
            await admit(self._reader, self._plan.login, self._plan.scope.projects)
            self._admitted = True

    async def _load(self) -> None:
        """Reads the published topics back. StateLostError when there is data and no watermark."""
        plan = self._plan
        await self._publication.load()
        marks = await read_marks(self._read_back)
        self._watermark = marks.get(plan.site_id)
        if self._watermark is None and self._publication.has_issues() and not plan.rebuild:
            raise StateLostError(
                f"{ISSUES.name} holds issues of {plan.site_id} but {JIRA_STATE.name} has no watermark for it:"
                " restore that topic, or start once with --rebuild to read everything again"
            )
        self._view.restore(await restore_memory(self._read_back, plan.site_id))
        self._census.restore(marks.get(census_stream(plan.site_id)))
        self._backfill.restore(by_project(marks, plan.site_id))
        self._deep_at = None
        memory = self._view.memory
        self._log.info("read back", issues=len(memory), sprints=len(memory.published))

    async def _scan(self, beat: Beat) -> None:
        began = self._clock.monotonic()
        info = await self._reader.server_info()
        self._view.begin(info.now)
        full = await self._refresh_frame()
        beat()
        reading = self._pass(info.now)
        if reading.since is not None:
            with asking_as(Priority.POLL):
                await self._read_changed(reading, reading.since, beat)
        with asking_as(Priority.BACKFILL):
            await self._read_projects(reading, began, beat)
        with asking_as(Priority.SPRINTS):
            await self._view.refresh_sprints(self._reader, full=full)
        beat()
        await self._finish(info.now, reading, full=full)
        self._note_complete(self._clock.monotonic() - began)

    async def _refresh_frame(self) -> bool:
        """Reads fields, boards and the list of projects when due; True when it did."""
        now, plan, view = self._clock.monotonic(), self._plan, self._view
        if not view.planning.is_due(now, plan.structure_seconds):
            return False
        await together(view.refresh_frame(self._reader, now), self._backfill.look())
        view.left_out.note_all("project", self._backfill.left_out())
        view.left_out.note_all("board", view.planning.frame.left_out)
        view.left_out.note_all(
            "text field", dict.fromkeys(view.planning.frame.fields.texts_beyond, "too many")
        )
        return True

    def _pass(self, server_now: datetime) -> Pass:
        mark, plan = self._watermark, self._plan
        if mark is None or not mark.backfill_complete:
            return Pass("backfill", None, None)
        due = self._deep_at is None or server_now - self._deep_at >= timedelta(seconds=plan.deep_seconds)
        reach = max(DEEP_OVERLAP, plan.overlap) if due else plan.overlap
        return Pass("deep" if due else "poll", mark.position + plan.overlap - reach, reach)

    async def _read_changed(self, reading: Pass, since: datetime, beat: Beat) -> None:
        """Only projects that are there are named: a search that names another one is refused as a whole."""
        named = self._backfill.keys if self._plan.scope.projects else ()
        if self._plan.scope.projects and not named:
            return
        query, fields = issue_query(named, since), self._view.planning.frame.fields.requested()
        for reconcile in self._hints.announced() if self._reader.reconciles else ((),):
            async with aclosing(issue_pages(self._reader, query, fields, reconcile)) as pages:
                async for page in pages:
                    await self._intake.publish(page.issues, reading.feed)
                    await self._desk.read_issues()
                    beat()

    async def _read_projects(self, reading: Pass, began: float, beat: Beat) -> None:
        """All of it the first time; later as much as fits before the next poll."""
        if reading.since is None:
            await self._begin()

        async def between() -> None:
            await self._desk.read_issues()
            beat()

        def is_late() -> bool:
            spent = self._clock.monotonic() - began
            return reading.since is not None and spent >= self._plan.poll_seconds

        await self._backfill.read(between, is_late=is_late)

    async def _begin(self) -> None:
        """Leaves a mark before the first data, so that a restart knows a backfill was under way."""
        if self._watermark is None:
            self._watermark, record = self._publication.begun(self._view.version)
            status = self._publication.status("backfilling", records=len(self._view.memory))
            await self._publication.commit([record, status])

    async def _finish(self, server_now: datetime, reading: Pass, *, full: bool) -> None:
        """Boards, versions, sprints and their events; the watermark goes with the last of them."""
        view, publication, version = self._view, self._publication, self._view.version
        is_first = reading.since is None
        covered = (self._backfill.covered_from() or server_now) if is_first else server_now
        if not self._backfill.pending():
            view.note_read(covered, reading.reach, self._plan.overlap)
        records: list[OutRecord | None] = []
        for board in view.planning.frame.boards.values():
            records += publication.board(board, view.memory.trails.changes(board), version)
        if full:
            records += await self._versions()
        tellings = await view.tell_sprints(self._reader)
        for telling in tellings:
            records += publication.sprint(telling, version)
        scope = self._plan.scope.fingerprint()
        mark, closing = publication.complete(covered, self._plan.overlap, version, scope)
        status = publication.status(
            "backfilling" if view.memory.links_pending else "complete",
            fresh_at=covered,
            records=len(view.memory),
            detail=self._detail() or None,
        )
        await publication.commit_last(records, [status, closing], reading.feed)
        self._watermark = mark
        if reading.feed == "deep":
            self._deep_at = server_now
        view.settle(tellings)

    async def _versions(self) -> list[OutRecord | None]:
        planning = self._view.planning
        projects = {**self._view.memory.project_keys, **planning.frame.projects}
        found, aside = await read_versions(self._reader, self._plan.site_id, projects)
        planning.versions_aside = aside
        planning.version_ids = frozenset(version.id for version in found)
        return [self._publication.version(version, self._view.version) for version in found]

    async def _rest(self, beat: Beat) -> None:
        """Until the next scan is due, does what is asked for as it comes, and reads links that were left for later.

        Unread projects are not kept waiting.
        """
        wait = 0.0 if self._backfill.pending() else self._plan.poll_seconds
        until = self._clock.monotonic() + wait
        while True:
            left = until - self._clock.monotonic()
            is_busy = left > 0 and await self._links.read_some()
            if await self._hints.wait(0.0 if is_busy else left):
                if await self._desk.attend():
                    return
            elif not is_busy:
                return
            beat()

    def _detail(self) -> str:
        """What was left out and what was set aside, for people."""
        gone = set(self._plan.scope.projects) - self._backfill.keys
        aside = self._view.planning.set_aside() | {f"project {key}": NOT_THERE for key in gone}
        told = [f"{name} ({reason})" for name, reason in sorted(aside.items())]
        parts = {
            "set aside": "; ".join(told),
            "left out": self._view.left_out.sentence(),
            "census": self._census.sentence(),
            "backfill": self._backfill.sentence(),
            "links": self._links.sentence(),
            "not read": self._intake.further.sentence(),
        }
        return "; ".join(f"{name}: {text}" for name, text in parts.items() if text)

    def _note_complete(self, seconds: float) -> None:
        view, metrics = self._view, self._metrics
        detail = f"{len(view.memory)} issues, {len(view.planning.sprints)} sprints"
        self._health.check("jira", ok=True, detail="; ".join(filter(None, (detail, self._detail()))))
        metrics.scans.labels("complete").inc()
        announced, unannounced = self._hints.gap.judge()
        metrics.announced.inc(announced)
        metrics.unannounced.inc(unannounced)
        metrics.scan_seconds.observe(seconds)
        metrics.issues.set(len(view.memory))
        metrics.set_aside.labels("board").set(len(view.planning.set_aside()))
        metrics.set_aside.labels("issue").set(self._publication.issues_set_aside)
        metrics.set_aside.labels("links").set(len(self._intake.further.refused))
        metrics.readings_differ.set(view.planning.read_differently)
        metrics.show_left_out(view.left_out.counts())
        self._log.debug("scan complete", seconds=round(seconds, 2), issues=len(view.memory))

    async def _tell_pause(self, error: TransientError) -> None:
        """Jira's fault is told on Kafka too; if Kafka fails as well, the first fault is the one to report."""
        self._view.planning.expire()  # a search that is refused may name a project that has gone
        self._metrics.scans.labels("failed").inc()
        self._health.check("jira", ok=False, detail=str(error))
        if not self._publication.is_loaded:
            return
        status = self._publication.status("paused", records=len(self._view.memory), reason=str(error))
        try:
            await self._publication.commit([status])
        except TransientError as kafka:
            self._log.warning("pause not told", reason=str(kafka))

    def _watermark_age(self) -> float:
        """Since everything was read; the overlap that is read again is no age. NaN before the first time."""
        mark = self._watermark
        if mark is None or not mark.backfill_complete:
            return math.nan
        return (self._clock.now() - mark.position - self._plan.overlap).total_seconds()
