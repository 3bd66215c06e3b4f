"""Forecasts made at every past moment from what was known then, each held against what came.

The forecast under test is the engine's own: its basis, its draws. Beside it stands the plain bootstrap of the last
twelve sprints, the forecast it must beat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from risk_engine.backtest.scoring import crps, forecast_levels
from risk_engine.backtest.sprint_files import BoardHistory
from risk_engine.domain.capacity import DEFAULT_TRIALS, SPRINTS_REMEMBERED, capacity_basis, capacity_draws
from risk_engine.domain.model import Floats
from risk_engine.domain.seeds import generator

HORIZONS = (1, 2, 3, 4, 6)
"""Sprints ahead; the outcome is the sum of all of them."""
SPRINTS_BEFORE = 6
"""The first sprint forecast is a board's seventh, so a board of seven sprints takes part with one forecast."""


@dataclass(frozen=True, slots=True)
class Score:
    """One forecast and its outcome."""

    project: str
    horizon: int
    level: float
    """Which quantile of the forecast the outcome was, 0 to 1."""
    crps: float
    crps_bootstrap: float


def score_boards(boards: Iterable[BoardHistory], trials: int = DEFAULT_TRIALS) -> list[Score]:
    """Every forecast of every board with at least seven sprints; the same input, the same scores."""
    return [score for board in boards for score in _score_board(board, trials)]


def _score_board(board: BoardHistory, trials: int) -> Iterator[Score]:
    for origin in range(SPRINTS_BEFORE, len(board.delivered)):
        name = f"{board.project}:{board.board}:{origin}"
        yield from _score_origin(name, board, origin, trials)


def _score_origin(name: str, board: BoardHistory, origin: int, trials: int) -> Iterator[Score]:
    past, coming = board.delivered[:origin], np.cumsum(board.delivered[origin : origin + max(HORIZONS)])
    horizons = [horizon for horizon in HORIZONS if horizon <= len(coming)]
    ends = np.array(horizons) - 1
    outcomes: Floats = coming[ends]
    ours, plain = (
        _sums(draws)[ends] for draws in (_forecast(name, past, trials), _plain(name, past, trials))
    )
    splits = generator("backtest-ties", name).random(len(HORIZONS))[: len(horizons)]
    scored = zip(
        horizons,
        forecast_levels(ours, outcomes, splits),
        crps(ours, outcomes),
        crps(plain, outcomes),
        strict=True,
    )
    for horizon, level, score, score_plain in scored:
        yield Score(board.project, horizon, float(level), float(score), float(score_plain))


def _forecast(name: str, past: Sequence[float], trials: int) -> Floats:
    basis = capacity_basis(past, ())
    return capacity_draws(name, basis.history, trials, max(HORIZONS), basis.halving)


def _plain(name: str, past: Sequence[float], trials: int) -> Floats:
    last = np.asarray(past[-SPRINTS_REMEMBERED:], dtype=np.float64)
    drawn: Floats = generator("backtest-plain", name).choice(last, size=(trials, max(HORIZONS)))
    return drawn


def _sums(draws: Floats) -> Floats:
    """Sprints ahead x trials: points delivered by the end of each sprint."""
    sums: Floats = np.ascontiguousarray(np.cumsum(draws, axis=1).T)
    return sums
