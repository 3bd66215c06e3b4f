"""Whether the order a team works in keeps what the best order could keep, and the few swaps that would mend it.

Earliest due date first meets every date that any order meets. So a date that breaks in that order is infeasible in
any, and a date that holds in it but breaks in the team's own order is ranked wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from risk_engine.domain.feasibility import (
    WARNING,
    WARNING_CLEARS,
    Demand,
    OwedLeaf,
    Row,
    earliest_row,
)
from risk_engine.domain.model import Flags, Floats

MOST_SWAPS = 5
Verdict = Literal["feasible", "misordered", "infeasible", "overdue"]
WORST_FIRST: tuple[Verdict, ...] = ("overdue", "infeasible", "misordered")
Ints = NDArray[np.int64]
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Swap:
    """Two issues change places: ``up`` takes the earlier place of ``down``."""

    up: OwedLeaf
    down: OwedLeaf


@dataclass(frozen=True, slots=True)
class Ranking:
    """What the team's own order comes to, date by date (in the order of `TeamOutlook.due`)."""

    chances: tuple[float, ...] = ()
    """Share of trials in which everything due by the date is done by then, in the team's own order."""
    verdicts: tuple[Verdict, ...] = ()
    swaps: tuple[Swap, ...] = ()
    """Applied one after the other they clear every misordered date; empty when none is, or five do not suffice."""

    @property
    def verdict(self) -> Verdict:
        """The team's: infeasible where any date is, else misordered where any is."""
        worst: tuple[Verdict, ...] = ("infeasible", "misordered")
        return next((verdict for verdict in worst if verdict in self.verdicts), "feasible")


def team_order(leaves: Sequence[OwedLeaf]) -> list[OwedLeaf]:
    """The order a team works in: what is in its running sprint, then by rank, then what has none, oldest first."""
    return sorted(leaves, key=_place)


def judge_ranking(demand: Demand, able: Floats, today: date) -> Ranking:
    """Tell what no order can keep from what this order does not keep; ``able``: dates x trials, in points."""
    leaves = [leaf for leaf in team_order(demand.leaves) if leaf.points > 0]
    best = _chances(demand.loads, able)
    own = _chances(_loads_in_order(leaves, demand), able)
    verdicts = tuple(
        _verdict(day, today, chance, ranked)
        for day, chance, ranked in zip(demand.dates, best, own, strict=True)
    )
    swaps = _mend(leaves, demand, able, best, verdicts) if "misordered" in verdicts else ()
    return Ranking(own, verdicts, swaps)


def swapped(leaves: Sequence[OwedLeaf], swaps: Sequence[Swap]) -> list[OwedLeaf]:
    """The order after the swaps."""
    order = list(leaves)
    for swap in swaps:
        up, down = order.index(swap.up), order.index(swap.down)
        order[up], order[down] = order[down], order[up]
    return order


def _place(leaf: OwedLeaf) -> tuple[object, ...]:
    number = leaf.issue.split(":")[-1]
    age = int(number) if number.isdecimal() else 0
    return not leaf.started, leaf.rank is None, leaf.rank or "", age, leaf.issue


def _verdict(day: date, today: date, best: float, own: float) -> Verdict:
    if day < today:
        return "overdue"
    if best < WARNING:
        return "infeasible"
    return "misordered" if own < WARNING else "feasible"


def _chances(loads: Floats, able: Floats) -> tuple[float, ...]:
    return tuple(float(share) for share in (able >= loads - _ROUNDING).mean(axis=1))


def _loads_in_order(order: Sequence[OwedLeaf], demand: Demand) -> Floats:
    """Dates x trials: points worked until the last of what is due by the date is done."""
    loads = np.zeros_like(demand.loads)
    worked = np.zeros(demand.loads.shape[1])
    for leaf in order:
        due = _due(leaf, demand)
        if isinstance(due, int):
            joined = demand.joins[next(iter(leaf.deals))]
            worked += leaf.points * joined
            np.copyto(loads[due], worked, where=joined)
        else:
            here = np.flatnonzero(due < len(loads))
            worked[here] += leaf.points
            loads[due[here], here] = worked[here]
    reached: Floats = np.maximum.accumulate(loads, axis=0)
    return reached


def _due(leaf: OwedLeaf, demand: Demand) -> Row:
    if len(leaf.deals) == 1:
        return demand.rows[next(iter(leaf.deals))]
    return earliest_row(sorted(leaf.deals), demand.rows, demand.joins, demand.loads.shape)


