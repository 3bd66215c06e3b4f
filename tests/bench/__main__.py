"""``python -m tests.bench``: figures by group, each beside a baseline or a bound of the same run.

Never part of the tests: a figure depends on the machine, the ratio to its baseline much less.
"""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from tests.bench import crm, jira_cost, jira_latency, jira_receiver, product, risk_size
from tests.bench.group import Bench, Group

from troth_sandbox.errors import SandboxError

REPORT = Path(__file__).resolve().parents[2] / "build" / "bench.json"
GROUPS: Mapping[str, Group] = {
    "product": product.measure,
    "risk-size": risk_size.measure,
    "jira-cost": jira_cost.measure,
    "jira-latency": jira_latency.measure,
    "jira-receiver": jira_receiver.measure,
    "crm": crm.measure,
}


def main(
    only: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(GROUPS)}; all when left out.")
    ] = None,
    *,
    quick: Annotated[bool, typer.Option(help="A small try: shows the way, not the figures.")] = False,
    report: Annotated[Path, typer.Option(help="Where the figures are written.")] = REPORT,
) -> None:
    """Measure on real Kafka and PostgreSQL; exit code 1 when a bound does not hold."""
    console = Console()
    logging.getLogger("aiokafka").setLevel(
        logging.CRITICAL
    )  # a broker that just started answers in several tries
    try:
        broken = _run(Bench(console, quick), _chosen(only or list(GROUPS)), report)
    except SandboxError as error:
        console.print(str(error), style="bold red", highlight=False)
        raise typer.Exit(1) from error
    for sentence in broken:
        console.print(sentence, style="bold red", highlight=False)
    raise typer.Exit(1 if broken else 0)


def _chosen(names: list[str]) -> Mapping[str, Group]:
    """Groups of these names or beginnings: ``jira`` is all about Jira."""
    unknown = [name for name in names if not any(group.startswith(name) for group in GROUPS)]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(GROUPS)}, nor how one begins")
    return {group: measure for group, measure in GROUPS.items() if group.startswith(tuple(names))}


def _run(bench: Bench, groups: Mapping[str, Group], report: Path) -> list[str]:
    """Measures group by group; the report is written after each, so that a later fault loses nothing."""
    numbers: dict[str, Any] = {"machine": _machine(), "quick": bench.quick}
    broken: list[str] = []
    for name, measure in groups.items():
        found = measure(bench)
        numbers |= {name: found.numbers}
        broken += found.broken
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
        bench.console.print(*found.tables)
    bench.console.print(f"written to {report}", highlight=False)
    return broken


def _machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}


if __name__ == "__main__":
    typer.run(main)
