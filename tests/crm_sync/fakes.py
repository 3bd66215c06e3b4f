"""An org and a bus in memory. `MemoryOrg` passes the same contract test as the adapter over the network."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from crm_sync.bus import PUBLISHED
from crm_sync.describe import ALL
from crm_sync.errors import JobLost, LocatorLost, QueryRefused, ReplicationLogLost, SchemaChanged
from crm_sync.fields import Record, long_id
from crm_sync.salesforce import Deletions, Described, Description, JobPage, JobState, Lookup, Page
from crm_sync.soql import Condition, Query, parse_time
from troth_chassis.errors import TransientError
from troth_chassis.publisher import Publisher
from troth_chassis.writer import ScopeWriter
from troth_contracts.codec import InRecord, OutRecord, decode
from troth_contracts.topics import BY_NAME, Topic
from troth_contracts.values import Contract

ORG_ID = "00D000000000001AAA"
START = datetime(2026, 11, 25, 10, 0, 0, tzinfo=UTC)
Fault = Callable[[str], None]
_PREFIXES = {
    "Opportunity": "006", "OpportunityLineItem": "00k", "OpportunityContactRole": "00K", "OpportunityTeamMember": "00q",
    "OpportunityHistory": "008", "OpportunityStage": "01J", "CurrencyType": "01L", "DatedConversionRate": "04w", "User": "005", "Product2": "01t",
    "Account": "001",
}  # fmt: skip


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def record_id(name: str, number: int) -> str:
    return long_id(f"{_PREFIXES[name]}{number:012d}")


@dataclass
class MemoryOrg:
    """Tables of vendor-shaped rows behind the reader's port, with a clock that only moves when told."""

    page_size: int = 2_000
    now: datetime = START
    tables: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    hidden: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    """Described, and yet refused in a query."""
    custom: tuple[Described, ...] = ()
    custom_objects: dict[str, tuple[Described, ...]] = field(default_factory=dict)
    """Each with a field Deal__c looks up the opportunity by it; other lookups say their target."""
    calls: list[str] = field(default_factory=list)
    fault: Fault = lambda _call: None
    _deleted: list[tuple[str, str, datetime]] = field(default_factory=list)
    _open: dict[str, tuple[list[dict[str, Any]], int]] = field(default_factory=dict)
    no_bulk: bool = False
    jobs: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    bulk_page: int = 1_000
    patience: int = 0
    """So often a job is not done yet."""
    failing_jobs: int = 0
    cut_pages: list[int] = field(default_factory=list)
    """The next bulk pages end after so many bytes."""
    log_begins: datetime = START - timedelta(days=15)
    transactions: list[tuple[datetime, list[tuple[str, str, dict[str, Any]]]]] = field(default_factory=list)
    """Open transactions: stamp and writes that nobody else sees yet."""

    # what happens in the org

    def put(self, name: str, row_id: str | None = None, /, at: datetime | None = None, **fields: Any) -> str:
        table = self.tables[name]
        key = row_id or record_id(name, len(table) + 1)
        known = table.get(key, {"Id": key, "IsDeleted": False, "CreatedDate": stamp(at or self.now)})
        table[key] = {
            **known,
            **fields,
            "SystemModstamp": stamp(at or self.now),
            "LastModifiedDate": stamp(self.now),
        }
        return key

    def deal(self, name: str = "Deal", /, **fields: Any) -> str:
        defaults = {
            "Name": name,
            "StageName": "Prospecting",
            "IsClosed": False,
            "IsWon": False,
            "Amount": 1000,
            "CurrencyIsoCode": "EUR",
        }
        return self.put("Opportunity", None, **{**defaults, **fields})

    def delete(self, name: str, row_id: str, *, hard: bool = False) -> None:
        if hard:
            self.tables[name].pop(row_id)
            self._deleted.append((name, row_id, self.now))
        else:
            self.put(name, row_id, IsDeleted=True)

    def undelete(self, name: str, row_id: str) -> None:
        self.put(name, row_id, IsDeleted=False)

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def lose_locators(self) -> None:
        self._open.clear()

    def begin(self, name: str, row_id: str | None = None, /, **fields: Any) -> None:
        """A write whose stamp is now and which is visible only after ``commit_all``."""
        self.transactions.append((self.now, [(name, row_id or "", fields)]))

    def commit_all(self) -> None:
        for at, writes in self.transactions:
            for name, row_id, fields in writes:
                self.put(name, row_id or None, at=at, **fields)
        self.transactions.clear()

    # the port

    @property
    def server_time(self) -> datetime:
        return self.now.replace(microsecond=0)

    async def org_id(self) -> str:
        return ORG_ID

    async def renew(self) -> None:
        self._called("renew")

    async def query(self, query: Query) -> Page:
        self._called(f"query {query.source}")
        if query.source in self.hidden:
            raise SchemaChanged(f"sObject type '{query.source}' is not supported")
        for path in query.fields:
            way, _, name = path.rpartition(".")
            if name in self.hidden or name in self.unreadable:
                entity = f"{way.removesuffix('__r')}__c" if way else query.source
                raise SchemaChanged(f"INVALID_FIELD: No such column '{name}' on entity '{entity}'.")
        every = self.tables[query.source].values()
        rows = [row for row in every if all(_holds(_at(self, row, c.field), c) for c in query.where)]
        rows.sort(key=lambda row: tuple(str(_at(self, row, name) or "") for name in query.order))
        return self._page([_project(self, row, query.fields) for row in rows], 0)

    async def more(self, next_url: str) -> Page:
        self._called("more")
        if next_url not in self._open:
            raise LocatorLost("invalid query locator")
        rows, start = self._open.pop(next_url)
        return self._page(rows, start)

    async def describe(self, name: str) -> Description:
        self._called(f"describe {name}")
        lookups = [
            Lookup(other, each.name)
            for other, fields in self.custom_objects.items()
            for each in fields
            if each.target == name or (each.name == "Deal__c" and name == "Opportunity")
        ]
        if name in self.custom_objects and name not in self.hidden:
            shown = (each for each in self.custom_objects[name] if each.name not in self.hidden)
            return Description.of(shown, lookups)
        wanted = next((item for item in ALL if item.name == name), None)
        if wanted is None or name in self.hidden:
            raise SchemaChanged(f"{name} is not there")
        also = ("RecordTypeId",) if name == "Opportunity" else ()
        names = [n for n in (*wanted.fields, *wanted.silent, *also) if n not in self.hidden]
        standard = tuple(Described(n, _type(n), custom=False, filterable=True, label=n) for n in names)
        custom = self.custom if name == "Opportunity" else ()
        shown = (item for item in custom if item.name not in self.hidden)
        return Description.of((*standard, *shown), lookups)

    async def deleted(self, name: str, start: datetime, end: datetime) -> Deletions:
        self._called(f"deleted {name}")
        if start < self.log_begins:
            raise ReplicationLogLost("INVALID_REPLICATION_DATE")
        ids = tuple(i for n, i, at in self._deleted if n == name and start <= at <= end)
        return Deletions(ids, min([end, *(at for at, _ in self.transactions)]))

    async def start_job(self, query: Query) -> str:
        self._called(f"job {query.source}")
        if self.no_bulk:
            raise QueryRefused("FEATURE_NOT_ENABLED")
        page_size, self.page_size = self.page_size, 10**9
        try:
            rows = (await self.query(query)).records
        finally:
            self.page_size = page_size
        self.jobs[f"750{len(self.jobs):015d}"] = [_flat(row, query.fields) for row in rows]
        return f"750{len(self.jobs) - 1:015d}"

    async def job(self, job_id: str) -> JobState:
        self._called(f"state {job_id}")
        if job_id not in self.jobs:
            raise JobLost(job_id)
        if self.failing_jobs:
            self.failing_jobs -= 1
            return JobState(done=False, failed="Failed: too long")
        self.patience -= 1
        return JobState(done=self.patience < 0, rows=len(self.jobs[job_id]))

    async def job_page(self, job_id: str, locator: str | None, rows: int) -> JobPage:
        self._called(f"page {job_id} {locator}")
        if job_id not in self.jobs:
            raise JobLost(job_id)
        everything, start = self.jobs[job_id], int(locator or 0)
        size = min(rows, self.bulk_page)
        part = everything[start : start + size]
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(everything[0].keys() if everything else [])
        writer.writerows(row.values() for row in part)
        cut = self.cut_pages.pop() if self.cut_pages else None
        end = start + len(part)
        following = str(end) if end < len(everything) else None
        return JobPage(io.BytesIO(text.getvalue().encode()[:cut]), len(part), following)

    def _called(self, call: str) -> None:
        self.calls.append(call)
        self.fault(call)

    def _page(self, rows: list[dict[str, Any]], start: int) -> Page:
        end = start + self.page_size
        next_url = None
        if end < len(rows):
            next_url = f"/services/data/v66.0/query/0r8{len(self.calls):015d}-{end}"
            self._open[next_url] = (rows, end)
        return Page(tuple(rows[start:end]), len(rows), next_url, self.now.replace(microsecond=0))


