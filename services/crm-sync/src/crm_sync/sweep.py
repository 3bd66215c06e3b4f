"""The proof that nothing was missed: compare everything, confirm each difference by a retrieve, repair, count.

A deal that Salesforce no longer shows is deleted only when its deletion log says so; else it is invisible, which
sharing and permissions can cause, and stays published (reference: section 8, deletes). What changed since the last
poll differs, too, and was not missed: it is the next poll's, so differences are confirmed when the polls had their
turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import structlog

from crm_sync.budget import Level, Plan
from crm_sync.bus import Bus
from crm_sync.compare import Comparer, Comparison
from crm_sync.describe import OPPORTUNITY
from crm_sync.errors import ReplicationLogLost
from crm_sync.poll import LONGEST_LAG, Polled, deletable
from crm_sync.scope import Scope, batches
from crm_sync.watermarks import SWEEP, deletions_of, time_of
from troth_contracts.topics import OPPORTUNITIES

LOOK_BACK = (timedelta(days=14), timedelta(days=3), timedelta(hours=12), timedelta(hours=2))
"""Salesforce answers for at most 15 days, and for less when its log was pruned.
https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_getdeleted.htm"""
TOO_MANY_INVISIBLE = 0.01
SHOWN = 10
Beat = Callable[[], None]


class Sweeps:
    """When everything is compared, and when what differs is repaired. Use it after each poll."""

    def __init__(
        self, bus: Bus, log: structlog.stdlib.BoundLogger, overlap: timedelta, interval: timedelta
    ) -> None:
        self._bus = bus
        self._log = log
        self._overlap = overlap
        self._interval = interval
        self._log_lost = False
        self._open: Sweep | None = None
        """Waits for the polls to find by themselves what differs."""

    async def run(self, scope: Scope, done: Polled, plan: Plan, beat: Beat) -> None:
        """What is due now and allowed."""
        self._log_lost = self._log_lost or done.log_lost
        if self._open is not None and self._open.scope is not scope:
            self._open = None
        if plan.level >= Level.NO_SWEEP:
            return
        needed = self._needed(scope)
        if self._open is None and (needed or self._due(scope, done, plan.stretch)):
            self._open = Sweep(scope, self._bus, self._log, self._overlap)
            await self._open.compare(beat)
            self._log_lost = False
        if self._open is not None and (needed or self._open.is_settled(done.at)):
            await self._open.repair(beat)
            self._open = None

    def _needed(self, scope: Scope) -> bool:
        """For what no poll can find: deletions were lost, or other deals are wanted than at the last sweep."""
        wanted = scope.selection.fingerprint
        if self._log_lost or scope.marks.asked_scope(SWEEP) != wanted:
            return True
        return wanted is not None and (not scope.left_out_known or scope.judged_again)

    def _due(self, scope: Scope, done: Polled, stretch: float) -> bool:
        last = scope.marks.position(SWEEP)
        return last is None or done.at - last >= self._interval * stretch


class Sweep:
    """One full comparison with repair."""

    def __init__(self, scope: Scope, bus: Bus, log: structlog.stdlib.BoundLogger, overlap: timedelta) -> None:
        self.scope = scope
        self._bus = bus
        self._log = log
        self._overlap = overlap
        self._result = Comparison()
        self._version = 0
        self.counts: Counter[str] = Counter()

    async def run(self, beat: Beat) -> Counter[str]:
        """Compares and repairs at once; returns how many differences there were of each kind, confirmed."""
        await self.compare(beat)
        return await self.repair(beat)

    async def compare(self, beat: Beat) -> None:
        """Finds what differs; only polls publish those deals until they are repaired."""
        scope = self.scope
        comparer = Comparer(scope.reader, scope.schema, scope.selection, self._overlap)
        async for _rows in comparer.list():
            beat()
        self._result = await comparer.against(scope.outbox.org.id, self._bus.read(OPPORTUNITIES))
        self._version = scope.marks.next_version(self._result.at)
        scope.left_out_known = True
        for deal, reason in self._result.left_out.items():
            scope.left_out.note(deal, reason)
        scope.disputed = frozenset(self._wanted)

    def is_settled(self, now: datetime) -> bool:
        """Whether the polls have had their turn: what still differs at ``now``, server time, was missed."""
        marks, at = self.scope.marks, time_of(self._version)
        known = [marks.position(deletions_of(name)) for name in deletable(self.scope.schema)]
        asked = all(position is not None and position >= at for position in known)
        return not self._wanted or asked or now - at > LONGEST_LAG

    async def repair(self, beat: Beat) -> Counter[str]:
        """Reads again what differed and no poll has published since; returns how many of each kind were wrong."""
        version = self.scope.marks.next_version(self.scope.reader.server_time)
        self.scope.source = "sweep"
        gone = frozenset(await self._deleted(time_of(version)) if self._result.vanished else ())
        missed = [deal for deal in self._wanted if self.scope.outbox.version_of(deal) < self._version]
        for batch in batches(missed):
            outcome = await self.scope.publish(batch, version, gone)
            await self.scope.outbox.commit()
            self._count(outcome.changed, outcome.unseen)
            beat()
        await self._finish()
        return self.counts

    @property
    def _wanted(self) -> list[str]:
        return [*self._result.found, *self._result.vanished]

    async def _deleted(self, at: datetime) -> Iterable[str]:
        """What the deletion log names, as far back as it answers."""
        for span in LOOK_BACK:
            try:
                answer = await self.scope.reader.deleted(OPPORTUNITY.name, at - span, at)
            except ReplicationLogLost:
                continue
            return answer.ids
        return ()

    def _count(self, changed: Sequence[str], unseen: Sequence[str]) -> None:
        for deal in changed:
            kind = self._result.found.get(deal, "extra")
            if kind != "left_out":
                self.counts[kind] += 1
        self.counts["invisible"] += len(unseen)

    async def _finish(self) -> None:
        scope, at = self.scope, time_of(self._version)
        scope.disputed = frozenset()
        scope.note_invisible(self.counts["invisible"])
        await scope.outbox.commit([scope.marks.moved(SWEEP, at, scope=scope.selection.fingerprint)])
        scope.metrics.swept_at.set(at.timestamp())
        for kind, count in self.counts.items():
            scope.metrics.differences.labels(kind).inc(count)
        self._tell()

    def _tell(self) -> None:
        result = self._result
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
