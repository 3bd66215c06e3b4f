"""Everything that is open for one org between two passes: schema, memory, positions and the way out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from crm_sync.budget import BATCH
from crm_sync.bus import Bus
from crm_sync.changes import Parents, Recent, stamp_at
from crm_sync.deal import DealRecords, Org
from crm_sync.describe import OrgSchema, read_schema
from crm_sync.drift import SchemaEvent, drift
from crm_sync.errors import AccessRefused, StateLost
from crm_sync.fields import is_deleted
from crm_sync.metrics import CrmMetrics
from crm_sync.outbox import Outbox
from crm_sync.reference import ReferenceTable, default_currency, read_references
from crm_sync.refusals import Refusals
from crm_sync.salesforce import SalesforceReader
from crm_sync.selection import NOT_READABLE, LeftOut, Selection, resolved
from crm_sync.watermarks import FIELDS, Watermarks, time_of
from crm_sync.whole import read_deals, rows_of
from troth_chassis.publisher import Publisher
from troth_contracts.crm import Deal
from troth_contracts.topics import CRM_STATE, OPPORTUNITIES


@dataclass(slots=True)
class Outcome:
    """What came of publishing some deals."""

    changed: list[str] = field(default_factory=list)
    """Deals with a new record in the outbox."""
    unseen: list[str] = field(default_factory=list)
    """Deals that are not shown and not known to be deleted."""


@dataclass(slots=True)
class Scope:
    """One org, opened."""

    reader: SalesforceReader
    schema: OrgSchema
    marks: Watermarks
    outbox: Outbox
    metrics: CrmMetrics
    recent: Recent = field(default_factory=Recent)
    parents: Parents = field(default_factory=Parents)
    open_deals: set[str] = field(default_factory=set)
    """Published deals that are not closed."""
    selection: Selection = field(default_factory=Selection)
    left_out: LeftOut = field(default_factory=LeftOut)
    disputed: frozenset[str] = frozenset()
    """Deals that differed in a sweep under way: only a poll or the sweep itself may publish them."""
    left_out_known: bool = False
    """Only a read of everything can tell what is left out."""
    invisible: int = 0
    source: Literal["backfill", "poll", "sweep", "reread"] = "poll"
    """What makes us read deals at this moment, for the metrics."""
    last_poll: datetime | None = None
    """Server time of the last poll of this process whose memory still holds."""

    async def publish(self, ids: Sequence[str], version: int, gone: frozenset[str] = frozenset()) -> Outcome:
        """Reads the deals whole and puts them into the outbox; ``gone`` are known to be deleted if not there."""
        return self.take(ids, await read_deals(self.reader, self.schema, ids), version, gone)

    def take(
        self,
        ids: Iterable[str],
        found: Mapping[str, DealRecords],
        version: int,
        gone: frozenset[str] = frozenset(),
    ) -> Outcome:
        """Puts deals into the outbox that were read at ``version``; those in ``ids`` only may be missing."""
        outcome, operations = Outcome(), Counter[str]()
        for deal_id in ids:
            records = found.get(deal_id)
            if records is None and deal_id not in gone:
                self.metrics.unseen.inc()
                outcome.unseen.append(deal_id)
                continue
            operation = self._put(deal_id, records, version)
            operations[operation] += 1
            if operation != "unchanged":
                outcome.changed.append(deal_id)
        for each, count in operations.items():
            self.metrics.records.labels(self.source, each).inc(count)
        return outcome

    def _put(
        self, deal_id: str, records: DealRecords | None, version: int
    ) -> Literal["unchanged", "upsert", "delete"]:
        """What becomes of its record."""
        live = records if records is not None and not is_deleted(records.opportunity) else None
        reason = self._reason(deal_id, live) if live else None
        self.left_out.note(deal_id, reason)
        wanted = None if reason else live
        changed = self.outbox.deal(wanted, version) if wanted else self.outbox.deal_gone(deal_id, version)
        if records is not None:
            self._remember(deal_id, records, time_of(version))
        self._note_open(deal_id, wanted)
        return "unchanged" if not changed else "upsert" if wanted else "delete"

    def _reason(self, deal_id: str, records: DealRecords) -> str | None:
        return self.selection.reason(records.opportunity, published=self.outbox.is_live(deal_id))

    def _note_open(self, deal_id: str, wanted: DealRecords | None) -> None:
        if wanted is None or wanted.opportunity.get("IsClosed") is True:
            self.open_deals.discard(deal_id)
        else:
            self.open_deals.add(deal_id)

    def note_invisible(self, count: int) -> None:
        """How many published deals the last sweep could neither see nor find deleted."""
        self.invisible = count
        self.metrics.invisible.set(count)

    def detail(self) -> str | None:
        """For people: what is left out, out of sight or not readable."""
        self.metrics.left_out.clear()
        for reason, count in self.left_out.counts().items():
            self.metrics.left_out.labels(reason).set(count)
        hidden = f"invisible, not deleted: {self.invisible:,}" if self.invisible else ""
        closed = f"not readable: {', '.join(self.schema.closed)}" if self.schema.closed else ""
        return "; ".join(part for part in (str(self.left_out), hidden, closed) if part) or None

    @property
    def judged_again(self) -> bool:
        """Whether deals are left out for a field that could not be read and now can."""
        readable = all(name in self.schema.deal.fields for name in self.selection.fields)
        return readable and self.left_out.counts()[NOT_READABLE] > 0

    def note_published(self, deal: Deal) -> None:
        """What was published before this process began; a later record of the same deal counts."""
        self.parents.note_deal(deal)
        if deal.is_closed or not self.outbox.is_live(deal.id):
            self.open_deals.discard(deal.id)
        else:
            self.open_deals.add(deal.id)

    def forget_reads(self) -> None:
        """After a failed pass nothing counts as read."""
        self.recent.clear()
        self.outbox.drop()
        self.last_poll = None

    def _remember(self, deal_id: str, records: DealRecords, read_at: datetime) -> None:
        self.parents.note_account(str(records.opportunity.get("AccountId") or ""), deal_id)
        for name, rows in rows_of(records).items():
            for row in rows:
                for trail, path in self.schema.objects[name].trails:
                    self.recent.note(trail, str(row["Id"]), stamp_at(row, path), read_at)
                self.parents.note(str(row["Id"]), deal_id)

    def use(self, schema: OrgSchema) -> tuple[SchemaEvent, ...]:
        """Reads by another description from now on; returns what differs."""
        events = drift(self.schema, schema)
        self.schema = schema.after(self.schema)
        self.outbox.org = _org(self.outbox.org.id, schema, self.outbox.org.default_currency)
        return events

    @property
    def fields_shown(self) -> str | None:
        """Fingerprint of the fields that every published deal shows; None when that is not known."""
        return self.marks.asked_scope(FIELDS)

    async def keep_fields(self, fingerprint: str) -> None:
        """From now on every published deal shows these fields."""
        await self.outbox.commit([self.marks.moved(FIELDS, self.reader.server_time, scope=fingerprint)])

    async def read_references(self) -> list[ReferenceTable]:
        """The reference tables in full."""
        return await read_references(self.reader, self.schema)

    def put_references(self, tables: Iterable[ReferenceTable], version: int) -> None:
        """Puts what changed in them into the outbox."""
        for table in tables:
            self.outbox.references(table, version)

    async def publish_references(self, version: int) -> None:
        """Reads the reference tables in full and puts what changed into the outbox."""
        self.put_references(await self.read_references(), version)


def batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut to what is read and published together."""
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


