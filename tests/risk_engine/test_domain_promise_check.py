"""Promise checks by hand: chance, nearest safe day, who is displaced, what fits, over one team and several."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.risk_engine.test_domain_feasibility import END, MONDAY, NEXT_END, all_join, capacity

from risk_engine.domain.book import Promise, TeamBook, TeamInputs, open_book
from risk_engine.domain.capacity import cumulative_capacity
from risk_engine.domain.feasibility import OwedLeaf, kept_in_time, lay_out
from risk_engine.domain.promise_check import SAFE, AskedItem, PromiseCheck, Reply, Standing

FRIDAY = MONDAY + timedelta(4)


def standing(
    points: float | Sequence[float],
    *owed: tuple[str, float, str],
    promised: Mapping[str, date],
    team: str = "s:1",
) -> Standing:
    """A team of so many points a fortnight, one trial per given figure."""
    trials = 1 if isinstance(points, float | int) else len(points)
    leaves = tuple(OwedLeaf(issue, size, frozenset(deals.split())) for issue, size, deals in owed)
    promises = tuple(Promise(deal, day) for deal, day in sorted(promised.items()))
    inputs = TeamInputs(
        team,
        team,
        MONDAY,
        None,
        14,
        NEXT_END,
        (20.0,) * 3,
        (),
        cold=False,
        trials=trials,
        owed=leaves,
        promises=promises,
    )
    return Standing(TeamBook(inputs, capacity(points, trials), promised, all_join(promised, trials)))


def new(points: float, team: str = "s:1", name: str = "new", value: int = 0, needs: str = "") -> AskedItem:
    return AskedItem(name, ((team, name, points),), Decimal(value), frozenset(needs.split()))


def ask(items: Sequence[AskedItem], day: date, *teams: Standing, instead_of: str | None = None) -> Reply:
    standings = {one.book.inputs.team: one for one in teams}
    return PromiseCheck(items, standings, day, instead_of=instead_of).reply({})


def test_new_work_fits_beside_what_is_due_by_the_day() -> None:
    """20 points a fortnight, 12 of them owed: 8 fit by the end, 9 take until the next Monday."""
    team = standing(20, ("a", 12, "deal"), promised={"deal": END})
    fits, late = ask([new(8)], END, team), ask([new(9)], END, team)
    assert (fits.probability, fits.teams[0].fits_points, fits.subset, fits.displaced) == (1.0, 8.0, None, ())
    assert (late.probability, late.nearest) == (0.0, MONDAY + timedelta(14))
    assert [(one.commitment, one.before, one.after) for one in late.displaced] == [("deal", 1.0, 0.0)]


def test_the_nearest_day_steps_over_a_date_that_is_full() -> None:
    """2 points a day, 20 due by the end of next week and 20 by the end of the sprint after: no room until then."""
    team = standing(20, ("a", 20, "one"), ("b", 20, "two"), promised={"one": END, "two": NEXT_END})
    assert ask([new(2)], END, team).nearest == MONDAY + timedelta(14)
    assert ask([new(2)], NEXT_END, team).nearest == MONDAY + timedelta(28)
    assert ask([new(2)], FRIDAY, team).nearest == FRIDAY


def test_work_due_earlier_is_not_displaced() -> None:
    team = standing(20, ("a", 20, "early"), ("b", 20, "late"), promised={"early": FRIDAY, "late": NEXT_END})
    found = ask([new(10)], END, team)
    assert [one.commitment for one in found.displaced] == ["late"]


def test_a_leaf_others_wait_for_already_is_not_done_twice() -> None:
    team = standing(20, ("a", 20, "deal"), promised={"deal": NEXT_END})
    asked = [AskedItem("a", (("s:1", "a", 20.0),))]
    found = ask(asked, END, team)
    assert (found.probability, found.displaced) == (1.0, ())
    assert ask(asked, NEXT_END, team).teams[0].fits_points == 20.0


def test_a_promise_over_two_teams_is_kept_where_both_keep_it() -> None:
    """Each team keeps it in half of the trials, both in a quarter."""
    one = standing([20, 20, 5, 5], promised={}, team="s:1")
    two = standing([20, 5, 20, 5], promised={}, team="s:2")
    found = ask([new(10, "s:1", "x"), new(10, "s:2", "y")], END, one, two)
    assert (found.probability, [share.p_alone for share in found.teams]) == (0.25, [0.5, 0.5])


def test_other_teams_of_a_displaced_deal_count() -> None:
    """Where the deal is late elsewhere anyway nothing is lost."""
    team = standing([20, 20], ("a", 20, "deal"), promised={"deal": END})
    check = PromiseCheck([new(5)], {"s:1": team}, END)
    lost = check.reply({"deal": np.array([True, False])}).displaced
    assert [(one.before, one.after) for one in lost] == [(0.5, 0.0)]
    assert check.reply({"deal": np.array([False, False])}).displaced == ()


def test_a_deal_asked_about_again_gives_its_place_up_first() -> None:
    team = standing(20, ("a", 20, "deal"), ("b", 15, "other"), promised={"deal": END, "other": NEXT_END})
    asked = [AskedItem("a", (("s:1", "a", 20.0),))]
    assert ask(asked, NEXT_END, team, instead_of="deal").probability == 1.0
    assert ask(asked, NEXT_END, team, instead_of="deal").displaced == ()
    assert ask([new(5)], END, team, instead_of="deal").probability == 1.0


def test_what_fits_protects_most_money_with_all_it_needs() -> None:
    """20 points: 12 and 8 fit; the house needs its ground."""
    team = standing(20, promised={})
    asked = [
        new(12, name="ground", value=10),
        new(9, name="shed", value=60),
        new(8, name="house", value=90, needs="ground"),
    ]
    found = ask(asked, END, team)
    assert found.subset is not None
    assert (found.subset.chosen, found.subset.value, found.subset.optimal) == (
        ("ground", "house"),
        Decimal(100),
        True,
    )
    assert found.subset_probability == 1.0


def test_without_capacity_no_day_is_safe() -> None:
    found = ask([new(1)], END, standing(0, promised={}))
    assert (found.probability, found.nearest, found.teams[0].fits_points) == (0.0, None, 0.0)


drawn = TeamInputs(
    "s:1", "One", MONDAY, END, 14, NEXT_END + timedelta(60), (5.0, 12, 20, 9, 14), (), cold=False, trials=200
)
works = st.lists(
    st.tuples(st.integers(1, 25), st.integers(0, 60), st.sampled_from([1.0, 0.8])), min_size=0, max_size=6
)


def drawn_team(work: list[tuple[int, int, float]]) -> Standing:
    owed = tuple(
        OwedLeaf(f"i{n}", float(points), frozenset({f"d{n}"})) for n, (points, _, _) in enumerate(work)
    )
    promises = tuple(
        Promise(f"d{n}", MONDAY + timedelta(days), odds, won=odds == 1.0)
        for n, (_, days, odds) in enumerate(work)
    )
    return Standing(open_book(replace(drawn, owed=owed, promises=promises)))


@settings(deadline=None, max_examples=40)
@given(works, st.integers(1, 40), st.integers(0, 60))
def test_the_check_says_what_the_evaluation_says_once_it_is_promised(
    work: list[tuple[int, int, float]], points: int, days: int
) -> None:
    team, day = drawn_team(work), MONDAY + timedelta(days)
    reply = ask([new(float(points))], day, team)
    inputs = team.book.inputs
    owed = (*inputs.owed, OwedLeaf("new", float(points), frozenset({"new"})))
    after = Standing(open_book(replace(inputs, owed=owed, promises=(*inputs.promises, Promise("new", day)))))
    assert reply.probability == float(after.kept["new"].mean())
    told = {one.commitment: (one.before, one.after) for one in reply.displaced}
    for deal, joined in team.book.joins.items():
        if joined.any():
            before, then = (float(one.kept[deal][joined].mean()) for one in (team, after))
            assert told.get(deal, (before, before)) == (before, then) or before - then < 0.01


@settings(deadline=None, max_examples=40)
@given(works, st.integers(1, 40))
def test_the_nearest_day_is_the_first_that_is_safe(work: list[tuple[int, int, float]], points: int) -> None:
    team = drawn_team(work)
    nearest = ask([new(float(points))], MONDAY, team).nearest
    safe = [
        day for day in (MONDAY + timedelta(days) for days in range(130)) if chance(team, points, day) >= SAFE
    ]
    assert nearest == safe[0] if safe else nearest is None or nearest >= MONDAY + timedelta(130)


def chance(team: Standing, points: int, day: date) -> float:
    promised = {**team.book.promised, "new": day}
    joins = {**team.book.joins, "new": np.ones(200, dtype=np.bool_)}
    owed = (*team.book.inputs.owed, OwedLeaf("new", float(points), frozenset({"new"})))
    demand = lay_out(owed, promised, joins, 200)
    return float(kept_in_time(demand, cumulative_capacity(team.book.capacity, demand.dates), "new").mean())