def _at(org: MemoryOrg, row: Record, path: str) -> Any:
    """The value at a path through lookups."""
    way, _, rest = path.partition(".")
    if not rest:
        return row.get(way)
    key = row.get(f"{way[:-3]}__c" if way.endswith("__r") else f"{way}Id")
    found = next((table[key] for table in org.tables.values() if key in table), None)
    return None if found is None else _at(org, found, rest)


def _holds(value: Any, condition: Condition) -> bool:
    wanted = condition.value
    if isinstance(wanted, tuple):
        return value in wanted
    left: Any = value
    right: Any = wanted
    if isinstance(wanted, datetime):
        left, right = parse_time(str(value)).replace(microsecond=0), wanted.replace(microsecond=0)
    return (
        {">=": left >= right, ">": left > right, "<": left < right, "=": left == right}[condition.operator]
        if value
        else False
    )


_NUMBERS = {"Amount", "Probability", "Quantity", "TotalPrice", "ConversionRate", "DefaultProbability"}


def _type(name: str) -> str:
    if name == "SystemModstamp" or name in {"CreatedDate", "LastModifiedDate"}:
        return "datetime"
    return (
        "boolean"
        if name.startswith("Is") and name != "IsoCode"
        else "double"
        if name in _NUMBERS
        else "string"
    )


