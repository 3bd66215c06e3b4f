"""The consumer against a client in memory: moments that a real broker hits only now and then."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError

from troth_chassis.consumer import Batch, ConsumerLimits, Partition, PartitionConsumer, Seat
from troth_chassis.errors import ConfigurationError, OwnershipLostError, TransientError

PART = TopicPartition("deals", 0)
PLACE: Partition = ("deals", 0)
PATIENCE = 5.0
Interruption = Callable[["FakeClient"], Awaitable[None]]


class FakeClient:
    """What the consumer uses of aiokafka, over one partition in memory. `during` runs inside the n-th fetch."""

    def __init__(self, values: list[bytes], during: Mapping[int, Interruption]) -> None:
        self.log = [
            ConsumerRecord("deals", 0, n, 0, 0, b"k", value, None, 0, 0, ()) for n, value in enumerate(values)
        ]
        self.at = 0
        self.fetches = 0
        self.told: dict[TopicPartition, int] = {}
        self.listener: Any = None
        self._during = during

    def subscribe(self, _topics: list[str], listener: Any) -> None:
        self.listener = listener

    async def start(self) -> None:
        await self.rebalance()

    async def stop(self) -> None:
        pass

    async def rebalance(self) -> None:
        await self.listener.on_partitions_revoked({PART})
        await self.listener.on_partitions_assigned({PART})

    def pause(self, *_: TopicPartition) -> None:
        pass

    def resume(self, *_: TopicPartition) -> None:
        pass

    def assignment(self) -> set[TopicPartition]:
        return {PART}

    def seek(self, _part: TopicPartition, offset: int) -> None:
        self.at = offset

    async def position(self, _part: TopicPartition) -> int:
        return self.at

    async def beginning_offsets(self, parts: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(parts, 0)

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.told |= offsets

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[ConsumerRecord]]:
        self.fetches += 1
        if interruption := self._during.get(self.fetches):
            await interruption(self)
        await asyncio.sleep(0)
        found = self.log[self.at : self.at + 1]
        self.at += len(found)
        return {PART: found} if found else {}


class Store:
    """Effects and offsets together, as one database transaction would keep them."""

    def __init__(self) -> None:
        self.offset: int | None = None
        self.effects: list[bytes] = []
        self.broken: Exception | None = None

    async def read_offsets(self, _partitions: Collection[Partition]) -> dict[Partition, int]:
        if self.broken is not None:
            raise self.broken
        await asyncio.sleep(0)
        return {} if self.offset is None else {PLACE: self.offset}

    async def handle(self, batch: Batch) -> None:
        await asyncio.sleep(0)
        if batch.expected[PLACE] != (-1 if self.offset is None else self.offset):
            raise OwnershipLostError("the stored offset moved")
        self.effects += [record.value for record in batch.records]
        self.offset = batch.next_offsets[PLACE]


class Stage:
    """A consumer on the fake client, run until its work is done."""

    def __init__(self, values: list[bytes], during: Mapping[int, Interruption] | None = None) -> None:
        self.client = FakeClient(values, during or {})
        self.store = Store()
        client = self.client

        class Fed(PartitionConsumer):
            def _build(self, _seat: Seat | None) -> FakeClient:
                return client

        self.consumer = Fed("fake", group="g", topics=["deals"], offsets=self.store, handler=self.store)

    async def until_read(self) -> None:
        running = asyncio.create_task(self.consumer.run(lambda: None))
        try:
            async with asyncio.timeout(PATIENCE):
                while self.store.offset != len(self.client.log) and not running.done():  # noqa: ASYNC110
                    await asyncio.sleep(0)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if not running.cancelled() and (error := running.exception()) is not None:
            raise error


VALUES = [b"one", b"two", b"three", b"four"]


async def test_every_record_takes_effect_in_order() -> None:
    stage = Stage(VALUES)
    await stage.until_read()
    assert stage.store.effects == VALUES
    assert stage.client.told == {PART: 4}, "lag tools are told, too"


async def test_it_starts_where_the_store_says() -> None:
    stage = Stage(VALUES)
    stage.store.offset = 2
    await stage.until_read()
    assert stage.store.effects == [b"three", b"four"]


@pytest.mark.parametrize("fetch", [1, 2, 4])
async def test_what_a_fetch_returns_after_a_whole_rebalance_within_it_is_not_skipped(fetch: int) -> None:
    """The fetch began before the rebalance and returns records from after it: they count as fetched before."""
    stage = Stage(VALUES, {fetch: lambda client: client.rebalance()})
    await stage.until_read()
    assert stage.store.effects == VALUES


async def test_an_offset_moved_by_somebody_else_is_read_again() -> None:
    async def moved(_client: FakeClient) -> None:
        stage.store.offset = 3

    stage = Stage(VALUES, {3: moved})  # fetched ahead while the second takes effect
    await stage.until_read()
    assert stage.store.effects == [b"one", b"four"], "what was fetched ahead of a lost batch is dropped"


async def test_the_next_batch_is_read_while_one_takes_effect() -> None:
    stage = Stage(VALUES)
    take_effect, story = stage.store.handle, []

    def read(records: Sequence[ConsumerRecord]) -> list[bytes]:
        story.append(f"read {records[0].value.decode()}")
        return [record.value for record in records]

    async def handle(batch: Batch) -> None:
        assert batch.read == [record.value for record in batch.records]
        await asyncio.sleep(0)
        await take_effect(batch)
        story.append(f"took {batch.records[0].value.decode()}")

    stage.store.handle = handle  # type: ignore[method-assign]
    stage.consumer._read = read
    await stage.until_read()
    assert story.index("read two") < story.index("took one") < story.index("took two")
    assert stage.store.effects == VALUES


async def test_a_transient_fault_of_the_handler_leaves_the_run_and_loses_nothing() -> None:
    stage = Stage(VALUES)
    take_effect = stage.store.handle
    faults = [TransientError("database gone")]

    async def handle(batch: Batch) -> None:
        if faults and batch.records[0].offset == 1:
            raise faults.pop()
        await take_effect(batch)

    stage.store.handle = handle  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="database gone"):
        await stage.until_read()
    await stage.until_read()
    assert stage.store.effects == VALUES


async def test_an_error_of_the_store_during_the_assignment_ends_the_run_with_it() -> None:
    """The client only logs what a rebalance listener raises."""

    async def broken(client: FakeClient) -> None:
        stage.store.broken = LookupError("relation offsets does not exist")
        await swallowed(client.rebalance())

    stage = Stage(VALUES, {2: broken})
    with pytest.raises(LookupError, match="relation offsets"):
        await stage.until_read()


async def test_a_fault_of_the_client_is_transient_and_names_the_servers() -> None:
    async def gone(_client: FakeClient) -> None:
        raise KafkaConnectionError("refused")

    stage = Stage(VALUES, {1: gone})
    with pytest.raises(TransientError, match="Kafka at fake failed"):
        await stage.until_read()


async def test_a_member_may_not_rejoin_later_than_its_session_ends() -> None:
    limits = ConsumerLimits(session_timeout_ms=30_000, rebalance_timeout_ms=10_000)
    store = Store()
    consumer = PartitionConsumer(
        "fake", group="g", topics=["deals"], offsets=store, handler=store, limits=limits
    )
    with pytest.raises(ConfigurationError, match="must not be shorter"):
        await consumer.run(lambda: None)


async def swallowed(rebalance: Awaitable[None]) -> None:
    """As the client calls a listener."""
    try:
        await rebalance
    except LookupError:
        return
