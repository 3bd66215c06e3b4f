"""Real ``kill -9`` of a backfill at random moments, while people work: what is published equals the write log."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from tests.integration.jira_truth import Truth, compared, truth_of
from tests.integration.test_jira_sync_service import Service, complete, ids, until
from tests.jira_sync import small_site
from tests.jira_sync.simulator import Simulator

from jira_sync.backfill import PAGES_TOGETHER
from troth_contracts.jira import Issue
from troth_contracts.topics import ISSUE_EVENTS, ISSUES
from troth_sandbox.jira import sample
from troth_sandbox.jira.seed import parse

FULL = os.environ.get("TROTH_FULL") == "1"
KILLS = 25 if FULL else 3
ISSUES_OF_THE_SITE = 2_000 if FULL else 300
SEED = sample.seed(ISSUES_OF_THE_SITE) | {"auth": small_site.AUTH}
PATIENCE = 300.0 if FULL else 90.0
"""Seconds."""
PAGE = 5
IN_FLIGHT = 2 * (PAGES_TOGETHER + 1)
"""Pages of its two projects: those that go together, and the one read ahead."""


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    running = Simulator(tmp_path, SEED)
    running.tell("/switches", {"search_page_cap": PAGE})
    yield running
    running.stop()


@pytest.fixture
def service(kafka: str, simulator: Simulator) -> Iterator[Service]:
    found = Service(kafka, simulator, TROTH_JIRA_POLL_SECONDS="1")
    yield found
    found.process.stop()


def truth(simulator: Simulator) -> Truth:
    log = httpx.get(f"{simulator.admin_url}/write-log", trust_env=False).json()
    sprints = parse(msgspec.json.encode(SEED)).catalogue.sprints.values()
    return truth_of(SEED, log, moments={str(s.id): msgspec.to_builtins(s) for s in sprints})


@pytest.mark.timeout(1_800 if FULL else 300)
async def test_a_killed_backfill_ends_exact_and_reads_no_more_than_what_was_in_flight(
    service: Service, simulator: Simulator
) -> None:
    rng = random.Random(4)
    simulator.fault("search/jql|bulkfetch", times=None, delay=0.05)
    for kill in range(KILLS):
        service.start()
        count, before = rng.randint(1, 3), len(simulator.asked("bulkfetch"))

        async def is_reading(count: int = count, before: int = before) -> bool:
            return len(simulator.asked("bulkfetch")) - before >= count

        await until(f"life {kill} reads", is_reading, PATIENCE)
        await asyncio.to_thread(service.process.kill)
        for _ in range(3):
            issue = 10_000 + rng.randint(1, ISSUES_OF_THE_SITE)
            fields = {"status": {"id": rng.choice("123")}, sample.POINTS_FIELD: rng.randint(0, 13)}
            simulator.tell(f"/issues/{issue}", {"actor": "account-ada", "fields": fields})
    simulator.reset()
    service.start()
    await until("backfill", lambda: complete(service), PATIENCE)
    expected = truth(simulator).event_ids(service.site_id)

    async def caught_up() -> bool:
        return set(await ids(service, ISSUE_EVENTS)) >= set(expected)

    await until("everything is told", caught_up, PATIENCE)
    found = compared("event", (await ids(service, ISSUE_EVENTS)).elements(), expected)
    assert not found, found
    assert len(await service.latest(ISSUES, Issue)) == ISSUES_OF_THE_SITE
    pages = [entry for entry in simulator.asked("search/jql") if "created+DESC" in entry["path"]]
    assert len(pages) <= ISSUES_OF_THE_SITE // PAGE + 2 + IN_FLIGHT * KILLS
