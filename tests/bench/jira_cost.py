"""What a backfill costs: requests beside the least the API allows, memory, and time beside the ``jira`` package alone.

**The least number of requests.** Each fact costs at least the pages of the only endpoint that has it, at the largest
page that endpoint gives:

* 1 ``serverInfo``, 1 ``myself``, 1 ``field``: which site, whom we are there, what its fields mean;
* ``board``: 50 a page; 1 ``board/{id}/configuration`` for each board (only asking tells that one is forbidden), and
  1 ``board/{id}/project`` for each that opens;
* ``board/{id}/sprint``: 50 a page, at least 1 for each scrum board that opens;
* 1 ``project/{key}/versions`` for each project;
* ``search/jql``: 100 issues a page as soon as more than ids is asked for;
* ``changelog/bulkfetch``: at most 1,000 issues and 10,000 histories a page.

Links to places outside Jira are read after it, 1 ``issue/{id}/remotelink`` for each issue that has one: no other endpoint
has them. They are no part of these figures.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from tests.bench import jira_world
from tests.bench.group import Bench, Figures
from tests.bench.jira_stage import ONCE_A_DAY, Service, Site, open_kafka, open_service, open_site
from tests.bench.jira_world import Size

from jira_sync.domain.fields import SiteFields
from troth_contracts.sync import SyncStatus
from troth_contracts.topics import ISSUE_EVENTS, ISSUES, SPRINTS, SYNC_STATUS

MOST_OF_LEAST = 1.15
MOST_MEMORY = 512 * 1024 * 1024
LEAST_SPEED = 3.0
LATENCY_SECONDS = 0.2
AGILE_PAGE, ISSUE_PAGE, BULK_ISSUES, BULK_HISTORIES = 50, 100, 1_000, 10_000
LONGEST_SECONDS = 1_200.0
_NUMBERS = re.compile(r"/(\d+|P[A-Z]A)(?=/|$)")


@dataclass(frozen=True)
class Backfill:
    """One backfill, from the start of the process to the record that says all of it is published."""

    seconds: float
    requests: Counter[str]
    """By method and endpoint."""
    memory: int
    cpu_seconds: float
    published: dict[str, int]


def least_requests(size: Size) -> dict[str, int]:
    """The arithmetic of the module's docstring, by endpoint."""
    opened = size.boards - size.forbidden
    return {
        "GET serverInfo": 1,
        "GET myself": 1,
        "GET field": 1,
        "GET board": _pages(size.boards, AGILE_PAGE),
        "GET board/{}/configuration": size.boards,
        "GET board/{}/project": opened,
        "GET board/{}/sprint": size.scrum * _pages(_pages(size.sprints, size.scrum), AGILE_PAGE),
        "GET project/{}/versions": size.projects,
        "GET search/jql": _pages(size.issues, ISSUE_PAGE),
        "POST changelog/bulkfetch": max(
            _pages(size.issues, BULK_ISSUES), _pages(size.histories + size.linked, BULK_HISTORIES)
        ),
    }


