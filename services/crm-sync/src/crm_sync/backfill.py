"""The first full read: a large org by bulk jobs, a small one page by page from the oldest stamp on.

Either way it goes on after a crash where the last commit was, and the position that polls start from is taken first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import structlog

from crm_sync.changes import changed_rows, stamp_of
from crm_sync.describe import ObjectSchema
from crm_sync.errors import JobLost, QueryRefused, QueryTooLong
from crm_sync.paging import pages
from crm_sync.poll import OVERLAP, deletable
from crm_sync.salesforce import Page
from crm_sync.scope import Scope, batches
from crm_sync.snapshot import Snapshot
from crm_sync.soql import Query
from crm_sync.watermarks import BACKFILL, BULK, CHANGES, FIELDS, SWEEP, deletions_of, time_of
from troth_chassis.clock import Clock
from troth_chassis.together import together
from troth_contracts.sync import BulkJob, Watermark

BULK_FROM = 20_000
"""Deals from which bulk jobs cost fewer calls than pages do."""
RESTARTS = 3
DELETION_LOG = timedelta(days=14)
"""Salesforce answers for at most 15 days."""
STEP = 5
"""Per cent between two progress lines."""
Beat = Callable[[], None]


class Backfill:
    """One run of the first full read. A later run goes on where the last commit was."""

    def __init__(
        self,
        scope: Scope,
        clock: Clock,
        log: structlog.stdlib.BoundLogger,
        overlap: timedelta,
        bulk_from: int = BULK_FROM,
    ) -> None:
        self._scope = scope
        self._clock = clock
        self._log = log
        self._overlap = overlap
        self._bulk_from = bulk_from
        self._total = 0
        self._done = 0
        self._told = 0
        self._version = 0
        self._started = clock.monotonic()

    @property
    def progress(self) -> str:
        """For the readiness check."""
        return f"{self._done:,} of {self._total:,} deals"

    async def run(self, beat: Beat) -> None:
        """Publishes every deal, then marks the full read complete.

        BudgetExhausted while too many of the org's calls, or of our own share, are used.
        """
        self._scope.metrics.budget.allow_full_read()
        self._scope.source = "backfill"
        mark = self._broken_off()
        first = None if mark else await self._first_page()
        large = first is None or (first.total >= self._bulk_from and not self._reached)
        if not (large and await self._by_jobs(mark, beat)):
            await self._by_pages(first, beat)
        await self._finish()

    @property
    def _reached(self) -> datetime | None:
        return self._scope.marks.position(BACKFILL)

    def _pages_query(self) -> Query:
        since = self._reached - self._overlap if self._reached else None
        return changed_rows(self._scope.schema.deal, since)

    async def _first_page(self) -> Page | None:
        """None when all deals are too much for one query: jobs have the time, and pages are asked for in halves."""
        try:
            page = await self._scope.reader.query(self._pages_query())
        except QueryTooLong:
            await self._begin(self._scope.reader.server_time, 0)
            return None
        await self._begin(page.server_time, page.total)
        return page

    async def _by_pages(self, first: Page | None, beat: Beat) -> None:
        """Lists the deals from the oldest stamp on, and reads each batch whole."""
        async for page in pages(self._scope.reader, self._pages_query(), first):
            await self._publish(self._scope.schema.deal, page, beat)

    def _broken_off(self) -> Watermark | None:
        """Jobs to go on with; not when other things are asked for than when they were made."""
        mark = self._scope.marks.bulk()
        if mark is None or mark.scope != self._asked():
            return None
        self._version = round(mark.position.timestamp() * 1000)
        self._done, self._total = mark.read, mark.expected
        return mark

    def _asked(self) -> str:
        return f"{self._scope.schema.fingerprint} {self._scope.selection.fingerprint or ''}".strip()

    async def _by_jobs(self, mark: Watermark | None, beat: Beat) -> bool:
        """Whether bulk jobs have told every deal; False where this org does not give them."""
        for _ in range(RESTARTS):
            try:
                await self._publish_jobs(mark, beat)
            except JobLost as error:
                self._log.warning("bulk jobs are made anew", reason=str(error))
                self._version, mark = self._scope.marks.next_version(self._scope.reader.server_time), None
                self._done = 0
            except QueryRefused as error:
                self._log.warning("no bulk jobs: reading page by page", reason=str(error))
                return False
            else:
                return True
        return False

    async def _publish_jobs(self, mark: Watermark | None, beat: Beat) -> None:
        """The version is the time before the jobs were made, so whatever a poll has published since wins."""
        scope = self._scope
        snapshot = Snapshot(scope.reader, scope.schema, self._clock, self._log, mark)
        async with contextlib.aclosing(snapshot):
            after = mark.after if mark else None
            await snapshot.open()
            await scope.outbox.commit([self._at(snapshot.jobs, after)])
            self._total = await snapshot.ready(beat) or self._total
            await scope.outbox.commit([self._at(snapshot.jobs, after)])
            async with contextlib.aclosing(snapshot.deals()) as batches_of_deals:
                async for joined in batches_of_deals:
                    scope.take(joined.deals, joined.deals, self._version)
                    self._done += len(joined.deals)
                    await scope.outbox.commit([self._at(joined.jobs, joined.after)])
                    self._step(beat)

    def _at(self, jobs: tuple[BulkJob, ...], after: str | None) -> Watermark:
        mark = self._scope.marks.moved(BULK, time_of(self._version), scope=self._asked())
        return msgspec.structs.replace(mark, jobs=jobs, after=after, read=self._done, expected=self._total)

    async def _begin(self, at: datetime, total: int) -> None:
        """Positions first: what changes from here on is found by the polls."""
        scope = self._scope
        self._version = scope.marks.next_version(at)
        self._total = total
        await scope.publish_references(self._version)
        start = scope.marks.position(CHANGES) or await self._covered(time_of(self._version))
        marks = [scope.marks.moved(CHANGES, start), *self._deletions_from(start)]
        if self._reached is None:
            marks.append(scope.marks.moved(FIELDS, time_of(self._version), scope=scope.schema.fingerprint))
        await scope.outbox.commit(marks, scope.outbox.status("backfilling", time_of(self._version)))
        self._log.info("backfill begins", deals=total or None)

    async def _covered(self, at: datetime) -> datetime:
        """Before which no open transaction can still show a row."""
        reader, names = self._scope.reader, deletable(self._scope.schema)
        answers = await together(*(reader.deleted(name, at - OVERLAP, at) for name in names))
        return min([at, *(answer.covered_until for answer in answers)])

    def _deletions_from(self, start: datetime) -> list[Watermark]:
        """Deals that were published before, as in a rebuild, may have been deleted unseen: look back far."""
        marks = self._scope.marks
        first = start - DELETION_LOG if self._scope.outbox.live_deals() else start
        streams = [deletions_of(name) for name in deletable(self._scope.schema)]
        return [marks.moved(name, marks.position(name) or first) for name in streams]

    async def _publish(self, schema: ObjectSchema, page: Page, beat: Beat) -> None:
        stamps = {str(row["Id"]): stamp_of(schema, row) for row in page.records}
        for batch in batches(list(stamps)):
            await self._scope.publish(batch, self._version)
            await self._scope.outbox.commit(self._stamped(stamps[batch[-1]]))
            self._done += len(batch)
            self._step(beat)

    def _step(self, beat: Beat) -> None:
        self._tell()
        beat()
        self._scope.metrics.budget.allow_full_read()

    def _stamped(self, stamp: datetime | None) -> list[Watermark]:
        return [] if stamp is None else [self._scope.marks.moved(BACKFILL, stamp)]

    def _tell(self) -> None:
        share = min(1.0, self._done / self._total) if self._total else 0.0
        self._scope.metrics.progress.set(share)
        percent = int(share * 100)
        if percent >= self._told + STEP or percent == 100 > self._told:
            self._told = percent - percent % STEP
            rate = self._done / max(0.001, self._clock.monotonic() - self._started)
            self._log.info(
                "backfill", percent=percent, deals=self._done, of=self._total, per_second=round(rate)
            )

    async def _finish(self) -> None:
        scope = self._scope
        at = time_of(self._version)
        position = scope.marks.position(CHANGES) or at
        done = scope.marks.moved(CHANGES, position, complete=True)
        no_jobs = [self._at((), None)] if scope.marks.bulk() else []
        swept = scope.marks.moved(SWEEP, at, scope=scope.selection.fingerprint)
        await scope.outbox.commit(
            [done, swept, *no_jobs],
            scope.outbox.status("complete", at, fresh_at=position, detail=scope.detail()),
        )
        scope.left_out_known = True
        scope.metrics.progress.set(1.0)
        self._log.info("backfill complete", deals=self._done)
