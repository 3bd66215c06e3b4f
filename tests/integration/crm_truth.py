"""Pass condition Z: the fold of `crm.opportunities` equals what the simulated org shows, for every deal and field.

Written from the vendor's rows and the contract's words alone; nothing of the service is used to say what is right.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, Protocol

from aiokafka import ConsumerRecord
from prometheus_client import generate_latest
from tests.crm_sync.simulated import CLIENT
from tests.integration.crm_world import World

from crm_sync.sweeping import compared, counted
from troth_chassis.topic_reader import read_topic
from troth_contracts.topics import CRM_STATE, OPPORTUNITIES, REFERENCE, SYNC_STATUS, Topic, dead_letter_topic
from troth_sandbox.salesforce.access import Source
from troth_sandbox.salesforce.simulation import Site

BOUND = 15 * 60.0
"""Seconds after the last write within which everything must be published (reference: A-27, the slowest way)."""
_TIMES = {"created_at", "source_modified_at", "at", "committed_at"}
_NUMBERS = {"probability", "quantity", "amount"}
_IN_FORCE = {"Commit", "Closed"}


class Judged(Protocol):
    """An org, and the Kafka that must show it."""

    @property
    def site(self) -> Site: ...

    @property
    def kafka(self) -> str: ...


async def assert_z(
    world: World, *, differences: int | None = 0, unreadable: Collection[str] = (), bound: float = BOUND
) -> None:
    """Nothing missing, extra or stale; no version twice; no secret told; the sweep finds nothing.

    `differences`: how many the service's own sweeps may have found before (None: any number). `unreadable`: what
    the user may no longer see, of which the last known value may stay.
    """
    await world.run(bound)
    wrong = await against_truth(world, unreadable)
    assert not wrong, f"{len(wrong)} differences\n" + "\n".join(wrong[:20])
    assert await swept(world) == Counter()
    assert not await secrets_told(world)
    if differences is not None:
        assert found_by_sweeps(world).total() == differences, found_by_sweeps(world)


async def against_truth(world: Judged, unreadable: Collection[str] = ()) -> list[str]:
    """Every difference in words."""
    shown = await fold(world)
    true = dict(_expected(world))
    wrong = [f"missing: {key}" for key in true.keys() - shown.keys()]
    wrong += [f"extra: {key}" for key in shown.keys() - true.keys()]
    for key in true.keys() & shown.keys():
        wrong += [f"{key}.{line}" for line in _different(true[key], shown[key], unreadable)]
    return wrong


def _different(
    true: Mapping[str, Any], shown: Mapping[str, Any], unreadable: Collection[str]
) -> Iterator[str]:
    for name in sorted((true.keys() | shown.keys()) - {"org_id", *unreadable}):
        value, got = true.get(name), shown.get(name)
        if got != value:
            yield f"{name}: published {got!r}, Salesforce has {value!r}"


async def swept(world: World) -> Counter[str]:
    """What the command `crm-sync sweep` finds."""
    life = world.service
    found = counted(await compared(world.settings, life.reader, life.bus))
    return Counter({kind: n for kind, n in found.items() if n and kind not in {"deals", "left_out"}})


def found_by_sweeps(world: World) -> Counter[str]:
    """Differences that the lives of the service counted, by kind."""
    samples = [s for life in world.lives for m in life.metrics.differences.collect() for s in m.samples]
    found: Counter[str] = Counter()
    for sample in samples:
        if sample.name.endswith("_total"):
            found[sample.labels["kind"]] += int(sample.value)
    return found


async def secrets_told(world: World) -> list[str]:
    """Every place where a secret or a token shows."""
    secrets = [CLIENT["client_secret"], *world.site.sessions.issued]
    said = [str(line) for line in world.told]
    said += [text for life in world.lives for text in life.failures]
    said += [generate_latest(life.registry).decode() for life in world.lives]
    said.append(str(await world.service.sync.status()))
    for topic in (OPPORTUNITIES, REFERENCE, SYNC_STATUS, CRM_STATE, dead_letter_topic("crm-sync")):
        said += [f"{r.key!r}{r.value!r}{r.headers!r}" for r in await records(world, topic)]
    return [text[:200] for text in said if any(secret in text for secret in secrets)]


async def records(world: Judged, topic: Topic) -> list[ConsumerRecord]:
    """Everything of this org, oldest first per key."""
    org = world.site.org.org_id.encode()
    pages = [page async for page in read_topic(world.kafka, topic)]
    return [record for page in pages for record in page if org in (record.key or b"")]


@dataclass(frozen=True)
class Told:
    """One published state: its version and, unless it is a deletion, its content."""

    version: int
    body: Mapping[str, Any] | None


async def history(world: Judged) -> dict[str, list[Told]]:
    """Per deal everything that was published of it, oldest first."""
    told: dict[str, list[Told]] = {}
    for record in await records(world, OPPORTUNITIES):
        headers = {name: value.decode() for name, value in record.headers}
        version = int(headers["ce_version"])
        body = json.loads(record.value, parse_float=Decimal) if record.value else None
        told.setdefault(record.key.decode().split(":")[1], []).append(Told(version, body))
    return told


async def fold(world: Judged) -> dict[str, Mapping[str, Any]]:
    """The state a reader ends with, in comparable values; versions must only grow."""
    live = {}
    for key, states in (await history(world)).items():
        versions = [state.version for state in states]
        assert versions == sorted(set(versions)), f"{key} was told in the order {versions}"
        if states[-1].body is not None:
            live[key] = comparable(states[-1].body)
    return live


def comparable(value: Any, name: str = "") -> Any:
    """Numbers and times as such; what stands for nothing is left out, as the contract does."""
    if isinstance(value, dict):
        if set(value) == {"amount", "currency"}:
            return Decimal(str(value["amount"])), value["currency"]
        return _bare(
            {key: comparable(item, "text" if name == "custom" else key) for key, item in value.items()}
        )
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if name in _TIMES and value is not None:
        return datetime.fromisoformat(value)
    if (name in _NUMBERS and value is not None) or (isinstance(value, int) and not isinstance(value, bool)):
        return Decimal(value)
    return value


def _bare(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value not in (None, False, [], {}, Decimal(0))}


def _expected(world: Judged) -> Iterator[tuple[str, dict[str, Any]]]:
    return expected(world.site.access.view(world.site.org.user_id))


def expected(source: Source) -> Iterator[tuple[str, dict[str, Any]]]:
    """Per live deal what must be published of it, in comparable values."""
    parts = _Parts(source)
    for row in _rows(source, "Opportunity"):
        if not row["IsDeleted"]:
            yield str(row["Id"]), _bare(_deal(source, parts, row))


def _rows(source: Source, name: str) -> Iterator[Mapping[str, Any]]:
    """Visible rows, with the visible fields only."""
    kind = source.schema.get(name)
    for row in source.table(name) if kind else ():
        yield {field: value for field, value in row.items() if kind and field in kind.fields}


class _Parts:
    """The live children of each deal."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._by_name: dict[str, dict[str, list[Mapping[str, Any]]]] = {}

    def of(self, name: str, deal: Any, parent: str = "OpportunityId") -> list[Mapping[str, Any]]:
        if self._source.schema.get(name) is None:
            return []
        if name not in self._by_name:
            found: dict[str, list[Mapping[str, Any]]] = {}
            for row in _rows(self._source, name):
                if not row.get("IsDeleted"):
                    found.setdefault(str(row[parent]), []).append(row)
            self._by_name[name] = found
        return sorted(self._by_name[name].get(str(deal), []), key=lambda row: str(row["Id"]))


