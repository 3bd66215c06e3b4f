"""crm-sync: what the first full read of a large org costs, and how soon a change is in Kafka."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import Progress
from rich.table import Table
from tests.bench import crm_cost, crm_latency
from tests.bench.crm_cost import Cost, Size
from tests.bench.crm_org import LINES_EACH
from tests.bench.group import Bench, Figures
from tests.bench.latency import Spread, spread
from tests.e2e.play import GIVEN_SERVERS, REAL_KAFKA

from troth_sandbox.brokers import open_broker

FULL = (Size(200_000, 500), 200, crm_latency.WINDOW)
QUICK = (Size(2_000, 50, bulk_from=1_000), 10, 30.0)
"""The org that is read, changes to follow, and the seconds over which they are spread."""
MOST_CALLS = 1.15
MOST_MEMORY = 700.0
LEAST_SPEED = 3.0
LONGEST_LATENCY = 45.0


def measure(bench: Bench) -> Figures:
    """The full read and the latency, with their bounds; small orgs say nothing about speed."""
    size, changes, window = QUICK if bench.quick else FULL
    with _kafka() as (folder, kafka):
        cost = crm_cost.measure(folder / "org", kafka, size, bench.console.print)
    with _kafka() as (folder, kafka), Progress(console=bench.console) as progress:
        bar = progress.add_task("changes", total=changes)
        seconds = crm_latency.measure(
            folder / "org", kafka, changes, window, lambda done: progress.advance(bar, done)
        )
    latency = spread(seconds)
    broken = [*_broken_cost(cost, quick=bench.quick), *_broken_latency(latency)]
    return Figures(
        _numbers(size, cost, latency, changes), [_cost_table(size, cost), _latency_table(latency)], broken
    )


@contextmanager
def _kafka() -> Iterator[tuple[Path, str]]:
    """A broker of its own: topics must be empty."""
    environ = {name: value for name, value in os.environ.items() if name not in GIVEN_SERVERS}
    with (
        tempfile.TemporaryDirectory(prefix="troth-bench-") as folder,
        open_broker(environ, Path(folder) / "kafka", kinds=REAL_KAFKA, say=lambda _sentence: None) as broker,
    ):
        yield Path(folder), broker.bootstrap


def _broken_cost(cost: Cost, *, quick: bool) -> Iterator[str]:
    if cost.differences:
        yield f"{len(cost.differences):,} deals differ from the org, such as {cost.differences[0]}"
    if not quick and cost.calls_ratio > MOST_CALLS:
        yield f"{cost.calls} API calls are {cost.calls_ratio:.2f} times the least, {MOST_CALLS} is allowed"
    if cost.peak_memory > MOST_MEMORY:
        yield f"crm-sync took {cost.peak_memory:.0f} MiB, {MOST_MEMORY:.0f} are allowed"
    if not quick and cost.speed_ratio < LEAST_SPEED:
        yield f"crm-sync was {cost.speed_ratio:.2f} times as fast as the library alone, {LEAST_SPEED} is asked"


def _broken_latency(latency: Spread) -> Iterator[str]:
    if latency.p99 > LONGEST_LATENCY:
        yield f"p99 from change to Kafka is {latency.p99:.1f} s, {LONGEST_LATENCY:.0f} are allowed"


def _numbers(size: Size, cost: Cost, latency: Spread, changes: int) -> dict[str, Any]:
    told = asdict(cost) | {
        "deals": size.deals,
        "differences": len(cost.differences),
        "updates_per_second": round(cost.changed.per_second, 1),
        "calls_to_least": round(cost.calls_ratio, 3),
        "baseline_to_crm_sync": round(cost.speed_ratio, 2),
    }
    return {"full_read": told, "latency": asdict(latency) | {"changes": changes}}


def _cost_table(size: Size, cost: Cost) -> Table:
    title = (
        f"Full read of {size.deals:,} deals with {LINES_EACH} lines each, {cost.changed.per_second:.0f} updates/s, "
        f"{crm_cost.DELAY * 1000:.0f} ms per answer"
    )
    table = Table("figure", "measured", "bound", title=title)
    table.add_row("deals that differ afterwards", f"{len(cost.differences):,}", "0")
    table.add_row("API calls", f"{cost.calls} of {cost.least_calls}", f"{MOST_CALLS} x the least")
    table.add_row("calls to the least", f"{cost.calls_ratio:.2f} x", f"{MOST_CALLS} x")
    table.add_row("peak memory", f"{cost.peak_memory:.0f} MiB", f"{MOST_MEMORY:.0f} MiB")
    table.add_row("crm-sync, read and published", f"{cost.seconds:.0f} s", "")
    table.add_row("simple-salesforce, read only", f"{cost.baseline_seconds:.0f} s", "")
    table.add_row("faster than the library", f"{cost.speed_ratio:.2f} x", f"{LEAST_SPEED} x")
    table.add_row("caught up after the last update", f"{cost.caught_up_seconds:.0f} s", "")
    return table


def _latency_table(latency: Spread) -> Table:
    table = Table(
        "",
        "p50",
        "p95",
        "p99",
        "bound of p99",
        title="Change in Salesforce to record in Kafka, default intervals",
    )
    figures = (latency.p50, latency.p95, latency.p99, LONGEST_LATENCY)
    table.add_row("seconds", *(f"{seconds:.1f}" for seconds in figures))
    return table
