"""The forecast is held against the teams' own past, by the daily job and by the command."""

import asyncio
import json
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from tests.risk_engine.company import Company, records
from tests.risk_engine.engine import open_engine

from risk_engine.backtest.command import backtest_store
from risk_engine.backtest.job import BacktestJob
from risk_engine.domain.capacity import DEFAULT_TRIALS
from troth_chassis.errors import ConfigurationError

ONE_AHEAD = (12 - 6) * 5
"""Five boards of twelve sprints; each sprint from the seventh on is forecast."""


async def scored(url: str) -> tuple[dict[str, int], str]:
    """By horizon how many forecasts, and the metrics."""
    beats: list[None] = []
    async with open_engine(url) as engine:
        await engine.take(records(Company()))
        job = BacktestJob(engine.database, engine.metrics, engine.clock, trials=DEFAULT_TRIALS)
        result = await job.score(lambda: beats.append(None))
        exported = generate_latest(engine.metrics.registry).decode()
    assert len(beats) >= 5, "it is alive while it reckons"
    return {name: part.n for name, part in result.horizons.items()}, exported


def metric(exported: str, name: str) -> float:
    return float(next(line.split()[-1] for line in exported.splitlines() if line.startswith(name)))


def test_job_and_command_score_the_same_past(postgres: str, tmp_path: Path) -> None:
    counts, exported = asyncio.run(scored(postgres))
    out = tmp_path / "backtest.json"
    backtest_store(postgres, out, lambda _line: None)
    told = json.loads(out.read_bytes())["horizons"]
    assert {name: part["n"] for name, part in told.items()} == counts
    assert counts["1"] == ONE_AHEAD
    for name, part in told.items():
        assert metric(exported, f'troth_risk_backtest_forecasts{{horizon="{name}"}}') == part["n"]
        share = metric(exported, f'troth_risk_backtest_share{{horizon="{name}",quantile="q15"}}')
        assert share == pytest.approx(part["above_q15"])
        ratio = metric(exported, f'troth_risk_backtest_crps_ratio{{horizon="{name}"}}')
        assert ratio == pytest.approx(part["crps"] / part["crps_bootstrap"] if part["crps_bootstrap"] else 1)
    assert metric(exported, "troth_risk_backtest_timestamp_seconds") > 0


@pytest.mark.parametrize("url", ["", "postgresql://nobody@127.0.0.1:1/none"])
def test_without_a_store_the_command_says_what_is_missing(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        backtest_store(url, tmp_path / "backtest.json", lambda _line: None)
