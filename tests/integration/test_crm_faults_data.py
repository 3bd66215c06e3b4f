"""Z over what an org does to its records: ties, late commits, deletions, stages, fields, sharing (reference, section 9)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from tests.crm_sync.fakes import record_id
from tests.crm_sync.simulated import seed
from tests.integration.crm_mayhem import Mayhem
from tests.integration.crm_truth import against_truth, assert_z, fold, history, records
from tests.integration.crm_world import FULL, LONG_AGO, World, a_world

from troth_contracts.topics import SCHEMA_CHANGES
from troth_sandbox.salesforce.access import Denial
from troth_sandbox.salesforce.alteration import drop_field, put_field
from troth_sandbox.salesforce.clock import stamp

MINUTE = 60.0


def deals(*numbers: int) -> list[str]:
    return [record_id("Opportunity", number) for number in numbers]


def line(world: World, deal: str, **fields: object) -> str:
    row = {"OpportunityId": deal, "Quantity": 1, "UnitPrice": 5, "CurrencyIsoCode": "EUR", **fields}
    return str(world.org.write("OpportunityLineItem", row)["Id"])


async def test_thousands_of_rows_of_one_second_over_small_pages(tmp_path: Path, kafka: str) -> None:
    """https://github.com/airbytehq/airbyte/issues/17148"""
    count = 25_000 if FULL else 1_000
    async with a_world(tmp_path, kafka, seed(count, stamp=LONG_AGO), per_request=0.05) as world:
        world.site.cursors.page_rows = (200, 2_000) if FULL else (20, 200)
        lost = [{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}]
        world.site.faults.add(
            [{"match": {"path": "/0r8", "probability": 0.1}, "act": {"status": 400, "body": lost}}]
        )
        await world.start()
        await world.run(10 * MINUTE)
        now = stamp(world.time.now())
        for number in range(1, count + 1, 2):  # a bulk update: half of the org in one second
            row = {"Id": record_id("Opportunity", number), "NextStep": "bulk"}
            world.org.write("Opportunity", row, at=now)
        await assert_z(world)


async def test_transactions_that_commit_up_to_ten_minutes_late_leave_nothing_to_the_sweep(
    tmp_path: Path, kafka: str
) -> None:
    """Rows appear with older stamps. https://github.com/airbytehq/airbyte/issues/27146"""
    async with a_world(tmp_path, kafka, TROTH_CRM_SWEEP_SECONDS="180") as world:
        Mayhem(world, seed=2, late=0.5).during(30 * MINUTE, writes=2_000 if FULL else 250)
        await world.start()
        await world.run(40 * MINUTE)
        await assert_z(world, differences=0)


async def test_a_transaction_of_an_hour_is_caught_and_counted(tmp_path: Path, kafka: str) -> None:
    async with a_world(tmp_path, kafka, TROTH_CRM_POLL_SECONDS="120") as world:
        await world.start()
        await world.run(5 * MINUTE)
        for number in (1, 2):
            late = world.site.transactions.begin(3_600)
            fields = {"Id": record_id("Opportunity", number), "NextStep": "an hour later"}
            world.site.transactions.add(late.id, {"op": "write", "object": "Opportunity", "fields": fields})
        await world.run(65 * MINUTE)
        assert world.service.metrics.late_rows.labels("Opportunity")._value.get() == 2
        await assert_z(world, differences=0)


async def test_a_row_with_an_old_stamp_that_nothing_announces_is_found_by_the_sweep(
    tmp_path: Path, kafka: str
) -> None:
    # Reading open deals again would find the changed one first.
    async with a_world(
        tmp_path, kafka, TROTH_CRM_SWEEP_SECONDS="1800", TROTH_CRM_REREAD_SECONDS="86400"
    ) as world:
        await world.start()
        await world.run(5 * MINUTE)
        world.org.write("Opportunity", {"Id": deals(3)[0], "Amount": 3}, at=LONG_AGO.replace("09:", "08:"))
        world.org.write("Opportunity", {"Name": "Unseen", "StageName": "Prospecting"}, at=LONG_AGO)
        await world.run(35 * MINUTE)
        await assert_z(world, differences=2)
        told = [entry for entry in world.told if entry["event"] == "sweep found differences"]
        assert len(told) == 1


