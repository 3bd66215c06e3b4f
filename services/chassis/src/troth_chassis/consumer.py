"""A consumer whose offsets live with the data they produced, not in Kafka.

The rebalance listener pauses the new partitions before its first await, reads their offsets from the store, seeks
and resumes. What was fetched before a rebalance is never used after it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, NoOffsetForPartitionError

from troth_chassis.clients import forget_name, stop_consumer
from troth_chassis.errors import ConfigurationError, OwnershipLostError, TransientError
from troth_chassis.service import Beat

log = structlog.stdlib.get_logger(__name__)
Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of some partitions and what the store must hold before and after they take effect.

    A batch may come without records: the positions moved past what carries none, such as the end of a transaction.
    """

    records: Sequence[ConsumerRecord]
    expected: Mapping[Partition, int]
    """Next offset per partition as last read or written; -1 when the store has none yet."""
    next_offsets: Mapping[Partition, int]
    read: object = None
    """What the consumer's ``read`` made of the records while the batch before took effect; None without one."""


@dataclass(frozen=True, slots=True)
class _Fetched:
    """Records as they came, and the generation they were fetched in."""

    generation: int
    records: Mapping[TopicPartition, list[ConsumerRecord]]
    read: object = None

    def in_order(self) -> list[ConsumerRecord]:
        return [record for part in sorted(self.records) for record in self.records[part]]


