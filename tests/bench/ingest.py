"""How many records a second the risk-engine takes from Kafka into PostgreSQL, beside two ways to do less or worse."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from prometheus_client import CollectorRegistry
from tests.bench.records import records

from risk_engine.ingest import Ingest
from risk_engine.metrics import EngineMetrics
from risk_engine.records import read_batch
from risk_engine.store.again import forget_at
from risk_engine.store.database import Database, open_database
from risk_engine.store.offsets import StoredOffsets
from risk_engine.store.states import INGESTED, TABLES
from troth_chassis.consumer import Batch, ConsumerLimits, PartitionConsumer
from troth_chassis.topics_admin import ensure_topics
from troth_chassis.writer import ScopeWriter
from troth_contracts.codec import InRecord, decode
from troth_contracts.topics import ISSUES, OPPORTUNITIES, TOPICS

PER_TRANSACTION = 1_000
PER_BATCH = ConsumerLimits().max_records
LONGEST_SECONDS = 600
Advance = Callable[[int], None]


@dataclass(frozen=True)
class IngestFigures:
    """Records a second, from the first batch to the last."""

    records: int
    engine: float
    engine_cpu: float
    """Milliseconds of the engine's own process per 1,000 records, which other load hardly moves."""
    rebuild: float
    """The same once more, after `risk-engine rebuild` forgot everything."""
    decode_only: float
    """The same records read by a plain consumer that decodes them and throws them away."""
    row_by_row: float
    """A sample stored with one INSERT per record, one transaction per batch."""
    sample: int


async def measure(
    bootstrap: str, database_url: str, count: int, sample: int, advance: Advance
) -> IngestFigures:
    """Fills the topics, then measures the three ways one after the other. Needs empty topics and an empty database."""
    await ensure_topics(bootstrap, TOPICS)
    await _fill(bootstrap, count, advance)
    decode_only, kept = await _decode_only(bootstrap, count, sample)
    advance(count)
    async with open_database(database_url) as database:
        row_by_row = await _row_by_row(database, kept)
        engine, cpu = await _engine(bootstrap, database, count, advance)
    await forget_at(database_url)
    async with open_database(database_url) as database:
        rebuild, _ = await _engine(bootstrap, database, count, advance)
    return IngestFigures(count, engine, cpu, rebuild, decode_only, row_by_row, len(kept))


async def _fill(bootstrap: str, count: int, advance: Advance) -> None:
    writer = ScopeWriter(bootstrap, "bench", "fill", "transactional")
    source = records(count, seed=1)
    while page := list(itertools.islice(source, PER_TRANSACTION)):
        await writer.publish(page)
        advance(len(page))
    await writer.stop()


async def _decode_only(
    bootstrap: str, count: int, sample: int
) -> tuple[float, list[tuple[ConsumerRecord, InRecord]]]:
    kept: list[tuple[ConsumerRecord, InRecord]] = []
    done, began = 0, 0.0
    async with _plain_consumer(bootstrap) as consumer:
        while done < count:
            fetched = await consumer.getmany(timeout_ms=500, max_records=PER_BATCH)
            began = began or time.monotonic()
            for raw in itertools.chain.from_iterable(fetched.values()):
                read = decode(raw.topic, raw.key, raw.value, raw.headers)
                done += 1
                if len(kept) < sample:
                    kept.append((raw, read))
    return done / (time.monotonic() - began), kept


@asynccontextmanager
async def _plain_consumer(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        max_partition_fetch_bytes=2 * 1024 * 1024,
    )
    await consumer.start()
    try:
        partitions = [
            TopicPartition(topic.name, number)
            for topic in (OPPORTUNITIES, ISSUES)
            for number in range(topic.partitions)
        ]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        yield consumer
    finally:
        await consumer.stop()


async def _row_by_row(database: Database, kept: Sequence[tuple[ConsumerRecord, InRecord]]) -> float:
    began = time.monotonic()
    for start in range(0, len(kept), PER_BATCH):
        async with database.transaction() as connection:
            for raw, read in kept[start : start + PER_BATCH]:
                await connection.execute(
                    _insert(raw.topic),
                    (read.key, read.version, read.content_hash, raw.value.decode()),
                )
    seconds = time.monotonic() - began
    async with database.transaction() as connection:
        await connection.execute("TRUNCATE deals, issues")
    return len(kept) / seconds


def _insert(topic: str) -> bytes:
    return (
        f"INSERT INTO {TABLES[topic]} AS kept VALUES (%s, %s, %s, false, %s::jsonb) ON CONFLICT (key) DO UPDATE"
        " SET version = excluded.version, digest = excluded.digest, body = excluded.body"
        " WHERE kept.version < excluded.version"
    ).encode()


class _Stopwatch:
    """The engine's own ingest, with the time of its first and last batch."""

    def __init__(self, ingest: Ingest, count: int, advance: Advance) -> None:
        self._ingest = ingest
        self._left = count
        self._advance = advance
        self._began = 0.0
        self.seconds = 0.0
        self.done = asyncio.Event()

    async def handle(self, batch: Batch) -> None:
        self._began = self._began or time.monotonic()
        await self._ingest.handle(batch)
        self._advance(len(batch.records))
        self._left -= len(batch.records)
        if self._left <= 0:
            self.seconds = time.monotonic() - self._began
            self.done.set()


async def _engine(bootstrap: str, database: Database, count: int, advance: Advance) -> tuple[float, float]:
    """Records a second, and milliseconds of CPU per 1,000 of them."""
    cpu = time.process_time()
    letters = ScopeWriter(bootstrap, "bench", "dead-letters", "idempotent")
    ingest = Ingest(database, letters, EngineMetrics(CollectorRegistry()), on_change=lambda: None)
    watch = _Stopwatch(ingest, count, advance)
    consumer = PartitionConsumer(
        bootstrap,
        group="bench",
        topics=INGESTED,
        offsets=StoredOffsets(database),
        handler=watch,
        read=read_batch,
    )
    running = asyncio.create_task(consumer.run(lambda: None))
    finished = asyncio.create_task(watch.done.wait())
    await asyncio.wait({running, finished}, timeout=LONGEST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if not watch.done.is_set():
        finished.cancel()
        await running  # its error tells why
        raise TimeoutError(f"{count} records were not stored within {LONGEST_SECONDS} s")
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    return count / watch.seconds, 1e6 * (time.process_time() - cpu) / count
