"""The whole product: how fast it takes records in, and how long a change takes to become an accepted notice."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from rich.progress import Progress
from rich.table import Table
from tests.bench import ingest, latency, restart
from tests.bench.group import Bench, Figures
from tests.bench.ingest import IngestFigures
from tests.bench.latency import POLL_SECONDS, Sample, spread
from tests.e2e.play import GIVEN_SERVERS, REAL_KAFKA, open_play

from troth_sandbox.brokers import open_broker
from troth_sandbox.postgres import open_database

SEED = 7
LEAST_RATE = 20_000
"""Records a second, with offsets, links and marks in the transaction."""
LONGEST_RESTART = 10.0
"""Seconds from the start of a killed engine until its first new notice is accepted."""
FULL = (100_000, 10_000, 40, 5)
QUICK = (10_000, 1_000, 4, 1)
"""Records to take in, records of the row by row comparison, changes to follow to the receiver, kills of the engine."""


def measure(bench: Bench) -> Figures:
    """Ingest rate beside two ways to do less or worse, event-to-notice latency, and the restart after a kill."""
    rates, samples, restarts = _measure(bench, *(QUICK if bench.quick else FULL))
    numbers: dict[str, Any] = {
        "ingest": _ingest_figures(rates),
        "latency": _latency_figures(samples),
        "restart_seconds": [round(seconds, 1) for seconds in sorted(restarts)],
    }
    tables = [_ingest_table(numbers["ingest"]), _latency_table(numbers["latency"]), _restart_table(restarts)]
    return Figures(numbers, tables, [] if bench.quick else list(_slow(numbers)))


def _measure(
    bench: Bench, records: int, sample: int, changes: int, kills: int
) -> tuple[IngestFigures, list[Sample], list[float]]:
    with (
        Progress(console=bench.console) as progress,
        tempfile.TemporaryDirectory(prefix="troth-bench-") as folder,
    ):
        bar = progress.add_task("ingest", total=4 * records)
        rates = _measure_ingest(Path(folder), records, sample, lambda done: progress.advance(bar, done))
        settling = progress.add_task("settling", total=None)
        with open_play(Path(folder) / "play") as play:
            play.stage.start_services()
            play.settle()
            progress.update(settling, total=1, completed=1)
            following = progress.add_task("latency", total=changes)
            samples = latency.measure(play, changes, SEED, lambda done: progress.advance(following, done))
            restarting = progress.add_task("restarts", total=kills)
            restarts = restart.measure(play, kills, lambda: progress.advance(restarting, 1))
    return rates, samples, restarts


def _measure_ingest(folder: Path, records: int, sample: int, advance: ingest.Advance) -> IngestFigures:
    """Servers of its own: topics and tables must be empty."""
    environ = {name: value for name, value in os.environ.items() if name not in GIVEN_SERVERS}
    with (
        open_broker(environ, folder / "kafka", kinds=REAL_KAFKA, say=lambda _sentence: None) as broker,
        open_database(environ, folder / "postgres") as database,
    ):
        return asyncio.run(ingest.measure(broker.bootstrap, database.url, records, sample, advance))


def _ingest_figures(rates: IngestFigures) -> dict[str, Any]:
    ratios = {
        "engine_to_rebuild": round(rates.engine / rates.rebuild, 2),
        "engine_to_decode_only": round(rates.engine / rates.decode_only, 3),
        "engine_to_row_by_row": round(rates.engine / rates.row_by_row, 2),
    }
    return {name: round(value) for name, value in asdict(rates).items()} | ratios


def _slow(numbers: dict[str, Any]) -> Iterator[str]:
    for way in ("engine", "rebuild"):
        if numbers["ingest"][way] < LEAST_RATE:
            yield f"{way}: {numbers['ingest'][way]:,} records/s, not {LEAST_RATE:,} or more"
    if (longest := max(numbers["restart_seconds"])) > LONGEST_RESTART:
        yield f"first new notice {longest:g} s after a restart, not {LONGEST_RESTART:g} or less"


def _latency_figures(samples: list[Sample]) -> dict[str, Any]:
    figures: dict[str, Any] = {"changes": len(samples), "poll_seconds": POLL_SECONDS}
    for name in ("from_change", "from_record"):
        found = asdict(spread([getattr(sample, name) for sample in samples]))
        figures[name] = {quantile: round(seconds, 3) for quantile, seconds in found.items()}
    figures["from_change_to_poll_interval"] = {
        quantile: round(seconds / POLL_SECONDS, 2) for quantile, seconds in figures["from_change"].items()
    }
    return figures


def _ingest_table(figures: dict[str, Any]) -> Table:
    table = Table("way", "records", "records/s", "engine is", title="Kafka to PostgreSQL")
    table.add_row("risk-engine", f"{figures['records']:,}", f"{figures['engine']:,}", "1.00 x")
    table.caption = f"{figures['engine_cpu']} ms of CPU of the engine's process per 1,000 records"
    table.add_row(
        "rebuild",
        f"{figures['records']:,}",
        f"{figures['rebuild']:,}",
        f"{figures['engine_to_rebuild']:.2f} x",
    )
    table.add_row(
        "decode only",
        f"{figures['records']:,}",
        f"{figures['decode_only']:,}",
        f"{figures['engine_to_decode_only']:.2f} x",
    )
    table.add_row(
        "one INSERT per record",
        f"{figures['sample']:,}",
        f"{figures['row_by_row']:,}",
        f"{figures['engine_to_row_by_row']:.2f} x",
    )
    return table


def _latency_table(figures: dict[str, Any]) -> Table:
    title = (
        f"Event to accepted notice, {figures['changes']} changes, poll every {figures['poll_seconds']:g} s"
    )
    table = Table("from", "p50", "p95", "p99", title=title)
    for name, words in (("from_change", "change at the vendor"), ("from_record", "its record in Kafka")):
        table.add_row(words, *(f"{seconds:.2f} s" for seconds in figures[name].values()))
    ratios = figures["from_change_to_poll_interval"].values()
    table.add_row("change, in poll intervals", *(f"{ratio:.2f} x" for ratio in ratios))
    return table


def _restart_table(restarts: list[float]) -> Table:
    table = Table("restarts after kill -9", "median", "longest", title="Start to first new notice")
    table.add_row(str(len(restarts)), f"{median(restarts):.1f} s", f"{max(restarts):.1f} s")
    return table
