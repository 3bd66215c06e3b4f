"""The first full read: the same path as a poll, page by page from the oldest stamp on, resumable after a crash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from crm_sync.changes import changed_rows, stamp_of
from crm_sync.describe import ObjectSchema
from crm_sync.paging import pages
from crm_sync.poll import OVERLAP, deletable
from crm_sync.salesforce import Page
from crm_sync.scope import Scope, batches
from crm_sync.watermarks import BACKFILL, CHANGES, SWEEP, deletions_of, time_of
from troth_chassis.clock import Clock
from troth_contracts.sync import Watermark

DELETION_LOG = timedelta(days=14)
"""Salesforce answers for at most 15 days."""
STEP = 5
"""Per cent between two progress lines."""
Beat = Callable[[], None]


class Backfill:
    """One run of the first full read. A later run goes on where the last commit was."""

    def __init__(
        self, scope: Scope, clock: Clock, log: structlog.stdlib.BoundLogger, overlap: timedelta
    ) -> None:
        self._scope = scope
        self._clock = clock
        self._log = log
        self._overlap = overlap
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
        """Publishes every deal, then marks the full read complete."""
        schema = self._scope.schema.deal
        reached = self._scope.marks.position(BACKFILL)
        since = reached - self._overlap if reached else None
        async for page in pages(self._scope.reader, changed_rows(schema, since)):
            if not self._version:
                await self._begin(page)
            await self._publish(schema, page, beat)
        await self._finish()

    async def _begin(self, page: Page) -> None:
        """Positions first: what changes from here on is found by the polls."""
        scope = self._scope
        self._version = scope.marks.next_version(page.server_time)
        self._total = page.total
        await scope.publish_references(self._version)
        start = scope.marks.position(CHANGES) or await self._covered(time_of(self._version))
        marks = [scope.marks.moved(CHANGES, start), *self._deletions_from(start)]
        await scope.outbox.commit(marks, scope.outbox.status("backfilling", time_of(self._version)))
        self._log.info("backfill begins", deals=page.total)

    async def _covered(self, at: datetime) -> datetime:
        """Before which no open transaction can still show a row."""
        covered = [at]
        for name in deletable(self._scope.schema):
            answer = await self._scope.reader.deleted(name, at - OVERLAP, at)
            covered.append(answer.covered_until)
        return min(covered)

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
            await self._scope.outbox.commit(self._reached(stamps[batch[-1]]))
            self._tell(len(batch))
            beat()

    def _reached(self, stamp: datetime | None) -> list[Watermark]:
        return [] if stamp is None else [self._scope.marks.moved(BACKFILL, stamp)]

    def _tell(self, count: int) -> None:
        self._done += count
        share = min(1.0, self._done / max(1, self._total))
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
        swept = scope.marks.moved(SWEEP, at, scope=scope.selection.fingerprint)
        await scope.outbox.commit(
            [done, swept], scope.outbox.status("complete", at, fresh_at=position, detail=scope.detail())
        )
        scope.left_out_known = True
        scope.metrics.progress.set(1.0)
        self._log.info("backfill complete", deals=self._done)
