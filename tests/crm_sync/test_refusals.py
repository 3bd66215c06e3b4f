"""What is described and yet refused is left out and named; every other object goes on, and it comes back by itself."""

from __future__ import annotations

import pytest
from tests.crm_sync.conftest import Stage
from tests.crm_sync.fakes import Fault, record_id
from tests.crm_sync.test_schema_drift import PROMISED

from crm_sync.errors import QueryRefused, SchemaChanged
from troth_contracts.sync import SyncStatus
from troth_contracts.topics import SYNC_STATUS

HOUR = 3_600
INVALID_TYPE = SchemaChanged("INVALID_TYPE: sObject type 'OpportunityLineItem' is not supported")
MALFORMED = QueryRefused("MALFORMED_QUERY: unexpected token: 'FROM'")
FORBIDDEN = SchemaChanged("Salesforce answered 403 INSUFFICIENT_ACCESS")


def refusing(error: Exception, *names: str) -> Fault:
    calls = {f"query {name}" for name in names}

    def strike(call: str) -> None:
        if call in calls:
            raise error

    return strike


@pytest.mark.parametrize(
    "error", [INVALID_TYPE, MALFORMED, FORBIDDEN], ids=["type", "malformed", "forbidden"]
)
async def test_a_refused_object_is_named_and_the_others_flow(stage: Stage, error: Exception) -> None:
    deal = stage.org.deal()
    stage.org.put("OpportunityTeamMember", OpportunityId=deal, UserId=record_id("User", 1))
    await stage.poll()

    stage.org.fault = refusing(error, "OpportunityLineItem")
    stage.org.put("Opportunity", deal, Name="changed")
    await stage.poll()

    assert stage.deals()[deal].name == "changed"
    assert len(stage.deals()[deal].roles) == 1
    assert not stage.health.ready
    assert "OpportunityLineItem is not readable: give" in stage.health.checks["objects"].detail
    assert told(stage).detail == "not readable: OpportunityLineItem"
    assert any("OpportunityLineItem" in each for each in await problems(stage))
    assert "OpportunityLineItem" not in await ages(stage)


async def test_a_refused_object_is_tried_each_hour_by_one_query_and_comes_back(stage: Stage) -> None:
    deal = stage.org.deal()
    stage.org.put("OpportunityLineItem", OpportunityId=deal, Quantity=2)
    await stage.poll()
    stage.org.fault = refusing(INVALID_TYPE, "OpportunityLineItem")
    await stage.poll()
    stage.org.calls.clear()
    for _ in range(5):
        await stage.poll(601)
    assert "query OpportunityLineItem" not in stage.org.calls
    for _ in range(7):
        await stage.poll(601)
    assert stage.org.calls.count("query OpportunityLineItem") == 2

    stage.org.fault = lambda _call: None
    stage.org.tables["OpportunityLineItem"].popitem()
    item = stage.org.put(
        "OpportunityLineItem", OpportunityId=deal, at=stage.org.now.replace(year=2025), Quantity=3
    )
    for _ in range(9):
        await stage.poll(601)
    assert [each.id for each in stage.deals()[deal].line_items] == [item]
    assert stage.health.ready


async def test_a_refused_field_stays_left_out_without_reading_all_deals_again(stage: Stage) -> None:
    stage.org.custom = (PROMISED,)
    stage.org.deal(Promised_Date__c="2027-01-31", IsClosed=True)
    await stage.poll()
    stage.org.unreadable.add("Promised_Date__c")
    for _ in range(5):
        await stage.poll(601)

    assert stage.metrics.schema_changes.labels("removed")._value.get() == 1
    assert stage.metrics.schema_changes.labels("added")._value.get() == 0
    assert not stage.metrics.records.labels("reread", "unchanged")._value.get()
    assert "Promised_Date__c" in (await problems(stage))[0]
    assert stage.health.ready


async def test_a_service_that_starts_while_an_object_is_refused_leaves_it_out(stage: Stage) -> None:
    deal = stage.org.deal()
    stage.org.fault = refusing(INVALID_TYPE, "OpportunityLineItem", "User")
    for _ in range(2):
        await pass_whatever_comes(stage)
    await stage.poll()

    assert set(stage.deals()) == {deal}
    assert told(stage).detail == "not readable: OpportunityLineItem, User"


async def pass_whatever_comes(stage: Stage) -> None:
    try:
        await stage.poll()
    except SchemaChanged:
        return


async def test_deals_without_the_field_that_makes_them_deals_are_a_trouble_of_all(stage: Stage) -> None:
    stage.org.deal()
    await stage.poll()
    stage.org.fault = refusing(MALFORMED, "Opportunity")
    with pytest.raises(SchemaChanged, match="MALFORMED_QUERY"):
        await stage.poll()


async def test_an_account_that_is_hidden_takes_only_the_account_s_name(stage: Stage) -> None:
    account = stage.org.put("Account", Name="Acme")
    deal = stage.org.deal(AccountId=account)
    stage.org.hidden.add("Account")
    await stage.poll()
    assert stage.deals()[deal].account_id == account
    assert stage.deals()[deal].account_name is None


async def problems(stage: Stage) -> tuple[str, ...]:
    found = (await stage.sync.status())["problems"]
    assert isinstance(found, tuple)
    return found


async def ages(stage: Stage) -> dict[str, float]:
    found = (await stage.sync.status())["seconds_since_moved"]
    assert isinstance(found, dict)
    return found


def told(stage: Stage) -> SyncStatus:
    (status,) = stage.bus.fold(SYNC_STATUS).values()
    assert isinstance(status, SyncStatus)
    return status
