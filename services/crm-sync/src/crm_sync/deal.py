"""Vendor records to the published deal. Pure: no clock, no network, the same records give the same deal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from crm_sync.fields import (
    Record,
    as_text,
    day,
    flag,
    is_deleted,
    moment,
    number,
    own_id,
    reference,
    required_text,
    text,
)
from crm_sync.history import close_date_pushes, committed_at
from troth_chassis.errors import PoisonError
from troth_contracts.crm import Deal, DealRole, DealStep, LineItem, RelatedRecord
from troth_contracts.values import Money

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DealRecords:
    """Everything of one opportunity, as read in one go."""

    opportunity: Record
    line_items: Sequence[Record] = ()
    contact_roles: Sequence[Record] = ()
    team: Sequence[Record] = ()
    history: Sequence[Record] = ()
    related: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    """Rows of the custom objects that look up the opportunity, by object."""


@dataclass(frozen=True, slots=True)
class Org:
    """What must be known of the org to read a deal."""

    id: str
    default_currency: str | None
    custom_fields: tuple[str, ...] = ()
    related_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Own fields of each custom object that looks up the opportunity."""


def to_deal(records: DealRecords, org: Org) -> Deal:
    """The whole deal; PoisonError names the record and field that cannot be read."""
    header = records.opportunity
    currency = text(header, "CurrencyIsoCode") or org.default_currency
    history = _history(records.history)
    return Deal(
        org_id=org.id,
        id=own_id(header),
        name=required_text(header, "Name"),
        owner_id=reference(header, "OwnerId"),
        account_id=reference(header, "AccountId"),
        account_name=_account_name(header),
        stage_name=text(header, "StageName"),
        is_closed=flag(header, "IsClosed"),
        is_won=flag(header, "IsWon"),
        probability=number(header, "Probability"),
        forecast_category=forecast_category(header),
        amount=_money(header, "Amount", currency),
        close_date=day(header, "CloseDate"),
        created_at=moment(header, "CreatedDate"),
        source_modified_at=moment(header, "SystemModstamp"),
        next_step=text(header, "NextStep"),
        description=text(header, "Description"),
        line_items=tuple(_line_item(item, currency) for item in _in_order(records.line_items)),
        roles=_roles(records),
        history=history,
        custom=_custom(header, org.custom_fields),
        related=tuple(_related(records.related, org)),
        committed_at=committed_at(history),
        close_date_pushes=close_date_pushes(history),
    )


def forecast_category(record: Record) -> str | None:
    """The category as people know it: the API calls Commit ``Forecast`` (recorded describe of Opportunity)."""
    value = text(record, "ForecastCategory")
    return "Commit" if value == "Forecast" else value


def _account_name(header: Record) -> str | None:
    account = header.get("Account")
    return text(account, "Name") if isinstance(account, dict) else None


def _in_order(records: Iterable[Record]) -> list[Record]:
    """By id, so that the order of arrival never shows."""
    live = [record for record in records if not is_deleted(record)]
    return sorted(live, key=own_id) if len(live) > 1 else live


def _money(record: Record, field: str, currency: str | None) -> Money | None:
    amount = number(record, field)
    if amount is None:
        return None
    if currency is None:
        raise PoisonError(f"{field} has no currency and the org's default is not known")
    return Money(amount=amount, currency=currency)


def _line_item(record: Record, currency: str | None) -> LineItem:
    try:
        return LineItem(
            id=own_id(record),
            product_id=reference(record, "Product2Id"),
            quantity=number(record, "Quantity"),
            total_price=_money(record, "TotalPrice", text(record, "CurrencyIsoCode") or currency),
            service_date=day(record, "ServiceDate"),
            description=text(record, "Description"),
            source_modified_at=moment(record, "SystemModstamp"),
        )
    except PoisonError as error:
        raise PoisonError(f"line item {record.get('Id')}: {error.reason}") from error


def _roles(records: DealRecords) -> tuple[DealRole, ...]:
    team = [
        DealRole(
            id=own_id(member),
            role=text(member, "TeamMemberRole"),
            user_id=reference(member, "UserId"),
            source_modified_at=moment(member, "SystemModstamp"),
        )
        for member in _in_order(records.team)
    ]
    contacts = [
        DealRole(
            id=own_id(contact),
            role=text(contact, "Role"),
            contact_id=reference(contact, "ContactId"),
            is_primary=flag(contact, "IsPrimary"),
            source_modified_at=moment(contact, "SystemModstamp"),
        )
        for contact in _in_order(records.contact_roles)
    ]
    return (*team, *contacts)


def _history(records: Iterable[Record]) -> tuple[DealStep, ...]:
    steps = [_step(record) for record in _in_order(records)]
    return tuple(sorted(steps, key=lambda step: step.at))


def _step(record: Record) -> DealStep:
    return DealStep(
        at=moment(record, "CreatedDate") or _LONG_AGO,
        stage=text(record, "StageName"),
        probability=number(record, "Probability"),
        forecast_category=forecast_category(record),
        amount=number(record, "Amount"),
        close_date=day(record, "CloseDate"),
    )


def _related(rows: Mapping[str, Sequence[Record]], org: Org) -> Iterable[RelatedRecord]:
    for name in sorted(rows):
        for record in _in_order(rows[name]):
            yield RelatedRecord(
                object=name,
                id=own_id(record),
                fields=_custom(record, org.related_fields.get(name, ())),
                source_modified_at=moment(record, "SystemModstamp"),
            )


def _custom(record: Record, names: Iterable[str]) -> dict[str, str]:
    shown = ((name, as_text(record, name)) for name in names)
    return {name: value for name, value in shown if value is not None}
