"""Queries: escaping, times, length of a request, and going on after a lost page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crm_sync.fakes import MemoryOrg, record_id

from crm_sync.changes import changed_rows
from crm_sync.describe import CHILDREN, OPPORTUNITY, object_schema
from crm_sync.paging import pages, rows
from crm_sync.salesforce import Described, Description
from crm_sync.soql import LONGEST_URI, Condition, Query, by_ids, literal

CHANGES = Query("Opportunity", ("Id", "SystemModstamp"), order=("SystemModstamp", "Id"))


def test_a_poll_asks_inclusively_in_order_and_without_limit() -> None:
    """`>` and LIMIT lose or repeat rows of one second for ever. https://github.com/airbytehq/airbyte/issues/17148"""
    schema = object_schema(
        OPPORTUNITY,
        Description.of(
            Described(n, "string", custom=False, filterable=True, label=n) for n in OPPORTUNITY.fields
        ),
    )
    text = str(changed_rows(schema, datetime(2026, 11, 25, 10, 0, 0, 999_999, tzinfo=UTC)))
    assert text == (
        "SELECT Id, SystemModstamp FROM Opportunity WHERE SystemModstamp >= 2026-11-25T10:00:00Z"
        " ORDER BY SystemModstamp, Id"
    )


def test_history_is_polled_by_its_creation() -> None:
    history = CHILDREN[-1]
    schema = object_schema(
        history,
        Description.of(
            Described(n, "string", custom=False, filterable=True, label=n) for n in history.fields
        ),
    )
    assert schema.stamp == "CreatedDate"


def test_times_are_written_in_utc() -> None:
    at = datetime(2026, 11, 25, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    assert literal(at) == "2026-11-25T10:00:00Z"


def test_texts_cannot_leave_their_quotes() -> None:
    assert literal("O'Neil \\ Co\n") == r"'O\'Neil \\ Co\n'"


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="4000"):
        literal("x" * 4_001)


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=3_000), st.integers(min_value=1, max_value=120))
def test_ids_are_asked_for_once_each_within_the_length_of_a_request(count: int, fields: int) -> None:
    """Request line and headers may have 16,384 bytes. https://help.salesforce.com/s/articleView?id=000386264&type=1"""
    ids = [record_id("Opportunity", number) for number in range(count)]
    template = Query("Opportunity", tuple(f"A_Custom_Field_{number}__c" for number in range(fields)))

    queries = list(by_ids(template, "Id", ids))

    asked = [one for query in queries for one in query.where[0].value]  # type: ignore[union-attr]
    assert asked == ids
    assert all(len(quote_plus(str(query))) <= LONGEST_URI for query in queries)


def test_after_a_lost_page_the_tie_is_read_by_id_and_the_rest_by_time() -> None:
    row = {"Id": "006B", "SystemModstamp": "2026-11-25T10:00:00.000+0000"}
    tie, later = CHANGES.after(row)
    assert str(tie).endswith("WHERE SystemModstamp = 2026-11-25T10:00:00Z ORDER BY Id")
    assert str(later).endswith("WHERE SystemModstamp > 2026-11-25T10:00:00Z ORDER BY SystemModstamp, Id")
    (rest,) = tie.after(row)
    assert str(rest).endswith("WHERE SystemModstamp = 2026-11-25T10:00:00Z AND Id > '006B' ORDER BY Id")


@pytest.mark.parametrize("lose_every", [1, 2, 3])
async def test_lost_locators_lose_no_row_also_in_a_tie_of_thousands(lose_every: int) -> None:
    """A locator dies with its token. https://github.com/airbytehq/airbyte/pull/84302"""
    org = MemoryOrg(page_size=200)
    for number in range(2_500):
        org.put("Opportunity", None, at=org.now + timedelta(seconds=0 if number < 2_000 else number))
    calls = 0

    def lose(call: str) -> None:
        nonlocal calls
        calls += call == "more"
        if call == "more" and calls % lose_every == 0:
            org.lose_locators()

    org.fault = lose
    found = await rows(org, CHANGES)

    assert {row["Id"] for row in found} == set(org.tables["Opportunity"])
    assert len(found) == 2_500


async def test_rows_are_told_page_by_page() -> None:
    org = MemoryOrg(page_size=2)
    for _ in range(5):
        org.deal()
    sizes = [len(page.records) async for page in pages(org, CHANGES)]
    assert sizes == [2, 2, 1]


def test_conditions_read_like_soql() -> None:
    assert str(Condition("Id", "IN", ("006A", "006B"))) == "Id IN ('006A','006B')"
