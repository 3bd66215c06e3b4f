"""The two verdicts: what no order can keep, what this order does not keep, and the few swaps that mend it."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.risk_engine.test_domain_feasibility import END, MONDAY, NEXT_END, all_join, capacity

from risk_engine.domain.calendar import working_days
from risk_engine.domain.capacity import TeamCapacity, capacity_draws, cumulative_capacity, sprint_grid
from risk_engine.domain.feasibility import OwedLeaf, deal_joins, lay_out, outlook_of
from risk_engine.domain.model import Flags
from risk_engine.domain.ranking import MOST_SWAPS, Ranking, judge_ranking, swapped, team_order

THIRD_END = MONDAY + timedelta(41)
Item = tuple[str, float, str]


def ranked(*items: Item) -> list[OwedLeaf]:
    """In the order of the backlog."""
    return [
        OwedLeaf(issue, points, frozenset(deals.split()), issue, f"0|i{place:03}:")
        for place, (issue, points, deals) in enumerate(items)
    ]


def reranked(leaves: Sequence[OwedLeaf]) -> list[OwedLeaf]:
    """As Jira would give them back after somebody moved them."""
    return ranked(*((leaf.issue, leaf.points, " ".join(leaf.deals)) for leaf in leaves))


def judge(
    leaves: Sequence[OwedLeaf],
    promised: Mapping[str, date],
    able: TeamCapacity,
    joins: Mapping[str, Flags] | None = None,
) -> Ranking:
    demand = lay_out(leaves, promised, joins or all_join(promised, len(able.draws)), len(able.draws))
    return judge_ranking(demand, cumulative_capacity(able, demand.dates), MONDAY)


def after(leaves: Sequence[OwedLeaf], found: Ranking) -> list[OwedLeaf]:
    return reranked(swapped(team_order(leaves), found.swaps))


def test_three_teams_with_shared_deals_by_hand() -> None:
    """20 points a fortnight each. Deal a is due after one sprint, b after two, c after three.

    Team 1 owes 15 for a, 20 for b, 25 for c: 15, 35, 60 against 20, 40, 60. In any order by date everything fits.
    But it ranks c first: a is done after 40 of 20 points.
    Team 2 owes 30 for a and 5 for b: no order does 30 points in a sprint; 10 are missing.
    Team 3 owes 10 for a and 10 that a and b share, then 20 for c, in the right order.
    """
    promised = {"a": END, "b": NEXT_END, "c": THIRD_END}
    teams = {
        "1": ranked(("1c", 25, "c"), ("1a", 15, "a"), ("1b", 20, "b")),
        "2": ranked(("2a", 30, "a"), ("2b", 5, "b")),
        "3": ranked(("3a", 10, "a"), ("3ab", 10, "a b"), ("3c", 20, "c")),
    }
    found = {team: judge(leaves, promised, capacity(20)) for team, leaves in teams.items()}
    assert {team: ranking.verdict for team, ranking in found.items()} == {
        "1": "misordered",
        "2": "infeasible",
        "3": "feasible",
    }
    assert found["1"].verdicts == ("misordered", "misordered", "feasible")
    assert found["2"].verdicts == ("infeasible", "feasible")
    moves = [(swap.up.issue, swap.down.issue) for swap in found["1"].swaps]
    assert moves == [("1a", "1c"), ("1b", "1c")]
    mended = judge(after(teams["1"], found["1"]), promised, capacity(20))
    assert mended.verdicts == ("feasible", "feasible", "feasible")
    demand = lay_out(teams["2"], promised, all_join(promised), 1)
    short = outlook_of("2", demand, capacity(20), cumulative_capacity(capacity(20), demand.dates))
    assert short.breaking is not None
    missing = float(short.breaking.missing_points)
    assert missing == 10.0
    assert judge(teams["2"], promised, capacity(20 + missing)).verdict == "feasible"
    assert judge(teams["2"], promised, capacity(20 + missing - 0.1)).verdict == "infeasible"


def test_what_is_in_the_running_sprint_comes_before_the_backlog() -> None:
    late, early = ranked(("late", 20, "b"), ("early", 20, "a"))
    promised = {"a": END, "b": NEXT_END}
    assert judge([late, early], promised, capacity(20)).verdict == "misordered"
    started = OwedLeaf("early", 20, frozenset("a"), "early", "0|z", started=True)
    assert judge([late, started], promised, capacity(20)).verdict == "feasible"


def test_an_issue_without_rank_comes_last_and_the_oldest_of_them_first() -> None:
    leaves = [
        OwedLeaf("s:10", 1, frozenset("a")),
        OwedLeaf("s:9", 1, frozenset("a")),
        OwedLeaf("s:11", 1, frozenset("a"), rank="0|b"),
        OwedLeaf("s:12", 1, frozenset("a"), rank="0|a"),
    ]
    assert [leaf.issue for leaf in team_order(leaves)] == ["s:12", "s:11", "s:9", "s:10"]


def test_a_date_that_is_past_has_no_verdict_but_its_work_still_stands_in_the_way() -> None:
    leaves = ranked(("overdue", 15, "a"), ("next", 10, "b"))
    found = judge(leaves, {"a": MONDAY - timedelta(3), "b": END}, capacity(20))
    assert found.verdicts == ("overdue", "infeasible")


def test_a_deal_that_may_not_come_stands_less_in_the_way() -> None:
    leaves = ranked(("maybe", 20, "b"), ("sure", 20, "a"))
    promised = {"a": END, "b": NEXT_END}
    rarely = {"a": np.ones(10, dtype=np.bool_), "b": np.arange(10) < 2}
    often = {"a": np.ones(10, dtype=np.bool_), "b": np.arange(10) < 5}
    assert judge(leaves, promised, capacity(20, 10), rarely).verdict == "feasible"
    assert judge(leaves, promised, capacity(20, 10), often).verdict == "misordered"


def test_more_than_five_swaps_are_no_advice() -> None:
    """Twelve equal leaves of a late deal stand before six urgent ones."""
    leaves = ranked(*((f"l{n}", 10, "b") for n in range(12)), *((f"u{n}", 10, "a") for n in range(6)))
    found = judge(leaves, {"a": END, "b": MONDAY + timedelta(167)}, capacity(60))
    assert (found.verdict, found.swaps) == ("misordered", ())
    assert len(judge(leaves[1:-1], {"a": END, "b": MONDAY + timedelta(167)}, capacity(50)).swaps) == 5


works = st.lists(
    st.tuples(st.integers(1, 30), st.sampled_from([END, NEXT_END, THIRD_END])), min_size=1, max_size=6
)
Work = list[tuple[int, date]]


def single_deals(work: Work) -> tuple[list[OwedLeaf], dict[str, date]]:
    leaves = ranked(*((f"i{n}", float(points), f"d{n}") for n, (points, _) in enumerate(work)))
    return leaves, {f"d{n}": day for n, (_, day) in enumerate(work)}


@settings(deadline=None, max_examples=20)
@given(works, st.integers(5, 60))
def test_a_date_is_infeasible_exactly_when_no_order_keeps_it(work: Work, points: int) -> None:
    leaves, promised = single_deals(work)
    able = capacity(float(points))
    demand = lay_out(leaves, promised, all_join(promised), 1)
    found = judge(leaves, promised, able)
    best = dict.fromkeys(demand.dates, False)
    for order in permutations(leaves):
        shuffled = judge(reranked(order), promised, able)
        for day, chance in zip(demand.dates, shuffled.chances, strict=True):
            best[day] = best[day] or chance == 1.0
    assert [verdict == "infeasible" for verdict in found.verdicts] == [not best[day] for day in demand.dates]


@settings(deadline=None)
@given(works, st.integers(5, 60))
def test_up_to_six_issues_are_always_mended_by_swaps(work: Work, points: int) -> None:
    leaves, promised = single_deals(work)
    able = capacity(float(points))
    found = judge(leaves, promised, able)
    assert bool(found.swaps) is ("misordered" in found.verdicts)
    assert len(found.swaps) <= MOST_SWAPS
    mended = judge(after(leaves, found), promised, able)
    assert "misordered" not in mended.verdicts
    assert [v for v in mended.verdicts if v == "infeasible"] == [
        v for v in found.verdicts if v == "infeasible"
    ]


@settings(deadline=None, max_examples=50)
@given(works, st.integers(5, 60))
def test_where_one_swap_is_enough_one_is_told(work: Work, points: int) -> None:
    leaves, promised = single_deals(work)
    able = capacity(float(points))
    found = judge(leaves, promised, able)
    if len(found.swaps) > 1:
        for one in range(len(leaves)):
            for other in range(one):
                order = list(leaves)
                order[one], order[other] = order[other], order[one]
                assert "misordered" in judge(reranked(order), promised, able).verdicts


drawn = capacity_draws("s:1", [5.0, 12.0, 20.0, 9.0, 14.0], 200)


@settings(deadline=None)
@given(works, st.floats(0, 30), st.floats(0.5, 1.0))
def test_swaps_that_are_told_clear_the_dates_in_the_trials(work: Work, more: float, odds: float) -> None:
    leaves, promised = single_deals(work)
    shared = [*leaves, OwedLeaf("shared", 7.3, frozenset(promised), "shared", "0|i0005:")]
    joins = {deal: deal_joins(deal, odds, 200) for deal in promised}
    able = TeamCapacity(drawn + more, sprint_grid(MONDAY, None, 14, working_days(), THIRD_END))
    found = judge(shared, promised, able, joins)
    if found.swaps:
        assert "misordered" not in judge(after(shared, found), promised, able, joins).verdicts