def _mend(
    order: Sequence[OwedLeaf],
    demand: Demand,
    able: Floats,
    best: Sequence[float],
    verdicts: Sequence[Verdict],
) -> tuple[Swap, ...]:
    """The shorter of two ways that holds in the trials: the fewest swaps date by date, or towards due-date order."""
    goals = {
        row: min(WARNING_CLEARS, best[row])
        for row, verdict in enumerate(verdicts)
        if verdict in ("feasible", "misordered")
    }
    room = np.full(len(demand.dates), np.inf)
    for row, goal in goals.items():
        room[row] = _room(able[row] - demand.loads[row], goal)
    places = _Places([min(demand.rows[deal] for deal in leaf.deals) for leaf in order], order, room)
    found = []
    for way in (places.date_by_date(), places.towards_due_date()):
        swaps = tuple(islice(way, MOST_SWAPS + 1))
        if not swaps or len(swaps) > MOST_SWAPS:
            continue
        reached = _chances(_loads_in_order(swapped(order, swaps), demand), able)
        if all(reached[row] >= goal - _ROUNDING for row, goal in goals.items()):
            found.append(swaps)
    return min(found, key=len, default=())


def _room(slack: Floats, goal: float) -> float:
    """The most that may stand in the way of a date whose chance must be ``goal``."""
    place = len(slack) - max(1, ceil(goal * len(slack) - _ROUNDING))
    return float(np.partition(slack, place)[place])


class _Places:
    """The search for swaps in plain sums: each leaf at its full size, due at the earliest date of its deals.

    ``room``: by date, the most that may stand in its way; infinite where the date need not hold.
    """

    def __init__(self, due: Sequence[int], order: Sequence[OwedLeaf], room: Floats) -> None:
        self._due = np.asarray(due, dtype=np.int64)
        self._points = np.asarray([leaf.points for leaf in order], dtype=np.float64)
        self._order = order
        self._room = room + _ROUNDING
        self._urgent: Floats = np.cumsum(np.bincount(self._due, self._points, len(room)))

    def date_by_date(self) -> Iterator[Swap]:
        """The earliest date first, each with as few swaps as will do; one that cannot be mended is left as it is."""
        at = np.arange(len(self._order))
        for row in range(len(self._room)):
            if self._hold(at)[row]:
                continue
            for pairs in self._attempts(at, row):
                after = _exchanged(at, pairs)
                if self._hold(after)[: row + 1].all():
                    yield from (self._swap(at[up], at[down]) for up, down in pairs)
                    at = after
                    break

    def towards_due_date(self) -> Iterator[Swap]:
        """Puts the right due date into one place after the other until every date has room."""
        at = np.arange(len(self._order))
        for place, due in enumerate(np.sort(self._due)):
            if self._due[at[place]] == due:
                continue
            if self._hold(at).all():
                return
            other = int(np.flatnonzero(self._due[at] == due)[-1])
            yield self._swap(at[other], at[place])
            at = _exchanged(at, [(other, place)])

    def _swap(self, up: int, down: int) -> Swap:
        return Swap(self._order[up], self._order[down])

    def _hold(self, at: Ints) -> Flags:
        """By date, whether what comes before the last leaf due by it, and is due later, leaves it its chance."""
        last = np.zeros(len(self._room), dtype=np.int64)
        np.maximum.at(last, self._due[at], np.arange(1, len(at) + 1))
        worked = np.concatenate([[0.0], np.cumsum(self._points[at])])
        in_the_way = worked[np.maximum.accumulate(last)] - self._urgent
        held: Flags = in_the_way <= self._room
        return held

    def _attempts(self, at: Ints, row: int) -> Iterator[list[tuple[int, int]]]:
        """One to five pairs of places: the last urgent leaves, and the largest others in front of them.

        Where that is not enough: in front of the urgent leaves that stay, which leaves least in the way.
        """
        urgent, others = np.flatnonzero(self._due[at] <= row), np.flatnonzero(self._due[at] > row)
        for count in range(1, min(MOST_SWAPS, len(urgent), len(others)) + 1):
            kept, moved = urgent[:-count], urgent[-count:]
            stays = max(kept[-1] if len(kept) else -1, others[count - 1])
            for before in (moved[0], stays + 1):
                front = others[others < before]
                largest = np.lexsort((-self._due[at[front]], -self._points[at[front]]))[:count]
                up = moved[np.lexsort((moved, self._due[at[moved]]))]
                if len(largest) == count:
                    pairs = zip(up, np.sort(front[largest]), strict=True)
                    yield [(int(one), int(other)) for one, other in pairs]


def _exchanged(at: Ints, pairs: Sequence[tuple[int, int]]) -> Ints:
    after = at.copy()
    for up, down in pairs:
        after[up], after[down] = at[down], at[up]
    return after
