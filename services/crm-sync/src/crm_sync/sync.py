"""The loop of crm-sync: open the org, read everything once, then poll; say honestly when that does not work."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from crm_sync.backfill import Backfill
from crm_sync.budget import Level, Plan, Wanted
from crm_sync.bus import Bus
from crm_sync.describe import ALL, read_schema
from crm_sync.drift import SchemaEvent
from crm_sync.errors import (
    AccessRefused,
    BudgetExhausted,
    ObjectRefused,
    SalesforceTrouble,
    SalesforceUnavailable,
    SchemaChanged,
)
from crm_sync.freshness import Freshness, reason_of
from crm_sync.metrics import CrmMetrics
from crm_sync.poll import Asked, Poll, Polled, behind
from crm_sync.refusals import Refusals
from crm_sync.reread import Rereads
from crm_sync.salesforce import SalesforceReader
from crm_sync.scope import Scope, open_scope
from crm_sync.settings import CrmSettings
from crm_sync.sweep import Sweeps
from troth_chassis.clock import Clock
from troth_chassis.errors import TrothError
from troth_chassis.health import Health

PAUSE = 900.0
"""Seconds between two probes while the daily API calls are used up; every probe counts too."""
BEAT_EVERY = 30.0
DESCRIBE_EVERY = 600.0
Beat = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Ports:
    """What the loop works with."""

    reader: SalesforceReader
    bus: Bus
    clock: Clock
    health: Health
    metrics: CrmMetrics
    log: structlog.stdlib.BoundLogger


class DealSync:
    """Keeps ``crm.opportunities`` and ``crm.reference`` equal to what the org shows."""

    def __init__(self, ports: Ports, settings: CrmSettings, *, rebuild: bool = False) -> None:
        self._ports = ports
        self._settings = settings
        self._rebuild = rebuild
        self._overlap = timedelta(seconds=settings.crm_overlap_seconds)
        self._scope: Scope | None = None
        self._worked = False
        self._refusals = Refusals(ports.clock)
        self._rereads = Rereads(settings.crm_reread_seconds)
        interval = timedelta(seconds=settings.crm_sweep_seconds)
        self._sweeps = Sweeps(ports.bus, ports.log, self._overlap, interval)
        self._late = False
        self._untold: list[tuple[SchemaEvent, datetime]] = []
        self._told: tuple[Level, str] | None = None
        self._timetable = _Timetable(settings.crm_deletes_seconds, settings.crm_reference_seconds)
        self._freshness = Freshness(ports.health, ports.clock)
        self._stall_told: str | None = None
        ports.health.check("backfill", ok=False, detail="not begun")

    async def run(self, beat: Beat) -> None:
        """Polls for ever. TransientError means: call again later; what was read is not lost."""
        while True:
            await self.cycle(beat)

    async def cycle(self, beat: Beat) -> None:
        """One pass and the wait until the next one is due."""
        try:
            await self.once(beat)
        except BudgetExhausted as error:
            await self._pause(error, beat)
        else:
            await self._wait(self._plan().poll_seconds, beat)

    async def once(self, beat: Beat) -> None:
        """One pass: the full read when it is not complete, else a poll."""
        try:
            await self._pass_described(beat)
        except AccessRefused as error:
            await self._failed(error)
            if not self._worked:
                raise
            with contextlib.suppress(TrothError):  # an org that moved refuses everything at its old address
                await self._ports.reader.renew()
            raise SalesforceUnavailable(str(error)) from error
        except TrothError as error:
            await self._failed(error)
            raise
        self._worked = True
        self._stall_told = None
        beat()

    async def _failed(self, error: TrothError) -> None:
        """Nothing of the pass counts; what stands still is told, with the reason, where others can see it."""
        self._forget(error)
        self._freshness.troubled(error)
        if not self._worked:
            self._ports.health.check("backfill", ok=False, detail=f"{reason_of(error)}: {error}")
        stalled, scope = self._freshness.stalled, self._scope
        if stalled and scope and not self._stall_told and not isinstance(error, BudgetExhausted):
            self._stall_told = stalled
            self._ports.log.error("stalled", reason=stalled)
            await scope.outbox.commit(
                (), scope.outbox.status("paused", scope.outbox.last_time(), reason=stalled)
            )

    async def _pass_described(self, beat: Beat) -> None:
        """After INVALID_FIELD or INVALID_TYPE: describe again, leave out what is refused, and retry once."""
        try:
            await self._pass(beat)
        except SchemaChanged as error:
            self._ports.log.warning("the org's schema changed", reason=str(error))
            if isinstance(error, ObjectRefused):
                self._refusals.note(error)
            if self._scope is not None:
                self._scope.forget_reads()
                await self._describe(self._scope)
            await self._pass(beat)

    async def _describe(self, scope: Scope) -> None:
        """Takes over what can be read now. What the deals show stays while nothing new comes with it."""
        reader, shown = self._ports.reader, scope.fields_shown == scope.schema.fingerprint
        schema = await read_schema(reader, scope.selection.fields, scope.schema.custom)
        events = scope.use(await self._refusals.left_out(schema, reader))
        for event in events:
            self._ports.metrics.schema_changes.labels(event.kind).inc()
            self._ports.log.warning("schema", kind=event.kind, object=event.object, field=event.field or None)
        self._untold += [(event, reader.server_time) for event in events]
        await self._tell_changes(scope)
        if shown and events and all(event.kind == "removed" for event in events):
            await scope.keep_fields(scope.schema.fingerprint)
        self._told_readable(scope)

    async def _tell_changes(self, scope: Scope) -> None:
        """Kept until Kafka has them: the next description no longer shows them."""
        if self._untold:
            for event, at in self._untold:
                scope.outbox.schema_change(event, at)
            await scope.outbox.commit()
            self._untold = []

    def _told_readable(self, scope: Scope) -> None:
        closed, problems = scope.schema.closed, scope.schema.problems()
        detail = "; ".join(problems) if closed else "every object is readable"
        self._ports.health.check("objects", ok=not closed, detail=detail)

    async def _pass(self, beat: Beat) -> None:
        scope = await self._opened()
        await self._tell_changes(scope)
        if self._timetable.describe_due(self._ports.clock.monotonic()):
            await self._describe(scope)
        if not scope.marks.backfill_complete:
            await self._backfill(scope, beat)
        asked = self._timetable.asked(self._ports.clock.monotonic())
        with self._ports.metrics.poll_seconds.time():
            done = await Poll(scope, self._ports.log, self._overlap).run(asked, beat)
        self._timetable.done(asked, self._ports.clock.monotonic())
        self._covered(done)
        plan = self._plan()
        self._moved(scope, done, plan.poll_seconds)
        await self._beside(scope, done, plan, beat)
        self._ports.health.check("backfill", ok=True, detail=f"{scope.outbox.live_deals():,} deals")
        self._ports.health.check("budget", ok=True, detail="API calls are left")

    async def _beside(self, scope: Scope, done: Polled, plan: Plan, beat: Beat) -> None:
        """What the polls cannot find: whatever was missed, which is counted, and changes that move no stamp."""
        await self._sweeps.run(scope, done, plan, beat)
        if plan.level < Level.NO_REREAD:
            now = self._ports.clock.monotonic()
            await self._rereads.run(scope, now, plan.poll_seconds, plan.stretch, beat)

    def _moved(self, scope: Scope, done: Polled, interval: float) -> None:
        names = [each.name for each in (scope.schema.deal, *scope.schema.children)]
        self._freshness.moved(names, done.at, interval)
        for name in names:
            self._ports.metrics.moved(name, done.at)

    def _plan(self) -> Plan:
        """What the org's calls allow; told when it changes."""
        plan = self._ports.metrics.budget.plan(self._wanted())
        self._timetable.stretch = plan.stretch
        told = (plan.level, f"{plan.poll_seconds:.2g}")
        if told != self._told:
            self._told = told
            self._ports.log.info("plan", plan=str(plan))
        return plan

    def _wanted(self) -> Wanted:
        settings = self._settings
        wanted = Wanted(
            poll=settings.crm_poll_seconds,
            reference=settings.crm_reference_seconds,
            describe=DESCRIBE_EVERY,
            sweep=settings.crm_sweep_seconds,
            reread=settings.crm_reread_seconds,
        )
        if self._scope is None:
            return wanted
        schema = self._scope.schema
        return dataclasses.replace(
            wanted,
            objects=sum(len(each.trails) for each in (schema.deal, *schema.children)),
            tables=schema.tables,
            described=len(ALL) + len(schema.custom),
            deals=self._scope.outbox.live_deals(),
            open_deals=len(self._scope.open_deals),
        )

    async def status(self) -> dict[str, object]:
        """For ``/status``: the plan, what was read, and what is left out."""
        plan, scope = self._plan(), self._scope
        return {
            "plan": {**dataclasses.asdict(plan), "level": plan.level.name.lower(), "text": str(plan)},
            "deals": scope.outbox.live_deals() if scope else None,
            "open_deals": len(scope.open_deals) if scope else None,
            "waiting_for_reread": self._rereads.waiting,
            "polled_at": scope.last_poll if scope else None,
            "seconds_since_moved": self._freshness.ages(),
            "stalled": self._freshness.stalled,
            "detail": scope.detail() if scope else None,
            "rates": scope.schema.rates if scope else None,
            "problems": scope.schema.problems() if scope else (),
        }

    def _covered(self, done: Polled) -> None:
        late = behind(done)
        self._ports.health.check(
            "coverage", ok=late is None, detail=late or "no transaction is open for long"
        )
        if late and not self._late:
            self._ports.log.warning("coverage lags", reason=late)
        self._late = late is not None

    async def _backfill(self, scope: Scope, beat: Beat) -> None:
        bulk_from = self._settings.crm_bulk_from
        backfill = Backfill(scope, self._ports.clock, self._ports.log, self._overlap, bulk_from)

        def progressed() -> None:
            self._ports.health.check("backfill", ok=False, detail=f"backfilling: {backfill.progress}")
            beat()

        await backfill.run(progressed)
        self._rebuild = False

    async def _opened(self) -> Scope:
        if self._scope is None:
            ports = self._ports
            self._scope = await open_scope(
                ports.reader,
                ports.bus,
                ports.metrics,
                currency=self._settings.crm_default_currency,
                rebuild=self._rebuild,
                selection=self._settings.selection,
                refusals=self._refusals,
            )
            self._told_readable(self._scope)
            for problem in self._scope.schema.problems():
                ports.log.warning("not readable", problem=problem)
        return self._scope

    def _forget(self, error: TrothError) -> None:
        """Nothing of a failed pass counts. After a fault of Kafka nobody knows what was published: open anew."""
        if self._scope is None:
            return
        if isinstance(error, SalesforceTrouble) and not isinstance(error, SchemaChanged):
            self._scope.forget_reads()
        else:
            self._scope = None

    async def _pause(self, error: BudgetExhausted, beat: Beat) -> None:
        """Alive, not ready, and silent towards Salesforce."""
        reason = f"budget: {error}; next try in {PAUSE / 60:.0f} min"
        self._ports.health.check("budget", ok=False, detail=reason)
        self._ports.log.warning("paused", reason=reason)
        if self._scope is not None:
            outbox = self._scope.outbox
            await outbox.commit((), outbox.status("paused", outbox.last_time(), reason=reason))
        await self._wait(PAUSE, beat)

    async def _wait(self, seconds: float, beat: Beat) -> None:
        end = self._ports.clock.monotonic() + seconds
        while (left := end - self._ports.clock.monotonic()) > 0:
            await self._ports.clock.sleep(min(left, BEAT_EVERY))
            beat()


class _Timetable:
    """What is done less often than every poll. Intervals in seconds."""

    def __init__(self, deletions: float, references: float) -> None:
        self._deletions = deletions
        self._references = references
        self.stretch = 1.0
        """Factor on every interval, as the plan asks."""
        self._deletions_due = 0.0
        self._references_due = 0.0
        self._describe_due: float | None = None

    def describe_due(self, now: float) -> bool:
        """Whether ten minutes have passed since the schema was last read."""
        due = self._describe_due is not None and now >= self._describe_due
        if due or self._describe_due is None:
            self._describe_due = now + DESCRIBE_EVERY * self.stretch
        return due

    def asked(self, now: float) -> Asked:
        """What is due at ``now`` on the monotonic clock."""
        return Asked(deletions=now >= self._deletions_due, references=now >= self._references_due)

    def done(self, asked: Asked, now: float) -> None:
        """Only what worked is due later."""
        if asked.deletions:
            self._deletions_due = now + self._deletions * self.stretch
        if asked.references:
            self._references_due = now + self._references * self.stretch
