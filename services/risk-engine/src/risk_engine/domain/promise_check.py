"""Can this be promised for that day? The chance, the nearest safe day, who is displaced, and what would fit."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from math import ceil

import numpy as np

from risk_engine.domain.book import TeamBook
from risk_engine.domain.capacity import cumulative_capacity, finish_days
from risk_engine.domain.feasibility import Demand, OwedLeaf, earliest_row, kept_in_time, lay_out
from risk_engine.domain.model import Flags, Floats, deal_of
from risk_engine.domain.subset import Item, Subset, best_subset

SAFE = 0.85
"""A promise is safe when it is kept in this share of the trials."""
NOTICEABLE = 0.01
"""A deal that loses less of its chance is not told as displaced."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class AskedItem:
    """A part of what is asked for: points by team and leaf issue, and what must be done before."""

    name: str
    leaves: tuple[tuple[str, str, float], ...]
    """Team, leaf issue (or any name nobody else owes), points."""
    value: Decimal = Decimal(0)
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TeamShare:
    """One team's part: ``fits_points`` is the most new work that it does by the day in 85 % of the trials."""

    team: str
    points: float
    p_alone: float
    fits_points: float


@dataclass(frozen=True, slots=True)
class Displaced:
    """A commitment whose chance falls because of the promise."""

    commitment: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What the trials say. ``nearest``: the first safe day from the asked one on; None at present capacity."""

    probability: float
    nearest: date | None
    teams: tuple[TeamShare, ...]
    displaced: tuple[Displaced, ...]
    subset: Subset | None
    """None when all of it is safe."""
    subset_probability: float | None = None


class Standing:
    """A team's book laid out: what is owed by when, and which deals are kept as things stand."""

    def __init__(self, book: TeamBook) -> None:
        self.book = book
        self.demand: Demand = lay_out(book.inputs.owed, book.promised, book.joins, book.inputs.trials)
        self.able: Floats = cumulative_capacity(book.capacity, self.demand.dates)
        self.kept: Mapping[str, Flags] = {
            deal: kept_in_time(self.demand, self.able, deal) for deal in self.demand.rows
        }

    def without(self, deal: str) -> Standing:
        """As if the deal promised nothing."""
        own = {key for key in self.demand.rows if deal_of(key) == deal}
        if not own:
            return self
        inputs = self.book.inputs
        owed = tuple(replace(leaf, deals=leaf.deals - own) for leaf in inputs.owed)
        promises = tuple(promise for promise in inputs.promises if promise.deal != deal)
        return Standing(replace(self.book, inputs=replace(inputs, owed=owed, promises=promises)))


class PromiseCheck:
    """One question against the standings of the teams it needs. ``instead_of``: a deal whose promise it replaces."""

    def __init__(
        self,
        items: Sequence[AskedItem],
        standings: Mapping[str, Standing],
        day: date,
        *,
        instead_of: str | None = None,
    ) -> None:
        self._items = items
        self._day = day
        self._instead_of = instead_of
        self._now = standings
        self._teams = {
            team: _Plan(standing.without(instead_of) if instead_of else standing, _of_team(items, team))
            for team, standing in standings.items()
        }
        self._after = {team: plan.kept_after(day) for team, plan in self._teams.items()}

    def reply(self, elsewhere: Mapping[str, Flags]) -> Reply:
        """``elsewhere``: by deal, the trials in which its other teams keep it; a deal without is kept there."""
        rooms = {team: plan.room(self._day) for team, plan in self._teams.items()}
        asked = {team: plan.added(self._day) for team, plan in self._teams.items()}
        kept = _together([rooms[team] >= asked[team] - _ROUNDING for team in rooms])
        chance = float(kept.mean())
        subset = None if chance >= SAFE else self._subset(rooms)
        return Reply(
            chance,
            self._nearest(),
            tuple(self._share(team, rooms[team], asked[team]) for team in sorted(rooms)),
            tuple(self._displaced(elsewhere)),
            subset,
            None if subset is None else self._chance_of(frozenset(subset.chosen)),
        )

    def touched(self) -> set[str]:
        """Commitments to these teams' deals that may lose some of their chance."""
        return {
            deal
            for team, after in self._after.items()
            for deal, kept in after.items()
            if deal_of(deal) != self._instead_of and not np.array_equal(kept, self._now[team].kept[deal])
        }

    def _share(self, team: str, room: Floats, asked: Floats | float) -> TeamShare:
        alone = float((room >= asked - _ROUNDING).mean())
        points = sum(leaf.points for leaf in self._teams[team].leaves)
        return TeamShare(team, points, alone, max(0.0, _safe(room)))

    def _displaced(self, elsewhere: Mapping[str, Flags]) -> Iterable[Displaced]:
        after = self._after
        for deal in sorted(self.touched()):
            teams = [team for team in after if deal in after[team]]
            joined = self._now[teams[0]].demand.joins[deal]
            others = [elsewhere[deal]] if deal in elsewhere else []
            before = _together([*others, *(self._now[team].kept[deal] for team in teams)])[joined]
            then = _together([*others, *(after[team][deal] for team in teams)])[joined]
            lost = float(before.mean()) - float(then.mean()) if joined.any() else 0.0
            if lost >= NOTICEABLE - _ROUNDING:
                yield Displaced(deal, float(before.mean()), float(then.mean()))

    def _nearest(self) -> date | None:
        """The first day from the asked one on that, promised, is kept in 85 % of the trials.

        Between two promised dates nothing becomes due, so there the chance only grows with the day.
        """
        plans = list(self._teams.values())
        due = sorted({day for plan in plans for day in plan.dates if day > self._day})
        eves = [day - timedelta(days=1) for day in due]
        able = [cumulative_capacity(plan.capacity, eves) for plan in plans]
        for place, start in enumerate((self._day, *due)):
            loads = [plan.loads_by(start) + plan.added(start) for plan in plans]
            if place < len(due) and not _is_safe(
                [most[place] >= load - _ROUNDING for most, load in zip(able, loads, strict=True)]
            ):
                continue
            done = [
                finish_days(plan.capacity, load[np.newaxis])[0]
                for plan, load in zip(plans, loads, strict=True)
            ]
            day = _quantile(np.maximum.reduce(done), SAFE)
            return max(start, date.fromordinal(int(day))) if day <= date.max.toordinal() else None
        return None

    def _subset(self, rooms: Mapping[str, Floats]) -> Subset:
        items = [Item(item.name, item.value, self._fresh(item), item.needs) for item in self._items]

        def fits(loads: Mapping[str, float]) -> bool:
            return _is_safe([rooms[team] >= loads.get(team, 0.0) - _ROUNDING for team in rooms])

        return best_subset(items, {team: _safe(room) for team, room in rooms.items()}, fits)

    def _fresh(self, item: AskedItem) -> dict[str, float]:
        """Points by team that are not due by the day anyway; a leaf due in some trials counts in the others."""
        loads: dict[str, float] = defaultdict(float)
        for team, issue, points in item.leaves:
            loads[team] += points * self._teams[team].fresh_share(issue, self._day)
        return dict(loads)

    def _chance_of(self, chosen: frozenset[str]) -> float:
        items = [item for item in self._items if item.name in chosen]
        plans = [plan.narrowed(_of_team(items, team)) for team, plan in self._teams.items()]
        kept = [plan.room(self._day) >= plan.added(self._day) - _ROUNDING for plan in plans]
        return float(_together(kept).mean())