async def test_hard_deletes_and_a_purge_during_the_backfill(tmp_path: Path, kafka: str) -> None:
    """Nothing that is gone comes back with a late page."""
    count = 2_500 if FULL else 120
    async with a_world(tmp_path, kafka, seed(count, items_each=2, stamp=LONG_AGO), per_request=3.0) as world:
        world.site.cursors.page_rows = (10, 30)
        for number in range(1, count, 5):
            gone, binned = deals(number, number + 1)
            world.time.after(1 + number / 2, partial(world.org.delete, "Opportunity", gone, hard=True))
            world.time.after(1 + number / 2, partial(world.org.delete, "Opportunity", binned))
        world.time.after(count / 2 + 10, lambda: world.org.empty_recycle_bin("Opportunity"))
        await world.start()
        await world.run(15 * MINUTE)
        assert not await against_truth(world)  # gone within fifteen minutes
        await assert_z(world)
        for states in (await history(world)).values():
            bodies = [state.body is None for state in states]
            assert bodies == sorted(bodies), "a deleted deal was published again"


async def test_deleted_restored_and_deleted_again_in_one_second(tmp_path: Path, kafka: str) -> None:
    count = 1_000 if FULL else 60
    async with a_world(tmp_path, kafka, seed(count, stamp=LONG_AGO)) as world:
        await world.start()
        await world.run(5 * MINUTE)

        def flicker(number: int) -> None:
            row_id = record_id("Opportunity", number)
            for turn in range(number % 4 + 1):
                (world.org.undelete if turn % 2 else world.org.delete)("Opportunity", row_id)

        for number in range(1, count + 1):
            world.time.after(300 * number / count, partial(flicker, number))
        await world.run(6 * MINUTE)
        await assert_z(world)


async def test_a_cascade_takes_the_parts_and_an_undelete_brings_them_back(tmp_path: Path, kafka: str) -> None:
    parents, each = (100, 50) if FULL else (8, 6)
    async with a_world(tmp_path, kafka, seed(parents, items_each=each, stamp=LONG_AGO)) as world:
        await world.start()
        await world.run(5 * MINUTE)
        for number in range(1, parents + 1):
            world.org.delete("Opportunity", *deals(number), hard=number % 4 == 0)
        await world.run(10 * MINUTE)
        assert await fold(world) == {}
        for number in range(1, parents + 1, 2):
            world.org.undelete("Opportunity", *deals(number))
        await assert_z(world)
        assert {len(deal["line_items"]) for deal in (await fold(world)).values()} == {each}


async def test_a_part_that_goes_without_trace_leaves_its_deal(tmp_path: Path, kafka: str) -> None:
    """Lines purged, team members deleted beside the recycle bin: only the deletion log knows them."""
    async with a_world(tmp_path, kafka) as world:
        member = world.org.write(
            "OpportunityTeamMember", {"OpportunityId": deals(1)[0], "UserId": record_id("User", 1)}
        )
        gone = line(world, deals(2)[0])
        await world.start()
        await world.run(5 * MINUTE)
        world.org.delete("OpportunityTeamMember", str(member["Id"]))
        world.org.delete("OpportunityLineItem", gone, hard=True)
        await assert_z(world)


async def test_an_edited_stage_type_reaches_all_its_deals(tmp_path: Path, kafka: str) -> None:
    """No stamp moves. Seen within six minutes, right everywhere within fifteen."""
    async with a_world(tmp_path, kafka, seed(60, stamp=LONG_AGO)) as world:
        await world.start()
        await world.run(5 * MINUTE)
        stamps = {row["Id"]: row["SystemModstamp"] for row in world.org.table("Opportunity")}
        stage = record_id("OpportunityStage", 1)
        world.org.write(
            "OpportunityStage",
            {"Id": stage, "IsClosed": True, "IsWon": True, "ForecastCategory": "Closed"},
        )
        assert stamps == {row["Id"]: row["SystemModstamp"] for row in world.org.table("Opportunity")}
        await world.run(6 * MINUTE)
        assert all(deal.get("is_won") for deal in (await fold(world)).values())
        await assert_z(world)


ALTERATIONS = ("added", "removed", "hidden", "hidden field of a part", "retyped", "hidden object")


@pytest.mark.parametrize("change", ALTERATIONS)
async def test_fields_come_and_go_and_no_object_stops(tmp_path: Path, kafka: str, change: str) -> None:
    async with a_world(tmp_path, kafka, TROTH_CRM_POLL_SECONDS="30") as world:
        Mayhem(world, seed=3, late=0).during(10 * MINUTE, writes=40)
        await world.start()
        await world.run(2 * MINUTE)
        unreadable = _alter(world, change)
        world.org.write("Opportunity", {"Id": deals(1)[0], "Amount": 4321, "CloseDate": "2027-03-01"})
        await world.run(61)
        assert (await fold(world))[deals(1)[0]]["close_date"] == "2027-03-01"
        await assert_z(world, unreadable=unreadable)
        assert any(entry["event"] == "schema" for entry in world.told), "the change was not told"
        assert await records(world, SCHEMA_CHANGES), "the change was not published"


