"""What a sync service says of itself: how far it has read, and whether that is complete and fresh."""

from __future__ import annotations

from typing import Literal

from troth_contracts.values import Contract, Instant


class SyncStatus(Contract, frozen=True):
    """Completeness and freshness of one scope of a sync service."""

    service: str
    scope: str
    state: Literal["backfilling", "complete", "paused"]
    at: Instant
    fresh_at: Instant | None = None
    """Source server time up to which everything is published."""
    records: int = 0
    reason: str | None = None
    detail: str | None = None
    """For people: what was left out or set aside, and why."""

    @property
    def key(self) -> str:
        """Kafka key: ``<service>:<scope>``."""
        return f"{self.service}:{self.scope}"


class BulkJob(Contract, frozen=True):
    """A job of the vendor's that a first full read was in the middle of."""

    object: str
    id: str
    locator: str | None = None
    """Of the page that holds the next row; None is the first page."""
    finished: bool = False
    """Every row of it is published."""


class Watermark(Contract, frozen=True):
    """Where the next read of a stream begins. Only its own service reads it."""

    service: str
    stream: str
    position: Instant
    """Source server time, UTC; everything before it is published."""
    backfill_complete: bool = False
    scope: str | None = None
    """What the configuration asked for when it was read; a wider one needs a new backfill."""
    token: str | None = None
    """Where a reading under way goes on: the vendor's page token, which expires."""
    read: int = 0
    """Entities read so far by it."""
    expected: int = 0
    """About how many there are; 0 when the vendor did not say."""
    jobs: tuple[BulkJob, ...] = ()
    """Where a full read goes on after a crash; empty when none is under way."""
    after: str | None = None
    """Id of the last record that those jobs have published."""

    @property
    def key(self) -> str:
        """Kafka key: the stream."""
        return self.stream
