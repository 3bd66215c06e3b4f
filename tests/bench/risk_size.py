"""The risk-engine at size: full evaluation, one dirty team, promise checks by ten callers, memory, and how cost grows."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from math import log
from pathlib import Path
from typing import Any

from rich.progress import Progress
from rich.table import Table
from tests.bench import size_engine
from tests.bench.group import Bench, Figures
from tests.bench.size_world import Size

from troth_sandbox.postgres import LocalPostgres

FULL = Size()
SHARES = (0.1, 0.3, 1.0)
"""The sizes the cost is measured at: 1, 3 and 10 times a tenth."""
MARKED, QUESTIONS = 100, 300
LONGEST = {
    "full evaluation": 60.0,
    "dirty team, p95 ms": 100.0,
    "promise check, p99 ms": 500.0,
    "memory, MiB": 1024.0,
}
STEEPEST = 1.15


def measure(bench: Bench) -> Figures:
    """Each size in a database and a process of its own; the bounds hold for the whole size."""
    full = FULL.scaled(0.02) if bench.quick else FULL
    found = {}
    with Progress(console=bench.console) as progress:
        for share in SHARES:
            size = full.scaled(share)
            bar = progress.add_task(f"{size.deals:,} deals", total=None)
            found[size] = _measure(size, partial(progress.advance, bar))
            progress.update(bar, total=1, completed=1)
    exponent = slope([(size.deals, told["again"]["cpu"]) for size, told in found.items()])
    whole = found[full]
    broken = [] if bench.quick else [*_broken(whole), *_too_steep(exponent)]
    numbers = {f"{size.deals} deals": asdict(size) | told for size, told in found.items()}
    return Figures(numbers | {"cost_exponent": round(exponent, 3)}, [_table(full, whole, exponent)], broken)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The exponent of a cost that grows as a power of the size: least squares in logarithms."""
    xs, ys = [log(size) for size, _ in points], [log(cost) for _, cost in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    return sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread


def _measure(size: Size, advance: size_engine.Advance) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="troth-bench-") as folder,
        LocalPostgres(Path(folder)) as database,
    ):
        records = asyncio.run(size_engine.load(database.url, size, advance))
        arguments = [str(part) for part in (size.deals, size.teams, size.issues, MARKED, QUESTIONS)]
        command = [sys.executable, "-m", "tests.bench.size_engine", database.url, *arguments]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, Any] = json.loads(told.splitlines()[-1])  # the engine's log comes before
    return {"records": records} | figures


def _bounded(told: Mapping[str, Any]) -> dict[str, float]:
    return {
        "full evaluation": told["again"]["wall"],
        "dirty team, p95 ms": told["dirty_team"]["p95"],
        "promise check, p99 ms": told["promise"]["p99"],
        "memory, MiB": told["memory_mib"],
    }


def _broken(told: Mapping[str, Any]) -> Iterator[str]:
    for name, value in _bounded(told).items():
        if value > LONGEST[name]:
            yield f"{name} is {value:g}, not {LONGEST[name]:g} or less"


def _too_steep(exponent: float) -> Iterator[str]:
    if exponent > STEEPEST:
        yield f"evaluation cost grows with exponent {exponent:.2f}, not {STEEPEST} or less"


def _table(size: Size, told: Mapping[str, Any], exponent: float) -> Table:
    title = f"{size.deals:,} deals in force, {size.teams:,} teams, {size.issues:,} issues"
    table = Table("figure", "value", "bound", title=title)
    for name, value in _bounded(told).items():
        table.add_row(name, f"{value:,.1f}", f"{LONGEST[name]:,g}")
    table.add_row("first evaluation", f"{told['first']['wall']:,.1f}", "")
    table.add_row("team and all it concerns, p95 ms", f"{told['dirty_team_told']['p95']:,.1f}", "")
    table.add_row("promise check about new teams, p99 ms", f"{told['promise_first']['p99']:,.1f}", "")
    table.add_row("cost exponent over 1, 3 and 10 times", f"{exponent:.2f}", f"{STEEPEST:g}")
    return table
