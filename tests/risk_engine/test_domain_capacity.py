"""What a team can deliver by a day, first by hand calculation, then by draws."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_engine.domain.calendar import working_days
from risk_engine.domain.capacity import (
    SPRINTS_AHEAD,
    TeamCapacity,
    capacity_basis,
    capacity_draws,
    completed_history,
    cumulative_capacity,
    finish_days,
    pooled_points,
    sprint_grid,
    usual_cadence,
)
from risk_engine.domain.model import Sprint
from risk_engine.domain.seeds import stable_seed

MONDAY = date(2026, 11, 2)
WEEKDAYS = working_days()


def steady(points: float, sprint_end: date | None = None, until: date = MONDAY) -> TeamCapacity:
    """One trial that delivers the same every fortnight, from Monday on."""
    grid = sprint_grid(MONDAY, sprint_end, 14, WEEKDAYS, until)
    return TeamCapacity(np.full((1, grid.sprints), points), grid)


def by(capacity: TeamCapacity, *dates: date) -> list[float]:
    return [round(float(points), 9) for points in cumulative_capacity(capacity, dates)[:, 0]]


def test_capacity_accrues_over_working_days() -> None:
    dates = (
        MONDAY,
        MONDAY + timedelta(4),
        MONDAY + timedelta(6),
        MONDAY + timedelta(13),
        MONDAY + timedelta(27),
    )
    assert by(steady(20), *dates) == [2, 10, 10, 20, 40]


def test_nothing_is_delivered_by_a_day_that_is_past() -> None:
    assert by(steady(20), MONDAY - timedelta(1)) == [0]


def test_the_rest_of_the_active_sprint_counts_in_proportion() -> None:
    friday = MONDAY + timedelta(4)
    capacity = steady(20, sprint_end=friday)
    assert by(capacity, friday, friday + timedelta(14)) == [10, 30]


def test_an_active_sprint_past_its_end_is_followed_by_one_from_today() -> None:
    assert by(steady(20, sprint_end=MONDAY - timedelta(3)), MONDAY + timedelta(13)) == [20]


def test_each_sprint_brings_its_own_draw() -> None:
    grid = sprint_grid(MONDAY, None, 14, WEEKDAYS, MONDAY)
    draws = np.zeros((1, grid.sprints))
    draws[0, :3] = 10, 0, 30
    dates = [MONDAY + timedelta(days) for days in (13, 27, 34, 41)]
    assert by(TeamCapacity(draws, grid), *dates) == [10, 10, 25, 40]


def test_holidays_cost_capacity() -> None:
    closed = working_days({MONDAY + timedelta(day) for day in range(5)})
    grid = sprint_grid(MONDAY, None, 14, closed, MONDAY)
    assert by(TeamCapacity(np.full((1, grid.sprints), 20.0), grid), MONDAY + timedelta(13)) == [10]


@pytest.mark.parametrize(
    ("load", "days"),
    [(0, 0), (0.5, 0), (2, 0), (2.1, 1), (10, 4), (10.1, 7), (20, 11), (20.1, 14), (40, 25)],
)
def test_the_day_a_load_is_done(load: float, days: int) -> None:
    finished = finish_days(steady(20), np.array([[load]]))
    assert finished[0, 0] - MONDAY.toordinal() == days


def test_a_far_date_is_far_and_never_cut_off() -> None:
    finished = finish_days(steady(20), np.array([[20.0 * 100]]))
    assert abs(finished[0, 0] - MONDAY.toordinal() - 1400) < 5


def test_no_capacity_is_never() -> None:
    assert np.isinf(finish_days(steady(0), np.array([[1.0]])))[0, 0]


@settings(deadline=None)
@given(st.floats(0.1, 3000), st.floats(0.5, 60))
def test_finish_and_cumulative_capacity_agree(load: float, points: float) -> None:
    capacity = steady(points, until=MONDAY + timedelta(800))
    day = finish_days(capacity, np.array([[load]]))[0, 0]
    if day <= capacity.grid.days[-1]:
        done, day_before = by(capacity, date.fromordinal(int(day)), date.fromordinal(int(day) - 1))
        assert day_before - 1e-6 <= load <= done + 1e-6


def test_same_seed_same_draws_and_another_team_other_draws() -> None:
    history = [float(points) for points in range(12)]
    again = capacity_draws("s:1", history, 50), capacity_draws("s:1", history, 50)
    assert np.array_equal(*again)
    assert not np.array_equal(again[0], capacity_draws("s:2", history, 50))


def test_the_seed_is_fixed_for_ever() -> None:
    assert stable_seed("capacity-sprints", "s:1") == 0xF7FD778AC1D8A495FBC07F1B0D5D9A52


def test_drawing_further_ahead_leaves_the_first_sprints_unchanged() -> None:
    near, far = (capacity_draws("s:1", [5.0, 20.0, 30.0], 100, sprints) for sprints in (4, 40))
    assert np.array_equal(near, far[:, :4])


def test_recent_sprints_weigh_more() -> None:
    rising, falling = [0.0] * 6 + [10.0] * 6, [10.0] * 6 + [0.0] * 6
    share = capacity_draws("s:1", rising, 4000).mean() / 10
    assert share == pytest.approx(1 / (1 + 2 ** (-6 / 5)), abs=0.02)
    assert capacity_draws("s:1", falling, 4000).mean() / 10 == pytest.approx(1 - share, abs=0.03)


def test_a_trial_is_a_good_or_a_bad_stretch_as_a_whole() -> None:
    draws = capacity_draws("s:1", [0.0, 10.0] * 6, 4000)
    independent = 25 / draws.shape[1]
    assert draws.mean(axis=1).var() > 2 * independent


def test_a_team_with_three_sprints_stands_on_its_own() -> None:
    assert capacity_basis([1, 2, 3], [9.0] * 12).points == (1, 2, 3)
    assert len(capacity_basis(list(range(20)), []).points) == 12
    cold = capacity_basis([1, 2], [9.0] * 12)
    assert cold.cold
    assert cold.points == (1, 2, *[9.0] * 12)


def test_the_pool_keeps_the_spread_of_all_teams() -> None:
    pool = pooled_points([[1.0] * 12, [50.0] * 12])
    assert (len(pool), min(pool), max(pool)) == (12, 1.0, 50.0)
    assert pooled_points([[3.0], [1.0, 2.0]]) == pooled_points([[2.0, 1.0], [3.0]])
    assert pooled_points([]) == ()


def test_no_history_at_all_delivers_nothing() -> None:
    assert capacity_draws("s:1", [], 5).sum() == 0
    assert capacity_draws("s:1", [], 5).shape == (5, SPRINTS_AHEAD)


def sprint(number: int, day: int, points: float | None, length: int = 14) -> Sprint:
    start = datetime(2026, 1, 5, 9, tzinfo=UTC) + timedelta(days=day)
    end = start + timedelta(days=length)
    return Sprint(
        f"s:{number}", str(number), "closed", start=start, end=end, completed_at=end, completed_points=points
    )


def test_history_is_in_the_order_sprints_closed() -> None:
    sprints = [sprint(9, 14, 8), sprint(10, 0, 5), sprint(11, 28, None)]
    assert completed_history(sprints) == (5, 8)


def test_the_cadence_is_the_usual_planned_length() -> None:
    assert usual_cadence([sprint(1, 0, 5), sprint(2, 14, 5), sprint(3, 28, 5, length=28)]) == 14
    assert usual_cadence([sprint(1, 0, 5, length=7)]) == 7
    assert usual_cadence([]) == 14
