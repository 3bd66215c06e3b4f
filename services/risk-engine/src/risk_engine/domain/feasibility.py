"""Whether what is promised fits what can be delivered: first each team on its own, then each deal over its teams.

Where a deal promises several things for several dates, "deal" stands for each of its commitments, by its key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_UP, Decimal
from math import ceil, fsum

import numpy as np
from numpy.typing import NDArray

from risk_engine.domain.capacity import TeamCapacity, cumulative_capacity, finish_days
from risk_engine.domain.model import Flags, Floats
from risk_engine.domain.seeds import generator

CRITICAL = 0.50
CRITICAL_CLEARS = 0.60
WARNING = 0.70
WARNING_CLEARS = 0.80
_ROUNDING = 1e-9

Row = int | NDArray[np.int64]
"""The row of a due date: the same in every trial, or one per trial where a leaf is shared."""


@dataclass(frozen=True, slots=True)
class OwedLeaf:
    """A leaf a team owes: its points, and every commitment (key; the deal's own for its whole) that needs it."""

    issue: str
    points: float
    deals: frozenset[str]
    issue_key: str = ""
    """As people know it; empty where only the order of dates matters."""
    rank: str | None = None
    """Jira's rank, compared as text; None comes last."""
    started: bool = False
    """In a sprint that runs: worked before the backlog, whatever its rank."""


@dataclass(frozen=True, eq=False, slots=True)
class Demand:
    """What a team owes, laid out over due dates and trials."""

    leaves: tuple[OwedLeaf, ...]
    """Each once, ordered by issue."""
    promised: Mapping[str, date]
    joins: Mapping[str, Flags]
    dates: tuple[date, ...]
    rows: Mapping[str, int]
    """By deal: the row of its date."""
    loads: Floats
    """Dates x trials: points due by the date."""
    last: Mapping[str, Row]
    """By deal: the row at which the last of its work is due."""


@dataclass(frozen=True, slots=True)
class DueDate:
    """A promised date of one team: what is due by then, against what can be done by then."""

    date: date
    probability: float
    """Share of trials in which capacity covers everything due by then."""
    load: float
    """Points due by then, mean over trials."""
    capacity: float
    """Points deliverable by then, mean over trials."""
    missing_points: Decimal
    """Shortfall at p85 of the trials, rounded up to a tenth."""
    deals: tuple[str, ...]
    """Deals promised at this date that still need the team, ordered."""


@dataclass(frozen=True, eq=False, slots=True)
class TeamOutlook:
    """A team's promises against its capacity, date by date, and when each deal's part is done in each trial."""

    team: str
    today: date
    due: tuple[DueDate, ...]
    """Ordered by date; dates already past come first."""
    finish: Mapping[str, Floats]
    """By deal: date ordinals per trial; nan where the deal does not join, infinite where never."""
    cold: bool = False

    @property
    def breaking(self) -> DueDate | None:
        """The first date from today on that is more likely missed than a warning allows."""
        return self.first_below(WARNING)

    @property
    def overflow_deals(self) -> tuple[str, ...]:
        """Deals promised at a date, from today on, that breaks in any order."""
        breaking = (due for due in self.due if due.date >= self.today and due.probability < WARNING)
        return tuple(sorted(deal for due in breaking for deal in due.deals))

    def first_below(self, probability: float) -> DueDate | None:
        """The first date from today on whose probability is below ``probability``."""
        return next(
            (due for due in self.due if due.date >= self.today and due.probability < probability), None
        )


@dataclass(frozen=True, slots=True)
class TeamPart:
    """One team's part in a deal, as if it were the only team."""

    team: str
    p_on_time: float
    p85: date | None


@dataclass(frozen=True, slots=True)
class DealOutlook:
    """When a deal is done, over the trials it joins. A date of None means never at this capacity."""

    deal: str
    p_on_time: float | None
    """None when it joins no trial."""
    p50: date | None
    p85: date | None
    parts: tuple[TeamPart, ...] = ()
    """Least likely first; empty when no work is left."""
    trials: int = 0
    """How many trials it joins."""
    p95: date | None = None


def deal_joins(deal: str, probability: float, n_trials: int, *, won: bool = False) -> Flags:
    """The trials in which the deal is won: all when it is, else by draws keyed by (deal, trial)."""
    if won:
        return np.ones(n_trials, dtype=np.bool_)
    return generator("deal-joins", deal).random(n_trials) < probability


def lay_out(
    owed: Iterable[OwedLeaf], promised: Mapping[str, date], joins: Mapping[str, Flags], trials: int
) -> Demand:
    """Sum the work due by each date, per trial.

    A leaf is due, once, at the earliest promised date of the deals that need it and join the trial. Work due on
    the same date is one batch: no deal is favoured. Every deal in ``owed`` must have its date and its joins.
    """
    leaves = _each_once(owed)
    deals = sorted({deal for leaf in leaves for deal in leaf.deals})
    dates = sorted({promised[deal] for deal in deals})
    rows = {deal: dates.index(promised[deal]) for deal in deals}
    loads, last = _lay_out(_bundles(leaves), rows, joins, (len(dates), trials))
    np.cumsum(loads, axis=0, out=loads)
    return Demand(tuple(leaves), promised, joins, tuple(dates), rows, loads, last)


def evaluate_team(
    team: str,
    owed: Iterable[OwedLeaf],
    promised: Mapping[str, date],
    joins: Mapping[str, Flags],
    capacity: TeamCapacity,
) -> TeamOutlook:
    """Put everything the team owes in order of its due date, in every trial, against the drawn capacity.

    Earliest due date first meets all dates if any order does (Jackson 1955).
    """
    demand = lay_out(owed, promised, joins, len(capacity.draws))
    return outlook_of(team, demand, capacity, cumulative_capacity(capacity, demand.dates))


def outlook_of(team: str, demand: Demand, capacity: TeamCapacity, able: Floats) -> TeamOutlook:
    """The outlook of demand against capacity; ``able``: points deliverable by each due date, dates x trials."""
    done = finish_days(capacity, demand.loads)
    finish = {
        deal: np.where(demand.joins[deal], rows_of(done, demand.last[deal]), np.nan) for deal in demand.rows
    }
    return TeamOutlook(team, capacity.grid.today, _due_dates(demand, able), finish, capacity.cold)


def kept_in_time(demand: Demand, able: Floats, deal: str) -> Flags:
    """The trials in which the team's part of the deal is done by its promised date."""
    in_time: Flags = able[demand.rows[deal]] >= rows_of(demand.loads, demand.last[deal]) - _ROUNDING
    return in_time


def evaluate_deal(deal: str, finish: Mapping[str, Floats], joins: Flags, promised: date) -> DealOutlook:
    """Combine the deal's teams (``finish``: by team, from `TeamOutlook`) trial by trial: done when the last is.

    No teams means no work is left: on time, without dates.
    """
    joined = int(joins.sum())
    if not finish or not joined:
        return DealOutlook(deal, None if not joined else 1.0, None, None, (), joined)
    by_team = {team: days[joins] for team, days in sorted(finish.items())}
    together = np.maximum.reduce(list(by_team.values()))
    parts = [TeamPart(team, _p_by(days, promised), _quantile(days, 0.85)) for team, days in by_team.items()]
    return DealOutlook(
        deal,
        _p_by(together, promised),
        _quantile(together, 0.50),
        _quantile(together, 0.85),
        tuple(sorted(parts, key=lambda part: (part.p_on_time, part.team))),
        joined,
        _quantile(together, 0.95),
    )


def _each_once(owed: Iterable[OwedLeaf]) -> list[OwedLeaf]:
    """A leaf named twice counts once, at its larger size, for all its deals."""
    merged: dict[str, OwedLeaf] = {}
    for leaf in owed:
        known = merged.get(leaf.issue, leaf)
        points, deals = max(known.points, leaf.points), known.deals | leaf.deals
        merged[leaf.issue] = replace(leaf, points=points, deals=deals)
    return [merged[issue] for issue in sorted(merged) if merged[issue].deals]


def _bundles(leaves: Iterable[OwedLeaf]) -> list[tuple[tuple[str, ...], float]]:
    """Points by the set of deals that need them, in a fixed order."""
    points: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for leaf in leaves:
        points[tuple(sorted(leaf.deals))].append(leaf.points)
    return [(bundle, fsum(sizes)) for bundle, sizes in sorted(points.items())]


def _lay_out(
    bundles: Iterable[tuple[tuple[str, ...], float]],
    rows: Mapping[str, int],
    joins: Mapping[str, Flags],
    shape: tuple[int, int],
) -> tuple[Floats, dict[str, Row]]:
    """Points due at each date (dates x trials), and per deal the row where the last of its work is due."""
    loads = np.zeros(shape)
    last: dict[str, Row] = {}
    for bundle, points in bundles:
        due: Row
        if len(bundle) == 1:
            due = rows[bundle[0]]
            loads[due] += points * joins[bundle[0]]
        else:
            due = earliest_row(bundle, rows, joins, shape)
            joined = np.flatnonzero(due < shape[0])
            loads[due[joined], joined] += points
        for deal in bundle:
            last[deal] = np.maximum(last[deal], due) if deal in last else due
    return loads, last


def earliest_row(
    bundle: Iterable[str], rows: Mapping[str, int], joins: Mapping[str, Flags], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Per trial the row of the earliest date among the deals that join; one past the last when none does."""
    due = np.full(shape[1], shape[0], dtype=np.int64)
    for deal in bundle:
        np.minimum(due, rows[deal], out=due, where=joins[deal])
    return due


def rows_of(done: Floats, row: Row) -> Floats:
    """Each trial's figure from its own row; where the deal does not join any row will do."""
    if isinstance(row, int):
        return np.asarray(done[row], dtype=np.float64)
    days: Floats = done[np.minimum(row, len(done) - 1), np.arange(done.shape[1])]
    return days


def _due_dates(demand: Demand, able: Floats) -> tuple[DueDate, ...]:
    enough = (able >= demand.loads - _ROUNDING).mean(axis=1)
    load, capacity = demand.loads.mean(axis=1), able.mean(axis=1)
    at: dict[int, list[str]] = defaultdict(list)
    for deal, row in demand.rows.items():
        at[row].append(deal)
    return tuple(
        DueDate(
            day,
            float(enough[i]),
            float(load[i]),
            float(capacity[i]),
            _missing(demand.loads[i], able[i]),
            tuple(at[i]),
        )
        for i, day in enumerate(demand.dates)
    )


def _missing(load: Floats, capacity: Floats) -> Decimal:
    return _rounded_up(_nth(np.maximum(load - capacity, 0.0), 0.85))


def _rounded_up(points: float) -> Decimal:
    return Decimal(repr(round(points, 6))).quantize(Decimal("0.1"), ROUND_UP)


def _p_by(days: Floats, promised: date) -> float:
    return float((days <= promised.toordinal()).mean())


def _quantile(days: Floats, share: float) -> date | None:
    day = _nth(days, share)
    return date.fromordinal(int(day)) if day <= date.max.toordinal() else None


def _nth(values: Floats, share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed: one that occurs, never a mean of two."""
    place = max(0, ceil(share * len(values) - _ROUNDING) - 1)
    return float(np.partition(values, place)[place])
