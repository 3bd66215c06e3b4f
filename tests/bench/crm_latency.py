"""How long it takes from a change in Salesforce until its record can be read from Kafka, at default intervals."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from tests.bench.crm_org import contents
from tests.bench.crm_service import crm_sync
from tests.crm_sync.fakes import record_id
from tests.crm_sync.simulated import SimulatedOrg, simulated_org

from troth_contracts.topics import OPPORTUNITIES

DEALS = 2_000
WINDOW = 300.0
"""Seconds over which the changes are spread: ten poll intervals."""
PATIENCE = 300.0
Advance = Callable[[int], None]


@dataclass
class _Watch:
    """What was changed when, and seen when; seconds of the monotonic clock by deal and new amount."""

    made: dict[tuple[str, int], float] = field(default_factory=dict)
    seen: dict[tuple[str, int], float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return self.made.keys() <= self.seen.keys()


def measure(folder: Path, kafka: str, changes: int, window: float, advance: Advance) -> list[float]:
    """Seconds per change, each made at a random moment to a deal of its own while nothing else happens."""
    with simulated_org(folder, contents(DEALS)) as org, crm_sync(org, kafka) as service:
        service.until_said("backfill complete", PATIENCE)
        return asyncio.run(_follow(org, kafka, changes, window, advance))


async def _follow(
    org: SimulatedOrg, kafka: str, changes: int, window: float, advance: Advance
) -> list[float]:
    watch = _Watch()
    watching = asyncio.create_task(_see(kafka, watch))
    await _change(org, watch, changes, window, advance)
    async with asyncio.timeout(PATIENCE):
        while not watch.complete:
            await asyncio.sleep(0.2)
            if watching.done():
                await watching
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return [watch.seen[change] - at for change, at in watch.made.items()]


async def _change(org: SimulatedOrg, watch: _Watch, changes: int, window: float, advance: Advance) -> None:
    rng = random.Random(7)
    began = time.monotonic()
    for number, moment in enumerate(sorted(rng.uniform(0, window) for _ in range(changes)), start=1):
        await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
        deal, amount = record_id("Opportunity", number), 1_000_000 + number
        watch.made[deal, amount] = time.monotonic()
        await asyncio.to_thread(org.put, "Opportunity", deal, Amount=amount)
        advance(1)


async def _see(kafka: str, watch: _Watch) -> None:
    """Notes when a committed record with a deal's amount is first there to be read."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, isolation_level="read_committed", auto_offset_reset="latest"
    )
    await consumer.start()
    try:
        partitions = [
            TopicPartition(OPPORTUNITIES.name, number) for number in range(OPPORTUNITIES.partitions)
        ]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        async for record in consumer:
            body = json.loads(record.value) if record.value else {}
            watch.seen.setdefault((str(body.get("id")), _whole(body.get("amount"))), time.monotonic())
    finally:
        await consumer.stop()


def _whole(money: Mapping[str, str] | None) -> int:
    return int(float(money["amount"])) if money else 0
