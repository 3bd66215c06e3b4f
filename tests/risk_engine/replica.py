"""A replica of the engine on real Kafka, in this process or, run as a module, in one of its own.

``python -m tests.risk_engine.replica BOOTSTRAP DATABASE_URL GROUP SESSION_MS``
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from functools import partial

from aiokafka import AIOKafkaConsumer, TopicPartition
from tests.risk_engine.company import NOW
from tests.risk_engine.engine import Engine, open_engine

from risk_engine.ingest import Probe, no_probe
from risk_engine.store.offsets import StoredOffsets
from risk_engine.store.seats import take_seat
from risk_engine.store.states import INGESTED
from troth_chassis.clock import SystemClock
from troth_chassis.consumer import ConsumerLimits, PartitionConsumer
from troth_chassis.errors import TransientError
from troth_chassis.service import Loop
from troth_chassis.topics_admin import ensure_topics
from troth_chassis.writer import Mode, ScopeWriter
from troth_contracts.codec import OutRecord
from troth_contracts.topics import TOPICS

PAUSE = 0.2


class StillClock(SystemClock):
    """Always the same moment, so that every replica judges by the same day; waiting is real."""

    def now(self) -> datetime:
        return NOW


class Replica:
    """Consumer, ingest and evaluator over one database, as several of them share the work; seated at its ``url``."""

    def __init__(
        self, bootstrap: str, engine: Engine, group: str, limits: ConsumerLimits, url: str | None = None
    ) -> None:
        self.engine = engine
        self.consumer = PartitionConsumer(
            bootstrap,
            group=group,
            topics=INGESTED,
            offsets=StoredOffsets(engine.database),
            handler=engine.ingest,
            limits=limits,
            take_seat=partial(take_seat, url, group) if url else None,
        )
        engine.evaluator._lag = self.consumer.lag
        self._loops = (Loop("ingest", self.consumer.run), Loop("evaluate", engine.evaluator.run))

    async def run(self) -> None:
        """Until cancelled; a transient fault is tried again, as the supervisor does."""
        async with asyncio.TaskGroup() as group:
            for loop in self._loops:
                group.create_task(_keep(loop))


async def _keep(loop: Loop) -> None:
    while True:
        try:
            await loop.run(lambda: None)
        except TransientError:
            await asyncio.sleep(PAUSE)


def limits(session_ms: int = 6_000, max_records: int = 200) -> ConsumerLimits:
    return ConsumerLimits(
        max_records=max_records,
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=300,
        rebalance_timeout_ms=max(10_000, session_ms),
    )


@contextlib.asynccontextmanager
async def open_replica(
    bootstrap: str, url: str, group: str, *, session_ms: int = 6_000, probe: Probe = no_probe
) -> AsyncIterator[Replica]:
    """Running until left."""
    async with open_engine(url, clock=StillClock(), probe=probe) as engine:
        replica = Replica(bootstrap, engine, group, limits(session_ms), url)
        running = asyncio.create_task(replica.run())
        try:
            yield replica
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def publish(
    bootstrap: str, records: Iterable[OutRecord], mode: Mode = "transactional", scope: str = "t"
) -> None:
    """In transactions of a hundred, as the syncs do, so that offsets are spent on their ends too."""
    writer = ScopeWriter(bootstrap, "test", scope, mode)
    waiting = list(records)
    try:
        while waiting:
            await writer.publish(waiting[:100])
            waiting = waiting[100:]
    finally:
        await writer.stop()


async def begin_here(bootstrap: str, url: str) -> None:
    """The broker is shared: what other tests left on the topics is stepped over."""
    await ensure_topics(bootstrap, TOPICS)
    consumer = AIOKafkaConsumer(*INGESTED, bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        parts = [
            TopicPartition(topic, number)
            for topic in INGESTED
            for number in consumer.partitions_for_topic(topic) or ()
        ]
        ends = await consumer.end_offsets(parts)
    finally:
        await consumer.stop()
    async with open_engine(url) as engine, engine.database.transaction() as connection:
        for part, end in ends.items():
            statement = "INSERT INTO stored_offsets VALUES (%s, %s, %s)"
            await connection.execute(statement, (part.topic, part.partition, end))


async def main(bootstrap: str, url: str, group: str, session_ms: str) -> None:
    async with open_replica(bootstrap, url, group, session_ms=int(session_ms)):
        print("ready", flush=True)  # noqa: T201  (the parent waits for it)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
