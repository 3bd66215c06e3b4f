"""What the chassis tests on a real Kafka share: topics of their own, a store in memory, group members."""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from troth_chassis.consumer import Batch, ConsumerLimits, Partition, PartitionConsumer
from troth_chassis.errors import OwnershipLostError
from troth_chassis.topic_reader import read_topic
from troth_chassis.writer import ScopeWriter
from troth_contracts import sync
from troth_contracts.codec import OutRecord
from troth_contracts.topics import Topic

DEADLINE = 60.0
QUICK = ConsumerLimits(
    max_records=50,
    session_timeout_ms=6_000,  # the least a broker accepts
    heartbeat_interval_ms=200,
    rebalance_timeout_ms=6_000,
)


def own_topic(partitions: int = 1) -> Topic:
    """A declaration nobody else uses."""
    name = f"chassis.{uuid.uuid4().hex[:10]}"
    return Topic(
        name, "id", "compact", sync.Watermark, "troth.sync.watermark.v1", "a test", partitions=partitions
    )


def numbered(topic: Topic, numbers: range) -> list[OutRecord]:
    return [OutRecord(topic.name, f"k{n}", f"{n}".encode(), ()) for n in numbers]


async def until(condition: Callable[[], bool]) -> None:
    async def ask() -> bool:
        return condition()

    await until_async(ask)


async def until_async(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await condition():  # noqa: ASYNC110 - a broker signals no event
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def writing(kafka: str, scope: str) -> AsyncIterator[ScopeWriter]:
    writer = ScopeWriter(kafka, "chassis-test", scope, "transactional")
    try:
        yield writer
    finally:
        await writer.stop()


async def values(kafka: str, topic: Topic) -> list[bytes]:
    """Every committed value, partition by partition as it comes."""
    return [record.value async for page in read_topic(kafka, topic) for record in page]


async def until_visible(kafka: str, topic: Topic, count: int) -> None:
    """The broker answers a commit before its markers are in the partitions."""

    async def visible() -> bool:
        return len(await values(kafka, topic)) >= count

    await until_async(visible)


async def tell_kafka_wrongly(kafka: str, group: str, topic: Topic) -> None:
    """Commits offsets for the group that are too far for some partitions and too early for others."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        parts = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        await consumer.commit({part: ends[part] if part.partition % 2 else 0 for part in parts})
    finally:
        await consumer.stop()


@contextlib.asynccontextmanager
async def admin(kafka: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


class Store:
    """Effects and offsets as one database transaction keeps them: conditional, all or nothing."""

    def __init__(self) -> None:
        self.offsets: dict[Partition, int] = {}
        self.effects: Counter[bytes] = Counter()
        self.order: dict[Partition, list[int]] = {}
        self.lost = 0
        self.reads: list[frozenset[Partition]] = []
        self.unreadable: Exception | None = None

    async def read_offsets(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        if self.unreadable is not None:
            raise self.unreadable
        self.reads.append(frozenset(partitions))
        await asyncio.sleep(0.01)
        return {part: self.offsets[part] for part in partitions if part in self.offsets}

    def take(self, batch: Batch) -> None:
        if any(self.offsets.get(part, -1) != expected for part, expected in batch.expected.items()):
            self.lost += 1
            raise OwnershipLostError("zero rows updated")
        self.offsets |= batch.next_offsets
        for record in batch.records:
            self.effects[record.value] += 1
            self.order.setdefault((record.topic, record.partition), []).append(record.offset)


class Member:
    """One replica: its consumer, and a gate that blocks its handler as a blocked database would."""

    def __init__(self, kafka: str, group: str, topic: Topic, store: Store) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = False
        self.handled = 0
        self._store = store
        self.consumer = PartitionConsumer(
            kafka, group=group, topics=[topic.name], offsets=store, handler=self, limits=QUICK
        )

    async def handle(self, batch: Batch) -> None:
        self.waiting = not self.gate.is_set()
        await self.gate.wait()
        self.waiting = False
        await asyncio.sleep(0.01)
        self._store.take(batch)
        self.handled += 1

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Runs until the block is left; an error of the run is raised there."""
        task = asyncio.create_task(self.consumer.run(lambda: None))
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
