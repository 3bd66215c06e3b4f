"""Two hops on the simulator and a real Kafka: a lookup of a lookup, and what a junction joins, by pages and by jobs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.crm_sync.fakes import record_id
from tests.crm_sync.simulated import seed
from tests.integration.crm_truth import fold, found_by_sweeps
from tests.integration.crm_world import LONG_AGO, World, a_world

PLAN, STEP, LINK, FEATURE = (
    "a00000000000001AAA",
    "a01000000000001AAA",
    "a02000000000001AAA",
    "a03000000000001AAA",
)
DEAL, OTHER = record_id("Opportunity", 1), record_id("Opportunity", 2)


def reference(name: str, target: str) -> dict[str, str]:
    return {"name": name, "type": "reference", "target": target}


def contents() -> dict[str, Any]:
    due = {"name": "Due__c", "type": "date"}
    made = seed(3, stamp=LONG_AGO)
    made["custom_objects"] = {
        "Plan__c": {"fields": [reference("Deal__c", "Opportunity")]},
        "Step__c": {"fields": [reference("Plan__c", "Plan__c"), due]},
        "Link__c": {"fields": [reference("Deal__c", "Opportunity"), reference("Feature__c", "Feature__c")]},
        "Feature__c": {"fields": [due]},
    }
    rows: dict[str, dict[str, Any]] = {
        "Plan__c": {"Id": PLAN, "Deal__c": DEAL},
        "Step__c": {"Id": STEP, "Plan__c": PLAN, "Due__c": "2027-01-31"},
        "Link__c": {"Id": LINK, "Deal__c": DEAL, "Feature__c": FEATURE},
        "Feature__c": {"Id": FEATURE, "Due__c": "2027-03-31"},
    }
    made["objects"] |= {name: [{**row, "SystemModstamp": LONG_AGO}] for name, row in rows.items()}
    return made


async def related(world: World, deal: str) -> dict[str, Mapping[str, str]]:
    deals = {each["id"]: each for each in (await fold(world)).values()}
    return {each["id"]: each["fields"] for each in deals[deal].get("related", ())}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bulk_from", ["20000", "1"], ids=["pages", "jobs"])
async def test_promises_over_two_hops_come_and_change_with_the_deal(
    tmp_path: Path, kafka: str, bulk_from: str
) -> None:
    async with a_world(tmp_path, kafka, contents(), TROTH_CRM_BULK_FROM=bulk_from) as world:
        await world.start()
        await world.run(60)
        first = await related(world, DEAL)
        assert first[STEP]["Due__c"] == "2027-01-31"
        assert first[LINK]["Feature__r.Due__c"] == "2027-03-31"
        assert FEATURE not in first

        world.org.write("Step__c", {"Id": STEP, "Due__c": "2027-02-28"})
        world.org.write("Feature__c", {"Id": FEATURE, "Due__c": "2027-04-30"})
        await world.run(120)
        second = await related(world, DEAL)
        assert (second[STEP]["Due__c"], second[LINK]["Feature__r.Due__c"]) == ("2027-02-28", "2027-04-30")

        world.org.write("Plan__c", {"Id": PLAN, "Deal__c": OTHER})
        world.org.delete("Link__c", LINK, hard=True)
        await world.run(600)
        assert await related(world, DEAL) == {}
        assert set(await related(world, OTHER)) == {PLAN, STEP}
        await world.run(7 * 3_600)
        assert not found_by_sweeps(world)
        assert world.ready() == (True, "")
