"""Writes records to Kafka: all acknowledged or none, one writer per scope, a newer one fences the older."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, Literal

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from troth_chassis.clients import STOP_SECONDS, stop_producer
from troth_chassis.errors import FencedError, PoisonError, TransientError
from troth_contracts.codec import OutRecord

Mode = Literal["transactional", "idempotent", "plain"]
GIVE_UP_SECONDS = 60.0
"""The client retries an idempotent write without end; here a publish ends, and the supervisor says why."""

MOST_BYTES = 4 * 1024 * 1024
"""Of one record, key and value together."""


class ScopeWriter:
    """The producer of one scope.

    ``transactional``: fenced by ``<service>.<scope>``, each publish is one transaction. ``idempotent``: several
    replicas may write. ``plain``: for the last-resort broker only; no fencing, no compression.
    """

    def __init__(
        self, bootstrap: str, service: str, scope: str, mode: Mode, *, give_up_after: float = GIVE_UP_SECONDS
    ) -> None:
        self._bootstrap = bootstrap
        self._identity = f"{service}.{scope}"
        self.mode: Mode = mode
        self._give_up_after = give_up_after
        self._producer: AIOKafkaProducer | None = None
        self._starting: asyncio.Task[None] | None = None
        self._fenced = False

    async def start(self) -> None:
        """Connects; in transactional mode this fences any earlier writer of the scope."""
        if self._fenced:
            raise FencedError(self._fenced_sentence)
        producer = self._build()
        try:
            await producer.start()
        except (ProducerFenced, InvalidProducerEpoch) as error:
            await stop_producer(producer)
            raise self._fence() from error
        except (KafkaError, OSError) as error:
            await stop_producer(producer)
            raise TransientError(f"Kafka at {self._bootstrap} does not accept a producer: {error}") from error
        except asyncio.CancelledError:
            await stop_producer(producer)
            raise
        self._producer = producer

    async def ready(self) -> None:
        """Starts it unless it is running; who asks meanwhile waits for the same start."""
        if self._producer is None:
            if self._starting is None:
                self._starting = asyncio.create_task(self.start())
                self._starting.add_done_callback(self._started)
            await asyncio.shield(self._starting)

    def _started(self, task: asyncio.Task[None]) -> None:
        self._starting = None
        _retrieve(task)

    async def stop(self) -> None:
        """Flushes and disconnects. A later ``publish`` connects again."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_producer(producer)

    async def publish(self, records: Sequence[OutRecord]) -> None:
        """Returns when every record is acknowledged. After TransientError the outcome is unknown: re-read."""
        if not records:
            return
        await self.ready()
        producer = self._producer
        assert producer is not None  # noqa: S101  (start sets it or raises)
        try:
            async with asyncio.timeout(self._give_up_after):
                await self._send(producer, records)
        except (ProducerFenced, InvalidProducerEpoch) as error:
            await self.stop()  # a fenced producer answers everything with a failed assertion
            raise self._fence() from error
        except MessageSizeTooLargeError as error:
            await self.stop()
            raise PoisonError(f"a record is larger than the broker accepts: {error}") from error
        except asyncio.CancelledError:
            await self.stop()  # it may stand in the middle of a transaction
            raise
        except (KafkaError, OSError) as error:
            await self.stop()
            raise TransientError(f"Kafka did not acknowledge {len(records)} records: {error!r}") from error

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[OutRecord]) -> None:
        if self.mode != "transactional":
            await _acknowledged(_send_each, producer, records)
            return
        await producer.begin_transaction()
        try:
            await _acknowledged(_send_packed, producer, records)
            await producer.commit_transaction()
        except BaseException:
            await _abort_quietly(producer)
            raise

    def _build(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=self.mode != "plain",
            transactional_id=self._identity if self.mode == "transactional" else None,
            compression_type=None if self.mode == "plain" else "zstd",
            linger_ms=5,
            max_batch_size=256 * 1024,
            max_request_size=MOST_BYTES,
            request_timeout_ms=15_000,
            partitioner=place,
        )

    @property
    def _fenced_sentence(self) -> str:
        return f"another instance writes {self._identity}: stop one of the two"

    def _fence(self) -> FencedError:
        self._fenced = True
        return FencedError(self._fenced_sentence)


_own_place = DefaultPartitioner()


@lru_cache(maxsize=1_024)
def _place(key: bytes, partitions: tuple[int, ...]) -> int:
    found: int = _own_place(key, list(partitions), list(partitions))
    return found


def place(key: bytes, partitions: Sequence[int], _available: Sequence[int]) -> int:
    """The client's own choice of partition, remembered: it hashes in Python, and neighbours often share a key."""
    return _place(key, tuple(partitions))


Sent = list["asyncio.Future[object]"]
Send = Callable[[AIOKafkaProducer, Sequence[OutRecord], Sent], Awaitable[None]]


async def _acknowledged(send: Send, producer: AIOKafkaProducer, records: Sequence[OutRecord]) -> None:
    """Sends all, then waits for all."""
    sent: Sent = []
    try:
        await send(producer, records, sent)
        for future in sent:
            await future
    except BaseException:
        for future in sent:
            future.add_done_callback(_retrieve)
        raise


async def _send_each(producer: AIOKafkaProducer, records: Sequence[OutRecord], sent: Sent) -> None:
    """One by one: the client puts what several tasks publish at the same time into one batch."""
    for record in records:
        sent.append(
            await producer.send(
                record.topic, value=record.value, key=record.key.encode(), headers=list(record.headers)
            )
        )


async def _send_packed(producer: AIOKafkaProducer, records: Sequence[OutRecord], sent: Sent) -> None:
    """In batches of our own, which nobody else's records could join: a future for hundreds of records, not for each.

    A partition's records keep their order; its second batch waits until the first is on its way.
    """
    batches: list[tuple[str, int, BatchBuilder]] = []
    open_ones: dict[tuple[str, int], BatchBuilder] = {}
    partitions = {topic: sorted(await producer.partitions_for(topic)) for topic in {r.topic for r in records}}
    for record in records:
        key = record.key.encode()
        if len(key) + len(record.value or b"") > MOST_BYTES:
            raise MessageSizeTooLargeError(f"{record.topic} {record.key}: more than {MOST_BYTES} bytes")
        where = record.topic, place(key, partitions[record.topic], ())
        batch = open_ones.get(where)
        while (
            batch is None
            or batch.append(timestamp=None, key=key, value=record.value, headers=list(record.headers)) is None
        ):
            batch = open_ones[where] = producer.create_batch()
            batches.append((*where, batch))
    for topic, partition, batch in batches:
        batch.close()
        sent.append(await producer.send_batch(batch, topic, partition=partition))


def _retrieve(future: asyncio.Future[Any]) -> None:
    """One fault fails many records; the first is raised, the others must not be logged as forgotten."""
    if not future.cancelled():
        future.exception()


async def _abort_quietly(producer: AIOKafkaProducer) -> None:
    """What cannot be aborted now is aborted when the next writer of the scope starts, or after a minute."""
    with contextlib.suppress(KafkaError, OSError, AssertionError):
        async with asyncio.timeout(STOP_SECONDS):
            await producer.abort_transaction()
