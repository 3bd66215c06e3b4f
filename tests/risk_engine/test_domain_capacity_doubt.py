"""What the forecast adds to a team's past: older sprints, sprints not seen yet, and a level that drifts."""

import numpy as np
import pytest

from risk_engine.domain.capacity import DRIFT, capacity_basis, capacity_draws

STEADY = [20.0] * 12
ERRATIC = [0.0, 40.0, 5.0, 60.0, 2.0, 13.0, 0.0, 40.0, 5.0, 60.0, 2.0, 13.0]


def test_sprints_before_the_last_twelve_weigh_little_but_count() -> None:
    basis = capacity_basis([float(points) for points in range(30)], ())
    assert basis.history == tuple(range(6, 30))
    assert basis.points == basis.history[-12:]
    assert capacity_basis([1.0, 2, 3], ()).history == (1, 2, 3)


def test_the_near_is_surer_than_the_far() -> None:
    spread = np.log(capacity_draws("s:1", STEADY, 4000, 25)).std(axis=0)
    assert spread[[0, 3, 24]] == pytest.approx(DRIFT * np.sqrt([1, 4, 25]), rel=0.05)


def test_a_steady_team_is_not_doubted() -> None:
    first = capacity_draws("s:1", STEADY, 4000)[:, 0]
    assert ((first > 20 * np.exp(-4 * DRIFT)) & (first < 20 * np.exp(4 * DRIFT))).mean() > 0.999


def test_an_erratic_team_may_deliver_what_it_has_not_shown() -> None:
    first = capacity_draws("s:1", ERRATIC, 4000)[:, 0]
    near_seen = np.abs(np.log1p(first)[:, np.newaxis] - np.log1p(ERRATIC)) < 4 * DRIFT
    assert 0.02 < 1 - near_seen.any(axis=1).mean() < 0.25


@pytest.mark.parametrize("history", [STEADY, ERRATIC, ERRATIC[:3]], ids=["steady", "erratic", "short"])
def test_doubt_and_drift_leave_the_mean_where_the_past_puts_it(history: list[float]) -> None:
    weights = np.exp2(-np.arange(len(history))[::-1] / 5)
    level = weights @ history / weights.sum()
    means = capacity_draws("s:1", history, 40_000, 6).mean(axis=0)
    assert means == pytest.approx([level] * 6, rel=0.03)
