"""The evaluation loop: claims marked subjects, evaluates them, and lets alerts and assessments follow.

Links come before deals, deals before teams and teams before forecasts, so that a burst of changes is worked off once.
Until both sync services report complete backfills and ingest has caught up, nothing is evaluated and nobody is told
anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta, tzinfo

import structlog

from risk_engine.alerts import Alerts
from risk_engine.deliver.kafka import assessment_row, withdrawn_row
from risk_engine.domain.calendar import IsWorkingDay
from risk_engine.domain.commitments import DEFAULT_POLICY, CommitPolicy
from risk_engine.domain.finding import fingerprint
from risk_engine.domain.registry import Registry
from risk_engine.domain.rules.late_forecast import VERSION as LATE_VERSION
from risk_engine.domain.rules.oversold import VERSION as OVERSOLD_VERSION
from risk_engine.domain.rules.unlinked_commitment import VERSION as UNLINKED_VERSION
from risk_engine.domain.work import TypicalSizes
from risk_engine.evaluate.deals import evaluate_deals
from risk_engine.evaluate.forecasts import DealResult, digest_of, evaluate_forecasts
from risk_engine.evaluate.links import discover_links
from risk_engine.evaluate.teams import evaluate_one_team
from risk_engine.evaluate.terms import Terms
from risk_engine.ingest import Probe, no_probe
from risk_engine.metrics import EngineMetrics
from risk_engine.remembered import Remembered
from risk_engine.store.alerts import NewAssessment, keep_assessments, withdraw_assessment
from risk_engine.store.database import Connection, Database
from risk_engine.store.ledger import note_forecasts
from risk_engine.store.marks import Claim, Kind, claim, count_marks, drop_marks
from risk_engine.store.outbox import Parcel, enqueue
from risk_engine.store.progress import become_live, fire_timer, is_live, syncs_complete
from troth_chassis.clock import Clock
from troth_chassis.service import Beat
from troth_contracts.codec import content_hash

log = structlog.stdlib.get_logger(__name__)
IDLE_SECONDS = 1.0
AT_A_TIME = 2
SIZES_SECONDS = 60.0
LAG_SECONDS = 15.0
"""The lag is looked at this often once alerting has begun."""
BATCH: dict[Kind, int] = {"link": 500, "deal": 500, "team": 1, "forecast": 250}
Lag = Callable[[], Awaitable[int]]


class Evaluator:
    """Works the queue of marks. Several replicas may run: a subject is claimed by one at a time.

    ``woken`` is set by whoever adds marks; without it the queue is looked at every second.
    """

    def __init__(
        self,
        database: Database,
        alerts: Alerts,
        *,
        lag: Lag,
        woken: asyncio.Event,
        clock: Clock,
        zone: tzinfo,
        is_working_day: IsWorkingDay,
        trials: int,
        metrics: EngineMetrics,
        registry: Registry | None = None,
        deal_share: float = 1.0,
        policy: CommitPolicy = DEFAULT_POLICY,
        currency: str = "",
        probe: Probe = no_probe,
    ) -> None:
        self._database = database
        self._alerts = alerts
        self._lag = lag
        self._clock = clock
        self._zone = zone
        self._is_working_day = is_working_day
        self._trials = trials
        self._metrics = metrics
        self._registry = registry or Registry()
        self._deal_share = deal_share
        self._policy = policy
        self._currency = currency
        self._probe = probe
        self._woken = woken
        self._sizes: Remembered[TypicalSizes] = Remembered(clock, SIZES_SECONDS)
        self._live = False
        self._lag_noted = 0.0

    async def run(self, beat: Beat) -> None:
        """Until cancelled."""
        while True:
            self._woken.clear()
            moved = await self.go_live() and await self.work_off()
            beat()
            if not moved:
                await self._idle()

    async def go_live(self) -> bool:
        """True once alerting may begin; remembered in the database.

        The syncs say "complete" after all they published, so the lag that counts is measured after that was read.
        """
        if self._live:
            return True
        async with self._database.transaction() as connection:
            self._live = await is_live(connection)
            complete = await syncs_complete(connection)
        lag = await self._note_lag()
        if not self._live and complete and lag == 0:
            async with self._database.transaction() as connection:
                await become_live(connection, self._clock.now())
            self._live = True
            log.info("both syncs are complete: alerting begins")
        self._metrics.live.set(self._live)
        return self._live

    async def _note_lag(self) -> int:
        lag = await self._lag()
        self._lag_noted = self._clock.monotonic()
        self._metrics.lag.set(max(lag, 0))
        return lag

    async def work_off(self) -> bool:
        """Evaluates until no mark is left that this replica can claim; True when there was any."""
        moved = False
        async with self._database.transaction() as connection:
            await fire_timer(connection, f"hourly with {self._settled()}", _hour(self._clock.now()))
        while any(await self._rounds()):
            moved = True
        async with self._database.transaction() as connection:
            self._metrics.marks.set(await count_marks(connection))
        await self._end_quiet_start()
        if self._clock.monotonic() - self._lag_noted > LAG_SECONDS:
            await self._note_lag()
        return moved

    async def _end_quiet_start(self) -> None:
        async with self._database.transaction() as connection:
            ended = await self._alerts.digest(connection, self._clock.now())
            if ended:
                self._probe("digested")
        if ended:
            log.info(
                "everything is evaluated: the digest goes out, what changes from now on is told by itself"
            )

    async def _rounds(self) -> list[bool]:
        """Several at a time, as replicas would: one reckons while another waits for the database."""
        ended = await asyncio.gather(*(self.round() for _ in range(AT_A_TIME)), return_exceptions=True)
        for told in ended:
            if isinstance(told, BaseException):
                raise told
        return [told is True for told in ended]

    async def round(self) -> bool:
        """Evaluates one batch of the first kind that has any; True when there was one."""
        kinds: Sequence[tuple[Kind, Callable[[Connection, list[Claim], Terms], Awaitable[None]]]] = (
            ("link", self._links),
            ("deal", self._deals),
            ("team", self._teams),
            ("forecast", self._forecasts),
        )
        for kind, evaluate in kinds:
            started = self._clock.monotonic()
            async with self._database.transaction() as connection:
                claims = await claim(connection, kind, BATCH[kind])
                self._probe(f"claimed {kind}")
                if claims:
                    await evaluate(connection, claims, self._terms())
                    await drop_marks(connection, claims)
                    self._probe(f"evaluated {kind}")
            if claims:
                self._metrics.evaluations.labels(kind).inc(len(claims))
                self._metrics.evaluation_seconds.labels(kind).observe(self._clock.monotonic() - started)
                return True
        return False

    def _settled(self) -> str:
        """What starts everything anew when it changes: vectors of different lengths, say, cannot be combined."""
        said = f"{sorted(self._registry.entries.items())!r} {self._deal_share} {self._policy.name}".encode()
        return f"{self._trials} trials, sums in {self._currency or 'any'}, rules {content_hash(said)}"

    def _terms(self) -> Terms:
        return Terms(
            self._clock.now(),
            self._zone,
            self._is_working_day,
            self._trials,
            self._registry,
            self._deal_share,
            self._policy,
            self._currency,
        )

    async def _links(self, connection: Connection, claims: list[Claim], _terms: Terms) -> None:
        await discover_links(connection, claims)

    async def _deals(self, connection: Connection, claims: list[Claim], terms: Terms) -> None:
        await evaluate_deals(connection, claims, terms, self._sizes)

    async def _teams(self, connection: Connection, claims: list[Claim], terms: Terms) -> None:
        findings = {
            fingerprint("oversold", (claimed.subject,), OVERSOLD_VERSION): await evaluate_one_team(
                connection, claimed.subject, terms
            )
            for claimed in claims
        }
        await self._alerts.apply(connection, findings, terms.now)

    async def _forecasts(self, connection: Connection, claims: list[Claim], terms: Terms) -> None:
        results = await evaluate_forecasts(connection, [claimed.subject for claimed in claims], terms)
        findings = {}
        for result in results:
            findings[fingerprint("unlinked_commitment", (result.deal,), UNLINKED_VERSION)] = result.unlinked
            if not result.waits_for:
                findings[fingerprint("late_forecast", (result.deal,), LATE_VERSION)] = result.late
        await self._alerts.apply(connection, findings, terms.now)
        await _publish_assessments(connection, [one for one in results if not one.waits_for], terms.now)

    async def _idle(self) -> None:
        waiting = asyncio.ensure_future(self._woken.wait())
        pausing = asyncio.ensure_future(self._clock.sleep(IDLE_SECONDS))
        try:
            await asyncio.wait((waiting, pausing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            pausing.cancel()


async def _publish_assessments(connection: Connection, results: Sequence[DealResult], now: datetime) -> None:
    rows = {}
    for result in results:
        if result.assessment is None:
            version = await withdraw_assessment(connection, result.deal, now)
            if version is not None:
                rows[result.deal] = withdrawn_row(result.deal, version)
    made = {
        result.deal: NewAssessment(result.assessment, digest_of(result.assessment), result.inputs)
        for result in results
        if result.assessment is not None
    }
    for deal, version in (await keep_assessments(connection, list(made.values()), now)).items():
        rows[deal] = assessment_row(made[deal].assessment, version)
    await note_forecasts(
        connection, [made[deal].assessment for deal in sorted(made.keys() & rows.keys())], now
    )
    parcels = [
        Parcel(f"assessment-{deal}-{row['version']}", "kafka", deal, row)
        for deal, row in sorted(rows.items())
    ]
    await enqueue(connection, parcels, now)


def _hour(now: datetime) -> datetime:
    return now - timedelta(minutes=now.minute, seconds=now.second, microseconds=now.microsecond)
