"""Vendor records to deals: every rule of the mapping, and that order never shows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_sync.deal import DealRecords, Org, to_deal
from crm_sync.fields import long_id, number, plain
from troth_chassis.errors import PoisonError
from troth_contracts.codec import encode_body
from troth_contracts.crm import Deal
from troth_contracts.values import Money

ORG = Org("00D000000000001AAA", "SEK", ("Jira_Key__c", "Promised_Date__c", "Score__c", "Strategic__c"))
HEADER: dict[str, Any] = {
    "Id": "006A0000001XyZa",
    "Name": "Acme",
    "CloseDate": "2026-12-24",
    "Amount": Decimal("1000.0"),
}


def deal_of(**fields: Any) -> Deal:
    return to_deal(DealRecords({**HEADER, **fields}), ORG)


def test_short_ids_become_long_ones() -> None:
    """Recorded pair of restforce's query answers; the suffix records upper case."""
    assert long_id("701E0000000JuFH") == "701E0000000JuFHIA0"
    assert deal_of(OwnerId="005300000075aBc").owner_id == long_id("005300000075aBc")


@pytest.mark.parametrize("wrong", ["", "006", "006A0000001XyZ!", "006A0000001XyZaAAAA", "006Å0000001XyZa"])
def test_what_is_no_id_is_poison(wrong: str) -> None:
    with pytest.raises(PoisonError):
        long_id(wrong)


def test_money_is_exact_and_in_the_record_s_own_currency() -> None:
    assert deal_of(CurrencyIsoCode="EUR", Amount=Decimal("0.10")).amount == Money(
        amount=Decimal("0.1"), currency="EUR"
    )


def test_money_without_currency_takes_the_org_s_default() -> None:
    """CurrencyIsoCode exists only in multi-currency orgs."""
    assert deal_of().amount == Money(amount=Decimal(1000), currency="SEK")


def test_equal_numbers_give_equal_bytes() -> None:
    texts = [
        encode_body(deal_of(Amount=amount)) for amount in (1000, Decimal("1000.00"), Decimal("1E+3"), 1000.0)
    ]
    assert len(set(texts)) == 1


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**38), max_value=10**38, places=8))
def test_numbers_lose_nothing(value: Decimal) -> None:
    assert plain(value, "Amount") == value


@pytest.mark.parametrize("wrong", ["12", True, Decimal("NaN"), Decimal("1E+999999"), [1]])
def test_what_is_no_number_is_poison(wrong: object) -> None:
    with pytest.raises(PoisonError, match="Amount"):
        number({"Amount": wrong}, "Amount")


def test_empty_text_is_null_and_nul_is_removed() -> None:
    deal = deal_of(NextStep="", Description="a\x00b")
    assert deal.next_step is None
    assert deal.description == "ab"


def test_half_a_surrogate_pair_does_not_stop_the_deal() -> None:
    deal = deal_of(Description="a\ud83db", NextStep="\U0001f600 ok")
    assert deal.description == "a\ufffdb"
    assert deal.next_step == "\U0001f600 ok"
    assert encode_body(deal)


def test_times_are_utc() -> None:
    deal = deal_of(SystemModstamp="2022-03-17T16:21:26.000+0000", CreatedDate="2022-03-17T18:21:26.000+0200")
    assert deal.source_modified_at == deal.created_at == datetime(2022, 3, 17, 16, 21, 26, tzinfo=UTC)


def test_forecast_category_is_named_as_people_know_it() -> None:
    """Recorded describe of Opportunity: the value Forecast has the label Commit."""
    assert deal_of(ForecastCategory="Forecast").forecast_category == "Commit"
    assert deal_of(ForecastCategory="BestCase").forecast_category == "BestCase"


def test_custom_fields_are_texts_and_empty_ones_are_left_out() -> None:
    deal = deal_of(
        Promised_Date__c="2026-12-24",
        Jira_Key__c="",
        Score__c=Decimal("3.50"),
        Strategic__c=False,
        Other__c="x",
    )
    assert deal.custom == {"Promised_Date__c": "2026-12-24", "Score__c": "3.5", "Strategic__c": "false"}


def test_account_name_comes_with_the_deal() -> None:
    assert deal_of(Account={"attributes": {}, "Name": "Acme Ltd"}).account_name == "Acme Ltd"
    assert deal_of(Account=None).account_name is None


def test_history_is_oldest_first_and_deleted_parts_are_left_out() -> None:
    history = [
        {
            "Id": long_id("00800000000000B"),
            "CreatedDate": "2026-02-01T00:00:00.000+0000",
            "StageName": "second",
        },
        {
            "Id": long_id("00800000000000A"),
            "CreatedDate": "2026-01-01T00:00:00.000+0000",
            "StageName": "first",
        },
    ]
    items: list[dict[str, object]] = [
        {"Id": long_id("00k00000000000A"), "IsDeleted": True},
        {"Id": long_id("00k00000000000B")},
    ]

    deal = to_deal(DealRecords(HEADER, line_items=items, history=history), ORG)

    assert [step.stage for step in deal.history] == ["first", "second"]
    assert [item.id for item in deal.line_items] == [long_id("00k00000000000B")]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"Name": None}, "Name is empty"),
        ({"CloseDate": "24.12."}, "CloseDate is '24.12.', not a date"),
        ({"SystemModstamp": "2026-12-24T10:00:00"}, "SystemModstamp is '2026-12-24T10:00:00', not a time"),
        ({"IsWon": "yes"}, "IsWon is 'yes', not true or false"),
        ({"Name": 7}, "Name is 7, not a text"),
    ],
)
def test_poison_names_the_field(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(PoisonError, match=f"^{reason}$".replace(".", r"\.")):
        deal_of(**fields)


def test_poison_in_a_line_item_names_the_item() -> None:
    with pytest.raises(PoisonError, match="line item 00k00000000000BAAA: ServiceDate"):
        to_deal(DealRecords(HEADER, line_items=[{"Id": "00k00000000000BAAA", "ServiceDate": "soon"}]), ORG)


_PARTS = [
    {
        "Id": long_id(f"00k{number:012d}"),
        "OpportunityId": HEADER["Id"],
        "Quantity": number,
        "CreatedDate": f"2026-01-0{1 + number % 3}T00:00:00.000+0000",
    }
    for number in range(6)
]


@settings(deadline=None)
@given(st.permutations(_PARTS), st.permutations(_PARTS), st.permutations(_PARTS))
def test_the_order_of_arrival_never_shows(items: list[Any], roles: list[Any], history: list[Any]) -> None:
    in_order = to_deal(DealRecords(HEADER, _PARTS, _PARTS, _PARTS, _PARTS), ORG)
    shuffled = to_deal(DealRecords(HEADER, items, roles, roles, history), ORG)
    assert date(2026, 12, 24) == shuffled.close_date
    assert encode_body(shuffled) == encode_body(in_order)