def _pages(items: int, size: int) -> int:
    return -(-items // size)


def backfill(bootstrap: str, site: Site, **settings: str) -> Backfill:
    """Runs the real service until its first scan is complete."""
    began = time.time()
    quiet = {"TROTH_JIRA_POLL_SECONDS": ONCE_A_DAY, "TROTH_JIRA_CENSUS_SECONDS": ONCE_A_DAY}
    with open_service(bootstrap, site.url, **quiet, **settings) as service:
        service.until(
            "backfill",
            lambda: service.metric("jira_sync_scans_total") >= 1,
            seconds=LONGEST_SECONDS,
            pause=1.0,  # each look costs the service time; when it ended is read from Kafka
        )
        memory, cpu = service.peak_memory(), service.cpu_seconds()
        ended, published = asyncio.run(_outcome(service))
    return Backfill(ended - began, _requests(site.seen("/journal"), began, ended), memory, cpu, published)


async def _outcome(service: Service) -> tuple[float, dict[str, int]]:
    """When the first scan was told to be over (Unix time), and how much is published of each kind."""
    over = [
        record.body.at
        for record, _ in await service.told(SYNC_STATUS)
        if isinstance(record.body, SyncStatus) and record.body.fresh_at is not None
    ]
    topics = (ISSUES, ISSUE_EVENTS, SPRINTS)
    told = {topic.name: [record for record, _ in await service.told(topic)] for topic in topics}
    return over[0].timestamp(), {
        topic: len({record.key if record.version else record.id for record in records})
        for topic, records in told.items()
    }


def _requests(journal: Sequence[dict[str, Any]], began: float, ended: float) -> Counter[str]:
    return Counter(
        f"{entry['method']} {_endpoint(entry['path'])}"
        for entry in journal
        if began * 1000 <= entry["at"] <= ended * 1000
    )


def _endpoint(target: str) -> str:
    path = target.partition("?")[0].partition("/rest/")[2]
    return _NUMBERS.sub("/{}", re.sub(r"^(api|agile)/[\d.]+/", "", path))


def alone(url: str) -> tuple[float, dict[str, int]]:
    """Seconds of the ``jira`` package for the same issues, and what it holds then."""
    fields = ",".join(
        SiteFields(sprint=jira_world.SPRINT_FIELD, estimates=(jira_world.POINTS_FIELD,)).requested()
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.jira_alone", url, fields],
        check=True,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
    )
    return time.monotonic() - began, json.loads(done.stdout)


def measure(bench: Bench) -> Figures:
    """Both readers on one site that answers 200 ms late, one after the other."""
    size = jira_world.SMALL if bench.quick else jira_world.FULL
    with (
        tempfile.TemporaryDirectory(prefix="troth-bench-") as folder,
        open_kafka(Path(folder)) as bootstrap,
        open_site(Path(folder), jira_world.seed(size)) as site,
    ):
        site.be_slow(LATENCY_SECONDS)
        with bench.console.status("the jira package reads it alone"):
            seconds, held = alone(site.url)
        with bench.console.status("jira-sync reads it into Kafka"):
            found = backfill(bootstrap, site, TROTH_JIRA_MAX_IN_FLIGHT="16")
    numbers = _numbers(size, found, seconds, held)
    return Figures(numbers, [_table(size, found), _speed_table(numbers)], _broken(numbers, bench))


def _numbers(size: Size, found: Backfill, alone_seconds: float, held: dict[str, int]) -> dict[str, Any]:
    asked, least = found.requests.total(), sum(least_requests(size).values())
    return {
        "issues": size.issues,
        "histories": size.histories,
        "sprints": size.sprints,
        "requests": asked,
        "least_requests": least,
        "requests_to_least": round(asked / least, 3),
        "peak_memory_mib": round(found.memory / 1024**2, 1),
        "latency_seconds": LATENCY_SECONDS,
        "seconds": round(found.seconds, 1),
        "cpu_seconds": round(found.cpu_seconds, 1),
        "jira_package_seconds": round(alone_seconds, 1),
        "jira_package_held": held,
        "times_faster": round(alone_seconds / found.seconds, 2),
        "published": found.published,
    }


def _broken(numbers: dict[str, Any], bench: Bench) -> list[str]:
    if bench.quick:
        return []
    bounds = {
        f"requests are {numbers['requests_to_least']} x the least, more than {MOST_OF_LEAST}": (
            numbers["requests_to_least"] > MOST_OF_LEAST
        ),
        f"peak memory is {numbers['peak_memory_mib']} MiB, more than 512": (
            numbers["peak_memory_mib"] * 1024**2 >= MOST_MEMORY
        ),
        f"{numbers['times_faster']} x as fast as the jira package, less than {LEAST_SPEED}": (
            numbers["times_faster"] < LEAST_SPEED
        ),
    }
    return [f"Jira backfill: {sentence}" for sentence, is_broken in bounds.items() if is_broken]


def _table(size: Size, found: Backfill) -> Table:
    least = least_requests(size)
    table = Table("endpoint", "least", "asked", title=f"Requests of a backfill of {size.issues:,} issues")
    for name in sorted({*least, *found.requests}):
        table.add_row(name, f"{least.get(name, 0)}", f"{found.requests[name]}")
    total, asked = sum(least.values()), found.requests.total()
    table.add_row("together", f"{total}", f"{asked} ({asked / total:.2f} x)", style="bold")
    return table


def _speed_table(numbers: dict[str, Any]) -> Table:
    table = Table(
        "reader", "seconds", "peak memory", title=f"Every request {LATENCY_SECONDS * 1000:.0f} ms late"
    )
    table.add_row("jira package alone", f"{numbers['jira_package_seconds']}", "")
    table.add_row(
        f"jira-sync, {numbers['times_faster']} x",
        f"{numbers['seconds']}",
        f"{numbers['peak_memory_mib']} MiB",
    )
    return table
