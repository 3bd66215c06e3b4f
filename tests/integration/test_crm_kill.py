"""Real kill -9 of the real process while the org changes: the end is the same as without."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from tests.crm_sync.simulated import CLIENT, seed
from tests.integration.crm_mayhem import Mayhem
from tests.integration.crm_truth import against_truth
from tests.integration.crm_world import FULL, LONG_AGO, WorldTime

from troth_sandbox.processes import ChildProcess
from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.seed import parse_seed
from troth_sandbox.salesforce.server import serving
from troth_sandbox.salesforce.simulation import Site, open_site

KILLS = 50 if FULL else 3
IN_BACKFILL = 5 if FULL else 1
"""How many of them fall into the full read, each after so many pages that the one before was got over."""
PAGES_EACH = 20 if FULL else 5
DEALS = 5_000 if FULL else 600
DEADLINE = 180.0
SLOW = [
    {"match": {"path": "/results", "times": None}, "act": {"delay": 0.5}},
    {"match": {"path": "/services/data", "times": None}, "act": {"delay": 0.05}},
]
"""So that there is a middle to be killed in."""


@dataclass
class RealWorld:
    """A simulated org in the test's own process, and the service in another one."""

    site: Site
    kafka: str
    process: ChildProcess
    lines: list[str]
    time: WorldTime = field(default_factory=WorldTime)

    def asked(self, part: str) -> int:
        return sum(part in entry.path for entry in self.site.journal)

    @property
    def filled(self) -> bool:
        return any("backfill complete" in line for line in self.lines)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                assert self.process.running, "\n".join(self.lines[-20:])
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        await asyncio.to_thread(self.process.kill)
        await asyncio.to_thread(self.process.start)


@contextlib.asynccontextmanager
async def a_real_world(folder: Path, kafka: str) -> AsyncIterator[RealWorld]:
    contents = {
        **seed(DEALS, items_each=2, stamp=LONG_AGO),
        "org_id": f"00D{uuid.uuid4().hex[:15]}",
        "daily_api_limit": 50_000_000,  # or the planner spreads the polls
    }
    site = open_site(parse_seed(contents), SettableClock())
    site.faults.add(SLOW)
    site.cursors.page_rows = (200, 400)
    site.jobs.page_rows = 200
    async with serving(site, port=0, admin_port=0, tls_dir=folder) as ports:
        lines: list[str] = []
        environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "TROTH_LOG_FORMAT": "json",
            "TROTH_CRM_SALESFORCE_URL": f"https://127.0.0.1:{ports.api}",
            "TROTH_CRM_CLIENT_ID": CLIENT["client_id"],
            "TROTH_CRM_CLIENT_SECRET": CLIENT["client_secret"],
            "TROTH_CRM_CA_BUNDLE": str(folder / "ca.pem"),
            "TROTH_CRM_BULK_FROM": "1",
            "TROTH_CRM_POLL_SECONDS": "0.5",
            "TROTH_CRM_DELETES_SECONDS": "1",
            "TROTH_CRM_REFERENCE_SECONDS": "2",
        }
        process = ChildProcess(
            "crm-sync",
            "crm_sync",
            ["run"],
            environ=environment,
            listener=lambda _name, line: lines.append(line),
        )
        try:
            await asyncio.to_thread(process.start)
            yield RealWorld(site, kafka, process, lines)
        finally:
            await asyncio.to_thread(process.stop)


async def _people(world: RealWorld, crowd: Mayhem) -> None:
    while True:
        crowd.act()
        await asyncio.sleep(0.05)


@pytest.mark.timeout(3_600 if FULL else 600)
async def test_kill_at_random_moments(tmp_path: Path, kafka: str) -> None:
    """The first kills fall into the full read, while results of its jobs are fetched."""
    rng = random.Random(20261125)
    async with a_real_world(tmp_path, kafka) as world:
        people = asyncio.create_task(_people(world, Mayhem(world, late=0)))
        for number in range(KILLS):
            in_backfill = number < IN_BACKFILL
            part, more = ("/results", PAGES_EACH) if in_backfill else ("/services/data", rng.randint(5, 40))
            before = world.asked(part)
            await world.until(lambda part=part, most=before + more: world.asked(part) >= most)  # type: ignore[misc]
            assert in_backfill != world.filled, "the full read ended too early for its kills"
            await world.kill()
            if number == IN_BACKFILL - 1:
                await world.until(lambda: world.filled)
        people.cancel()
        world.site.faults.clear()
        world.site.clock.advance(timedelta(seconds=120))  # the deletion log knows whole minutes only
        async with asyncio.timeout(DEADLINE):
            while wrong := await against_truth(world):
                assert world.process.running, "\n".join(world.lines[-20:])
                await asyncio.sleep(0.5)
        assert not wrong
        pages = Counter(
            f"{e.path}?{e.query}" for e in world.site.journal if "/results" in e.path and e.status == 200
        )
        assert max(pages.values()) <= 1 + IN_BACKFILL, "a page of a bulk job was fetched again and again"
        assert not [line for line in world.lines if CLIENT["client_secret"] in line or "Traceback" in line]
        assert not [
            line for line in world.lines if any(token in line for token in world.site.sessions.issued)
        ]
