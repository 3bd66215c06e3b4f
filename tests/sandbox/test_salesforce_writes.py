"""Records written over the API, alone, by key and inside a composite."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.sandbox.salesforce_org import DATA, NOT_FOUND, ControlledOrg, a_site, controlled, deal_id

DEALS = f"{DATA}/sobjects/Opportunity"
NEW = {"Name": "New", "StageName": "Prospecting", "CloseDate": "2026-12-01"}
FIELDS = {"Opportunity": [{"name": "Key__c", "type": "string", "label": "Key"}]}


@pytest.fixture
async def org() -> AsyncIterator[ControlledOrg]:
    async with controlled(a_site(custom_fields=FIELDS)) as running:
        yield running


async def test_a_record_is_created_changed_and_deleted(org: ControlledOrg) -> None:
    made = await org.client.post(f"{DEALS}/", json=NEW)
    record = made.json()
    assert (made.status_code, record["success"], record["errors"]) == (201, True, [])
    assert made.headers["location"] == f"{DEALS}/{record['id']}"
    org.site.clock.advance(timedelta(minutes=1))
    assert (await org.client.patch(f"{DEALS}/{record['id']}", json={"Amount": 5})).status_code == 204
    (row,) = await org.rows("SELECT Amount, SystemModstamp FROM Opportunity WHERE Name = 'New'")
    assert (row["Amount"], row["SystemModstamp"]) == (5.0, "2026-11-25T12:01:00.000+0000")
    assert (await org.client.delete(f"{DEALS}/{record['id'][:15]}")).status_code == 204
    assert await org.rows("SELECT Id FROM Opportunity WHERE Name = 'New'") == []
    (row,) = await org.rows("SELECT IsDeleted FROM Opportunity WHERE Name = 'New'", "queryAll")
    assert row["IsDeleted"] is True
    gone = await org.client.patch(f"{DEALS}/{record['id']}", json={})
    assert gone.json()[0]["errorCode"] == "ENTITY_IS_DELETED"


@pytest.mark.parametrize(
    ("change", "code", "fields"),
    [
        ({"Name": None}, "REQUIRED_FIELD_MISSING", ["Name"]),
        ({"Foo": 1}, "INVALID_FIELD", None),
        ({"IsWon": True}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["IsWon"]),
        ({"Amount": "much"}, "INVALID_TYPE_ON_FIELD_IN_RECORD", ["Amount"]),
    ],
)
async def test_a_wrong_record_is_refused_with_its_fields(
    org: ControlledOrg, change: dict[str, Any], code: str, fields: list[str] | None
) -> None:
    response = await org.client.post(DEALS, json=NEW | change)
    (error,) = response.json()
    assert (response.status_code, error["errorCode"], error.get("fields")) == (400, code, fields)


async def test_a_row_in_an_open_transaction_cannot_be_locked(org: ControlledOrg) -> None:
    """Recorded in jsforce issue 1018."""
    transaction = org.site.transactions.begin()
    statement = {"object": "Opportunity", "fields": {"Id": deal_id(1), "Name": "Late"}}
    org.site.transactions.add(transaction.id, statement)
    for refused in (
        await org.client.patch(f"{DEALS}/{deal_id(1)}", json={"Name": "x"}),
        await org.client.delete(f"{DEALS}/{deal_id(1)}"),
    ):
        message = f"unable to obtain exclusive access to this record or 1 records: {deal_id(1)}"
        body = [{"message": message, "errorCode": "UNABLE_TO_LOCK_ROW", "fields": []}]
        assert (refused.status_code, refused.json()) == (400, body)


async def test_a_record_is_written_and_read_by_a_key(org: ControlledOrg) -> None:
    url = f"{DEALS}/Key__c/A-1"
    assert (await org.client.get(url)).json() == NOT_FOUND
    assert (await org.client.patch(url, json=NEW)).status_code == 201
    changed = await org.client.patch(url, json={"Name": "Changed"})
    assert (changed.status_code, changed.json()["created"]) == (200, False)
    assert (await org.client.get(url)).json()["Name"] == "Changed"
    await org.client.patch(f"{DEALS}/{deal_id(0)}", json={"Key__c": "A-1"})
    several = await org.client.get(url)
    assert (several.status_code, len(several.json())) == (300, 2)
    assert (await org.client.patch(url, json={})).status_code == 300
    unknown = await org.client.patch(f"{DEALS}/Foo__c/A-1", json=NEW)
    message = "Provided external ID field does not exist or is not accessible: Foo__c"
    assert (unknown.status_code, unknown.json()[0]["message"]) == (404, message)


async def test_a_composite_may_create_a_parent_and_its_child(org: ControlledOrg) -> None:
    parts = [
        {"referenceId": "deal", "method": "POST", "url": DEALS, "body": NEW},
        {
            "referenceId": "line",
            "method": "POST",
            "url": f"{DATA}/sobjects/OpportunityLineItem",
            "body": {"OpportunityId": "@{deal.id}", "Quantity": 2, "UnitPrice": 3},
        },
    ]
    response = await org.client.post(f"{DATA}/composite", json={"compositeRequest": parts})
    deal, line = response.json()["compositeResponse"]
    assert [deal["httpStatusCode"], line["httpStatusCode"]] == [201, 201]
    assert deal["httpHeaders"]["Location"] == f"{DEALS}/{deal['body']['id']}"
    (row,) = await org.rows("SELECT OpportunityId, TotalPrice FROM OpportunityLineItem")
    assert (row["OpportunityId"], row["TotalPrice"]) == (deal["body"]["id"], 6.0)


async def test_what_is_not_writable_or_not_there_is_refused(org: ControlledOrg) -> None:
    assert (await org.client.post(f"{DATA}/sobjects/OpportunityHistory", json={})).status_code == 405
    assert (await org.client.patch(f"{DEALS}/{deal_id(9)}", json={})).json() == NOT_FOUND
    assert (await org.client.post(DEALS, content=b"{")).json()[0]["errorCode"] == "JSON_PARSER_ERROR"
