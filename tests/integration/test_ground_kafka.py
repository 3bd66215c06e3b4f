"""The ground the services stand on: what aiokafka and a real Apache Kafka do together.

Each test is one assumption of the delivery guarantees. When one fails after an upgrade, the guarantee built on it
is gone too.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import cramjam
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced

DEADLINE = 30.0
MakeTopic = Callable[..., Awaitable[str]]


@pytest.fixture
async def make_topic(kafka: str) -> AsyncIterator[MakeTopic]:
    """`await make_topic(partitions=1, **configs)`: a new topic of this test's own."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()

    async def make(partitions: int = 1, **configs: str) -> str:
        name = f"ground.{uuid.uuid4().hex[:8]}"
        settings = {key.replace("_", "."): value for key, value in configs.items()}
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
        await until_async(lambda: has_leaders(admin, name, partitions))
        return name

    yield make
    await admin.close()


async def has_leaders(admin: AIOKafkaAdminClient, topic: str, partitions: int) -> bool:
    (described,) = await admin.describe_topics([topic])
    found = described["partitions"]
    return len(found) == partitions and all(partition["leader"] >= 0 for partition in found)


async def until_async(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await condition():  # noqa: ASYNC110 - a broker signals no event
            await asyncio.sleep(0.02)


async def until(condition: Callable[[], bool]) -> None:
    async def ask() -> bool:
        return condition()

    await until_async(ask)


@asynccontextmanager
async def producer(kafka: str, **options: object) -> AsyncIterator[AIOKafkaProducer]:
    made = AIOKafkaProducer(bootstrap_servers=kafka, **{"acks": "all", "enable_idempotence": True, **options})
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def read_all(kafka: str, topic: str, isolation_level: str = "read_committed") -> list[bytes | None]:
    """Every visible value up to the end offset taken at the start."""
    options = {
        "isolation_level": isolation_level,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
    }
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, **options)
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        await consumer.seek_to_beginning(partition)
        values: list[bytes | None] = []
        async with asyncio.timeout(DEADLINE):
            while await consumer.position(partition) < end:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    values += [record.value for record in records]
        return values
    finally:
        await consumer.stop()


async def until_visible(kafka: str, topic: str, values: list[bytes | None]) -> None:
    """Wait for a commit to reach readers: the broker answers it before the markers are in the partitions."""

    async def visible() -> bool:
        return await read_all(kafka, topic) == values

    await until_async(visible)


def test_aiokafka_runs_with_its_c_extension() -> None:
    from aiokafka.record._crecords.default_records import DefaultRecordBatch as Compiled
    from aiokafka.record.default_records import DefaultRecordBatch

    assert DefaultRecordBatch is Compiled


async def test_an_idempotent_producer_with_zstd_writes_each_record_once(
    kafka: str, make_topic: MakeTopic
) -> None:
    topic = await make_topic()
    async with producer(kafka, compression_type="zstd") as writer:
        sent = [await writer.send(topic, f"record {n}".encode() * 50) for n in range(100)]
        await asyncio.gather(*sent)
    assert await read_all(kafka, topic) == [f"record {n}".encode() * 50 for n in range(100)]


def test_zstd_comes_from_cramjam() -> None:
    text = b"promised " * 1000
    packed = bytes(cramjam.zstd.compress(text))
    assert len(packed) < len(text) // 20
    assert bytes(cramjam.zstd.decompress(packed)) == text


async def test_headers_keys_and_tombstones_come_back_as_sent(kafka: str, make_topic: MakeTopic) -> None:
    topic = await make_topic()
    async with producer(kafka) as writer:
        await writer.send_and_wait(topic, value=None, key=b"org:1", headers=[("ce_id", b"x"), ("empty", b"")])
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), DEADLINE)
    finally:
        await consumer.stop()
    assert (record.key, record.value) == (b"org:1", None)
    assert record.headers == (("ce_id", b"x"), ("empty", b""))


async def test_a_committed_transaction_spans_topics_and_becomes_visible(
    kafka: str, make_topic: MakeTopic
) -> None:
    data, state = await make_topic(), await make_topic()
    scope = f"commit.{data}"
    async with (
        producer(kafka, transactional_id=scope, compression_type="zstd") as writer,
        writer.transaction(),
    ):
        await writer.send_and_wait(data, b"deal")
        await writer.send_and_wait(state, b"watermark")
    await until_visible(kafka, data, [b"deal"])
    await until_visible(kafka, state, [b"watermark"])


