"""The delivery loop: lease, deliver without a database transaction, record the outcome."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from risk_engine.deliver.kafka import publish
from risk_engine.deliver.schedule import next_delay
from risk_engine.deliver.webhook import Answer, WebhookSender
from risk_engine.ingest import Probe, no_probe
from risk_engine.metrics import EngineMetrics
from risk_engine.store.database import Database
from risk_engine.store.outbox import Endpoint, Outgoing, count_pending, lease, settle_delivered, settle_failed
from troth_chassis.clock import Clock
from troth_chassis.errors import PoisonError, TransientError
from troth_chassis.service import Beat
from troth_chassis.writer import ScopeWriter

log = structlog.stdlib.get_logger(__name__)
HELD_FOR = timedelta(seconds=60)
IDLE_SECONDS = 0.5
BATCH: dict[Endpoint, int] = {"kafka": 500, "webhook": 20}


class Courier:
    """Empties the outbox. Several replicas may run; a row is leased by one at a time."""

    def __init__(
        self,
        database: Database,
        writer: ScopeWriter,
        sender: WebhookSender | None,
        *,
        clock: Clock,
        metrics: EngineMetrics,
        rng: random.Random,
        probe: Probe = no_probe,
    ) -> None:
        self._database = database
        self._writer = writer
        self._sender = sender
        self._clock = clock
        self._metrics = metrics
        self._rng = rng
        self._probe = probe

    async def run(self, beat: Beat) -> None:
        """Until cancelled; waits briefly when there is nothing to do."""
        while True:
            moved = await self.deliver_once()
            beat()
            if not moved:
                await self._clock.sleep(IDLE_SECONDS)

    async def deliver_once(self) -> int:
        """One round over all endpoints; returns how many rows were tried."""
        moved = await self._round("kafka", self._to_kafka)
        if self._sender is not None:
            moved += await self._round("webhook", self._to_webhook)
        async with self._database.transaction() as connection:
            self._metrics.outbox.set(await count_pending(connection))
        return moved

    async def _round(self, endpoint: Endpoint, deliver: Callable[[list[Outgoing]], Awaitable[None]]) -> int:
        async with self._database.transaction() as connection:
            rows = await lease(
                connection, endpoint, now=self._clock.now(), held_for=HELD_FOR, limit=BATCH[endpoint]
            )
        self._probe(f"leased {endpoint}")
        if rows:
            await deliver(rows)
        return len(rows)

    async def _to_kafka(self, rows: list[Outgoing]) -> None:
        try:
            await publish(self._writer, [row.body for row in rows])
        except TransientError as error:
            for row in rows:
                await self._settle(row, "kafka", Answer(delivered=False, text=str(error)))
            raise
        except PoisonError as error:
            await self._one_by_one(rows, error)
            return
        self._probe("sent kafka")
        for row in rows:
            await self._settle(row, "kafka", Answer(delivered=True, text="acknowledged"))

    async def _one_by_one(self, rows: list[Outgoing], error: PoisonError) -> None:
        """One row can never be taken, nobody said which: the others go on their own, it ends as dead."""
        if len(rows) > 1:
            for row in rows:
                await self._to_kafka([row])
            return
        log.error("notice can never be published", notice=rows[0].notice_id, reason=error.reason)
        async with self._database.transaction() as connection:
            await settle_failed(connection, rows[0], error.reason, again_at=None, now=self._clock.now())
        self._metrics.deliveries.labels("kafka", "dead").inc()

    async def _to_webhook(self, rows: list[Outgoing]) -> None:
        outcomes = await asyncio.gather(*(self._send(row) for row in rows), return_exceptions=True)
        for outcome in outcomes:  # only when all have ended: none goes on behind our back
            if isinstance(outcome, BaseException):
                raise outcome

    async def _send(self, row: Outgoing) -> None:
        sender = self._sender
        assert sender is not None  # noqa: S101  (only called when there is one)
        answer = await sender.send(row.notice_id, row.body)
        self._probe("sent webhook")
        if not answer.delivered:
            log.warning(
                "notice not taken", notice=row.notice_id, attempt=row.attempts, answer=answer.text[:200]
            )
        await self._settle(row, "webhook", answer)

    async def _settle(self, row: Outgoing, endpoint: Endpoint, answer: Answer) -> None:
        now = self._clock.now()
        delay = None if answer.delivered else self._delay(row, endpoint, answer)
        async with self._database.transaction() as connection:
            if answer.delivered:
                await settle_delivered(connection, row.id, now, answer.text)
            else:
                again = None if delay is None else now + timedelta(seconds=delay)
                await settle_failed(connection, row, answer.text, again_at=again, now=now)
        self._metrics.deliveries.labels(endpoint, "delivered" if answer.delivered else "failed").inc()
        self._probe(f"settled {endpoint}")

    def _delay(self, row: Outgoing, endpoint: Endpoint, answer: Answer) -> float | None:
        """Kafka is ours and is tried until it answers; a receiver is tried by the schedule."""
        return 1.0 if endpoint == "kafka" else next_delay(row.attempts, answer.wait, self._rng)
