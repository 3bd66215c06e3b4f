"""An hour of a quiet org costs what `crm_sync/budget.py` and the README say, counted by the simulator."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.crm_sync.fakes import record_id
from tests.crm_sync.simulated import seed
from tests.integration.crm_world import LONG_AGO, a_world

HOUR = 3_600.0
FEW = 5
"""Calls by which an hour may differ from the day's mean: what is due every ten minutes falls in or out of it."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("limit", "poll", "quiet_day"), [(15_000, 39, 3_045), (100_000, 30, 3_720)])
async def test_a_quiet_hour_costs_what_is_written(
    tmp_path: Path, kafka: str, limit: int, poll: int, quiet_day: int
) -> None:
    rate = {
        "Id": record_id("DatedConversionRate", 1),
        "IsoCode": "SEK",
        "StartDate": "2026-01-01",
        "ConversionRate": 11,
    }
    contents = seed(4, stamp=LONG_AGO, extra={"DatedConversionRate": [rate]}) | {"daily_api_limit": limit}
    async with a_world(tmp_path, kafka, contents, per_request=0.01, TROTH_CRM_POLL_SECONDS="30") as world:
        await world.start()
        await world.run(HOUR / 2)
        before = len(world.site.journal)
        await world.run(HOUR)

        calls = world.requests("/services/data/", since=before)
        assert abs(len(calls) - quiet_day / 24) <= FEW
        plan = (await world.service.sync.status())["plan"]
        assert isinstance(plan, dict)
        assert round(plan["poll_seconds"]) == poll
        assert plan["calls_a_day"] <= plan["ours"] == int(limit * 0.35)
        assert plan["own"] == len(world.requests("/services/data/"))
        assert f"a poll every {poll} s" in plan["text"]
        assert any(entry["event"] == "plan" and "are ours" in entry["plan"] for entry in world.told)
