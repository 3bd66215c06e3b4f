"""Turns what was read into records and publishes them together with the watermarks that cover them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from crm_sync.deal import DealRecords, Org, to_deal
from crm_sync.drift import SchemaEvent
from crm_sync.fields import Record, long_id
from crm_sync.metrics import CrmMetrics
from crm_sync.reference import READERS, ReferenceTable, stage_names
from crm_sync.watermarks import CALLS, SERVICE, Watermarks, time_of
from crm_sync.whole import rows_of
from troth_chassis.dead_letters import dead_letter
from troth_chassis.errors import PoisonError
from troth_chassis.publisher import Publisher
from troth_contracts.codec import OutRecord
from troth_contracts.crm import Deal, SchemaChange, reference_key
from troth_contracts.sync import SyncStatus, Watermark
from troth_contracts.topics import CRM_STATE, OPPORTUNITIES, REFERENCE, SCHEMA_CHANGES, SYNC_STATUS

LARGEST = 950_000
"""Bytes of one record; brokers take about a megabyte unless told otherwise."""
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


def _original(rows: Mapping[str, object]) -> bytes:
    """The rows as JSON; text that is no UTF-8 is escaped."""
    try:
        return _encoder.encode(rows)
    except UnicodeEncodeError:
        return json.dumps(rows, default=str).encode()


class Outbox:
    """Collects the records of one pass. ``commit`` publishes all of them or none."""

    def __init__(self, publisher: Publisher, marks: Watermarks, org: Org, metrics: CrmMetrics) -> None:
        self._publisher = publisher
        self._marks = marks
        self.org = org
        self._metrics = metrics
        self._pending: list[OutRecord] = []
        self._letters: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def deal(self, records: DealRecords, version: int) -> bool:
        """The deal as it is now, or a dead letter with its original records when it cannot be read.

        Returns whether its content is news.
        """
        key = f"{self.org.id}:{records.opportunity.get('Id')}"
        try:
            record = self._state(to_deal(records, self.org), version)
        except PoisonError as error:
            self._dead_letter("Opportunity", key, error.reason, rows_of(records))
            return False
        self._letters.pop(key, None)
        if record is None:
            self._metrics.unchanged.inc()
        self._add(record)
        return record is not None

    def _state(self, deal: Deal, version: int) -> OutRecord | None:
        record = self._publisher.state(OPPORTUNITIES, deal.key, deal, version)
        size = len(record.value or b"") if record else 0
        if size > LARGEST:
            raise PoisonError(f"the deal has {size:,} bytes, at most {LARGEST:,} can be sent")
        return record

    def deal_gone(self, opportunity_id: str, version: int) -> bool:
        """A deletion; False when it is already known or the deal was never published."""
        key = f"{self.org.id}:{long_id(opportunity_id)}"
        record = self._publisher.tombstone(OPPORTUNITIES, key, version)
        if record is not None:
            self._metrics.tombstones.inc()
        self._add(record)
        return record is not None

    def references(self, table: ReferenceTable, version: int) -> None:
        """A whole table: its rows as they are, and deletions of what is no longer in it."""
        live = {
            key for row in table.records if (key := self._reference(table.kind, row, version)) is not None
        }
        prefix = f"{self.org.id}:{table.kind}:"
        for key in self._publisher.keys(REFERENCE):
            if key.startswith(prefix) and key not in live:
                self._add(self._publisher.tombstone(REFERENCE, key, version))

    def stages_changed(self, tables: Iterable[ReferenceTable], version: int) -> tuple[str, ...]:
        """Values of deals' StageName whose stage means something else than was published."""
        rows = [row for table in tables if table.kind == "stage" for row in table.records]
        changed = (row for row in rows if self._is_changed_stage(row, version))
        return tuple(sorted({name for row in changed for name in stage_names(row)}))

    def _is_changed_stage(self, row: Record, version: int) -> bool:
        try:
            stage = READERS["stage"](row, self.org.id)
        except PoisonError:
            return False
        return self._publisher.state(REFERENCE, reference_key(stage), stage, version) is not None

    def _reference(self, kind: str, row: Record, version: int) -> str | None:
        try:
            reference = READERS[kind](row, self.org.id)
        except PoisonError as error:
            key = f"{self.org.id}:{kind}:{row.get('Id')}"
            self._dead_letter(kind, key, error.reason, row)
            return key
        key = reference_key(reference)
        self._add(self._publisher.state(REFERENCE, key, reference, version))
        return key

    def schema_change(self, event: SchemaEvent, at: datetime) -> None:
        """What came, went or changed its type, as first seen ``at``, server time."""
        body = SchemaChange(self.org.id, event.object, event.kind, at, event.field or None)
        self._add(self._publisher.event(SCHEMA_CHANGES, body.key, body, body.event_id, at))

    def _dead_letter(self, source: str, key: str, reason: str, rows: Mapping[str, object]) -> None:
        """Told once per content, however often the record is read again."""
        original = _original(rows)
        if self._letters.get(key) == original:
            return
        self._letters[key] = original
        self._metrics.dead_letters.inc()
        self._add(dead_letter(SERVICE, reason=reason, source=source, key=key, value=original[:LARGEST]))

    def _add(self, record: OutRecord | None) -> None:
        if record is not None:
            self._pending.append(record)

    async def commit(self, marks: Sequence[Watermark] = (), status: SyncStatus | None = None) -> None:
        """Publishes what was collected together with the watermarks that cover it."""
        version = self._marks.next_version()
        marks = [*marks, self._calls(version)] if marks else marks
        records = [*self._pending, *self._state_records(marks, status, version)]
        self._pending = []
        await self._publisher.commit(records)
        self._marks.keep(marks)
        for topic, count in Counter(record.topic for record in records).items():
            self._metrics.published.labels(topic).inc(count)

    def _calls(self, version: int) -> Watermark:
        mark = self._marks.moved(CALLS, time_of(version))
        return msgspec.structs.replace(mark, read=self._metrics.budget.own.total)

    def _state_records(
        self, marks: Iterable[Watermark], status: SyncStatus | None, version: int
    ) -> Iterable[OutRecord]:
        bodies = [self._publisher.state(CRM_STATE, mark.key, mark, version) for mark in marks]
        if status is not None:
            bodies.append(self._publisher.state(SYNC_STATUS, status.key, status, version))
        return [record for record in bodies if record is not None]

    def status(
        self,
        state: Literal["backfilling", "complete", "paused"],
        at: datetime,
        *,
        fresh_at: datetime | None = None,
        reason: str | None = None,
        detail: str | None = None,
    ) -> SyncStatus:
        """What to tell of this org's sync; ``records`` counts the deals that are live."""
        return SyncStatus(
            service=SERVICE,
            scope=self.org.id,
            state=state,
            at=at,
            fresh_at=fresh_at,
            records=self.live_deals(),
            reason=reason,
            detail=detail,
        )

    def live_deals(self) -> int:
        """Deals of this org that are published and not deleted."""
        return len(self.live_ids())

    def live_ids(self) -> list[str]:
        """Their ids."""
        prefix = f"{self.org.id}:"
        keys = self._publisher.keys(OPPORTUNITIES)
        return [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]

    def is_live(self, opportunity_id: str) -> bool:
        """Whether that deal is published and not deleted."""
        return self._publisher.is_live(OPPORTUNITIES, f"{self.org.id}:{opportunity_id}")

    def version_of(self, opportunity_id: str) -> int:
        """Of the last record of that deal, a deletion included; -1 when there was none."""
        return self._publisher.version_of(OPPORTUNITIES, f"{self.org.id}:{opportunity_id}")

    def last_time(self) -> datetime:
        """A server time for what happens without an answer of the server."""
        return time_of(self._marks.next_version())

    def drop(self) -> None:
        """Forgets what was collected: the pass failed and will be done again."""
        self._pending = []
        self._letters = {}
