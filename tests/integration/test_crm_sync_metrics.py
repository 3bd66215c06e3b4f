"""Every figure that the rules of an honest service ask for is told, and moves when its reason does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.crm_sync.fakes import record_id
from tests.crm_sync.simulated import seed
from tests.integration.crm_world import LONG_AGO, World, a_world

from troth_sandbox.salesforce.access import Denial

MINUTE = 60.0
MOVED = {
    "crm_sync_lag_seconds": "lag, per object",
    "crm_sync_object_fresh_timestamp_seconds": "freshness, per object",
    "crm_sync_fresh_timestamp_seconds": "last success",
    "crm_sync_deals_total": "records by source and operation",
    "crm_sync_records_published_total": "records by topic",
    "crm_sync_tombstones_total": "deletions",
    "crm_sync_deals_unchanged_total": "duplicates dropped",
    "crm_sync_deals_unseen_total": "changed and not shown",
    "crm_sync_api_calls_total": "calls by resource and status",
    "crm_sync_api_usage_ratio": "the org's use",
    "crm_sync_own_calls_ratio": "our own use",
    "crm_sync_logins_total": "token refreshes",
    "crm_sync_backfill_ratio": "progress of the first full read",
    "crm_sync_covered_lag_seconds": "what latestDateCovered lags",
    "crm_sync_late_rows_total": "rows that became visible late",
    "crm_sync_sweep_differences_total": "sweep differences",
    "crm_sync_swept_timestamp_seconds": "last sweep",
    "crm_sync_deals_invisible": "out of sight",
    "crm_sync_deals_left_out": "left out by configuration",
    "crm_sync_schema_changes_total": "schema changes",
    "crm_sync_poll_seconds_count": "duration of polls",
}
ONLY_IN_UNITS = {"crm_sync_dead_letters_total"}
"""No row of a real org is unreadable; `tests/crm_sync/test_polling.py` makes some."""


def figures(world: World) -> dict[str, float]:
    """The largest value of each figure."""
    found: dict[str, float] = {}
    for metric in world.service.registry.collect():
        for sample in metric.samples:
            if sample.name.startswith("crm_sync_") and not sample.name.endswith(
                ("_created", "_bucket", "_sum")
            ):
                found[sample.name] = max(found.get(sample.name, 0.0), sample.value)
    return found


@pytest.mark.timeout(300)
async def test_each_figure_of_the_health_rules_moves(tmp_path: Path, kafka: str) -> None:
    made = seed(8, stamp=LONG_AGO)
    test_account = record_id("Account", 2)
    made["objects"]["Account"].append({"Id": test_account, "Name": "Test Ltd"})
    made["objects"]["Opportunity"][7]["AccountId"] = test_account
    async with a_world(
        tmp_path,
        kafka,
        made,
        TROTH_CRM_TEST_ACCOUNTS=test_account,
        TROTH_CRM_SWEEP_SECONDS="1800",
        TROTH_CRM_POLL_SECONDS="120",
    ) as world:
        await world.start()
        await world.run(5 * MINUTE)
        late = world.site.transactions.begin(1_500)
        fields = {"Id": record_id("Opportunity", 1), "NextStep": "late"}
        world.site.transactions.add(late.id, {"op": "write", "object": "Opportunity", "fields": fields})
        world.org.write("Opportunity", {"Id": record_id("Opportunity", 2), "Name": "Changed"})
        world.org.delete("Opportunity", record_id("Opportunity", 3))
        world.org.write("Opportunity", {"Name": "Unseen", "StageName": "Prospecting"}, at=LONG_AGO)
        hidden = [record_id("Opportunity", 4)]
        world.site.access.share(None, "Opportunity", hidden, visible=False)
        world.site.access.permit(Denial(None, "Opportunity", "NextStep"), readable=False)
        world.org.write("OpportunityLineItem", {"Id": record_id("OpportunityLineItem", 3), "Quantity": 9})
        await world.run(20 * MINUTE)
        covered = figures(world)["crm_sync_covered_lag_seconds"]
        assert covered > 600
        await world.run(20 * MINUTE)
        told = figures(world)
        assert {name for name in MOVED if not told.get(name)} <= {"crm_sync_covered_lag_seconds"}
        assert set(told) == set(MOVED) | ONLY_IN_UNITS

        moved = told["crm_sync_lag_seconds"]
        world.time.advance(1_000)
        assert figures(world)["crm_sync_lag_seconds"] == moved + 1_000