def _alter(world: World, change: str) -> Sequence[str]:
    org, access = world.org, world.site.access
    if change == "added":
        put_field(org, "Opportunity", {"name": "Region__c", "type": "string", "label": "Region"})
        for number in (2, 3, 4):
            before = org.table("Opportunity").get(deals(number)[0]) or {}
            row = {"Id": deals(number)[0], "Region__c": "North"}
            org.write("Opportunity", row, at=str(before["SystemModstamp"]))  # filled in by a script
    elif change == "removed":
        drop_field(org, "Opportunity", "Jira_Key__c")
        return ("custom",)
    elif change == "hidden":
        access.permit(Denial(None, "Opportunity", "NextStep"), readable=False)
        return ("next_step",)
    elif change == "hidden field of a part":
        access.permit(Denial(None, "OpportunityLineItem", "ServiceDate"), readable=False)
        return ("line_items",)
    elif change == "retyped":
        put_field(org, "Opportunity", {"name": "Jira_Key__c", "type": "double", "label": "Number"})
        return ("custom",)
    else:
        access.permit(Denial(None, "OpportunityContactRole"), readable=False)
        return ("roles",)
    return ()


async def test_what_is_only_invisible_is_not_deleted(tmp_path: Path, kafka: str) -> None:
    """A lost sharing rule cannot be told from a hard delete by the id alone; the deletion log tells."""
    count = 2_000 if FULL else 3
    contents = seed(count + 20, items_each=2, stamp=LONG_AGO)
    async with a_world(
        tmp_path, kafka, contents, TROTH_CRM_SWEEP_SECONDS="1200", TROTH_CRM_POLL_SECONDS="120"
    ) as world:
        await world.start()
        await world.run(5 * MINUTE)
        hidden, gone = deals(*range(1, count + 1)), deals(count + 1)
        world.site.access.share(None, "Opportunity", hidden, visible=False)
        world.org.delete("Opportunity", *gone, hard=True)
        await world.run(40 * MINUTE)
        assert set(hidden) <= set(await fold(world))
        assert not set(gone) & set(await fold(world))
        assert world.service.metrics.invisible._value.get() == count
        status = await world.service.sync.status()
        assert f"invisible, not deleted: {count:,}" in str(status["detail"])
        assert any(entry["level"] == "error" and "invisible" in entry["event"] for entry in world.told)

        world.site.access.share(None, "Opportunity", hidden, visible=True)
        world.org.write("Opportunity", {"Id": hidden[0], "Name": "Back in sight"})
        await world.run(25 * MINUTE)
        assert world.service.metrics.invisible._value.get() == 0
        await assert_z(world, differences=None)


async def test_an_overlap_neither_drops_a_second_edit_nor_tells_a_state_twice(
    tmp_path: Path, kafka: str
) -> None:
    """G7. https://github.com/n8n-io/n8n/pull/29107 and https://github.com/n8n-io/n8n/pull/30809"""
    async with a_world(tmp_path, kafka, TROTH_CRM_POLL_SECONDS="30") as world:
        await world.start()
        await world.run(MINUTE)
        org, time = world.org, world.time
        new = str(org.write("Opportunity", {"Name": "New", "StageName": "Prospecting"})["Id"])
        second = stamp(time.now().replace(microsecond=0) + timedelta(seconds=90))
        time.after(120, lambda: org.write("Opportunity", {"Id": new, "Name": "Edited"}))
        time.after(420, lambda: org.write("Opportunity", {"Id": new, "Name": "Edited again"}))
        time.after(480, lambda: line(world, new))
        # two deals of one second, the later id committed first
        time.after(91, lambda: org.write("Opportunity", {"Id": deals(6)[0], "NextStep": "x"}, at=second))
        time.after(200, lambda: org.write("Opportunity", {"Id": deals(5)[0], "NextStep": "y"}, at=second))
        await world.run(12 * MINUTE)
        told = await history(world)
        assert [state.body["name"] for state in told[new] if state.body] == [
            "New",
            "Edited",
            "Edited again",
            "Edited again",
        ]
        assert len(told[deals(5)[0]]) == len(told[deals(6)[0]]) == 2
        await assert_z(world)


