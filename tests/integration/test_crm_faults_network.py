"""Z while Salesforce answers badly, not at all, or not to us (reference, section 9: A-06 to A-13)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from tests.crm_sync.simulated import seed
from tests.integration.crm_mayhem import Mayhem
from tests.integration.crm_truth import assert_z
from tests.integration.crm_world import FULL, LONG_AGO, World, a_world, spread

MINUTE = 60.0
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
LOST = [{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}]
BUSY = [{"message": "An unexpected error occurred.", "errorCode": "UNKNOWN_EXCEPTION"}]
CROWDED = [
    {
        "message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
        "errorCode": "REQUEST_LIMIT_EXCEEDED",
    }
]


def fault(
    world: World,
    path: str,
    *,
    share: float | None = None,
    times: int | None = None,
    seed: int = 1,
    **act: Any,
) -> None:
    """Faults of the same seed hit one after the other, of different seeds independently."""
    match: dict[str, Any] = {"path": path, "times": times, "seed": seed}
    if share is not None:
        match["probability"] = share
    world.site.faults.add([{"match": match, "act": act}])


@pytest.mark.parametrize(("bulk_from", "page"), [("20000", "/query/0r8"), ("1", "/results")])
async def test_a_token_that_expires_every_minute_also_between_two_pages(
    tmp_path: Path, kafka: str, bulk_from: str, page: str
) -> None:
    """At most two logins per expiry. https://github.com/airbytehq/airbyte/pull/84302, for jobs /issues/71024"""
    contents = seed(400 if FULL else 60, items_each=1, stamp=LONG_AGO)
    async with a_world(
        tmp_path, kafka, contents, per_request=8.0, TROTH_CRM_POLL_SECONDS="30", TROTH_CRM_BULK_FROM=bulk_from
    ) as world:
        world.site.sessions.longest = world.site.sessions.rest = spread(60)
        world.site.cursors.page_rows, world.site.jobs.page_rows = (10, 10), 10
        Mayhem(world).during(600, writes=60)
        await world.start()
        await world.run(1_200 if FULL else 600)
        refused = [entry for entry in world.requests(page) if entry.status in {400, 401}]
        assert refused, "no session ended between two pages"
        await assert_z(world)
        assert world.logins <= 2 * math.ceil(world.time.elapsed / 60)


async def test_a_lasting_401_for_half_an_hour(tmp_path: Path, kafka: str) -> None:
    async with a_world(tmp_path, kafka) as world:
        await world.start()
        await world.run(MINUTE)
        fault(world, "/services/data", status=401, body=EXPIRED)
        before = world.logins
        Mayhem(world).during(30 * MINUTE, writes=40)
        await world.run(30 * MINUTE)
        assert world.logins - before <= 15
        ready, why = world.ready()
        assert not ready
        assert "auth" in why
        world.site.faults.clear()
        repaired = world.forget_ready()
        await world.run(5 * MINUTE)
        assert world.ready_since(repaired) <= 60
        await assert_z(world)


async def test_locators_lost_at_a_fifth_of_all_pages(tmp_path: Path, kafka: str) -> None:
    contents = seed(4_000 if FULL else 120, items_each=2, stamp=LONG_AGO)
    async with a_world(tmp_path, kafka, contents) as world:
        world.site.cursors.page_rows = (10, 60)
        fault(world, r"/query(All)?/0r8", share=0.2, status=400, body=LOST)
        Mayhem(world).during(300, writes=60)
        await world.start()
        await world.run(600)
        assert any(entry.status == 400 for entry in world.requests("/0r8"))
        await assert_z(world)


async def test_the_daily_limit_for_twenty_minutes(tmp_path: Path, kafka: str) -> None:
    """At most three calls meanwhile; alive, not ready, and the reason is named."""
    async with a_world(tmp_path, kafka) as world:
        await world.start()
        await world.run(2 * MINUTE)
        usage = world.site.usage
        usage.set_used(usage.allowed)
        since = len(world.site.journal)
        Mayhem(world).during(20 * MINUTE, writes=40)
        await world.run(20 * MINUTE)
        assert len(world.requests("/services/", since=since)) <= 3
        assert not world.ready()[0]
        assert "budget" in world.ready()[1]
        usage.set_used(100)
        await world.run(20 * MINUTE, until=lambda: world.ready()[0])
        await assert_z(world)
        assert world.ready()[0], world.ready()[1]


