"""Real kill -9 of the real process, and of the real Kafka, while the org changes: the end is the same as without."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import missing
from tests.integration.crm_real import a_real_world, people
from tests.integration.crm_truth import history
from tests.integration.crm_world import FULL

from troth_sandbox.brokers.kafka import LocalKafka
from troth_sandbox.errors import BrokerUnavailableError

KILLS = 50 if FULL else 3
IN_BACKFILL = 4 if FULL else 1
"""How many of them fall into the full read, each after so many pages that the one before was got over."""
PAGES_EACH = 20 if FULL else 5
DEALS = 5_000 if FULL else 600


@pytest.mark.timeout(3_600 if FULL else 600)
async def test_kill_at_random_moments(tmp_path: Path, kafka: str) -> None:
    """The first kills fall into the full read, while results of its jobs are fetched."""
    rng = random.Random(20261125)
    async with a_real_world(tmp_path, kafka, DEALS) as world:
        async with people(world):
            for number in range(KILLS):
                in_backfill = number < IN_BACKFILL
                part, more = (
                    ("/results", PAGES_EACH) if in_backfill else ("/services/data", rng.randint(5, 40))
                )
                before = world.asked(part)
                await world.until(lambda part=part, most=before + more: world.asked(part) >= most)  # type: ignore[misc]
                assert in_backfill != bool(world.said("backfill complete")), "ended too early for its kills"
                await world.kill()
                if number == IN_BACKFILL - 1:
                    await world.until(lambda: bool(world.said("backfill complete")))
        await world.until_it_shows_the_truth()
        pages = Counter(
            f"{e.path}?{e.query}" for e in world.site.journal if "/results" in e.path and e.status == 200
        )
        assert max(pages.values()) <= 1 + IN_BACKFILL, "a page of a bulk job was fetched again and again"
        assert world.told_no_secret()


@pytest.fixture
def mortal_kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    """A broker of this test's own, whose data outlive it."""
    broker = LocalKafka(tmp_path, environ=os.environ, keep=True)
    try:
        broker.start()
    except BrokerUnavailableError as error:
        missing(str(error))
    yield broker
    broker.stop()


@pytest.mark.timeout(600)
async def test_kafka_is_killed_and_comes_back(tmp_path: Path, mortal_kafka: LocalKafka) -> None:
    """The service lives on, says what it waits for, and goes on where it was: no deal is told twice."""
    async with a_real_world(tmp_path, mortal_kafka.bootstrap, 60) as world:
        async with people(world):
            await world.until(lambda: bool(world.said("backfill complete")))
            os.kill(mortal_kafka.pid or 0, signal.SIGKILL)
            await world.until(lambda: world.said("Kafka") > 2)
            await asyncio.to_thread(mortal_kafka.stop)
            await asyncio.to_thread(mortal_kafka.start)
        await world.until_it_shows_the_truth()
        assert world.told_no_secret()
        for key, states in (await history(world)).items():
            versions = [state.version for state in states]
            assert versions == sorted(set(versions)), f"{key} was told in the order {versions}"
