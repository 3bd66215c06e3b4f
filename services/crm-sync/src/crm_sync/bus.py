"""The port to Kafka: topics made ready, the fenced publisher of one org, and topics read back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from crm_sync.watermarks import SERVICE
from troth_chassis.publisher import Publisher
from troth_chassis.topic_reader import read_topic
from troth_chassis.topics_admin import ensure_topics
from troth_chassis.writer import Mode, ScopeWriter
from troth_contracts.codec import InRecord, decode
from troth_contracts.errors import UndecodableRecord
from troth_contracts.topics import (
    CRM_STATE,
    OPPORTUNITIES,
    REFERENCE,
    SCHEMA_CHANGES,
    SYNC_STATUS,
    Topic,
    dead_letter_topic,
)

PUBLISHED = (OPPORTUNITIES, REFERENCE, SCHEMA_CHANGES, SYNC_STATUS, CRM_STATE)


class Bus(Protocol):
    """Where crm-sync publishes."""

    async def open(self, org_id: str) -> Publisher:
        """Makes the topics ready, fences any older writer of the org and remembers what is published."""
        ...

    def read(self, topic: Topic) -> AsyncIterator[InRecord]:
        """Every readable record of a topic up to its present end, oldest first per key."""
        ...

    async def aclose(self) -> None:
        """Stops writing."""
        ...


class KafkaBus:
    """The bus on a real broker."""

    def __init__(self, bootstrap: str, mode: Mode) -> None:
        self._bootstrap = bootstrap
        self._mode = mode
        self._writer: ScopeWriter | None = None

    async def open(self, org_id: str) -> Publisher:
        """Starts the writer first: what an older one had in flight is then settled before the read-back."""
        await self.aclose()
        await ensure_topics(self._bootstrap, (*PUBLISHED, dead_letter_topic(SERVICE)))
        self._writer = ScopeWriter(self._bootstrap, SERVICE, org_id, self._mode)
        await self._writer.start()
        publisher = Publisher(self._bootstrap, self._writer, f"/{SERVICE}/{org_id}")
        await publisher.load(PUBLISHED)
        return publisher

    async def read(self, topic: Topic) -> AsyncIterator[InRecord]:
        """Records that cannot be decoded are left to the topic's readers."""
        async for page in read_topic(self._bootstrap, topic):
            for record in page:
                try:
                    yield decode(topic.name, record.key, record.value, record.headers)
                except UndecodableRecord:
                    continue

    async def aclose(self) -> None:
        """Stops the writer."""
        if self._writer is not None:
            await self._writer.stop()
            self._writer = None
