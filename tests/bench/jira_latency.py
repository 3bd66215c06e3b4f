"""How long a change in Jira takes until a reader of Kafka sees its event, at 1,000 changes a minute.

Once with webhooks, whose bound is 5 s, and once without: then a change is found within a poll, once the index has it.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.table import Table
from tests.bench import jira_world
from tests.bench.group import Bench, Figures
from tests.bench.jira_stage import ONCE_A_DAY, SECRET, Service, Site, open_kafka, open_service, open_site
from tests.bench.jira_world import Size
from tests.bench.latency import spread

from troth_contracts.topics import ISSUE_EVENTS
from troth_sandbox.ports import free_ports

PER_MINUTE = 1_000
MOST_BY_WEBHOOK = 5.0
MOST_BEYOND_POLL = 30.0
SITE = Size(
    issues=2_000, histories=20_000, sprints=26, projects=4, boards=8, kanban=1, forbidden=1, longest=300
)


@dataclass(frozen=True)
class Way:
    """How changes are found, and for how long they are made."""

    name: str
    webhooks: bool
    poll_seconds: float
    lag_seconds: float
    minutes: float

    @property
    def most_seconds(self) -> float:
        """The bound of the 99th percentile."""
        return MOST_BY_WEBHOOK if self.webhooks else self.poll_seconds + self.lag_seconds + MOST_BEYOND_POLL


FULL = (
    Way("with webhooks", webhooks=True, poll_seconds=60, lag_seconds=15, minutes=3),
    Way("without webhooks", webhooks=False, poll_seconds=60, lag_seconds=15, minutes=3),
)
QUICK = (
    Way("with webhooks", webhooks=True, poll_seconds=10, lag_seconds=2, minutes=0.3),
    Way("without webhooks", webhooks=False, poll_seconds=5, lag_seconds=2, minutes=0.3),
)


@dataclass
class Sightings:
    """When a reader first saw the event of each history, by the clock of this machine."""

    site_id: str
    seen: dict[str, float] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def all_of(self, histories: Collection[str]) -> None:
        """Returns when every one of them was seen."""
        while not self.seen.keys() >= set(histories):
            self._news.clear()
            await self._news.wait()

    async def watch(self, bootstrap: str) -> None:
        """Reads committed events from now on, until cancelled."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=None, isolation_level="read_committed", fetch_max_wait_ms=50
        )
        await consumer.start()
        consumer.assign([TopicPartition(ISSUE_EVENTS.name, n) for n in range(ISSUE_EVENTS.partitions)])
        await consumer.seek_to_end()
        try:
            while True:
                fetched = await consumer.getmany(timeout_ms=200)
                now = time.time()
                for record in (record for records in fetched.values() for record in records):
                    if record.key.startswith(self.site_id.encode()):
                        self.seen.setdefault(dict(record.headers)["ce_id"].decode().split(":")[2], now)
                self._news.set()
        finally:
            await consumer.stop()


def measure(bench: Bench) -> Figures:
    """Both ways, one after the other, on a site and a service of their own."""
    numbers: dict[str, Any] = {}
    for way in QUICK if bench.quick else FULL:
        with (
            bench.console.status(f"{PER_MINUTE} changes a minute {way.name}"),
            tempfile.TemporaryDirectory(prefix="troth-bench-") as folder,
            open_kafka(Path(folder)) as bootstrap,
            open_site(Path(folder), jira_world.seed(SITE)) as site,
        ):
            numbers[way.name] = _way(bootstrap, site, way)
    broken = [
        f"Jira changes {name}: {found['p99']} s at p99, more than {found['bound']}"
        for name, found in numbers.items()
        if found["p99"] > found["bound"]
    ]
    broken += [
        f"Jira changes {name}: {found['missing']} never told"
        for name, found in numbers.items()
        if found["missing"]
    ]
    return Figures(numbers, [_table(numbers)], [] if bench.quick else broken)


def _way(bootstrap: str, site: Site, way: Way) -> dict[str, Any]:
    settings = {"TROTH_JIRA_POLL_SECONDS": f"{way.poll_seconds}", "TROTH_JIRA_CENSUS_SECONDS": ONCE_A_DAY}
    if way.webhooks:
        port = free_ports(1)[0]
        settings |= {
            "TROTH_HTTP_PORT": str(port),
            "TROTH_JIRA_WEBHOOK_SECRET": SECRET,
            "TROTH_JIRA_WEBHOOK_URL": f"http://127.0.0.1:{port}/webhooks/jira",
        }
    with open_service(bootstrap, site.url, **settings) as service:
        service.until("backfill", lambda: service.metric("jira_sync_scans_total") >= 1, seconds=300)
        if way.webhooks:
            service.until(
                "registration", lambda: service.metric("jira_sync_webhook_registered") == 1, seconds=60
            )
        site.tell("/search-lag", {"seconds": way.lag_seconds})
        made, seen = asyncio.run(_drive(bootstrap, site, service, way))
    late = [seen[history] - at for history, at in made.items() if history in seen]
    found = spread(late)
    return {
        "changes": len(made),
        "missing": len(made) - len(late),
        "poll_seconds": way.poll_seconds,
        "index_lag_seconds": way.lag_seconds,
        "bound": way.most_seconds,
        "p50": round(found.p50, 2),
        "p95": round(found.p95, 2),
        "p99": round(found.p99, 2),
    }


async def _drive(
    bootstrap: str, site: Site, service: Service, way: Way
) -> tuple[dict[str, float], dict[str, float]]:
    """When each change was made, and when its event was seen."""
    sightings = Sightings(service.site_id)
    watching = asyncio.create_task(sightings.watch(bootstrap))
    await asyncio.sleep(2)
    made = await asyncio.to_thread(_change, site, round(PER_MINUTE * way.minutes))
    with suppress(TimeoutError):
        async with asyncio.timeout(3 * way.most_seconds):
            await sightings.all_of(made)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    return made, sightings.seen


def _change(site: Site, count: int) -> dict[str, float]:
    """Estimates of random issues, one after the other at the rate; Unix time by history id."""
    rng, made = random.Random(5), {}
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number * 60 / PER_MINUTE - time.monotonic()))
        issue = jira_world.FIRST_ISSUE + rng.randrange(1, SITE.issues)
        told = site.tell(f"/issues/{issue}", {"fields": {jira_world.POINTS_FIELD: 10 + number}})
        made[str(told["history"]["id"])] = time.time()
    return made


def _table(numbers: dict[str, Any]) -> Table:
    table = Table(
        "way", "changes", "p50", "p95", "p99", "bound", title="From a change in Jira to its event in Kafka"
    )
    for name, found in numbers.items():
        late = [f"{found[quantile]} s" for quantile in ("p50", "p95", "p99")]
        table.add_row(name, f"{found['changes']:,}", *late, f"{found['bound']:g} s")
    return table
