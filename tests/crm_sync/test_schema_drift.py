"""Fields and objects come and go: none of it stops the sync, all of it is counted."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from tests.crm_sync.conftest import Stage
from tests.crm_sync.fakes import START, Fault, kafka_down

from crm_sync.errors import QueryTooLong, SchemaChanged
from crm_sync.paging import rows
from crm_sync.salesforce import Described, Page
from crm_sync.soql import Query
from troth_chassis.errors import TransientError
from troth_contracts.crm import SchemaChange
from troth_contracts.topics import SCHEMA_CHANGES

PROMISED = Described("Promised_Date__c", "date", custom=True, filterable=True, label="Promised date")
SCORE = Described("Score__c", "double", custom=True, filterable=True, label="Score")


def plain(name: str, kind: str = "string") -> Described:
    return Described(name, kind, custom=name.endswith("__c"), filterable=True, label=name)


CHILD = tuple(map(plain, ("Id", "IsDeleted", "Deal__c", "SystemModstamp", "Due__c")))


def changes(stage: Stage, kind: str) -> float:
    return float(stage.metrics.schema_changes.labels(kind)._value.get())


async def test_a_hidden_field_is_left_out_within_the_same_pass(stage: Stage) -> None:
    deal = stage.org.deal(NextStep="call")
    await stage.poll()
    stage.org.hidden.add("NextStep")
    stage.org.put("Opportunity", deal, Name="changed")

    await stage.poll()

    assert stage.deals()[deal].name == "changed"
    assert stage.deals()[deal].next_step is None
    assert changes(stage, "removed") == 1


async def test_a_field_that_is_described_and_yet_refused_stops_nothing(stage: Stage) -> None:
    stage.org.custom = (PROMISED,)
    deal = stage.org.deal(Promised_Date__c="2027-01-31")
    await stage.poll()
    stage.org.unreadable.add("Promised_Date__c")
    stage.org.put("Opportunity", deal, Name="changed")

    await stage.poll()

    assert stage.deals()[deal].name == "changed"
    assert stage.deals()[deal].custom == {}


async def test_an_added_field_is_seen_in_ten_minutes_and_read_for_all_deals(stage: Stage) -> None:
    deal = stage.org.deal(Promised_Date__c="2027-01-31")
    await stage.poll()
    stage.org.custom = (PROMISED,)

    await stage.poll(601)

    assert stage.deals()[deal].custom == {"Promised_Date__c": "2027-01-31"}
    assert changes(stage, "added") == 1


async def test_a_retyped_field_keeps_its_text(stage: Stage) -> None:
    stage.org.custom = (SCORE,)
    deal = stage.org.deal(Score__c=5)
    await stage.poll()
    stage.org.custom = (plain("Score__c"),)
    stage.org.put("Opportunity", deal, Score__c="five")

    await stage.poll(601)

    assert stage.deals()[deal].custom == {"Score__c": "five"}
    assert changes(stage, "retyped") == 1


def told(stage: Stage) -> list[tuple[str, str | None, str]]:
    bodies = [
        msgspec.json.decode(each.value or b"", type=SchemaChange) for each in stage.bus.of(SCHEMA_CHANGES)
    ]
    assert all(START < body.at <= stage.org.now for body in bodies)
    return [(body.object, body.field, body.change) for body in bodies]


async def test_every_change_is_an_event_of_its_own(stage: Stage) -> None:
    stage.org.custom = (SCORE,)
    stage.org.deal(Score__c=5)
    await stage.poll()
    assert told(stage) == []
    stage.org.custom = (plain("Score__c"), PROMISED)
    stage.org.hidden |= {"NextStep", "OpportunityTeamMember"}

    await stage.poll(601)
    await stage.poll(601)

    assert told(stage) == [
        ("Opportunity", "NextStep", "removed"),
        ("Opportunity", "Promised_Date__c", "added"),
        ("Opportunity", "Score__c", "retyped"),
        ("OpportunityTeamMember", None, "removed"),
    ]
    stage.org.hidden.clear()
    await stage.poll(601)
    assert ("OpportunityTeamMember", None, "added") in told(stage)


async def test_a_change_that_kafka_did_not_take_is_told_later(stage: Stage) -> None:
    """Once: the description that follows shows nothing new."""
    stage.org.deal()
    await stage.poll()
    stage.org.custom = (PROMISED,)
    stage.bus.fault = kafka_down
    with pytest.raises(TransientError):
        await stage.poll(601)
    stage.bus.fault = lambda _call: None

    await stage.poll()
    await stage.poll(601)

    assert told(stage) == [("Opportunity", "Promised_Date__c", "added")]


async def test_describes_come_every_ten_minutes_not_with_every_poll(stage: Stage) -> None:
    stage.org.deal()
    await stage.poll()
    stage.org.calls.clear()
    for _ in range(19):
        await stage.poll(30)
    assert not [call for call in stage.org.calls if call.startswith("describe")]
    await stage.poll(30)
    assert [call for call in stage.org.calls if call.startswith("describe")]


async def test_an_object_that_is_hidden_while_running_is_left_out(stage: Stage) -> None:
    deal = stage.org.deal()
    stage.org.put("OpportunityTeamMember", OpportunityId=deal, UserId=None)
    await stage.poll()
    stage.org.hidden.add("OpportunityTeamMember")
    stage.org.put("Opportunity", deal, Name="changed")

    await stage.poll()

    assert stage.deals()[deal].name == "changed"


async def test_a_change_that_a_new_description_does_not_explain_is_tried_once(stage: Stage) -> None:
    stage.org.deal()
    await stage.poll()
    stage.org.fault = always(SchemaChanged("INVALID_FIELD: something else"), "query Opportunity")

    with pytest.raises(SchemaChanged):
        await stage.poll()


async def test_a_custom_object_that_looks_up_the_deal_comes_with_it(stage: Stage) -> None:
    stage.org.custom_objects["Promise__c"] = CHILD
    deal = stage.org.deal()
    child = "a00000000000001AAA"
    stage.org.put("Promise__c", child, Deal__c=deal, Due__c="2027-01-31")
    await stage.poll()
    (related,) = stage.deals()[deal].related
    assert (related.object, related.id, related.fields["Due__c"]) == ("Promise__c", child, "2027-01-31")

    stage.org.put("Promise__c", child, Due__c="2027-02-28")
    await stage.poll()
    assert stage.deals()[deal].related[0].fields["Due__c"] == "2027-02-28"

    stage.org.delete("Promise__c", child, hard=True)
    await stage.poll(400)
    assert stage.deals()[deal].related == ()
    await stage.poll(6 * 3_600 + 60)
    assert not stage.metrics.differences.labels("stale")._value.get()


async def test_a_query_that_runs_too_long_is_asked_by_smaller_windows(stage: Stage) -> None:
    for minute in range(50):
        stage.org.put(
            "Opportunity", None, at=START - timedelta(minutes=minute), Name="d", CurrencyIsoCode="EUR"
        )
    query = Query("Opportunity", ("Id", "SystemModstamp"), order=("SystemModstamp", "Id"))
    ask, asked = stage.org.query, []

    async def limited(wanted: Query) -> Page:
        asked.append(wanted)
        page = await ask(wanted)
        if page.total > 10:
            raise QueryTooLong("QUERY_TIMEOUT")
        return page

    stage.org.query = limited  # type: ignore[method-assign, assignment]
    found = await rows(stage.org, query)
    assert len(found) == 50
    assert len(asked) < 100


async def test_a_window_of_a_second_is_not_cut_further(stage: Stage) -> None:
    stage.org.fault = always(QueryTooLong("QUERY_TIMEOUT"), "query")
    with pytest.raises(QueryTooLong):
        await rows(stage.org, Query("Opportunity", ("Id", "SystemModstamp"), order=("SystemModstamp", "Id")))


def always(error: Exception, call_begins: str) -> Fault:
    def strike(call: str) -> None:
        if call.startswith(call_begins):
            raise error

    return strike