UNUSABLE: tuple[dict[str, Any], ...] = (
    {"status": 503, "html": True},
    {"status": 420, "html": True, "body": ""},
    {"status": 406, "body": ""},
    {"status": 429, "body": ""},
    {"status": 500, "body": BUSY},
    {"status": 403, "body": CROWDED},
    {"status": 200, "html": True},
    {"truncate": True},
    {"truncate": True, "reset": True},
    {"reset": True},
)


@pytest.mark.parametrize("hang", [False, True], ids=["answers", "hangs"])
async def test_a_fifth_of_all_answers_is_no_answer(tmp_path: Path, kafka: str, hang: bool) -> None:
    timeout = "3" if hang else "30"
    async with a_world(tmp_path, kafka, TROTH_CRM_REQUEST_TIMEOUT_SECONDS=timeout) as world:
        path = "/services/data"
        if hang:
            fault(world, path, share=0.1 if FULL else 0.05, times=None if FULL else 8, hang=True)
        else:
            for seed_, act in enumerate(UNUSABLE):
                fault(world, path, share=0.2 / len(UNUSABLE), seed=seed_, **act)
        Mayhem(world).during(600, writes=100)
        await world.start()
        await world.run(1_200 if FULL else 600)
        await assert_z(world)


async def test_queries_over_more_than_a_minute_of_data_time_out(tmp_path: Path, kafka: str) -> None:
    contents = seed(40, items_each=2)
    for name in ("Opportunity", "OpportunityLineItem"):
        for number, row in enumerate(contents["objects"][name]):
            row["SystemModstamp"] = f"2026-11-25T09:{number % 60:02}:{number % 7:02}.000+0000"
    async with a_world(tmp_path, kafka, contents, TROTH_CRM_SWEEP_SECONDS="1800") as world:
        world.site.slow_queries.window = spread(60)
        Mayhem(world, late=0).during(300, writes=40)
        await world.start()
        await world.run(600)
        assert any(entry.status == 400 for entry in world.site.journal)
        await assert_z(world)


async def test_no_more_than_five_calls_are_made_at_once(tmp_path: Path, kafka: str) -> None:
    """What a Developer Edition allows, were each of them long; also when nothing can be asked together."""
    async with a_world(tmp_path, kafka, seed(60, items_each=2, stamp=LONG_AGO)) as world:
        fault(world, "/composite", status=400, body=[])
        world.site.cursors.page_rows = (10, 30)
        world.site.long_calls.allowed, world.site.long_calls.after = 5, spread(0)
        Mayhem(world).during(300, writes=40)
        await world.start()
        await world.run(600)
        assert not [entry for entry in world.site.journal if entry.status == 403]
        await assert_z(world)


async def test_a_developer_edition_keeps_two_thirds_of_its_calls(tmp_path: Path, kafka: str) -> None:
    """Ours are at most 35 % of 15,000 a day, whatever interval is wished for."""
    hours, allowed = 24 if FULL else 1, 0.35 * 15_000
    contents = {**seed(60, items_each=2, stamp=LONG_AGO), "daily_api_limit": 15_000}
    async with a_world(tmp_path, kafka, contents, TROTH_CRM_POLL_SECONDS="5") as world:
        await world.start()
        await world.run(10 * MINUTE)
        Mayhem(world).during(hours * 60 * MINUTE, writes=60 * hours)
        begun, since = world.time.elapsed, len(world.site.journal)
        await world.run(hours * 60 * MINUTE)
        asked = len(world.requests("/services/data", since=since))
        assert asked <= allowed * (world.time.elapsed - begun) / (24 * 60 * MINUTE)
        await assert_z(world)
