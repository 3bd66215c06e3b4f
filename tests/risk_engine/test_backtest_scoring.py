"""The yardsticks: a forecast's score and the quantile its outcome turned out to be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_engine.backtest.scoring import crps, forecast_levels

points = st.floats(0, 1000)


@given(st.lists(points, min_size=1, max_size=12), points)
def test_crps_is_the_distance_to_the_outcome_less_half_the_distance_between_draws(
    draws: list[float], outcome: float
) -> None:
    to_outcome = np.mean([abs(draw - outcome) for draw in draws])
    between = np.mean([abs(one - other) for one in draws for other in draws])
    score = crps(np.array([draws]), np.array([outcome]))
    assert score == pytest.approx([to_outcome - between / 2], abs=1e-9)


def test_crps_of_a_sure_forecast_is_its_error() -> None:
    assert crps(np.full((2, 50), 8.0), np.array([8.0, 11.0])) == pytest.approx([0.0, 3.0])


def test_a_sharper_right_forecast_scores_better() -> None:
    sharp, wide = crps(np.array([[9.0, 10, 11], [0.0, 10, 20]]), np.array([10.0, 10.0]))
    assert sharp < wide


def test_an_outcome_no_trial_hit_stands_between_those_below_and_above() -> None:
    levels = forecast_levels(np.array([[1.0, 2, 3, 4]] * 3), np.array([0.5, 2.5, 9]), np.array([0.5] * 3))
    assert levels.tolist() == [0.0, 0.5, 1.0]


def test_a_tie_is_split_by_where_the_split_falls_in_it() -> None:
    draws = np.array([[1.0, 2, 2, 3]] * 3)
    assert forecast_levels(draws, np.full(3, 2.0), np.array([0, 0.5, 1])).tolist() == [0.25, 0.5, 0.75]


def test_a_sure_and_right_forecast_is_above_each_quantile_as_often_as_it_claims() -> None:
    splits = np.random.default_rng(7).random(4000)
    levels = forecast_levels(np.zeros((4000, 10)), np.zeros(4000), splits)
    assert [(levels >= q).mean() for q in (0.05, 0.15, 0.5)] == pytest.approx([0.95, 0.85, 0.5], abs=0.025)