async def test_a_stage_that_no_list_has_counts_by_the_flags_of_its_deals(tmp_path: Path, kafka: str) -> None:
    """G5. https://github.com/SalesforceFoundation/NPSP/issues/3062"""
    contents = seed(3, stamp=LONG_AGO)
    lost, likely, legacy = contents["objects"]["Opportunity"]
    lost.update(StageName="Gesloten Verloren", IsClosed=True, IsWon=False, Probability=0)
    likely.update(StageName="Toegezegd", IsClosed=False, IsWon=False, Probability=80)
    legacy.update(StageName="Closed Won – legacy", IsClosed=False, IsWon=False, Probability=10)
    async with a_world(tmp_path, kafka, contents) as world:
        await world.start()
        await world.run(MINUTE)
        shown = await fold(world)
        assert [shown[d].get("is_closed", False) for d in deals(1, 2, 3)] == [True, False, False]
        assert world.service.metrics.dead_letters._value.get() == 0
        world.org.write(
            "OpportunityStage", {"Id": record_id("OpportunityStage", 1), "MasterLabel": "Vooruitzicht"}
        )
        before = await history(world)
        await assert_z(world)
        assert await history(world) == before, "a renamed label changed a deal"


async def test_a_line_without_a_date_keeps_none_and_each_step_is_a_state(tmp_path: Path, kafka: str) -> None:
    """G9, the deal's part: nobody entered a date, so none is published, however the close date moves."""
    async with a_world(tmp_path, kafka, seed(1, stamp=LONG_AGO)) as world:
        deal = deals(1)[0]
        dated, open_ = line(world, deal, ServiceDate="2027-01-15"), line(world, deal)
        await world.start()
        await world.run(MINUTE)
        world.org.write("Opportunity", {"Id": deal, "CloseDate": "2026-12-28"})
        await world.run(2 * MINUTE)
        world.org.write("OpportunityLineItem", {"Id": open_, "ServiceDate": "2027-02-01"})
        await assert_z(world)
        steps = [
            (
                state.body["close_date"],
                *(
                    item.get("service_date")
                    for item in state.body["line_items"]
                    if item["id"] in {dated, open_}
                ),
            )
            for state in (await history(world))[deal]
            if state.body
        ]
        assert steps == [
            ("2026-12-24", "2027-01-15", None),
            ("2026-12-28", "2027-01-15", None),
            ("2026-12-28", "2027-01-15", "2027-02-01"),
        ]


ODD_TEXTS = (
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\u202b\u05e9\u05dc\u05d5\u05dd\u202c \u0645\u0631\u062d\u0628\u0627",
    "e\u0301 is not \u00e9, \ufeff is not nothing",
    'a "quoted", comma;\r\nand a new line\twith a tab',
    "O'Neil \\ %_ -- null NULL #N/A =1+1",
    "long " * 26_214 + "x",
)
"""The last one as long as a text of Salesforce can be, 131,071 characters."""


@pytest.mark.parametrize("bulk_from", ["20000", "1"], ids=["pages", "jobs"])
async def test_unusual_texts_and_numbers_arrive_as_they_are(
    tmp_path: Path, kafka: str, bulk_from: str
) -> None:
    """Only NUL is dropped, which nobody can send on. https://github.com/airbytehq/airbyte/issues/8300"""
    contents = seed(len(ODD_TEXTS) + 1, items_each=1, stamp=LONG_AGO)
    contents["custom_fields"]["Opportunity"].append(
        {"name": "Notes__c", "type": "textarea", "label": "Notes", "length": 131_072}
    )
    *rows, last = contents["objects"]["Opportunity"]
    for row, text in zip(rows, ODD_TEXTS, strict=True):
        row.update(Notes__c=text, NextStep=text[:80].strip(), Amount=123_456_789_012_345_678)
    last.update(Description="a\x00b", NextStep="", Notes__c=None, Amount=0.1)
    async with a_world(tmp_path, kafka, contents, TROTH_CRM_BULK_FROM=bulk_from) as world:
        await world.start()
        await world.run(MINUTE)
        assert not await against_truth(world, ["description"])
        for row, text in zip(rows, reversed(ODD_TEXTS), strict=True):
            world.org.write("Opportunity", {"Id": row["Id"], "Notes__c": text, "Amount": -0.01})
        await assert_z(world, unreadable=["description"])
        assert (await fold(world))[str(last["Id"])]["description"] == "ab"
