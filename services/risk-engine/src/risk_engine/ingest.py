"""Takes records from Kafka into the store, effectively once.

One database transaction per batch: offsets, upserts guarded by version, and marks for what must be evaluated again.
Records that break their contract go to the dead letters first; their neighbours are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg
import structlog

from risk_engine.metrics import EngineMetrics
from risk_engine.records import ReadBatch, letter, read_batch
from risk_engine.store.database import Connection, Database
from risk_engine.store.marks import mark_changes, mark_teams_of_sprints, share_join_lock
from risk_engine.store.offsets import advance_offsets
from risk_engine.store.states import StoredRecord, newest_per_key, refusal, store_records
from troth_chassis.consumer import Batch
from troth_chassis.dead_letters import LetterLimit
from troth_chassis.writer import ScopeWriter
from troth_contracts.codec import OutRecord
from troth_contracts.topics import SPRINTS

log = structlog.stdlib.get_logger(__name__)
Probe = Callable[[str], None]
"""Told each step as it is reached; tests make it raise there."""


def no_probe(_step: str) -> None:
    """What production passes."""


class Ingest:
    """The batch handler of the consumer. ``on_change`` is called after a batch marked something."""

    def __init__(
        self,
        database: Database,
        letters: ScopeWriter,
        metrics: EngineMetrics,
        *,
        on_change: Callable[[], None],
        probe: Probe = no_probe,
    ) -> None:
        self._database = database
        self._letters = letters
        self._metrics = metrics
        self._on_change = on_change
        self._probe = probe
        self._limit = LetterLimit()

    async def handle(self, batch: Batch) -> None:
        """OwnershipLostError leaves nothing behind; everything else takes effect once."""
        self._probe("fetched")
        read = batch.read if isinstance(batch.read, ReadBatch) else read_batch(batch.records)
        records, letters = read.records, read.letters
        self._limit.note(good=len(records), dead=len(letters))
        await self._bury(letters)
        try:
            await self._store(batch, records)
        except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded):
            records, unstorable = await self._sift(batch, records)
            self._limit.note(good=0, dead=len(unstorable))
            await self._bury(unstorable)
            await self._store(batch, records)
        self._metrics.ingested.inc(len(records))
        self._probe("committed")
        self._on_change()

    async def _store(self, batch: Batch, records: Sequence[StoredRecord]) -> None:
        async with self._database.transaction() as connection:
            await share_join_lock(connection)
            await advance_offsets(connection, batch.expected, batch.next_offsets)
            self._probe("offsets")
            await take_in(connection, newest_per_key(records))
            self._probe("stored")

    async def _sift(
        self, batch: Batch, records: Sequence[StoredRecord]
    ) -> tuple[list[StoredRecord], list[OutRecord]]:
        """Separates what PostgreSQL cannot hold; only after it refused a batch."""
        origin = {(raw.topic, raw.partition, raw.offset): raw for raw in batch.records}
        good: list[StoredRecord] = []
        letters: list[OutRecord] = []
        async with self._database.transaction() as connection:
            for record in records:
                reason = await refusal(connection, record)
                if reason is None:
                    good.append(record)
                else:
                    letters.append(
                        letter(origin[record.topic, *record.position], f"PostgreSQL cannot hold it: {reason}")
                    )
        return good, letters

    async def _bury(self, letters: Sequence[OutRecord]) -> None:
        if not letters:
            return
        await self._letters.publish(letters)
        self._metrics.dead_letters.inc(len(letters))
        log.warning("records went to the dead letters", count=len(letters), reason=_reason(letters[0]))
        self._probe("buried")


async def take_in(connection: Connection, records: Sequence[StoredRecord]) -> None:
    """Stores sorted records and marks what they touch."""
    if not records:
        return
    sprints = [record.key for record in records if record.topic == SPRINTS.name]
    if sprints:
        await mark_teams_of_sprints(connection, sprints)
    changed = await store_records(connection, records)
    if changed_sprints := changed.get(SPRINTS.name):
        await mark_teams_of_sprints(connection, changed_sprints)
    await mark_changes(connection, changed)


def _reason(buried: OutRecord) -> str:
    return dict(buried.headers)["reason"].decode()
