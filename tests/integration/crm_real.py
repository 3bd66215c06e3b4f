"""The real process of crm-sync beside a simulated org in the test's own process, and people who keep writing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from tests.crm_sync.simulated import CLIENT, seed
from tests.integration.crm_mayhem import Mayhem
from tests.integration.crm_truth import against_truth
from tests.integration.crm_world import LONG_AGO, WorldTime

from troth_sandbox.processes import ChildProcess
from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.seed import parse_seed
from troth_sandbox.salesforce.server import serving
from troth_sandbox.salesforce.simulation import Site, open_site

DEADLINE = 300.0
SLOW = [
    {"match": {"path": "/results", "times": None}, "act": {"delay": 0.5}},
    {"match": {"path": "/services/data", "times": None}, "act": {"delay": 0.05}},
]
"""So that there is a middle to be killed in."""


@dataclass
class RealWorld:
    """The org, the process, and every line it said."""

    site: Site
    kafka: str
    process: ChildProcess
    lines: list[str]
    time: WorldTime = field(default_factory=WorldTime)

    def asked(self, part: str) -> int:
        return sum(part in entry.path for entry in self.site.journal)

    def said(self, words: str) -> int:
        """How many lines hold these words."""
        return sum(words in line for line in self.lines)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits; the process must live."""
        try:
            async with asyncio.timeout(DEADLINE):
                while not condition():
                    assert self.process.running, "\n".join(self.lines[-20:])
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail("\n".join(self.lines[-20:]))

    async def kill(self) -> None:
        await asyncio.to_thread(self.process.kill)
        await asyncio.to_thread(self.process.start)

    async def until_it_shows_the_truth(self) -> None:
        """After the last write."""
        self.site.faults.clear()
        self.site.clock.advance(timedelta(seconds=120))  # the deletion log knows whole minutes only
        wrong = ["not looked at yet"]
        try:
            async with asyncio.timeout(DEADLINE):
                while wrong := await against_truth(self):
                    assert self.process.running, "\n".join(self.lines[-20:])
                    await asyncio.sleep(0.5)
        except TimeoutError:
            pytest.fail("\n".join([*wrong[:20], *self.lines[-20:]]))

    def told_no_secret(self) -> bool:
        """Nor a stack trace."""
        hidden = (CLIENT["client_secret"], "Traceback", *self.site.sessions.issued)
        return not [line for line in self.lines if any(each in line for each in hidden)]


@contextlib.asynccontextmanager
async def a_real_world(folder: Path, kafka: str, deals: int) -> AsyncIterator[RealWorld]:
    """The process is started; it reads the org by bulk jobs first."""
    contents = {
        **seed(deals, items_each=2, stamp=LONG_AGO),
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


@contextlib.asynccontextmanager
async def people(world: RealWorld) -> AsyncIterator[Mayhem]:
    """Twenty writes a second, until the block ends."""
    crowd = Mayhem(world, late=0)

    async def work() -> None:
        while True:
            crowd.act()
            await asyncio.sleep(0.05)

    working = asyncio.create_task(work())
    try:
        yield crowd
    finally:
        working.cancel()
