"""Custom objects around a deal come with it: over a lookup of a lookup, and through a junction."""

from __future__ import annotations

import pytest
from tests.crm_sync.conftest import Stage
from tests.crm_sync.test_schema_drift import plain

from crm_sync.salesforce import Described
from troth_contracts.crm import RelatedRecord

PLAN, STEP = "a00000000000001AAA", "a01000000000001AAA"
LINK, FEATURE = "a02000000000001AAA", "a03000000000001AAA"
WAYS = pytest.mark.parametrize("bulk_from", ["20000", "1"], ids=["pages", "jobs"])


def lookup(name: str, target: str) -> Described:
    return Described(name, "reference", custom=True, filterable=True, label=name, target=target)


def with_steps(stage: Stage) -> None:
    """Step__c looks up Plan__c, which looks up the deal."""
    audit = tuple(map(plain, ("Id", "IsDeleted", "SystemModstamp")))
    stage.org.custom_objects["Plan__c"] = (*audit, plain("Deal__c"))
    stage.org.custom_objects["Step__c"] = (*audit, lookup("Plan__c", "Plan__c"), plain("Due__c"))


def with_features(stage: Stage) -> None:
    """Link__c is a junction of deals and features; Feature__c knows no deal."""
    audit = tuple(map(plain, ("Id", "IsDeleted", "SystemModstamp")))
    stage.org.custom_objects["Link__c"] = (*audit, plain("Deal__c"), lookup("Feature__c", "Feature__c"))
    stage.org.custom_objects["Feature__c"] = (*audit, plain("Due__c"))


def related(stage: Stage, deal: str) -> dict[str, RelatedRecord]:
    return {each.id: each for each in stage.deals()[deal].related}


@WAYS
async def test_a_lookup_of_a_lookup_comes_with_the_deal_and_so_do_its_changes(
    stage: Stage, bulk_from: str
) -> None:
    stage.restart(TROTH_CRM_BULK_FROM=bulk_from)
    with_steps(stage)
    deal, other = stage.org.deal(), stage.org.deal()
    stage.org.put("Plan__c", PLAN, Deal__c=deal)
    stage.org.put("Step__c", STEP, Plan__c=PLAN, Due__c="2027-01-31")
    await stage.poll()
    step = related(stage, deal)[STEP]
    assert (step.object, step.fields["Due__c"]) == ("Step__c", "2027-01-31")
    assert not related(stage, other)

    stage.org.put("Step__c", STEP, Due__c="2027-02-28")
    await stage.poll()
    assert related(stage, deal)[STEP].fields["Due__c"] == "2027-02-28"

    stage.org.put("Plan__c", PLAN, Deal__c=other)
    await stage.poll()
    assert not related(stage, deal)
    assert set(related(stage, other)) == {PLAN, STEP}

    stage.org.delete("Step__c", STEP, hard=True)
    await stage.poll(400)
    assert set(related(stage, other)) == {PLAN}
    await stage.poll(6 * 3_600 + 60)
    assert not stage.metrics.differences.labels("stale")._value.get()


@WAYS
async def test_what_a_junction_looks_up_is_shown_and_its_changes_are_followed(
    stage: Stage, bulk_from: str
) -> None:
    stage.restart(TROTH_CRM_BULK_FROM=bulk_from)
    with_features(stage)
    deal = stage.org.deal()
    stage.org.put("Feature__c", FEATURE, Due__c="2027-01-31")
    stage.org.put("Link__c", LINK, Deal__c=deal, Feature__c=FEATURE)
    await stage.poll()
    assert related(stage, deal)[LINK].fields["Feature__r.Due__c"] == "2027-01-31"
    assert FEATURE not in related(stage, deal)
    await stage.poll(1_500)

    stage.org.put("Feature__c", FEATURE, Due__c="2027-02-28")
    await stage.poll()
    assert related(stage, deal)[LINK].fields["Feature__r.Due__c"] == "2027-02-28"
    assert not stage.metrics.late_rows.labels("Link__c")._value.get()


async def test_a_refused_field_of_what_is_looked_up_is_left_out_alone(stage: Stage) -> None:
    with_features(stage)
    deal = stage.org.deal()
    stage.org.put("Feature__c", FEATURE, Due__c="2027-01-31")
    stage.org.put("Link__c", LINK, Deal__c=deal, Feature__c=FEATURE)
    await stage.poll()
    stage.org.unreadable.add("Due__c")
    stage.org.put("Opportunity", deal, Name="changed")
    await stage.poll()

    assert stage.deals()[deal].name == "changed"
    assert related(stage, deal)[LINK].fields == {"Deal__c": deal, "Feature__c": FEATURE}
    assert stage.health.ready


@WAYS
async def test_an_empty_lookup_belongs_to_no_deal_and_asks_for_none(stage: Stage, bulk_from: str) -> None:
    stage.restart(TROTH_CRM_BULK_FROM=bulk_from)
    with_steps(stage)
    asked: list[str] = []
    query = stage.org.query

    async def heard(wanted):  # type: ignore[no-untyped-def]
        asked.append(str(wanted))
        return await query(wanted)

    stage.org.query = heard  # type: ignore[method-assign]
    deal = stage.org.deal()
    stage.org.put("Plan__c", PLAN, Deal__c=deal)
    stage.org.put("Step__c", STEP, Plan__c=None, Due__c="2027-01-31")
    await stage.poll()
    stage.org.put("Plan__c", PLAN, Deal__c=None)
    await stage.poll()
    assert related(stage, deal) == {}
    stage.org.calls.clear()
    await stage.poll()
    assert stage.org.calls.count("query Opportunity") == 1
    assert not [text for text in asked if "None" in text]


async def test_describing_again_what_is_known_is_one_round(stage: Stage) -> None:
    with_steps(stage)
    with_features(stage)
    stage.org.deal()
    await stage.poll()
    stage.org.calls.clear()
    await stage.poll(601)
    described = [call for call in stage.org.calls if call.startswith("describe")]
    assert len(described) == len(set(described)) == 11 + 4
    places = [place for place, call in enumerate(stage.org.calls) if call.startswith("describe")]
    assert places[-1] - places[0] == len(described) - 1
