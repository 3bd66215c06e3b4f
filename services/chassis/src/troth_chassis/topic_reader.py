"""Reads a topic once, from its beginning to where it ended when the read began."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from troth_chassis.clients import stop_consumer
from troth_chassis.errors import TransientError
from troth_contracts.codec import decode
from troth_contracts.topics import Topic
from troth_contracts.values import Contract

PAGE = 5_000
POLL_MS = 200
SILENT_POLLS = 300
"""A minute without progress: the client itself would wait for a broker that is gone without end."""


async def read_topic(bootstrap: str, topic: Topic) -> AsyncIterator[list[ConsumerRecord]]:
    """Pages of committed records up to the end offsets taken at the start; nothing for a missing topic."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    try:
        await consumer.start()
        async for page in _pages(consumer, topic.name):
            yield page
    except (KafkaError, OSError) as error:
        raise TransientError(f"{topic.name} could not be read back from Kafka: {error!r}") from error
    finally:
        await stop_consumer(consumer)


async def read_bodies(bootstrap: str, topic: Topic) -> dict[str, Contract]:
    """The latest body of every live key of a small compacted topic."""
    latest: dict[str, Contract] = {}
    async for page in read_topic(bootstrap, topic):
        for record in page:
            decoded = decode(topic.name, record.key, record.value, record.headers)
            if decoded.body is None:
                latest.pop(decoded.key, None)
            else:
                latest[decoded.key] = decoded.body
    return latest


async def _pages(consumer: AIOKafkaConsumer, name: str) -> AsyncIterator[list[ConsumerRecord]]:
    numbers = consumer.partitions_for_topic(name) or await _partitions(consumer, name)
    partitions = [TopicPartition(name, number) for number in sorted(numbers)]
    if not partitions:
        return
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    starts = await consumer.beginning_offsets(partitions)
    for partition in partitions:
        consumer.seek(partition, starts[partition])
    pending = {partition for partition in partitions if starts[partition] < ends[partition]}
    silent = 0
    while pending:
        fetched = await consumer.getmany(*pending, timeout_ms=POLL_MS, max_records=PAGE)
        silent = 0 if fetched else silent + 1
        if silent > SILENT_POLLS:
            raise TransientError(f"{name} could not be read back from Kafka: nothing came for a minute")
        page = [
            record
            for partition, records in fetched.items()
            for record in records
            if record.offset < ends[partition]
        ]
        if page:
            yield page
        pending = {partition for partition in pending if await consumer.position(partition) < ends[partition]}


async def _partitions(consumer: AIOKafkaConsumer, name: str) -> set[int]:
    """Partition numbers; none for a missing topic, which is never created by asking.

    The client keeps metadata of assigned topics only, so one partition is assigned before all are known.
    """
    if name not in await consumer.topics():
        return set()
    first = TopicPartition(name, 0)
    consumer.assign([first])
    await consumer.end_offsets([first])
    return consumer.partitions_for_topic(name) or set()
