"""What Salesforce shows against what was published, by ids and stamps; finds candidates, changes nothing.

The listing is read first and the topic up to an end taken afterwards, so that a deal published meanwhile is never
called missing. Deals with a row younger than the overlap are left to the polls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from crm_sync.changes import deal_id, stamp_of
from crm_sync.describe import CONTACT_ROLE, HISTORY, LINE_ITEM, TEAM_MEMBER, ObjectSchema, OrgSchema
from crm_sync.fields import Record, is_deleted, long_id
from crm_sync.paging import pages
from crm_sync.salesforce import SalesforceReader
from crm_sync.selection import NOT_READABLE, Selection
from crm_sync.soql import Query
from crm_sync.watermarks import time_of
from troth_contracts.codec import InRecord
from troth_contracts.crm import Deal

Kind = Literal["missing", "stale", "undeleted", "extra", "left_out"]


@dataclass(slots=True)
class Comparison:
    """Candidates by deal; each needs a retrieve before it may be believed."""

    at: datetime | None = None
    """Server time of the listing; None when nothing could be listed."""
    listed: int = 0
    found: dict[str, Kind] = field(default_factory=dict)
    vanished: list[str] = field(default_factory=list)
    """Published deals that are not listed at all: deleted for good, or only invisible."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Reason by deal."""


@dataclass(slots=True)
class _Listed:
    stamp: datetime | None
    deleted: bool
    reason: str | None


@dataclass(slots=True)
class _Published:
    stamp: datetime | None
    parts: int
    at: datetime
    live: bool


class Comparer:
    """One comparison of an org."""

    def __init__(
        self, reader: SalesforceReader, schema: OrgSchema, selection: Selection, overlap: timedelta
    ) -> None:
        self._reader = reader
        self._schema = schema
        self._selection = selection
        self._overlap = overlap
        self._listed: dict[str, _Listed] = {}
        self._parts: defaultdict[str, int] = defaultdict(int)
        self._young: set[str] = set()
        self.result = Comparison()

    async def list(self) -> AsyncIterator[int]:
        """Reads ids and stamps; yields after each page how many rows it had."""
        deal = self._schema.deal
        judged = (name for name in self._selection.fields if name in deal.fields)
        fields = dict.fromkeys(("Id", deal.stamp, "IsDeleted", *judged))
        query = Query(deal.name, tuple(fields), order=(deal.stamp, "Id"))
        async for page in pages(self._reader, query):
            self.result.at = self.result.at or page.server_time
            for row in page.records:
                stamp, reason = stamp_of(deal, row), self._selection.reason(row, published=False)
                self._listed[str(row["Id"])] = _Listed(stamp, is_deleted(row), reason)
            yield len(page.records)
        for child in self._schema.children:
            async for count in self._list_parts(child):
                yield count

    async def _list_parts(self, child: ObjectSchema) -> AsyncIterator[int]:
        wanted = ("Id", child.stamp, "IsDeleted", child.parent or "Id")
        fields = tuple(name for name in wanted if name in child.fields)
        seen = _LastSecond()
        async for page in pages(self._reader, Query(child.name, fields, order=(child.stamp, "Id"))):
            for row in page.records:
                deal, stamp = deal_id(child, row), stamp_of(child, row)
                if deal and self._is_young(stamp):
                    self._young.add(deal)
                if deal and not is_deleted(row) and seen.is_new(str(row["Id"]), stamp):
                    self._parts[deal] += _part_of_row(child, row)
            yield len(page.records)

    def _is_young(self, stamp: datetime | None) -> bool:
        at = self.result.at
        return at is not None and stamp is not None and stamp > at - self._overlap

    async def against(self, org_id: str, published: AsyncIterator[InRecord]) -> Comparison:
        """Compares the listing with the topic, which must be read after it."""
        known: dict[str, _Published] = {}
        prefix = f"{org_id}:"
        async for record in published:
            if record.key.startswith(prefix):
                known[record.key.removeprefix(prefix)] = self._published(record)
        self.result.listed = len(self._listed)
        if self.result.at is not None:
            self._judge(known, self.result.at - self._overlap)
        return self.result

    def _published(self, record: InRecord) -> _Published:
        at = time_of(record.version)
        if not isinstance(record.body, Deal):
            return _Published(None, 0, at, live=False)
        names = {child.name for child in self._schema.children}
        return _Published(record.body.source_modified_at, sum(_parts_of(record.body, names)), at, live=True)

    def _judge(self, known: dict[str, _Published], edge: datetime) -> None:
        for deal, row in self._listed.items():
            state = known.get(deal)
            if row.reason == NOT_READABLE and state and state.live:
                row.reason = None
            if row.reason and not row.deleted:
                self.result.left_out[deal] = row.reason
            kind = self._kind(deal, row, state)
            if kind and not self._is_young(row.stamp) and deal not in self._young:
                self.result.found[deal] = kind
        self.result.vanished = [
            deal
            for deal, state in known.items()
            if state.live and deal not in self._listed and state.at <= edge
        ]

    def _kind(self, deal: str, row: _Listed, known: _Published | None) -> Kind | None:
        if row.deleted:
            return "extra" if known and known.live else None
        if row.reason:
            return "left_out" if known and known.live else None
        if known is None:
            return "missing"
        if not known.live:
            return "undeleted"
        same = known.stamp == row.stamp and known.parts == self._parts[deal]
        return None if same else "stale"


class _LastSecond:
    """A chain of pages that broke is continued from the last row's second, whose rows then come again."""

    def __init__(self) -> None:
        self._second: datetime | None = None
        self._ids: set[str] = set()

    def is_new(self, row_id: str, stamp: datetime | None) -> bool:
        """Whether the row did not come before; rows come in the order of their stamps."""
        second = stamp.replace(microsecond=0) if stamp else None
        if second != self._second:
            self._second, self._ids = second, set()
        known = row_id in self._ids
        self._ids.add(row_id)
        return not known


def _part_of_row(child: ObjectSchema, row: Record) -> int:
    """A number that stands for one part; sums do not depend on the order."""
    if child.name == HISTORY.name:
        return hash((child.name, stamp_of(child, row)))
    stamp = stamp_of(child, row) if child.stamp == "SystemModstamp" else None
    return hash((child.name, long_id(str(row["Id"])), stamp))


def _parts_of(deal: Deal, names: set[str]) -> Iterable[int]:
    """The same numbers for what was published, of the objects that can be read now."""
    parts = [(LINE_ITEM.name, item.id, item.source_modified_at) for item in deal.line_items]
    for role in deal.roles:
        name = CONTACT_ROLE.name if role.user_id is None else TEAM_MEMBER.name
        parts.append((name, role.id, role.source_modified_at))
    parts += [(item.object, item.id, item.source_modified_at) for item in deal.related]
    yield from (hash(part) for part in parts if part[0] in names)
    if HISTORY.name in names:
        yield from (hash((HISTORY.name, step.at)) for step in deal.history)
