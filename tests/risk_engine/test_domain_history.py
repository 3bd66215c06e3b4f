"""What a team did, evened out over working days, and the unit in which it foretells best."""

from datetime import UTC, date, datetime, timedelta

import pytest

from risk_engine.domain.calendar import working_days
from risk_engine.domain.history import (
    PastPeriod,
    better_unit,
    evened,
    outliers,
    past_sprints,
    points_per_item,
    side_by_side,
    unit_errors,
    unit_scores,
)
from risk_engine.domain.model import Sprint

MONDAY = datetime(2026, 6, 1, 8, tzinfo=UTC)
WEEKDAYS = working_days()


def sprint(number: int, begins: int, days: int = 14, points: float | None = 20, items: int = 5) -> Sprint:
    start = MONDAY + timedelta(days=begins)
    end = start + timedelta(days=days)
    return Sprint(
        f"s:{number}",
        str(number),
        "closed",
        start=start,
        end=end,
        completed_at=end,
        completed_points=points,
        completed_items=items,
    )


def period(closed: int, points: float, items: float = 4, days: float = 10, key: str = "") -> PastPeriod:
    day = date(2026, 6, 12) + timedelta(days=closed)
    return PastPeriod(key or f"s:{closed}", day, points, items, days)


def test_a_past_sprint_knows_its_figures_and_its_working_days() -> None:
    (first, second) = past_sprints(
        [sprint(2, 14, 7), sprint(1, 0), sprint(3, 21, points=None)], UTC, WEEKDAYS
    )
    assert (first.key, first.closed, first.points, first.items) == ("s:1", date(2026, 6, 14), 20, 5)
    assert (first.working_days, second.working_days) == (10, 5)


def test_holidays_are_no_working_days() -> None:
    midsummer = working_days({date(2026, 6, 19)})
    (one,) = past_sprints([sprint(1, 14)], UTC, midsummer)
    assert one.working_days == 9


def test_a_short_sprint_counts_as_if_it_had_the_usual_days() -> None:
    past = [period(0, 20), period(7, 10, days=5), period(21, 30, days=15)]
    assert evened(past, "points", usual_days=10) == (20, 20, 20)
    assert evened([period(0, 20, days=0)], "points", usual_days=10) == (20,)


def test_days_explain_a_factor_of_two_at_most() -> None:
    assert evened([period(0, 4, days=1), period(7, 90, days=60)], "points", usual_days=10) == (8, 45)


def test_the_steadier_unit_is_chosen() -> None:
    points, items = [5, 40, 12, 33, 8, 45, 15, 30], [10, 11, 9, 10, 11, 10, 9, 10]
    scores = unit_scores({"points": points, "items": items})
    assert unit_errors(scores)["items"] < unit_errors(scores)["points"]
    assert better_unit(scores) == "items"
    assert better_unit(unit_scores({"points": items, "items": points})) == "points"


def test_two_bad_sprints_of_twelve_do_not_change_the_unit() -> None:
    points = [20, 21, 19, 20, 4, 20, 20, 21, 4, 20, 19, 20]
    items = [5, 6, 6, 6, 3, 6, 6, 5, 3, 6, 5, 5]
    scores = unit_scores({"points": points, "items": items})
    assert unit_errors(scores)["items"] < 0.7 * unit_errors(scores)["points"]
    assert better_unit(scores) == "points"


def test_an_error_is_a_part_of_what_a_period_brings() -> None:
    history = [10.0, 12, 9, 14, 11, 10, 13]
    times_ten = [10 * done for done in history]
    scores = unit_scores({"points": times_ten, "items": history})
    errors = unit_errors(scores)
    assert errors["points"] == pytest.approx(errors["items"])
    assert better_unit(scores) == "points"


def test_the_forecast_of_a_steady_team_is_never_off() -> None:
    assert unit_errors(unit_scores({"points": [7.0] * 8}))["points"] == pytest.approx(0)


def test_where_nobody_estimates_items_are_counted() -> None:
    scores = unit_scores({"points": [0.0] * 8, "items": [3, 5, 4, 6, 3, 5, 4, 4]})
    assert unit_errors(scores).keys() == {"items"}
    assert better_unit(scores) == "items"


def test_three_periods_choose_nothing() -> None:
    assert better_unit(unit_scores({"points": [1, 2, 3], "items": [1, 1, 1]})) == "points"


def test_one_forecast_is_no_proof() -> None:
    assert better_unit(unit_scores({"points": [1, 9, 2, 8], "items": [5, 5, 5, 5]})) == "points"


def test_what_stands_out_is_marked() -> None:
    assert outliers([20, 22, 19, 21, 90, 20]) == (False, False, False, False, True, False)
    assert outliers([20, 90]) == (False, False)
    assert outliers([20, 20, 20, 20]) == (False,) * 4


def test_sprints_of_two_boards_that_close_together_are_one() -> None:
    left = [period(0, 10, 2), period(14, 12, 3)]
    right = [period(2, 5, 1, key="t:1"), period(30, 7, 1, key="t:2")]
    joined = side_by_side([left, right], cadence_days=14)
    assert [(one.points, one.items) for one in joined] == [(15, 3), (12, 3), (7, 1)]


def test_two_sprints_of_one_board_are_never_joined() -> None:
    joined = side_by_side([[period(0, 10), period(1, 12)]], cadence_days=14)
    assert [one.points for one in joined] == [10, 12]


def test_points_of_an_item() -> None:
    assert points_per_item([period(0, 20, 4), period(14, 10, 2)]) == 5
    assert points_per_item([period(0, 0, 4)]) == 1
    assert points_per_item([]) == 1
