"""The proof that nothing was missed: compare everything, confirm each difference by a retrieve, repair, count.

A deal that Salesforce no longer shows is deleted only when its deletion log says so; else it is invisible, which
sharing and permissions can cause, and stays published (reference: section 8, deletes).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import structlog

from crm_sync.bus import Bus
from crm_sync.compare import Comparer, Comparison
from crm_sync.describe import OPPORTUNITY
from crm_sync.errors import ReplicationLogLost
from crm_sync.scope import Scope, batches
from crm_sync.watermarks import SWEEP, time_of
from troth_contracts.topics import OPPORTUNITIES

LOOK_BACK = (timedelta(days=14), timedelta(days=3), timedelta(hours=12), timedelta(hours=2))
"""Salesforce answers for at most 15 days, and for less when its log was pruned.
https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_getdeleted.htm"""
TOO_MANY_INVISIBLE = 0.01
SHOWN = 10
Beat = Callable[[], None]


class Sweep:
    """One full comparison with repair."""

    def __init__(self, scope: Scope, bus: Bus, log: structlog.stdlib.BoundLogger, overlap: timedelta) -> None:
        self._scope = scope
        self._bus = bus
        self._log = log
        self._overlap = overlap
        self.counts: Counter[str] = Counter()

    async def run(self, beat: Beat) -> Counter[str]:
        """Repairs every difference; returns how many there were of each kind, confirmed."""
        scope = self._scope
        scope.source = "sweep"
        comparer = Comparer(scope.reader, scope.schema, scope.selection, self._overlap)
        async for _rows in comparer.list():
            beat()
        result = await comparer.against(scope.outbox.org.id, self._bus.read(OPPORTUNITIES))
        if result.at is None:
            return self.counts
        version = scope.marks.next_version(result.at)
        scope.left_out_known = True
        for deal, reason in result.left_out.items():
            scope.left_out.note(deal, reason)
        await self._repair(result, version, beat)
        await self._finish(result, version)
        return self.counts

    async def _repair(self, result: Comparison, version: int, beat: Beat) -> None:
        gone = frozenset(await self._deleted(time_of(version)) if result.vanished else ())
        wanted = [*result.found, *result.vanished]
        for batch in batches(wanted):
            outcome = await self._scope.publish(batch, version, gone)
            await self._scope.outbox.commit()
            self._count(result, outcome.changed, outcome.unseen)
            beat()

    async def _deleted(self, at: datetime) -> Iterable[str]:
        """What the deletion log names, as far back as it answers."""
        for span in LOOK_BACK:
            try:
                answer = await self._scope.reader.deleted(OPPORTUNITY.name, at - span, at)
            except ReplicationLogLost:
                continue
            return answer.ids
        return ()

    def _count(self, result: Comparison, changed: Sequence[str], unseen: Sequence[str]) -> None:
        for deal in changed:
            kind = result.found.get(deal, "extra")
            if kind != "left_out":
                self.counts[kind] += 1
        self.counts["invisible"] += len(unseen)

    async def _finish(self, result: Comparison, version: int) -> None:
        scope, at = self._scope, time_of(version)
        scope.note_invisible(self.counts["invisible"])
        await scope.outbox.commit([scope.marks.moved(SWEEP, at, scope=scope.selection.fingerprint)])
        scope.metrics.swept_at.set(at.timestamp())
        for kind, count in self.counts.items():
            scope.metrics.differences.labels(kind).inc(count)
        self._tell(result)

    def _tell(self, result: Comparison) -> None:
        counts = {kind: count for kind, count in self.counts.items() if count}
        told = dict(counts, deals=result.listed, left_out=len(result.left_out))
        if counts:
            examples = [*result.found, *result.vanished][:SHOWN]
            self._log.warning("sweep found differences", examples=examples, **told)
        else:
            self._log.info("sweep found no difference", **told)
        if self.counts["invisible"] > TOO_MANY_INVISIBLE * max(1, result.listed):
            self._log.error(
                "more than 1 % of the deals are invisible: check the user's sharing and View All",
                deals=self.counts["invisible"],
            )
