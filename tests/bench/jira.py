"""jira-sync: what a backfill costs, how late it is, and how many webhooks it takes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.bench import jira_cost
from tests.bench.group import Bench, Figures
from tests.e2e.play import GIVEN_SERVERS, REAL_KAFKA

from troth_sandbox.brokers import open_broker

PARTS = {"cost": jira_cost.measure}


def measure(bench: Bench) -> Figures:
    """Every part on one Kafka of its own."""
    environ = {name: value for name, value in os.environ.items() if name not in GIVEN_SERVERS}
    with (
        tempfile.TemporaryDirectory(prefix="troth-bench-") as folder,
        open_broker(environ, Path(folder), kinds=REAL_KAFKA, say=lambda _sentence: None) as broker,
    ):
        found = {name: part(bench, broker.bootstrap) for name, part in PARTS.items()}
    return Figures(
        {name: figures.numbers for name, figures in found.items()},
        [table for figures in found.values() for table in figures.tables],
        [sentence for figures in found.values() for sentence in figures.broken],
    )