def _deal(source: Source, parts: _Parts, row: Mapping[str, Any]) -> dict[str, Any]:
    currency = row.get("CurrencyIsoCode")
    account = source.table("Account").get(str(row.get("AccountId"))) if source.schema.get("Account") else None
    steps = sorted((_step(each) for each in parts.of("OpportunityHistory", row["Id"])), key=lambda s: s["at"])
    days = [step["close_date"] for step in steps if "close_date" in step]
    return {
        "id": row["Id"],
        "name": row["Name"],
        "owner_id": row.get("OwnerId"),
        "account_id": row.get("AccountId"),
        "account_name": account["Name"] if account else None,
        "stage_name": row.get("StageName"),
        "is_closed": row.get("IsClosed", False),
        "is_won": row.get("IsWon", False),
        "probability": _number(row.get("Probability")),
        "forecast_category": _category(row.get("ForecastCategory")),
        "amount": _money(row.get("Amount"), currency),
        "close_date": row.get("CloseDate"),
        "created_at": _moment(row.get("CreatedDate")),
        "source_modified_at": _moment(row["SystemModstamp"]),
        "next_step": row.get("NextStep"),
        "description": row.get("Description"),
        "line_items": [_line(each, currency) for each in parts.of("OpportunityLineItem", row["Id"])],
        "roles": [
            *(
                _role(e, "TeamMemberRole", "user_id", "UserId")
                for e in parts.of("OpportunityTeamMember", row["Id"])
            ),
            *(
                _role(e, "Role", "contact_id", "ContactId")
                for e in parts.of("OpportunityContactRole", row["Id"])
            ),
        ],
        "history": steps,
        "custom": _custom(source, "Opportunity", row),
        "related": _related(source, parts, row["Id"]),
        "committed_at": next((step["at"] for step in steps if _committed(step)), None),
        "close_date_pushes": Decimal(sum(b > a for a, b in pairwise(days))),
    }


