"""How far each stream was read, kept on the service's own state topic and moved only together with the data."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from troth_contracts.codec import InRecord
from troth_contracts.sync import Watermark

SERVICE = "crm-sync"
CHANGES = "changes"
"""Server time from which changes must be read; complete once the first full read is."""
BACKFILL = "backfill"
"""Stamp up to which the first full read has come."""
BULK = "bulk"
"""Server time at which the bulk jobs of the first full read were made, and how far they are read."""
ACCOUNTS = "accounts"
"""Server time from which renamed accounts must be looked for."""
SWEEP = "sweep"
"""Server time of the last full comparison."""
CALLS = "calls"
"""How many API calls we had made in the 24 hours before: a new process goes on counting."""
FIELDS = "fields"
"""Server time at which every deal was known to show the fields of the mark's scope."""


def deletions_of(name: str) -> str:
    """The stream of an object's deletions."""
    return f"deleted.{name}"


class Watermarks:
    """The positions of one org, and the versions that were used with them."""

    def __init__(self, org_id: str, records: Iterable[InRecord] = ()) -> None:
        self._org_id = org_id
        self._known: dict[str, Watermark] = {}
        self._version = 0
        for record in records:
            self._read(record)

    def _read(self, record: InRecord) -> None:
        if not record.key.startswith(f"{self._org_id}:"):
            return
        self._version = max(self._version, record.version)
        self._known.pop(record.key, None)
        if isinstance(record.body, Watermark):
            self._known[record.key] = record.body

    @property
    def is_empty(self) -> bool:
        """True when nothing is known of this org."""
        return not self._known

    @property
    def backfill_complete(self) -> bool:
        """True once the first full read was published."""
        mark = self._known.get(self.stream(CHANGES))
        return mark is not None and mark.backfill_complete

    def position(self, stream: str) -> datetime | None:
        """Server time, UTC; None before the first read."""
        mark = self._known.get(self.stream(stream))
        return mark.position if mark else None

    def calls(self) -> Watermark | None:
        """Our calls in the 24 hours before its position."""
        return self._known.get(self.stream(CALLS))

    def bulk(self) -> Watermark | None:
        """A full read by bulk jobs that was broken off."""
        mark = self._known.get(self.stream(BULK))
        return mark if mark and mark.jobs else None

    def asked_scope(self, stream: str) -> str | None:
        """What the configuration asked for when the stream was read."""
        mark = self._known.get(self.stream(stream))
        return mark.scope if mark else None

    def moved(
        self, stream: str, position: datetime, *, complete: bool = False, scope: str | None = None
    ) -> Watermark:
        """The watermark to publish; ``keep`` it once that is done. A position never moves back."""
        known = self.position(stream)
        return Watermark(
            service=SERVICE,
            stream=self.stream(stream),
            position=position if known is None else max(known, position),
            backfill_complete=complete,
            scope=scope,
        )

    def keep(self, marks: Iterable[Watermark]) -> None:
        """These are published now."""
        self._known.update((mark.stream, mark) for mark in marks)

    def forget(self) -> None:
        """Start from the beginning; versions still go on."""
        self._known.clear()

    def next_version(self, server_time: datetime | None = None) -> int:
        """Milliseconds of ``server_time``, but always later than every version before."""
        wanted = int(server_time.timestamp() * 1000) if server_time else 0
        self._version = max(self._version + 1, wanted)
        return self._version

    def stream(self, name: str) -> str:
        """The name on the topic."""
        return f"{self._org_id}:{name}"


def time_of(version: int) -> datetime:
    """The server time of a version, UTC."""
    return datetime.fromtimestamp(version / 1000, UTC)
