"""Stages, currencies, users and products: read in full, joined by readers, never copied into deals.

Amounts stay in the deal's own currency. Dated rates, where the org has them, come with their currency, and readers
convert by the close date: Salesforce's convertCurrency() is never called (reference: 6.2, money).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from crm_sync.deal import forecast_category
from crm_sync.describe import CURRENCY, DATED_RATE, PRODUCT, STAGE, USER, OrgSchema
from crm_sync.fields import Record, day, flag, is_deleted, number, own_id, required_text, text
from crm_sync.paging import rows
from crm_sync.salesforce import SalesforceReader
from crm_sync.soql import Query
from troth_chassis.errors import PoisonError
from troth_chassis.together import together
from troth_contracts.crm import CrmUser, CurrencyRate, DatedRate, Product, Reference, Stage

_DATED = "dated"
"""Where a currency's record carries the rows of DatedConversionRate."""


@dataclass(frozen=True, slots=True)
class ReferenceTable:
    """One object in full, deleted rows left out."""

    kind: str
    records: tuple[Record, ...]


def to_stage(record: Record, org_id: str) -> Stage:
    """An OpportunityStage."""
    return Stage(
        org_id=org_id,
        id=own_id(record),
        api_name=required_text(record, "ApiName"),
        label=text(record, "MasterLabel") or required_text(record, "ApiName"),
        is_closed=flag(record, "IsClosed"),
        is_won=flag(record, "IsWon"),
        is_active=flag(record, "IsActive"),
        default_probability=number(record, "DefaultProbability"),
        forecast_category=forecast_category(record),
    )


def stage_names(record: Record) -> set[str]:
    """What deals in this stage may carry as StageName: the API name, or what people read."""
    return {name for field in ("ApiName", "MasterLabel") if (name := text(record, field)) is not None}


def to_currency(record: Record, org_id: str) -> CurrencyRate:
    """A CurrencyType, with its dated rates where the org has them."""
    dated = record.get(_DATED)
    return CurrencyRate(
        org_id=org_id,
        id=own_id(record),
        code=required_text(record, "IsoCode"),
        rate=number(record, "ConversionRate") or Decimal(1),
        is_corporate=flag(record, "IsCorporate"),
        dated=tuple(sorted(map(_dated_rate, dated), key=lambda each: each.start))
        if isinstance(dated, tuple)
        else (),
    )


def _dated_rate(record: Record) -> DatedRate:
    start, rate = day(record, "StartDate"), number(record, "ConversionRate")
    if start is None or not rate:
        raise PoisonError(f"dated rate {record.get('Id')} has no start or no rate")
    return DatedRate(start=start, rate=rate)


def to_user(record: Record, org_id: str) -> CrmUser:
    """A User."""
    return CrmUser(
        org_id=org_id,
        id=own_id(record),
        name=required_text(record, "Name"),
        email=text(record, "Email"),
        is_active=flag(record, "IsActive"),
    )


def to_product(record: Record, org_id: str) -> Product:
    """A Product2."""
    return Product(
        org_id=org_id,
        id=own_id(record),
        name=required_text(record, "Name"),
        code=text(record, "ProductCode"),
        family=text(record, "Family"),
        is_active=flag(record, "IsActive"),
    )


READERS: Mapping[str, Callable[[Record, str], Reference]] = {
    "stage": to_stage,
    "currency": to_currency,
    "user": to_user,
    "product": to_product,
}
_OBJECTS = {
    "stage": STAGE.name,
    "currency": CURRENCY.name,
    _DATED: DATED_RATE.name,
    "user": USER.name,
    "product": PRODUCT.name,
}


async def read_references(reader: SalesforceReader, schema: OrgSchema) -> list[ReferenceTable]:
    """Every readable table; one that is not readable is left out, so that nothing is taken for deleted."""
    readable = {kind: name for kind, name in _OBJECTS.items() if name in schema.objects}
    found = await together(
        *(rows(reader, Query(name, schema.objects[name].fields)) for name in readable.values())
    )
    live = {
        kind: tuple(row for row in table if not is_deleted(row))
        for kind, table in zip(readable, found, strict=True)
    }
    dated = live.pop(_DATED, ())
    return [
        ReferenceTable(kind, _with_rates(table, dated) if kind == "currency" else table)
        for kind, table in live.items()
    ]


def _with_rates(currencies: Iterable[Record], dated: tuple[Record, ...]) -> tuple[Record, ...]:
    return tuple(
        {**each, _DATED: tuple(rate for rate in dated if rate.get("IsoCode") == each.get("IsoCode"))}
        for each in currencies
    )


def default_currency(tables: list[ReferenceTable], configured: str | None) -> str | None:
    """The corporate currency of a multi-currency org, else what was configured."""
    currencies = next((table.records for table in tables if table.kind == "currency"), ())
    corporate = (str(record["IsoCode"]) for record in currencies if record.get("IsCorporate") is True)
    return next(corporate, None) or configured
