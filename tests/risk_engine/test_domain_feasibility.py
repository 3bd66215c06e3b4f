"""Promises against capacity: hand-calculated teams, field case G8, and the properties that must always hold."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import permutations
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_engine.domain.calendar import working_days
from risk_engine.domain.capacity import TeamCapacity, capacity_draws, cumulative_capacity, sprint_grid
from risk_engine.domain.feasibility import (
    OwedLeaf,
    TeamOutlook,
    deal_joins,
    evaluate_deal,
    evaluate_team,
)
from risk_engine.domain.model import Flags

MONDAY = date(2026, 11, 2)
END = MONDAY + timedelta(13)
NEXT_END = MONDAY + timedelta(27)
TRIALS = 2000


def capacity(points: Sequence[float] | float, trials: int = 1) -> TeamCapacity:
    """Every fortnight the same points, one trial per given figure."""
    grid = sprint_grid(MONDAY, None, 14, working_days(), NEXT_END)
    column = np.broadcast_to(np.asarray(points, dtype=np.float64), (trials,))
    return TeamCapacity(np.repeat(column[:, np.newaxis], grid.sprints, axis=1), grid)


def owed(*items: tuple[str, float, str]) -> list[OwedLeaf]:
    return [OwedLeaf(issue, points, frozenset(deals.split())) for issue, points, deals in items]


def all_join(promised: Mapping[str, date], trials: int = 1) -> dict[str, Flags]:
    return {deal: np.ones(trials, dtype=np.bool_) for deal in promised}


def evaluate(items: Sequence[OwedLeaf], promised: Mapping[str, date], able: TeamCapacity) -> TeamOutlook:
    return evaluate_team("s:1", items, promised, all_join(promised, len(able.draws)), able)


def test_work_is_summed_up_to_each_due_date() -> None:
    promised = {"early": END, "late": NEXT_END}
    outlook = evaluate(owed(("a", 15, "early"), ("b", 30, "late")), promised, capacity(20))
    early, late = outlook.due
    assert (early.date, early.probability, early.load, early.capacity) == (END, 1.0, 15, 20)
    assert (late.date, late.probability, late.load, late.capacity) == (NEXT_END, 0.0, 45, 40)
    assert str(late.missing_points) == "5.0"
    assert outlook.breaking == late
    assert outlook.overflow_deals == ("late",)


def test_a_leaf_two_deals_need_is_done_once_for_the_earlier() -> None:
    promised = {"early": END, "late": NEXT_END}
    outlook = evaluate(owed(("a", 20, "early late"), ("b", 20, "late")), promised, capacity(20))
    assert [due.load for due in outlook.due] == [20, 40]
    assert [due.probability for due in outlook.due] == [1.0, 1.0]


def test_a_leaf_named_twice_counts_once() -> None:
    twice = owed(("a", 20, "early"), ("a", 20, "late"))
    promised = {"early": END, "late": NEXT_END}
    assert [due.load for due in evaluate(twice, promised, capacity(20)).due] == [20, 20]


def test_a_shared_leaf_waits_for_the_later_deal_where_the_earlier_does_not_join() -> None:
    promised = {"early": END, "late": NEXT_END}
    joins = {"early": np.array([True, False]), "late": np.array([True, True])}
    outlook = evaluate_team("s:1", owed(("a", 30, "early late")), promised, joins, capacity(20, 2))
    assert [due.probability for due in outlook.due] == [0.5, 1.0]
    done = (MONDAY + timedelta(18)).toordinal()
    assert outlook.finish["late"].tolist() == [done, done]
    assert outlook.finish["early"][0] == done
    assert np.isnan(outlook.finish["early"][1])


def test_a_deal_is_on_time_among_the_trials_it_joins() -> None:
    promised = {"deal": END}
    joins = {"deal": np.array([True, True, False, False])}
    outlook = evaluate_team("s:1", owed(("a", 20, "deal")), promised, joins, capacity([10, 20, 10, 10], 4))
    result = evaluate_deal("deal", {"s:1": outlook.finish["deal"]}, joins["deal"], END)
    assert (result.p_on_time, result.trials) == (0.5, 2)
    assert outlook.due[0].probability == 0.75


def test_quantiles_are_days_that_occur() -> None:
    joins = np.ones(20, dtype=np.bool_)
    days = np.arange(20, dtype=np.float64) + MONDAY.toordinal()
    result = evaluate_deal("deal", {"s:1": days}, joins, END)
    assert (result.p50, result.p85) == (MONDAY + timedelta(9), MONDAY + timedelta(16))


def test_no_capacity_is_never_not_late() -> None:
    promised = {"deal": END}
    outlook = evaluate(owed(("a", 1, "deal")), promised, capacity(0))
    result = evaluate_deal("deal", outlook.finish, np.array([True]), END)
    assert (result.p_on_time, result.p50, result.p85) == (0.0, None, None)


def test_no_work_left_is_on_time_and_no_trial_is_no_answer() -> None:
    assert evaluate_deal("deal", {}, np.array([True]), END).p_on_time == 1.0
    assert evaluate_deal("deal", {"s:1": np.array([np.nan])}, np.array([False]), END).p_on_time is None
    assert evaluate_team("s:1", [], {}, {}, capacity(5)).due == ()


def test_work_overdue_still_comes_first_but_breaks_no_date_ahead() -> None:
    promised = {"overdue": MONDAY - timedelta(3), "next": END}
    outlook = evaluate(owed(("a", 15, "overdue"), ("b", 10, "next")), promised, capacity(20))
    assert [due.probability for due in outlook.due] == [0.0, 0.0]
    assert outlook.overflow_deals == ("next",)
    assert outlook.due[1].load == 25


def test_three_teams_and_shared_deals_by_hand() -> None:
    """Team 1 breaks at the second date by 5; team 2 holds both; team 3 breaks the first by 10."""
    promised = {"a": END, "b": NEXT_END, "c": NEXT_END}
    teams = {
        "1": (owed(("1a", 15, "a"), ("1b", 20, "b"), ("1bc", 10, "b c")), 20.0),
        "2": (owed(("2a", 8, "a"), ("2c", 8, "c")), 8.0),
        "3": (owed(("3a", 30, "a")), 20.0),
    }
    outlooks = {team: evaluate(items, promised, capacity(able)) for team, (items, able) in teams.items()}
    breaking = {team: outlook.breaking for team, outlook in outlooks.items()}
    assert {
        team: due and (due.date, str(due.missing_points), due.deals) for team, due in breaking.items()
    } == {
        "1": (NEXT_END, "5.0", ("b", "c")),
        "2": None,
        "3": (END, "10.0", ("a",)),
    }
    finish = {team: outlook.finish["a"] for team, outlook in outlooks.items() if "a" in outlook.finish}
    deal = evaluate_deal("a", finish, np.array([True]), END)
    assert (deal.p_on_time, deal.p85) == (0.0, MONDAY + timedelta(18))
    assert [(part.team, part.p_on_time) for part in deal.parts] == [("3", 0.0), ("1", 1.0), ("2", 1.0)]


G8_HISTORY = [20.0] * 4 + [5.0] + [20.0] * 3 + [5.0] + [20.0] * 3


def g8_team(team: str, points: float = 15.0) -> TeamOutlook:
    grid = sprint_grid(MONDAY, None, 14, working_days(), END)
    able = TeamCapacity(capacity_draws(team, G8_HISTORY, TRIALS, grid.sprints), grid)
    promised = {"deal": END}
    return evaluate_team(team, owed((team, points, "deal")), promised, all_join(promised, TRIALS), able)


def test_g8_on_track_times_three_is_not_on_track() -> None:
    """https://github.com/red-hat-data-services/rhai-org-pulse/pull/524"""
    won = deal_joins("deal", 1.0, TRIALS, won=True)
    finish = {team: g8_team(team).finish["deal"] for team in ("A", "B", "C")}
    three = evaluate_deal("deal", finish, won, END)
    alone = [part.p_on_time for part in three.parts]
    assert alone == pytest.approx([0.83] * 3, abs=0.03)
    assert three.p_on_time == pytest.approx(prod(alone), abs=0.03)
    assert three.p_on_time == pytest.approx(0.58, abs=0.04)
    assert {part.team for part in three.parts} == {"A", "B", "C"}
    one = evaluate_deal("deal", {"D": g8_team("D").finish["deal"]}, won, END)
    assert one.p_on_time == pytest.approx(0.83, abs=0.03)