def _line(row: Mapping[str, Any], currency: Any) -> dict[str, Any]:
    return _bare(
        {
            "id": row["Id"],
            "product_id": row.get("Product2Id"),
            "quantity": _number(row.get("Quantity")),
            "total_price": _money(row.get("TotalPrice"), row.get("CurrencyIsoCode") or currency),
            "service_date": row.get("ServiceDate"),
            "description": row.get("Description"),
            "source_modified_at": _moment(row["SystemModstamp"]),
        }
    )


def _role(row: Mapping[str, Any], role: str, name: str, field: str) -> dict[str, Any]:
    return _bare(
        {
            "id": row["Id"],
            "role": row.get(role),
            name: row.get(field),
            "is_primary": row.get("IsPrimary") or False,
            "source_modified_at": _moment(row["SystemModstamp"]),
        }
    )


def _step(row: Mapping[str, Any]) -> dict[str, Any]:
    return _bare(
        {
            "at": _moment(row["CreatedDate"]),
            "stage": row.get("StageName"),
            "probability": _number(row.get("Probability")),
            "forecast_category": _category(row.get("ForecastCategory")),
            "amount": _number(row.get("Amount")),
            "close_date": row.get("CloseDate"),
        }
    )


def _committed(step: Mapping[str, Any]) -> bool:
    category = step.get("forecast_category")
    return category != "Omitted" and (category in _IN_FORCE or step.get("probability", 0) >= 70)


def _related(source: Source, parts: _Parts, deal: Any) -> list[dict[str, Any]]:
    found = []
    for kind in sorted(source.schema, key=lambda each: each.name):
        lookup = next((f.name for f in kind.references if f.target == "Opportunity"), None)
        if kind.name.endswith("__c") and lookup:
            found += [
                _bare(
                    {
                        "object": kind.name,
                        "id": row["Id"],
                        "fields": _custom(source, kind.name, row),
                        "source_modified_at": _moment(row["SystemModstamp"]),
                    }
                )
                for row in parts.of(kind.name, deal, lookup)
            ]
    return found


def _custom(source: Source, name: str, row: Mapping[str, Any]) -> dict[str, str]:
    kind = source.schema.get(name)
    names = [each for each in (kind.fields if kind else ()) if each.endswith("__c")]
    return {each: _text(row[each]) for each in names if row.get(each) not in {None, ""}}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return format(Decimal(str(value)).normalize(), "f") if isinstance(value, int | float) else str(value)


def _number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _money(value: Any, currency: Any) -> Any:
    return None if value is None else (Decimal(str(value)), currency)


def _category(value: Any) -> Any:
    return "Commit" if value == "Forecast" else value


def _moment(value: Any) -> datetime | None:
    return None if value is None else datetime.fromisoformat(str(value))
