"""What happens in the simulated org when somebody writes, deletes or restores a record."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from troth_sandbox.errors import SeedError
from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.org import Org, open_org
from troth_sandbox.salesforce.seed import parse_seed
from troth_sandbox.salesforce.values import Row

DEAL = "006000000000001AAA"
LINE = "00k000000000001AAA"
NOON = "2026-11-25T12:00:00.000+0000"
LATER = "2026-11-25T12:00:10.000+0000"
OLD = "2026-11-01T08:00:00.000+0000"


def document(**objects: list[dict[str, Any]]) -> dict[str, Any]:
    auth = {"client_id": "id", "client_secret": "secret"}
    return {"org_id": "00D000000000001EAA", "auth": auth, "objects": objects}


def an_org(**objects: list[dict[str, Any]]) -> Org:
    clock = SettableClock()
    clock.set(datetime(2026, 11, 25, 12, tzinfo=UTC), frozen=True)
    return open_org(parse_seed(document(**objects)), clock)


def a_deal(**fields: Any) -> Org:
    record = {"Id": DEAL, "Name": "Deal", "StageName": "Prospecting", "Amount": 100, "SystemModstamp": OLD}
    line = {"Id": LINE, "OpportunityId": DEAL, "Quantity": 2, "UnitPrice": 50, "SystemModstamp": OLD}
    return an_org(Opportunity=[record | fields], OpportunityLineItem=[line])


def row(org: Org, name: str, row_id: str) -> Row:
    found = org.table(name).get(row_id)
    assert found is not None
    return found


def later(org: Org) -> None:
    org.clock.advance(timedelta(seconds=10))


def test_seeded_stamps_are_kept_and_missing_ones_are_now() -> None:
    org = an_org(Opportunity=[{"Name": "A", "SystemModstamp": OLD}, {"Name": "B"}])
    stamps = [
        (each["CreatedDate"], each["LastModifiedDate"], each["SystemModstamp"])
        for each in org.table("Opportunity")
    ]
    assert stamps == [(OLD, OLD, OLD), (NOON, NOON, NOON)]


def test_a_write_moves_the_stamp_to_the_clock() -> None:
    org = a_deal()
    later(org)
    after = org.write("Opportunity", {"Id": DEAL, "NextStep": "Call", "SystemModstamp": OLD})
    assert (after["SystemModstamp"], after["LastModifiedDate"], after["CreatedDate"]) == (LATER, LATER, OLD)
    assert after["Amount"] == 100.0


def test_the_stage_decides_what_the_record_does_not_say() -> None:
    org = a_deal(StageName="Negotiation/Review")
    assert {
        name: row(org, "Opportunity", DEAL)[name] for name in ("IsClosed", "Probability", "ExpectedRevenue")
    } == {
        "IsClosed": False,
        "Probability": 90.0,
        "ExpectedRevenue": 90.0,
    }
    won = org.write("Opportunity", {"Id": DEAL, "StageName": "Closed Won"})
    assert (won["IsClosed"], won["IsWon"], won["Probability"], won["ForecastCategory"]) == (
        True,
        True,
        100.0,
        "Closed",
    )


def test_what_the_record_says_wins_until_the_stage_changes() -> None:
    org = a_deal(Probability=33, ForecastCategoryName="Commit")
    said = row(org, "Opportunity", DEAL)
    assert (said["Probability"], said["ForecastCategory"]) == (33.0, "Forecast")
    moved = org.write("Opportunity", {"Id": DEAL, "StageName": "Value Proposition"})
    assert (moved["Probability"], moved["ForecastCategoryName"]) == (50.0, "Pipeline")


def test_editing_a_stage_changes_its_deals_and_moves_no_stamp() -> None:
    """A stage's type changes the meaning of all its opportunities without an event."""
    org = a_deal(IsClosed=False, IsWon=False)
    (stage,) = (each for each in org.table("OpportunityStage") if each["ApiName"] == "Prospecting")
    org.write("OpportunityStage", {"Id": stage["Id"], "IsClosed": True, "IsWon": True})
    after = row(org, "Opportunity", DEAL)
    assert (after["IsClosed"], after["IsWon"], after["SystemModstamp"]) == (True, True, OLD)


def test_a_deal_knows_whether_it_has_lines() -> None:
    org = a_deal()
    assert row(org, "Opportunity", DEAL)["HasOpportunityLineItem"] is True
    org.delete("OpportunityLineItem", LINE)
    assert row(org, "Opportunity", DEAL)["HasOpportunityLineItem"] is False


def test_history_gets_a_row_for_each_change_of_a_tracked_field() -> None:
    org = a_deal(CloseDate="2026-12-01")
    org.write("Opportunity", {"Id": DEAL, "NextStep": "not tracked"})
    org.write("Opportunity", {"Id": DEAL, "Amount": 250})
    org.write("Opportunity", {"Id": DEAL, "CloseDate": "2027-01-31"})
    steps = [
        (step["Amount"], step["PrevAmount"], step["CloseDate"], step["PrevCloseDate"])
        for step in org.table("OpportunityHistory")
    ]
    assert steps == [
        (250.0, 100.0, "2026-12-01", "2026-12-01"),
        (250.0, 250.0, "2027-01-31", "2026-12-01"),
    ]
    first, second = org.table("OpportunityHistory")
    after = row(org, "Opportunity", DEAL)
    assert after["LastAmountChangedHistoryId"] == first["Id"]
    assert after["LastCloseDateChangedHistoryId"] == second["Id"]


