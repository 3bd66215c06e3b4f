"""The best subset against brute force: one team and several, with and without needs."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_engine.domain.subset import Item, best_subset

TEAMS = ("s:1", "s:2", "s:3")
Drawn = tuple[list[Item], dict[str, np.ndarray]]


def item(name: str, value: int, needs: str = "", **loads: float) -> Item:
    return Item(name, Decimal(value), loads, frozenset(needs.split()))


def test_the_best_set_is_not_the_greedy_one() -> None:
    items = [item("dense", 60, a=10), item("two", 100, a=20), item("three", 120, a=30)]
    found = best_subset(items, {"a": 50.0}, lambda loads: loads["a"] <= 50)
    assert (found.chosen, found.value, found.optimal) == (("two", "three"), Decimal(220), True)


def test_what_an_item_needs_comes_with_it_or_both_stay() -> None:
    items = [item("ground", 1, a=30), item("house", 100, "ground", a=10), item("shed", 50, a=20)]
    assert best_subset(items, {"a": 39.0}, lambda loads: loads["a"] <= 39).chosen == ("shed",)
    assert best_subset(items, {"a": 40.0}, lambda loads: loads["a"] <= 40).chosen == ("ground", "house")


def test_items_that_need_each_other_are_one() -> None:
    ring = [item("one", 5, "two", a=1), item("two", 5, "one", a=1)]
    assert best_subset(ring, {"a": 1.0}, lambda loads: loads.get("a", 0) <= 1).chosen == ()
    assert best_subset(ring, {"a": 2.0}, lambda loads: loads.get("a", 0) <= 2).chosen == ("one", "two")


def test_nothing_fits_where_there_is_no_room_but_what_costs_nothing() -> None:
    items = [item("free", 3), item("dear", 9, a=1)]
    found = best_subset(items, {"a": -5.0}, lambda loads: loads.get("a", 0) <= 0)
    assert found.chosen == ("free",)


@st.composite
def cases(draw: st.DrawFn) -> Drawn:
    count = draw(st.integers(1, 12))
    items = []
    for number in range(count):
        loads = draw(st.dictionaries(st.sampled_from(TEAMS), st.integers(1, 20).map(float), min_size=1))
        needs = draw(st.sets(st.integers(0, number - 1), max_size=2)) if number else set()
        items.append(Item(str(number), Decimal(draw(st.integers(0, 100))), loads, frozenset(map(str, needs))))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return items, {team: rng.gamma(4, 10, 60) for team in TEAMS}


def joint(rooms: Mapping[str, np.ndarray], loads: Mapping[str, float]) -> bool:
    kept = np.ones(60, dtype=bool)
    for team, points in loads.items():
        kept &= rooms[team] >= points
    return bool(kept.mean() >= 0.85)


def brute_force(items: Sequence[Item], rooms: Mapping[str, np.ndarray]) -> Decimal:
    best = Decimal(0)
    for size in range(len(items) + 1):
        for chosen in combinations(items, size):
            names = {one.name for one in chosen}
            if any(not one.needs <= names for one in chosen):
                continue
            loads = {team: sum(one.loads.get(team, 0.0) for one in chosen) for team in TEAMS}
            if joint(rooms, loads):
                best = max(best, sum((one.value for one in chosen), Decimal(0)))
    return best


@settings(deadline=None, max_examples=30)
@given(cases())
def test_no_set_is_better_than_the_one_found(case: Drawn) -> None:
    items, rooms = case
    room = {team: float(np.sort(drawn)[9]) for team, drawn in rooms.items()}
    found = best_subset(items, room, lambda loads: joint(rooms, loads))
    names = set(found.chosen)
    assert all(one.needs <= names for one in items if one.name in names)
    assert found.optimal
    assert found.value == brute_force(items, rooms)


def test_eighteen_items_of_three_teams_stay_within_one_percent_of_the_best() -> None:
    """All 262,144 sets by doubling, on hard cases: value close to size, a chain of needs."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        loads = rng.integers(1, 40, (18, 3)).astype(float) * (rng.random((18, 3)) < 0.6)
        values = (loads.sum(axis=1) + rng.integers(1, 12, 18)).astype(int)
        needs = {number: number - 1 for number in (3, 7, 11)}
        rooms = {team: rng.gamma(20, 4 if team != "s:2" else 7, 400) for team in TEAMS}
        items = [
            Item(
                str(n),
                Decimal(int(values[n])),
                {team: float(loads[n, t]) for t, team in enumerate(TEAMS) if loads[n, t]},
                frozenset({str(needs[n])} if n in needs else ()),
            )
            for n in range(18)
        ]
        room = {team: float(np.sort(drawn)[60]) for team, drawn in rooms.items()}

        def fits(told: Mapping[str, float], rooms: Mapping[str, np.ndarray] = rooms) -> bool:
            kept = np.ones(400, dtype=bool)
            for team, points in told.items():
                kept &= rooms[team] >= points
            return bool(kept.mean() >= 0.85)

        found = best_subset(items, room, fits)
        assert float(found.value) >= 0.99 * best_of_all(loads, values, needs, room, fits)


def best_of_all(
    loads: np.ndarray, values: np.ndarray, needs: Mapping[int, int], room: object, fits: object
) -> float:
    sums, worth, masks = np.zeros((1, 3)), np.zeros(1), np.zeros(1, dtype=np.int64)
    for number in range(len(values)):
        sums = np.concatenate([sums, sums + loads[number]])
        worth = np.concatenate([worth, worth + values[number]])
        masks = np.concatenate([masks, masks | (1 << number)])
    allowed = (sums <= np.array([room[team] for team in TEAMS])).all(axis=1)  # type: ignore[index]
    for one, need in needs.items():
        allowed &= ~(((masks >> one) & 1).astype(bool) & ~((masks >> need) & 1).astype(bool))
    for place in np.argsort(-np.where(allowed, worth, -1)):
        if fits(dict(zip(TEAMS, map(float, sums[place]), strict=True))):  # type: ignore[operator]
            return float(worth[place])
    return 0.0
