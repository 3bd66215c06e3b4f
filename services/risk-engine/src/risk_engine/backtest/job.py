"""Once a day: how well the forecast would have kept its word on the teams' own past, as metrics."""

from __future__ import annotations

import asyncio

import structlog

from risk_engine.backtest.own_history import read_own_boards
from risk_engine.backtest.report import BacktestReport, report
from risk_engine.backtest.rolling_origin import Score, score_boards
from risk_engine.metrics import EngineMetrics
from risk_engine.store.database import Database
from troth_chassis.clock import Clock
from troth_chassis.service import Beat

log = structlog.stdlib.get_logger(__name__)
DAY_SECONDS = 86_400.0
NAP_SECONDS = 60.0
TRIALS = 500
"""Enough to tell 85 from 80 percent; the day's work for 500 teams then takes about a minute of one core."""


class BacktestJob:
    """Scores every board, one at a time and beside the event loop, so that nothing waits for it."""

    def __init__(
        self, database: Database, metrics: EngineMetrics, clock: Clock, *, trials: int = TRIALS
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._clock = clock
        self._trials = trials

    async def run(self, beat: Beat) -> None:
        """Until cancelled."""
        due = self._clock.monotonic()
        while True:
            if self._clock.monotonic() >= due:
                await self.score(beat)
                due = self._clock.monotonic() + DAY_SECONDS
            beat()
            await self._clock.sleep(NAP_SECONDS)

    async def score(self, beat: Beat) -> BacktestReport:
        """The report over all boards' own past, also told as metrics."""
        async with self._database.transaction() as connection:
            boards = await read_own_boards(connection)
        scores: list[Score] = []
        for board in boards:
            scores += await asyncio.to_thread(score_boards, [board], self._trials)
            beat()
        result = report(scores)
        self._tell(result)
        log.info("the forecast was held against the past", boards=len(boards), forecasts=len(scores))
        return result

    def _tell(self, result: BacktestReport) -> None:
        """What a shorter past has no forecasts for any more is not told any more."""
        metrics = self._metrics
        for gauge in (metrics.backtest_share, metrics.backtest_crps_ratio, metrics.backtest_forecasts):
            gauge.clear()
        for horizon, part in result.horizons.items():
            for name in ("q05", "q15", "q50"):
                metrics.backtest_share.labels(horizon, name).set(part.share(f"above_{name}"))
            metrics.backtest_crps_ratio.labels(horizon).set(part.ratio)
            metrics.backtest_forecasts.labels(horizon).set(part.n)
        metrics.backtest_at.set(self._clock.now().timestamp())