def test_g8_a_far_date_is_honest() -> None:
    """https://github.com/red-hat-data-services/rhai-org-pulse/pull/1428"""
    won = deal_joins("deal", 1.0, TRIALS, won=True)
    far = evaluate_deal("deal", {"E": g8_team("E", 400.0).finish["deal"]}, won, END)
    assert far.p_on_time == pytest.approx(0.0, abs=0.01)
    assert far.p50 is not None
    assert far.p85 is not None
    sprints = 400 / (20 * 0.83 + 5 * 0.17)
    assert (far.p50 - MONDAY).days == pytest.approx(sprints * 14, rel=0.1)
    assert far.p85 > far.p50


def test_joins_follow_the_probability_and_keep_to_their_trials() -> None:
    low, high = deal_joins("o:1", 0.3, TRIALS), deal_joins("o:1", 0.7, TRIALS)
    assert low.mean() == pytest.approx(0.3, abs=0.04)
    assert not (low & ~high).any(), "a likelier deal joins every trial it joined before"
    assert deal_joins("o:1", 0.0, TRIALS, won=True).all()
    assert not np.array_equal(high, deal_joins("o:2", 0.7, TRIALS))


Work = list[tuple[int, int]]
works = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 45)), min_size=1, max_size=6)


def single_deals(work: Work) -> tuple[list[OwedLeaf], dict[str, date]]:
    items = [OwedLeaf(f"i{n}", float(points), frozenset({f"d{n}"})) for n, (points, _) in enumerate(work)]
    return items, {f"d{n}": MONDAY + timedelta(days) for n, (_, days) in enumerate(work)}