async def test_a_successor_sees_all_that_its_predecessor_committed(kafka: str, make_topic: MakeTopic) -> None:
    """The broker answers a commit before readers see it; a successor's start waits for it, so read back after that."""
    topic = await make_topic()
    for generation in range(5):
        async with producer(kafka, transactional_id=f"successor.{topic}") as writer:
            assert len(await read_all(kafka, topic)) == generation
            async with writer.transaction():
                await writer.send_and_wait(topic, b"deal")


async def test_an_aborted_transaction_is_hidden_from_read_committed_only(
    kafka: str, make_topic: MakeTopic
) -> None:
    topic = await make_topic()
    async with producer(kafka, transactional_id=f"abort.{topic}") as writer:
        await writer.begin_transaction()
        await writer.send_and_wait(topic, b"half a sweep")
        await writer.abort_transaction()
        async with writer.transaction():
            await writer.send_and_wait(topic, b"a whole sweep")
    await until_visible(kafka, topic, [b"a whole sweep"])
    assert await read_all(kafka, topic, "read_uncommitted") == [b"half a sweep", b"a whole sweep"]


async def test_an_open_transaction_holds_readers_back_until_it_ends(
    kafka: str, make_topic: MakeTopic
) -> None:
    topic = await make_topic()
    async with producer(kafka, transactional_id=f"open.{topic}") as writer:
        await writer.begin_transaction()
        await writer.send_and_wait(topic, b"not yet")
        assert await read_all(kafka, topic) == []
        await writer.commit_transaction()
    await until_visible(kafka, topic, [b"not yet"])


async def test_a_second_writer_of_a_scope_fences_the_first(kafka: str, make_topic: MakeTopic) -> None:
    topic = await make_topic()
    scope = f"crm-sync.{topic}"
    first = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=scope)
    await first.start()
    await first.begin_transaction()
    await first.send_and_wait(topic, b"from the paused writer")
    async with producer(kafka, transactional_id=scope) as second:
        async with second.transaction():
            await second.send_and_wait(topic, b"from its successor")
        with pytest.raises((ProducerFenced, InvalidProducerEpoch)):
            await first.commit_transaction()
        await first.stop()
    await until_visible(kafka, topic, [b"from its successor"])


class Assignments(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """What one group member holds."""

    def __init__(self) -> None:
        self.held: frozenset[int] = frozenset()
        self.revocations = 0

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.revocations += bool(revoked)
        self.held = frozenset()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.held = frozenset(partition.partition for partition in assigned)


@asynccontextmanager
async def member(kafka: str, topic: str, group: str) -> AsyncIterator[Assignments]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, group_id=group, enable_auto_commit=False, heartbeat_interval_ms=200
    )
    assignments = Assignments()
    consumer.subscribe([topic], listener=assignments)
    await consumer.start()
    try:
        yield assignments
    finally:
        await consumer.stop()


async def test_two_members_of_a_group_share_the_partitions_and_take_over(
    kafka: str, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=4)
    async with member(kafka, topic, f"group.{topic}") as first:
        await until(lambda: len(first.held) == 4)
        async with member(kafka, topic, f"group.{topic}") as second:
            await until(lambda: len(first.held) == len(second.held) == 2)
            assert first.held | second.held == {0, 1, 2, 3}
            assert first.revocations == 1
        await until(lambda: first.held == {0, 1, 2, 3})


async def test_compaction_drops_old_values_and_keeps_the_last(kafka: str, make_topic: MakeTopic) -> None:
    eager = {"segment_ms": "100", "min_cleanable_dirty_ratio": "0.01", "max_compaction_lag_ms": "200"}
    topic = await make_topic(cleanup_policy="compact", **eager)
    async with producer(kafka) as writer:
        for version in range(20):
            await writer.send_and_wait(topic, f"version {version}".encode(), key=b"deal")

        async def compacted() -> bool:
            # A segment is only closed when something is written after its time.
            await writer.send_and_wait(topic, b"tick", key=b"clock")
            values = await read_all(kafka, topic)
            return values.count(b"version 0") == 0 and len([v for v in values if v != b"tick"]) == 1

        await until_async(compacted)
    assert b"version 19" in await read_all(kafka, topic)