async def open_scope(
    reader: SalesforceReader,
    bus: Bus,
    metrics: CrmMetrics,
    *,
    currency: str | None,
    rebuild: bool,
    selection: Selection,
    refusals: Refusals | None = None,
) -> Scope:
    """Logs in, describes, becomes the org's only writer and reads the positions back.

    StateLost when deals are published but the positions are gone and no ``rebuild`` was asked for.
    """
    org_id = await reader.org_id()
    wanted = await resolved(selection, reader)
    schema = await read_schema(reader, also=wanted.fields)
    if refusals is not None:
        schema = await refusals.left_out(schema, reader)
    org = _org(org_id, schema, await _default_currency(reader, schema, currency))
    publisher = await bus.open(org_id)
    marks = Watermarks(org_id, [record async for record in bus.read(CRM_STATE)])
    _check_state(publisher, marks, org_id, rebuild=rebuild)
    if calls := marks.calls():
        age = (reader.server_time - calls.position).total_seconds()
        metrics.budget.own.restore(calls.read, max(0.0, age))
    if rebuild:
        marks.forget()
    scope = Scope(reader, schema, marks, Outbox(publisher, marks, org, metrics), metrics, selection=wanted)
    async for record in bus.read(OPPORTUNITIES):
        if isinstance(record.body, Deal) and record.body.org_id == org_id:
            scope.note_published(record.body)
    return scope


def _org(org_id: str, schema: OrgSchema, currency: str | None) -> Org:
    related = {item.name: item.custom for item in schema.related}
    return Org(org_id, currency, schema.deal.custom, related)


async def _default_currency(
    reader: SalesforceReader, schema: OrgSchema, configured: str | None
) -> str | None:
    found = default_currency(await read_references(reader, schema), configured)
    if found is None and not schema.multi_currency:
        raise AccessRefused(
            "the org has a single currency and its API does not say which: "
            "set TROTH_CRM_DEFAULT_CURRENCY to its ISO code, such as EUR"
        )
    return found


def _check_state(publisher: Publisher, marks: Watermarks, org_id: str, *, rebuild: bool) -> None:
    published = any(key.startswith(f"{org_id}:") for key in publisher.keys(OPPORTUNITIES))
    if published and marks.is_empty and not rebuild:
        raise StateLost(
            f"{CRM_STATE.name} holds no positions although {OPPORTUNITIES.name} holds deals: restore it, "
            "or start once with --rebuild to read everything again"
        )
