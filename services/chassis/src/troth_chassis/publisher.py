"""What was published, remembered: equal content, older versions and known events are not published again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aiokafka import ConsumerRecord

from troth_chassis.topic_reader import read_topic
from troth_chassis.writer import ScopeWriter
from troth_contracts.codec import (
    OutRecord,
    encode_event,
    encode_state,
    encode_tombstone,
    read_version,
)
from troth_contracts.errors import UndecodableRecord
from troth_contracts.topics import BY_NAME, Topic
from troth_contracts.values import Contract

ReadTopic = Callable[[str, Topic], AsyncIterator[list[ConsumerRecord]]]
"""Committed records of a topic (bootstrap servers, topic), from its beginning to its present end."""
_GONE = "-"
_ID = "ce_id"


@dataclass(slots=True)
class _Mirror:
    """The published topics as the next reader would see them."""

    states: dict[str, dict[str, tuple[int, str]]] = field(default_factory=dict)
    events: dict[str, set[str]] = field(default_factory=dict)

    def note(self, topic: Topic, key: str, headers: Sequence[tuple[str, bytes]]) -> None:
        """A record that was read."""
        if topic.kind == "state":
            self._note_state(topic.name, key, read_version(headers))
        elif topic.kind == "event":
            self.events.setdefault(topic.name, set()).add(dict(headers).get(_ID, b"").decode())

    def note_own(self, record: OutRecord) -> None:
        """A record that was published."""
        kind = BY_NAME[record.topic].kind
        if kind == "state":
            self._note_state(record.topic, record.key, (record.version, record.content_hash))
        elif kind == "event":
            self.events.setdefault(record.topic, set()).add(record.id)

    def _note_state(self, topic: str, key: str, told: tuple[int, str]) -> None:
        known = self.states.setdefault(topic, {})
        before = known.get(key)
        if before is None or told[0] >= before[0]:
            known[key] = told


class Publisher:
    """The only way a sync service puts data on Kafka. ``load`` before the first use and after TransientError."""

    def __init__(
        self, bootstrap: str, writer: ScopeWriter, source: str, read: ReadTopic | None = None
    ) -> None:
        self._bootstrap = bootstrap
        self._writer = writer
        self._source = source
        self._read = read or read_topic
        self._mirror = _Mirror()

    async def load(self, topics: Sequence[Topic]) -> None:
        """Reads the topics back, each to its end offset at this moment; forgets what was remembered before.

        The writer starts first: it fences an earlier one and ends its open transaction, so that nothing is committed
        behind what is read here and told a second time.
        """
        await self._writer.ready()
        mirror = _Mirror()
        for topic in topics:
            async for page in self._read(self._bootstrap, topic):
                for record in page:
                    _note_foreign(
                        mirror, topic, (record.key or b"").decode("utf-8", "replace"), record.headers
                    )
        self._mirror = mirror

    def state(self, topic: Topic, key: str, body: Contract, version: int) -> OutRecord | None:
        """The record to publish, or None: same content as last time, or read before what is published."""
        record = encode_state(topic, key, body, version=version, source=self._source)
        return record if self._is_news(topic, key, version, record.content_hash) else None

    def tombstone(self, topic: Topic, key: str, version: int) -> OutRecord | None:
        """The deletion to publish, or None: never published, or already gone."""
        if key not in self._mirror.states.get(topic.name, {}) or not self._is_news(
            topic, key, version, _GONE
        ):
            return None
        return encode_tombstone(topic, key, version=version, source=self._source)

    def event(self, topic: Topic, key: str, body: Contract, event_id: str, at: datetime) -> OutRecord | None:
        """The event to publish, or None when its id was published before."""
        if event_id in self._mirror.events.get(topic.name, ()):
            return None
        return encode_event(topic, key, body, event_id=event_id, at=at, source=self._source)

    async def commit(self, records: Sequence[OutRecord]) -> None:
        """Publishes all records as one transaction, then remembers them.

        What one batch tells twice is published once: the first of an event, no state after a newer one.
        After TransientError nobody knows whether it took effect: call ``load`` before going on.
        """
        once = list(_once(records))
        await self._writer.publish(once)
        for record in once:
            self._mirror.note_own(record)

    def version_of(self, topic: Topic, key: str) -> int:
        """Of the last state or tombstone told under this key; -1 when there was none."""
        return self._mirror.states.get(topic.name, {}).get(key, (-1, ""))[0]

    def keys(self, topic: Topic) -> Collection[str]:
        """Keys that are published and not deleted."""
        return [
            key for key, (_, digest) in self._mirror.states.get(topic.name, {}).items() if digest != _GONE
        ]

    def is_live(self, topic: Topic, key: str) -> bool:
        """Whether the key is published and not deleted."""
        return self._mirror.states.get(topic.name, {}).get(key, (-1, _GONE))[1] != _GONE

    def is_empty(self, topic: Topic) -> bool:
        """True when nothing was ever seen on the topic."""
        return not self._mirror.states.get(topic.name) and not self._mirror.events.get(topic.name)

    def _is_news(self, topic: Topic, key: str, version: int, digest: str) -> bool:
        known_digest = self._mirror.states.get(topic.name, {}).get(key, (-1, ""))[1]
        return digest != known_digest and version > self.version_of(topic, key)


def _once(records: Sequence[OutRecord]) -> Iterator[OutRecord]:
    newest: dict[tuple[str, str], int] = {}
    told: set[tuple[str, str]] = set()
    for record in records:
        kind = BY_NAME[record.topic].kind
        if kind == "state":
            place = (record.topic, record.key)
            if record.version < newest.get(place, record.version):
                continue
            newest[place] = record.version
        elif kind == "event":
            name = (record.topic, record.id)
            if name in told:
                continue
            told.add(name)
        yield record


def _note_foreign(mirror: _Mirror, topic: Topic, key: str, headers: Sequence[tuple[str, bytes]]) -> None:
    """A record somebody else broke is left to its readers' dead letters; it never stops the writer."""
    try:
        mirror.note(topic, key, headers)
    except UndecodableRecord:
        return
