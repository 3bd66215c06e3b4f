"""The wheel broker: all that producers and readers in the mode `plain` need, and what it cannot do.

When one of the last tests fails after an upgrade, that is good news: contracts/decisions/0001 can be reconsidered.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from troth_sandbox.brokers import TansuBroker
from troth_sandbox.errors import BrokerUnavailableError

DEADLINE = 30.0
HEADERS = (("ce_id", b"x"), ("empty", b""))


@pytest.fixture(scope="module")
def tansu(tmp_path_factory: pytest.TempPathFactory, require: Callable[[bool, str], None]) -> Iterator[str]:
    broker = TansuBroker(tmp_path_factory.mktemp("tansu"), environ={})
    try:
        broker.start()
    except BrokerUnavailableError as error:
        require(False, f"No wheel broker: {error}")
    yield broker.bootstrap
    broker.stop()


@pytest.fixture
async def admin(tansu: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=tansu)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
async def topic(admin: AIOKafkaAdminClient) -> str:
    name = f"wheel.{uuid.uuid4().hex[:8]}"
    await admin.create_topics([NewTopic(name, 4, 1, topic_configs={"cleanup.policy": "compact"})])
    return name


@asynccontextmanager
async def plain_producer(tansu: str, **options: object) -> AsyncIterator[AIOKafkaProducer]:
    plain: dict[str, object] = {"acks": "all", "enable_idempotence": False, "compression_type": "zstd"}
    made = AIOKafkaProducer(bootstrap_servers=tansu, **(plain | options))
    try:
        await made.start()
        yield made
    finally:
        await made.stop()  # also after a start that failed: it leaves connections open


@asynccontextmanager
async def consumer(tansu: str, **options: object) -> AsyncIterator[AIOKafkaConsumer]:
    readers: dict[str, object] = {"enable_auto_commit": False, "auto_offset_reset": "earliest"}
    readers["session_timeout_ms"] = 6_000  # a join takes half of it
    made = AIOKafkaConsumer(bootstrap_servers=tansu, isolation_level="read_committed", **(readers | options))
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def read_to_end(reader: AIOKafkaConsumer, topic: str) -> list[ConsumerRecord]:
    """Assign everything by hand and read up to the end offsets, as a mirror is read back."""
    partitions = [TopicPartition(topic, number) for number in range(4)]
    reader.assign(partitions)
    ends = await reader.end_offsets(partitions)
    await reader.seek_to_beginning(*partitions)
    records: list[ConsumerRecord] = []
    async with asyncio.timeout(DEADLINE):
        while len(records) < sum(ends.values()):
            for batch in (await reader.getmany(timeout_ms=200)).values():
                records += batch
    return records


async def test_topics_keep_their_partitions_and_settings(admin: AIOKafkaAdminClient, topic: str) -> None:
    (described,) = await admin.describe_topics([topic])
    assert len(described["partitions"]) == 4
    answer = await admin.create_topics([NewTopic(topic, 4, 1)])
    already_exists = 36
    assert [error[1] for error in answer.topic_errors] == [already_exists]


async def test_plain_records_with_zstd_headers_and_tombstones_are_read_back(tansu: str, topic: str) -> None:
    async with plain_producer(tansu) as writer:
        for key, value in ((b"org:1", b"deal" * 500), (b"org:2", b"deal"), (b"org:1", None)):
            await writer.send_and_wait(topic, value, key=key, headers=list(HEADERS))
    async with consumer(tansu) as reader:
        records = await read_to_end(reader, topic)
    assert sorted((record.key, record.value or b"gone") for record in records) == [
        (b"org:1", b"deal" * 500),
        (b"org:1", b"gone"),
        (b"org:2", b"deal"),
    ]
    assert {record.headers for record in records} == {HEADERS}


async def test_a_group_hands_over_its_partitions_and_its_offsets(tansu: str, topic: str) -> None:
    async with plain_producer(tansu) as writer:
        await writer.send_and_wait(topic, b"done", partition=0)
        await writer.send_and_wait(topic, b"open", partition=0)
    group = f"group.{topic}"
    first = TopicPartition(topic, 0)
    async with consumer(tansu, group_id=group) as member:
        member.subscribe([topic])
        assert (await asyncio.wait_for(member.getone(), DEADLINE)).value == b"done"
        await member.commit({first: 1})
    async with consumer(tansu, group_id=group) as successor:
        successor.subscribe([topic])
        assert (await asyncio.wait_for(successor.getone(), DEADLINE)).value == b"open"


class SeekOnAssignment(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """A reader whose positions are kept in its own database."""

    def __init__(self, reader: AIOKafkaConsumer, position: int) -> None:
        self._reader = reader
        self._position = position

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None: ...

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        for partition in assigned:
            self._reader.seek(partition, self._position)


async def test_a_position_set_on_assignment_is_where_reading_starts(tansu: str, topic: str) -> None:
    async with plain_producer(tansu) as writer:
        for number in range(3):
            await writer.send_and_wait(topic, b"%d" % number, partition=2)
    async with consumer(tansu, group_id=f"group.{topic}") as reader:
        reader.subscribe([topic], listener=SeekOnAssignment(reader, position=2))
        assert (await asyncio.wait_for(reader.getone(), DEADLINE)).value == b"2"


async def test_it_knows_no_idempotent_producer(tansu: str) -> None:
    with pytest.raises(KafkaError):
        async with plain_producer(tansu, enable_idempotence=True):
            pass


async def test_it_knows_no_transactional_producer(tansu: str) -> None:
    with pytest.raises(KafkaError):
        async with plain_producer(tansu, enable_idempotence=True, transactional_id="crm-sync.org"):
            pass