def test_a_soft_delete_keeps_the_row_and_takes_the_children_along() -> None:
    org = a_deal()
    org.write("Opportunity", {"Id": DEAL, "Amount": 250})
    later(org)
    assert org.delete("Opportunity", DEAL)
    for name in ("Opportunity", "OpportunityLineItem", "OpportunityHistory"):
        (gone,) = org.table(name)
        assert (gone["IsDeleted"], gone["SystemModstamp"]) == (True, LATER)
    assert org.deletions("Opportunity") == {DEAL: LATER}
    assert org.deletions("OpportunityLineItem") == {LINE: LATER}
    assert not org.delete("Opportunity", DEAL)


def test_an_undelete_brings_back_what_went_with_it_and_nothing_else() -> None:
    other = {"Id": "00k000000000002AAA", "OpportunityId": DEAL, "Quantity": 1, "UnitPrice": 1}
    org = a_deal()
    org.write("OpportunityLineItem", other)
    org.delete("OpportunityLineItem", "00k000000000002AAA")
    later(org)
    org.delete("Opportunity", DEAL)
    later(org)
    assert org.undelete("Opportunity", DEAL)
    deleted = {line["Id"]: line["IsDeleted"] for line in org.table("OpportunityLineItem")}
    assert deleted == {LINE: False, "00k000000000002AAA": True}
    assert row(org, "Opportunity", DEAL)["SystemModstamp"] == "2026-11-25T12:00:20.000+0000"
    assert DEAL not in org.deletions("Opportunity")
    assert not org.undelete("Opportunity", DEAL)


def test_a_hard_delete_leaves_only_the_log() -> None:
    org = a_deal()
    assert org.delete("Opportunity", DEAL, hard=True)
    assert len(org.table("Opportunity")) == len(org.table("OpportunityLineItem")) == 0
    assert org.deletions("OpportunityLineItem") == {LINE: NOON}
    assert not org.delete("Opportunity", DEAL, hard=True)


def test_a_team_member_bypasses_the_recycle_bin_unless_the_deal_takes_it_along() -> None:
    """Direct deletes of OpportunityTeamMember are never in queryAll (object reference, OpportunityTeamMember)."""
    org = a_deal()
    first = org.write("OpportunityTeamMember", {"OpportunityId": DEAL})
    org.delete("OpportunityTeamMember", str(first["Id"]))
    assert len(org.table("OpportunityTeamMember")) == 0
    assert str(first["Id"]) in org.deletions("OpportunityTeamMember")
    org.write("OpportunityTeamMember", {"OpportunityId": DEAL})
    org.delete("Opportunity", DEAL)
    assert [member["IsDeleted"] for member in org.table("OpportunityTeamMember")] == [True]


def test_the_same_seed_and_writes_give_the_same_org() -> None:
    def build() -> list[Row]:
        org = a_deal()
        org.write("Opportunity", {"Name": "New"})
        return [*org.table("Opportunity"), *org.table("OpportunityHistory")]

    assert build() == build()


def test_an_org_with_one_currency_has_no_currency_fields() -> None:
    org = a_deal()
    assert org.schema.get("CurrencyType") is None
    assert "CurrencyIsoCode" not in row(org, "Opportunity", DEAL)
    many = an_org(Opportunity=[{"Name": "A", "CurrencyIsoCode": "SEK"}])
    assert many.schema.get("CurrencyType") is not None
    assert many.schema.get("DatedConversionRate") is None
    dated = an_org(
        CurrencyType=[{"IsoCode": "SEK", "ConversionRate": 11}],
        DatedConversionRate=[{"IsoCode": "SEK", "StartDate": "2026-01-01", "ConversionRate": 10.5}],
    )
    assert dated.schema.get("DatedConversionRate") is not None


@pytest.mark.parametrize(
    ("objects", "sentence"),
    [
        ({"Opportunty": []}, "objects that this org does not have: Opportunty"),
        (
            {"Opportunity": [{"Nmae": "x", "Amount": "5"}]},
            "has no field Nmae; Opportunity.Amount cannot hold '5'",
        ),
        ({"Opportunity": [{"ForecastCategory": "Commit"}]}, "ForecastCategory cannot hold 'Commit'"),
        ({"Opportunity": [{"CloseDate": "25.11.2026"}]}, "CloseDate cannot hold '25.11.2026'"),
    ],
)
def test_a_seed_that_cannot_be_is_refused_in_one_sentence(objects: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SeedError, match=sentence.replace("(", "\\(")):
        an_org(**objects)


@pytest.mark.parametrize(
    "change",
    [
        {"auth": {}},
        {"auth": None},
        {"sesion": 1},
        {"custom_fields": {"Opportunity": [{"name": "Promised_Date__c", "type": "day", "label": "x"}]}},
        {"custom_fields": {"Opprtunity": []}},
    ],
)
def test_a_seed_with_wrong_settings_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SeedError):
        open_org(parse_seed(document() | change), SettableClock())
