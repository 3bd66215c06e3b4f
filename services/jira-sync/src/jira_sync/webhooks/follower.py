"""Reads the inbox and hands its hints to the poll; an offset is committed once what it pointed at is on Kafka.

The same event delivered again is known by its identifier. Forgetting one costs a read, never a wrong event.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from jira_sync.hints import Hint, Hints, hints_of
from jira_sync.metrics import WebhookMetrics
from jira_sync.webhooks.inbox import IDENTIFIER
from troth_chassis.errors import TransientError
from troth_chassis.service import Beat
from troth_contracts.topics import JIRA_INBOX

POLL_MS = 1_000
BATCH = 500
REMEMBERED = 20_000


class Identifiers:
    """The last identifiers seen."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._limit = limit

    def is_new(self, identifier: str) -> bool:
        """True the first time; remembers it."""
        if identifier in self._seen:
            self._seen.move_to_end(identifier)
            return False
        self._seen[identifier] = None
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)
        return True


class InboxFollower:
    """The loop that turns inbox records of one site into hints."""

    def __init__(self, bootstrap: str, site_id: str, hints: Hints, metrics: WebhookMetrics) -> None:
        self._bootstrap = bootstrap
        self._site_id = site_id
        self._hints = hints
        self._metrics = metrics
        self._identifiers = Identifiers()

    async def run(self, beat: Beat) -> None:
        """Follows the inbox for ever. TransientError when Kafka is away."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=f"jira-sync.inbox.{self._site_id}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )
        try:
            await consumer.start()
            consumer.assign(
                [TopicPartition(JIRA_INBOX.name, number) for number in range(JIRA_INBOX.partitions)]
            )
            while True:
                beat()
                await self._follow(consumer)
        except (KafkaError, OSError) as error:
            raise TransientError(f"{JIRA_INBOX.name} cannot be read: {error!r}") from error
        finally:
            await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH)
        for partition, records in fetched.items():
            last = self._hints.put(list(self.hints_in(records)))
            await self._hints.followed(last)
            await consumer.commit({partition: records[-1].offset + 1})

    def hints_in(self, records: Sequence[ConsumerRecord]) -> Iterable[Hint]:
        """Hints of this site's events that were not seen before; what cannot be read points nowhere."""
        for record in records:
            if not (record.key or b"").startswith(f"{self._site_id}:".encode()):
                continue
            identifier = dict(record.headers).get(IDENTIFIER, b"").decode("utf-8", "replace")
            if not self._identifiers.is_new(identifier):
                self._metrics.repeated.inc()
                continue
            yield from _hints(record.value)


def _hints(body: bytes | None) -> Sequence[Hint]:
    try:
        event = msgspec.json.decode(body or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    return (hints_of(event) or ()) if isinstance(event, dict) else ()
