"""The first full read by bulk jobs, on a real Kafka and an org that changes meanwhile."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.crm_sync.simulated import seed
from tests.integration.crm_mayhem import Mayhem
from tests.integration.crm_truth import assert_z
from tests.integration.crm_world import LONG_AGO, a_world

from crm_sync import snapshot

DEALS = 120
PAGES = 3 + 9 + 3
"""Of 40 rows: deals, lines and history rows."""
CRASHES = (2, 5, 3, 4)
"""At which page of its life a service is killed."""


class _Killed(Exception):
    pass


class _Mortal:
    """A reader that dies when it is to fetch its page of that number."""

    def __init__(self, reader: Any, number: int) -> None:
        self._reader = reader
        self._left = number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def job_page(self, *asked: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            raise _Killed
        return await self._reader.job_page(*asked)


async def test_it_survives_kills_failed_jobs_expired_sessions_and_a_busy_org(
    tmp_path: Path, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "TOGETHER", 10)
    monkeypatch.setattr(snapshot, "PAGE_ROWS", 40)
    contents = seed(DEALS, items_each=3, stamp=LONG_AGO)
    async with a_world(tmp_path, kafka, contents, TROTH_CRM_BULK_FROM="1") as world:
        world.site.jobs.seconds, world.site.jobs.failing = 20.0, 2
        Mayhem(world).during(300, writes=150)
        for number in CRASHES:
            world.wrap_reader = functools.partial(_Mortal, number=number)
            await world.start()
            with pytest.raises(_Killed):
                await world.run(600)
            await world.kill()
            world.site.sessions.expire_all()
        world.wrap_reader = lambda reader: reader
        await world.start()
        await world.run(900)
        await assert_z(world)

        asked = Counter(f"{entry.path}?{entry.query}" for entry in world.requests("/results"))
        assert max(asked.values()) <= 1 + len(CRASHES)
        assert asked.total() <= PAGES + 5 * len(CRASHES)
        made = [
            entry
            for entry in world.site.journal
            if entry.method == "POST" and entry.path.endswith("/jobs/query")
        ]
        assert len(made) == 5 + 2