class _Plan:
    """One team's standing with the new work beside it."""

    def __init__(self, standing: Standing, leaves: Sequence[OwedLeaf]) -> None:
        self._standing = standing
        self._demand = standing.demand
        self.leaves = leaves
        self.capacity = standing.book.capacity
        self.dates = standing.demand.dates
        owed = {leaf.issue: leaf for leaf in standing.demand.leaves}
        trials = (len(self.dates), standing.book.inputs.trials)
        self._due = {
            leaf.issue: earliest_row(
                sorted(owed[leaf.issue].deals), self._demand.rows, self._demand.joins, trials
            )
            for leaf in leaves
            if leaf.issue in owed
        }
        """Leaves that others wait for too: the row at which each is due in each trial, without the new promise."""

    def narrowed(self, leaves: Sequence[OwedLeaf]) -> _Plan:
        """The same with other new work."""
        return _Plan(self._standing, leaves)

    def room(self, day: date) -> Floats:
        """Points that fit by the day beside what is due by then."""
        return self.able_by(day) - self.loads_by(day)

    def able_by(self, day: date) -> Floats:
        able: Floats = cumulative_capacity(self.capacity, [day])[0]
        return able

    def loads_by(self, day: date) -> Floats:
        row = self._row(day)
        none: Floats = np.zeros(self._standing.book.inputs.trials)
        return none if row < 0 else self._demand.loads[row]

    def added(self, day: date) -> Floats:
        """Points the promise adds to what is due by the day, per trial."""
        return self._added_at(self._row(day))

    def fresh_share(self, issue: str, day: date) -> float:
        """The share of trials in which the leaf is not due by the day anyway."""
        return float((self._due[issue] > self._row(day)).mean()) if issue in self._due else 1.0

    def kept_after(self, day: date) -> dict[str, Flags]:
        """By deal, the trials in which the team keeps it once the promise is made."""
        first = self._row(day - timedelta(days=1)) + 1
        loads = self._demand.loads.copy()
        for row in range(first, len(loads)):
            loads[row] += self._added_at(row)
        after = replace(self._demand, loads=loads)
        return {deal: kept_in_time(after, self._standing.able, deal) for deal in self._demand.rows}

    def _added_at(self, row: int) -> Floats:
        added = np.zeros(self._standing.book.inputs.trials)
        for leaf in self.leaves:
            due = self._due.get(leaf.issue)
            added += leaf.points if due is None else leaf.points * (due > row)
        return added

    def _row(self, day: date) -> int:
        """The last due date up to the day; -1 before the first."""
        return bisect_right(self.dates, day) - 1


def _of_team(items: Iterable[AskedItem], team: str) -> list[OwedLeaf]:
    """The team's leaves, each once."""
    leaves = {
        issue: OwedLeaf(issue, points, frozenset())
        for item in items
        for whose, issue, points in item.leaves
        if whose == team
    }
    return [leaves[issue] for issue in sorted(leaves)]


def _together(kept: Sequence[Flags]) -> Flags:
    together: Flags = np.logical_and.reduce(kept)
    return together


def _is_safe(kept: Sequence[Flags]) -> bool:
    return float(_together(kept).mean()) >= SAFE - _ROUNDING


def _safe(room: Floats) -> float:
    """The most that fits in 85 % of the trials."""
    return -_quantile(-room, SAFE)


def _quantile(values: Floats, share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed."""
    place = max(0, ceil(share * len(values) - _ROUNDING) - 1)
    return float(np.partition(values, place)[place])
