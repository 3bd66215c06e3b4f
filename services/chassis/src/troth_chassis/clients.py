"""Ends Kafka clients whose broker may be gone: their own stop then waits without end or leaves parts running."""

from __future__ import annotations

import asyncio
import contextlib

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

STOP_SECONDS = 5.0
_FAULTS = (KafkaError, OSError, RuntimeError, AssertionError)


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Raises nothing but the caller's own cancellation.

    The client's stop cancels its fetches and lets their CancelledError out: it would end a loop as if asked to.
    """
    before = _cancellations()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await consumer.stop()
    except _FAULTS:
        await _disconnect(consumer)
    except asyncio.CancelledError:
        await _disconnect(consumer)
        if _cancellations() > before:
            raise


def forget_name(consumer: AIOKafkaConsumer) -> None:
    """Lets a member with a name leave its group when it is stopped, as every other does.

    The client never tells Kafka that such a member leaves, so its partitions would lie idle until its session ends.
    """
    if consumer._coordinator is not None:  # noqa: SLF001  (there is no public way)
        consumer._coordinator._group_instance_id = None  # noqa: SLF001


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """Flushes what can still be flushed, then disconnects."""
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await producer.stop()
    except TimeoutError:
        await _abandon(producer)
    except _FAULTS:
        await producer.client.close()


async def _abandon(producer: AIOKafkaProducer) -> None:
    producer._message_accumulator.fail_all(KafkaTimeoutError())  # noqa: SLF001  (there is no public way)
    with contextlib.suppress(*_FAULTS):
        async with asyncio.timeout(STOP_SECONDS):
            await producer._sender.close()  # noqa: SLF001
    await producer.client.close()


async def _disconnect(consumer: AIOKafkaConsumer) -> None:
    with contextlib.suppress(*_FAULTS):
        async with asyncio.timeout(STOP_SECONDS):
            await consumer._client.close()  # noqa: SLF001  (the client's stop did not get that far)


def _cancellations() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
