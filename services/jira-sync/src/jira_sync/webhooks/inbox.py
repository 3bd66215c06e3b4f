"""The inbox: verified events as they came, and the requests of the command line, until the poll follows them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from jira_sync.hints import Hint
from jira_sync.parse import Json
from troth_chassis.errors import TransientError
from troth_contracts.codec import OutRecord
from troth_contracts.topics import JIRA_INBOX

PATIENCE_SECONDS = 10.0
"""Jira waits 30 s for an answer and tries again after a 503."""
LARGEST_KEPT = 900_000
"""Bytes; a larger event is kept as what it points at, because brokers take a megabyte by default."""
IDENTIFIER = "identifier"


class RecordWriter(Protocol):
    """Writes records; returns when all are acknowledged."""

    async def publish(self, records: Sequence[OutRecord]) -> None:
        """TransientError when Kafka did not acknowledge."""
        ...


class Inbox:
    """The way into the inbox topic."""

    def __init__(self, site_id: str, writer: RecordWriter) -> None:
        self._site_id = site_id
        self._writer = writer

    async def put(self, body: bytes, event: Json, hint: Hint, *, identifier: str) -> None:
        """Returns when the event is safe on Kafka; TransientError when it is not, or not soon enough."""
        kept = body if len(body) <= LARGEST_KEPT else _reduced(event)
        record = inbox_record(self._site_id, kept, hint, identifier=identifier)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._writer.publish([record])
        except TimeoutError as error:
            raise TransientError("Kafka did not acknowledge an event in time") from error


def inbox_record(site_id: str, body: bytes, hint: Hint, *, identifier: str) -> OutRecord:
    """The record of one event; ``identifier`` is the sender's and the same when it is sent again."""
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", f"{site_id}:{identifier}".encode()),
        ("ce_source", f"jira:{site_id}".encode()),
        ("ce_type", JIRA_INBOX.ce_type.encode()),
        ("content-type", b"application/json"),
        (IDENTIFIER, identifier.encode()),
    )
    return OutRecord(JIRA_INBOX.name, f"{site_id}:{hint.kind}:{hint.id}", body, headers)


def request_body(name: str, **more: str) -> bytes:
    """A request of our own, in the form of an event."""
    return msgspec.json.encode({"webhookEvent": name, **more})


def _reduced(event: Json) -> bytes:
    kept: dict[str, Any] = {name: event[name] for name in ("webhookEvent", "timestamp") if name in event}
    for name in ("issue", "sprint"):
        part = event.get(name)
        if isinstance(part, Mapping):
            kept[name] = {key: part[key] for key in ("id", "key") if key in part}
    return msgspec.json.encode({**kept, "reduced": True})
