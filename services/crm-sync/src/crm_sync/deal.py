"""Vendor records to the published deal. Pure: no clock, no network, the same records give the same deal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from crm_sync.fields import (
    Record,
    day,
    flag,
    is_deleted,
    moment,
    number,
    own_id,
    plain,
    reference,
    required_text,
    text,
)
from troth_chassis.errors import PoisonError
from troth_contracts.crm import Deal, DealRole, DealStep, LineItem
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


@dataclass(frozen=True, slots=True)
class Org:
    """What must be known of the org to read a deal."""

    id: str
    default_currency: str | None
    custom_fields: tuple[str, ...] = ()


def to_deal(records: DealRecords, org: Org) -> Deal:
    """The whole deal; PoisonError names the record and field that cannot be read."""
    header = records.opportunity
    currency = text(header, "CurrencyIsoCode") or org.default_currency
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
        history=_history(records.history),
        custom=_custom(header, org.custom_fields),
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
    return sorted((record for record in records if not is_deleted(record)), key=own_id)


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
        )
    except PoisonError as error:
        raise PoisonError(f"line item {record.get('Id')}: {error.reason}") from error


def _roles(records: DealRecords) -> tuple[DealRole, ...]:
    team = [
        DealRole(id=own_id(member), role=text(member, "TeamMemberRole"), user_id=reference(member, "UserId"))
        for member in _in_order(records.team)
    ]
    contacts = [
        DealRole(
            id=own_id(contact),
            role=text(contact, "Role"),
            contact_id=reference(contact, "ContactId"),
            is_primary=flag(contact, "IsPrimary"),
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


def _custom(header: Record, names: Iterable[str]) -> dict[str, str]:
    shown = ((name, _as_text(header, name)) for name in sorted(names))
    return {name: value for name, value in shown if value is not None}


def _as_text(header: Record, name: str) -> str | None:
    value = header.get(name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(plain(value, name))
    return text(header, name) if value is None or isinstance(value, str) else None