def _flat(row: Record, fields: Sequence[str]) -> dict[str, str]:
    """A row as bulk results spell it."""
    found: dict[str, str] = {}
    for name in fields:
        value: Any = row
        for part in name.split("."):
            value = value.get(part) if value else None
        spelt = (
            {None: "", True: "true", False: "false"}.get(value) if isinstance(value, bool | None) else None
        )
        found[name] = str(value).replace("+0000", "Z") if spelt is None else spelt
    return found


def _project(org: MemoryOrg, row: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """The row as REST shows it; a record that is looked up lies within, or null where there is none."""
    shown: dict[str, Any] = {"attributes": {"type": "any"}}
    for name in fields:
        inner: Any = shown
        *way, last = name.split(".")
        for place, step in enumerate(way):
            known = _at(org, row, ".".join([*way[: place + 1], "Id"]))
            inner = None if inner is None else inner.setdefault(step, {} if known else None)
        if inner is not None:
            inner[last] = _at(org, row, name)
    return shown


class _MemoryWriter(ScopeWriter):
    def __init__(self, log: list[OutRecord], fault: Fault) -> None:
        super().__init__("memory", "crm-sync", ORG_ID, "plain")
        self._log = log
        self._fault = fault

    async def publish(self, records: Sequence[OutRecord]) -> None:
        self._fault("publish")
        self._log.extend(records)


class _MemoryPublisher(Publisher):
    """The real publisher; only the reading back is from memory."""

    def __init__(self, log: list[OutRecord], fault: Fault) -> None:
        super().__init__("memory", _MemoryWriter(log, fault), f"/crm-sync/{ORG_ID}")

    async def remember(self, log: Sequence[OutRecord]) -> None:
        for record in log:
            self._mirror.note(BY_NAME[record.topic], record.key, record.headers)


class MemoryBus:
    """Everything published, in order."""

    def __init__(self) -> None:
        self.log: list[OutRecord] = []
        self.fault: Fault = lambda _call: None

    async def open(self, org_id: str) -> Publisher:
        publisher = _MemoryPublisher(self.log, self._struck)
        await publisher.remember([record for record in self.log if BY_NAME[record.topic] in PUBLISHED])
        return publisher

    async def read(self, topic: Topic) -> AsyncIterator[InRecord]:
        for record in self.of(topic):
            yield decode(record.topic, record.key.encode(), record.value, record.headers)

    async def aclose(self) -> None:
        pass

    def _struck(self, call: str) -> None:
        self.fault(call)

    def of(self, topic: Topic) -> list[OutRecord]:
        return [record for record in self.log if record.topic == topic.name]

    def fold(self, topic: Topic) -> dict[str, Contract]:
        """The live state a reader ends up with."""
        live: dict[str, Contract] = {}
        for record in self.of(topic):
            body = decode(record.topic, record.key.encode(), record.value, record.headers).body
            live.pop(record.key, None)
            if body is not None:
                live[record.key] = body
        return live


def once(error: Exception, call_begins: str) -> Fault:
    """A fault that strikes the first matching call only."""
    left = [error]

    def strike(call: str) -> None:
        if left and call.startswith(call_begins):
            raise left.pop()

    return strike


def kafka_down(call: str) -> None:
    raise TransientError(f"Kafka did not acknowledge: {call}")
