"""Reads whole projects, newest issues first, each taken up where it was left.

The mark of a project goes with its pages in the same transaction and says where the next one begins: after a crash
only the pages in flight are read again. Several projects are fetched at once, one at a time is published. A project is
read when it has no finished mark for today's configuration: the first time, when it was renamed, when other things of
it are wanted, when it comes back, and when people ask.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from msgspec.structs import replace

from jira_sync.errors import ForbiddenError, ScanFailedError
from jira_sync.intake import IssueIntake
from jira_sync.metrics import SyncMetrics
from jira_sync.parse import text
from jira_sync.progress import Progress, words
from jira_sync.publication import SERVICE, Publication
from jira_sync.reader import JiraReader
from jira_sync.scan import issue_groups, project_query
from jira_sync.view import SiteView
from troth_contracts.sync import Watermark

PROJECTS_AT_ONCE = 8
"""A page names the next one, so a single project is read one page after the other; each holds two groups in memory."""
PAGES_TOGETHER = 5
"""As one transaction, with one request for their changelogs; twenty histories an issue fit into its answer."""
_NEVER = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Run:
    """What readers of several projects share: one of them publishes at a time, and looks up after it."""

    between: Callable[[], Awaitable[None]]
    is_late: Callable[[], bool]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Backfill:
    """The projects of one site and how far each is read."""

    def __init__(
        self,
        view: SiteView,
        intake: IssueIntake,
        reader: JiraReader,
        publication: Publication,
        metrics: SyncMetrics,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._view = view
        self._intake = intake
        self._reader = reader
        self._publication = publication
        self._log = log
        self._progress = Progress(metrics.backfill, log)
        self._marks: dict[str, Watermark] = {}
        self._live: Mapping[str, str] = {}

    def restore(self, marks: Mapping[str, Watermark]) -> None:
        """After a start: the marks by project id."""
        self._marks = dict(marks)

    async def look(self) -> None:
        """Which projects are there. One that is gone is read again when it comes back: nobody saw it meanwhile."""
        rows = await self._reader.projects("live")
        self._live = {text(row, "id"): text(row, "key") for row in rows}
        await self._reset(project for project in self._marks if project not in self._live)

    @property
    def keys(self) -> frozenset[str]:
        """Keys of the wanted projects the account sees now; those that are only counted are among them."""
        named = self._view.scope.projects
        return frozenset(key for key in self._live.values() if not named or key in named)

    def left_out(self) -> Mapping[str, str]:
        """Of the projects that are there and not wanted, by id: the rule that leaves them out."""
        rules = ((project, self._view.scope.why_not_project(key)) for project, key in self._live.items())
        return {project: rule for project, rule in rules if rule is not None}

    def pending(self) -> list[str]:
        """Ids of the projects that are not read to their end."""
        return [
            project
            for project, key in sorted(self._live.items(), key=lambda item: item[1])
            if key in self.keys and not self._is_done(project)
        ]

    def covered_from(self) -> datetime | None:
        """What changed before was read: when the first of the present readings began; None without any."""
        return min((self._marks[p].position for p in self._live if p in self._marks), default=None)

    async def order(self, keys: Collection[str]) -> None:
        """People ask for these projects (for all without any) to be read again; safe on Kafka when it returns."""
        for key in set(keys) - set(self._live.values()):
            self._log.warning("backfill of a project that is not there", project=key)
        await self._reset(p for p, key in self._live.items() if not keys or key in keys)

    async def read(self, between: Callable[[], Awaitable[None]], *, is_late: Callable[[], bool]) -> None:
        """Reads on until all is read or it is late. One project's failure leaves its neighbours their turn."""
        waiting, failures = deque(self.pending()), list[ScanFailedError]()
        run = _Run(between, is_late)

        async def work() -> None:
            while waiting and not is_late():
                try:
                    await self._read_on(waiting.popleft(), run)
                except ScanFailedError as error:
                    failures.append(error)

        await _all_of([asyncio.create_task(work()) for _ in range(PROJECTS_AT_ONCE)], run.turn)
        if failures:
            raise failures[0]

    def sentence(self) -> str:
        """For people: what is still to be read; empty when nothing is."""
        known = ((self._live[project], self._marks.get(project)) for project in self.pending())
        return ", ".join(words(key, mark) if mark else f"{key} waits" for key, mark in known)

    async def _read_on(self, project: str, run: _Run) -> None:
        mark = self._marks.get(project)
        if mark is None or not mark.token or mark.scope != self._wanted(project):
            await self._read_from(await self._begun(project), project, run)
            return
        try:
            await self._read_from(mark, project, run)
        except ScanFailedError:
            if self._marks[project] != mark:
                raise
            self._log.info("backfill begins anew: its page token is not accepted any more", project=project)
            await self._read_from(await self._begun(project), project, run)

    async def _read_from(self, mark: Watermark, project: str, run: _Run) -> None:
        query, fields = project_query(self._live[project]), self._view.planning.frame.fields.requested()
        groups = issue_groups(self._reader, query, fields, token=mark.token, together=PAGES_TOGETHER)
        async with aclosing(groups) as pages:
            async for page in pages:
                read = mark.read + len(page.issues)
                mark = replace(mark, token=page.token, read=read, backfill_complete=page.token is None)
                closing = self._publication.project_mark(project, mark)
                async with run.turn:
                    if not self._publication.is_loaded:
                        return  # a neighbour's transaction failed: its error ends them all
                    await self._intake.publish(page.issues, "backfill", [closing])
                    self._note(project, mark)
                    await run.between()
                if run.is_late():
                    return
        if not mark.backfill_complete:  # the page after the last was refused
            async with run.turn:
                if self._publication.is_loaded:
                    await self._mark(project, replace(mark, token=None, backfill_complete=True))

    async def _begun(self, project: str) -> Watermark:
        query = project_query(self._live[project]).partition(" ORDER BY ")[0]
        try:
            expected = await self._reader.approximate_count(query)
        except (ForbiddenError, ScanFailedError):
            expected = 0
        return self._fresh(self._view.server_now, scope=self._wanted(project), expected=expected)

    async def _reset(self, projects: Iterable[str]) -> None:
        fresh = self._fresh(_NEVER)
        marks = {project: fresh for project in projects if self._marks.get(project, fresh) != fresh}
        await self._publication.commit(
            [self._publication.project_mark(project, mark) for project, mark in marks.items()]
        )
        self._marks |= marks

    async def _mark(self, project: str, mark: Watermark) -> None:
        await self._publication.commit([self._publication.project_mark(project, mark)])
        self._note(project, mark)

    def _note(self, project: str, mark: Watermark) -> None:
        self._marks[project] = mark
        present = {
            p: self._marks.get(p) or self._fresh(_NEVER) for p, key in self._live.items() if key in self.keys
        }
        self._progress.show(present)

    def _fresh(self, position: datetime, *, scope: str | None = None, expected: int = 0) -> Watermark:
        return Watermark(service=SERVICE, stream="", position=position, scope=scope, expected=expected)

    def _wanted(self, project: str) -> str:
        """What a finished mark must have been read as.

        A rename leaves ``updated`` alone, so the key belongs to it; so do the fields that boards count in, and the
        rules by which references are found.
        """
        counted = ",".join(self._view.planning.frame.fields.counted_in(project))
        view = self._view
        rules = view.references.fingerprint()
        return f"{self._live[project]} {view.scope.fingerprint()} {counted} {rules}"

    def _is_done(self, project: str) -> bool:
        mark = self._marks.get(project)
        return mark is not None and mark.backfill_complete and mark.scope == self._wanted(project)


async def _all_of(tasks: Sequence[asyncio.Task[None]], turn: asyncio.Lock) -> None:
    """Waits for all; the first error ends them all, but nobody in the middle of a transaction."""
    try:
        await asyncio.gather(*tasks)
    finally:
        async with turn:
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