@settings(deadline=None)
@given(works, st.integers(2, 40))
def test_earliest_due_date_first_is_as_good_as_any_order(work: Work, points: int) -> None:
    items, promised = single_deals(work)
    able = capacity(float(points))
    by = {day: cumulative_capacity(able, [MONDAY + timedelta(day)])[0, 0] for _, day in work}

    def meets_all(order: Sequence[tuple[int, int]]) -> bool:
        sums = np.cumsum([size for size, _ in order])
        return all(total <= by[day] + 1e-9 for total, (_, day) in zip(sums, order, strict=True))

    feasible = all(due.probability == 1.0 for due in evaluate(items, promised, able).due)
    assert feasible == any(meets_all(order) for order in permutations(work))


drawn = capacity_draws("s:1", [5.0, 12.0, 20.0, 9.0, 14.0], 200)


def chances(items: Sequence[OwedLeaf], promised: Mapping[str, date], more: float = 0.0) -> dict[date, float]:
    grid = sprint_grid(MONDAY, None, 14, working_days(), NEXT_END)
    joins = {deal: deal_joins(deal, 0.8, 200) for deal in promised}
    outlook = evaluate_team("s:1", items, promised, joins, TeamCapacity(drawn + more, grid))
    return {due.date: due.probability for due in outlook.due}


@settings(deadline=None)
@given(works, st.floats(0, 30))
def test_more_capacity_never_lowers_a_probability(work: Work, more: float) -> None:
    items, promised = single_deals(work)
    before, after = chances(items, promised), chances(items, promised, more)
    assert all(after[day] >= before[day] for day in before)


@settings(deadline=None)
@given(works, st.integers(1, 20))
def test_more_work_never_raises_a_probability(work: Work, points: int) -> None:
    items, promised = single_deals(work)
    extra = OwedLeaf("extra", float(points), frozenset({"d0"}))
    before, after = chances(items, promised), chances([*items, extra], promised)
    assert all(after[day] <= before[day] for day in before)


@settings(deadline=None)
@given(works, st.data())
def test_the_order_of_the_input_does_not_matter(work: Work, data: st.DataObject) -> None:
    items, promised = single_deals(work)
    shared = [*items, OwedLeaf("shared", 7.3, frozenset(promised))]
    shuffled = data.draw(st.permutations(shared))
    joins = {deal: deal_joins(deal, 0.8, 200) for deal in promised}
    grid = sprint_grid(MONDAY, None, 14, working_days(), NEXT_END)
    able = TeamCapacity(drawn, grid)
    first = evaluate_team("s:1", shared, promised, joins, able)
    second = evaluate_team(
        "s:1", shuffled, dict(reversed(promised.items())), dict(reversed(joins.items())), able
    )
    assert first.due == second.due
    assert all(np.array_equal(first.finish[deal], second.finish[deal], equal_nan=True) for deal in promised)