class OffsetStore(Protocol):
    """Where the next offset of each partition is kept."""

    async def read_offsets(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Next offsets; partitions never read are absent."""
        ...


class BatchHandler(Protocol):
    """Makes a batch take effect together with its offsets."""

    async def handle(self, batch: Batch) -> None:
        """OwnershipLostError when a stored offset was not what the batch expected; nothing took effect then."""
        ...


class Seat(Protocol):
    """A name in the group that outlives the process, so that Kafka gives a killed member's partitions to its successor.

    The partitions of a nameless member that died lie idle until its session ends.
    """

    @property
    def name(self) -> str:
        """No two living members may have the same."""
        ...

    async def check(self) -> None:
        """TransientError when somebody else may have the name by now."""
        ...


@dataclass(frozen=True, slots=True)
class ConsumerLimits:
    """Sizes and times (milliseconds) of one consumer."""

    max_records: int = 2_000
    session_timeout_ms: int = 30_000
    heartbeat_interval_ms: int = 3_000
    rebalance_timeout_ms: int = 60_000
    max_poll_interval_ms: int = 300_000
    isolation_level: str = "read_committed"


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, owner: PartitionConsumer) -> None:
        self._owner = owner

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self._owner.revoke(revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        await self._owner.assign(assigned)


class PartitionConsumer:
    """One member of a consumer group. ``run`` returns only by an error or cancellation.

    While a batch takes effect the next one is fetched already, and given to ``read``: what is costly and changes
    nothing belongs there. What was fetched ahead is dropped when a rebalance or a lost batch comes in between.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        group: str,
        topics: Sequence[str],
        offsets: OffsetStore,
        handler: BatchHandler,
        limits: ConsumerLimits | None = None,
        read: Callable[[Sequence[ConsumerRecord]], object] | None = None,
        take_seat: Callable[[], AbstractAsyncContextManager[Seat]] | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._group = group
        self._topics = list(topics)
        self._offsets = offsets
        self._handler = handler
        self._limits = limits or ConsumerLimits()
        self._read = read
        self._take_seat = take_seat
        self._ahead: asyncio.Task[_Fetched] | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._expected: dict[TopicPartition, int] = {}
        self._generation = 0
        self._working = asyncio.Lock()
        self._failure: BaseException | None = None
        self._started = False

    async def run(self, beat: Beat) -> None:
        """Consumes until cancelled. Errors of the store inside a rebalance surface here."""
        async with self._take_seat() if self._take_seat else contextlib.nullcontext() as seat:
            await self._consume(beat, seat)

    async def _consume(self, beat: Beat, seat: Seat | None) -> None:
        self._consumer = consumer = self._build(seat)
        self._failure, self._expected = None, {}
        consumer.subscribe(self._topics, listener=_Listener(self))
        try:
            await consumer.start()
            self._started = True
            while True:
                await self._step(consumer)
                if seat is not None:
                    await seat.check()
                beat()
        except (KafkaError, OSError) as error:
            raise TransientError(f"Kafka at {self._bootstrap} failed: {error!r}") from error
        finally:
            self._consumer, self._started, self._expected = None, False, {}
            await self._drop_ahead()
            if seat is not None:
                forget_name(consumer)
            await stop_consumer(consumer)

    async def lag(self) -> int:
        """Records between what the store holds and the end of every partition, whoever owns it; -1: not known."""
        consumer = self._consumer
        if consumer is None or not self._started:
            return -1
        try:
            partitions = self._all_partitions(consumer)
            ends = await consumer.end_offsets(partitions)
            done = await self._stored_positions(consumer, partitions)
        except (KafkaError, OSError):
            return -1
        return sum(max(0, ends[part] - done[part]) for part in partitions) if partitions else -1

    def _all_partitions(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        """None at all while a topic is unknown: what nobody has looked at is not read."""
        known = {topic: consumer.partitions_for_topic(topic) for topic in self._topics}
        if not all(known.values()):
            return []
        return [TopicPartition(topic, number) for topic, numbers in known.items() for number in numbers or ()]

    async def _stored_positions(
        self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """What the store says, and the beginning of what it has never read."""
        stored = await self._offsets.read_offsets([(part.topic, part.partition) for part in partitions])
        found = {part: stored.get((part.topic, part.partition)) for part in partitions}
        unread = [part for part, offset in found.items() if offset is None]
        starts = await consumer.beginning_offsets(unread) if unread else {}
        return {part: starts[part] if offset is None else offset for part, offset in found.items()}

    def revoke(self, _revoked: Collection[TopicPartition]) -> None:
        """Everything fetched so far becomes unusable, also what will be assigned to us again."""
        self._generation += 1
        self._expected.clear()

    async def assign(self, assigned: Collection[TopicPartition]) -> None:
        """Takes positions from the store. The client only logs errors of a listener, so they are kept for ``run``."""
        consumer = self._consumer
        if consumer is None:
            return
        if assigned:
            consumer.pause(*assigned)
        self._generation += 1
        try:
            async with self._working:
                await self._seek(consumer, assigned)
        except Exception as error:
            self._failure = error
            raise
        if assigned:
            consumer.resume(*assigned)

    async def _seek(self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> None:
        """Does nothing when a rebalance comes in between: it brings its own ``assign``."""
        generation = self._generation
        stored = await self._offsets.read_offsets([(part.topic, part.partition) for part in partitions])
        unknown = [part for part in partitions if (part.topic, part.partition) not in stored]
        starts = await consumer.beginning_offsets(unknown) if unknown else {}
        if generation != self._generation:
            return
        for part in partitions:
            known = stored.get((part.topic, part.partition))
            consumer.seek(part, starts[part] if known is None else known)
            self._expected[part] = -1 if known is None else known

    async def _step(self, consumer: AIOKafkaConsumer) -> None:
        ahead, self._ahead = self._ahead, None
        fetched = await (ahead or self._fetch(consumer))
        async with self._working:
            if self._failure is not None:
                raise self._failure
            if fetched.generation == self._generation and fetched.records.keys() <= self._expected.keys():
                await self._take_effect(consumer, fetched)
            elif fetched.records:
                # The fetch may have outlasted the rebalance: then these records stand after the new position.
                log.info("dropped what was fetched before a rebalance")
                await self._reseek(consumer)

    async def _fetch(self, consumer: AIOKafkaConsumer) -> _Fetched:
        generation = self._generation
        try:
            records: Mapping[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
                timeout_ms=500, max_records=self._limits.max_records
            )
        except NoOffsetForPartitionError:
            # The client asks Kafka for a position while `assign` still asks the store; the store's will count.
            return _Fetched(generation, {})
        fetched = _Fetched(generation, records)
        return replace(fetched, read=self._read(fetched.in_order())) if self._read and records else fetched

    async def _drop_ahead(self) -> None:
        """What is being fetched ahead is not used."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.wait([ahead])
            if not ahead.cancelled():
                ahead.exception()  # or asyncio complains that nobody looked

    async def _take_effect(self, consumer: AIOKafkaConsumer, fetched: _Fetched) -> None:
        batch = await self._batch(consumer, fetched)
        if not batch.next_offsets:
            return
        generation = self._generation
        if fetched.records:
            self._ahead = asyncio.create_task(self._fetch(consumer))
        try:
            await self._handler.handle(batch)
        except OwnershipLostError as error:
            log.warning("another consumer moved our offsets", reason=str(error))
            await self._reseek(consumer)
            return
        except TransientError:
            await self._reseek(consumer)
            raise
        if generation != self._generation:
            return
        for (topic, number), offset in batch.next_offsets.items():
            self._expected[TopicPartition(topic, number)] = offset
        await self._tell_kafka(consumer, batch.next_offsets)

    async def _batch(self, consumer: AIOKafkaConsumer, fetched: _Fetched) -> Batch:
        """The fetched records; when there are none, the partitions whose position moved without one."""
        following = {part: rows[-1].offset + 1 for part, rows in fetched.records.items()}
        if not fetched.records:
            generation = self._generation
            positions = {part: await consumer.position(part) for part in list(self._expected)}
            if generation != self._generation:
                return Batch([], {}, {})
            following = {part: at for part, at in positions.items() if at > max(0, self._expected[part])}
        expected = {(part.topic, part.partition): self._expected[part] for part in following}
        after = {(part.topic, part.partition): at for part, at in following.items()}
        return Batch(fetched.in_order(), expected, after, fetched.read)

    async def _reseek(self, consumer: AIOKafkaConsumer) -> None:
        """Back to what the store holds."""
        await self._drop_ahead()
        await self._seek(consumer, list(self._expected))

    async def _tell_kafka(self, consumer: AIOKafkaConsumer, offsets: Mapping[Partition, int]) -> None:
        """Kafka's own committed offsets are only for lag tools; nobody starts from them."""
        try:
            await consumer.commit({TopicPartition(*part): offset for part, offset in offsets.items()})
        except (CommitFailedError, IllegalStateError, KafkaError):
            log.debug("offsets were not published to Kafka")

    def _build(self, seat: Seat | None) -> AIOKafkaConsumer:
        limits = self._limits
        if limits.rebalance_timeout_ms < limits.session_timeout_ms:
            raise ConfigurationError("the rebalance timeout must not be shorter than the session timeout")
        return AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=self._group,
            group_instance_id=None if seat is None else seat.name,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level=limits.isolation_level,
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=limits.session_timeout_ms,
            heartbeat_interval_ms=limits.heartbeat_interval_ms,
            rebalance_timeout_ms=limits.rebalance_timeout_ms,
            max_poll_interval_ms=limits.max_poll_interval_ms,
            max_partition_fetch_bytes=2 * 1024 * 1024,
        )
