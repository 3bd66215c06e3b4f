"""Whether what is promised fits what can be delivered: first each team on its own, then each deal over its teams."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    """A leaf a team owes: its points, and every deal (key) that needs it."""

    issue: str
    points: float
    deals: frozenset[str]


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
        """Deals promised at the first breaking date."""
        return self.breaking.deals if self.breaking else ()

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


def deal_joins(deal: str, probability: float, n_trials: int, *, won: bool = False) -> Flags:
    """The trials in which the deal is won: all when it is, else by draws keyed by (deal, trial)."""
    if won:
        return np.ones(n_trials, dtype=np.bool_)
    return generator("deal-joins", deal).random(n_trials) < probability


def evaluate_team(
    team: str,
    owed: Iterable[OwedLeaf],
    promised: Mapping[str, date],
    joins: Mapping[str, Flags],
    capacity: TeamCapacity,
) -> TeamOutlook:
    """Put everything the team owes in order of its due date, in every trial, against the drawn capacity.

    A leaf is due, once, at the earliest promised date of the deals that need it and join the trial. Work due on
    the same date is one batch: no deal is favoured. Earliest due date first meets all dates if any order does
    (Jackson 1955). Every deal in ``owed`` must have its date and its joins.
    """
    bundles = _bundles(owed)
    deals = sorted({deal for bundle, _ in bundles for deal in bundle})
    dates = sorted({promised[deal] for deal in deals})
    rows = {deal: dates.index(promised[deal]) for deal in deals}
    loads, last = _lay_out(bundles, rows, joins, (len(dates), len(capacity.draws)))
    np.cumsum(loads, axis=0, out=loads)
    done = finish_days(capacity, loads)
    return TeamOutlook(
        team,
        capacity.grid.today,
        _due_dates(dates, promised, deals, loads, cumulative_capacity(capacity, dates)),
        {deal: np.where(joins[deal], _rows_of(done, last[deal]), np.nan) for deal in deals},
        capacity.cold,
    )


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
    )


def _bundles(owed: Iterable[OwedLeaf]) -> list[tuple[tuple[str, ...], float]]:
    """Points by the set of deals that need them, in a fixed order; a leaf named twice counts once."""
    points: dict[tuple[str, ...], list[float]] = defaultdict(list)
    deals: dict[str, set[str]] = defaultdict(set)
    size: dict[str, float] = {}
    for leaf in owed:
        deals[leaf.issue] |= leaf.deals
        size[leaf.issue] = max(size.get(leaf.issue, 0.0), leaf.points)
    for issue, needed_by in deals.items():
        points[tuple(sorted(needed_by))].append(size[issue])
    return [(bundle, fsum(sizes)) for bundle, sizes in sorted(points.items()) if bundle]


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
            due = _earliest(bundle, rows, joins, shape)
            joined = np.flatnonzero(due < shape[0])
            loads[due[joined], joined] += points
        for deal in bundle:
            last[deal] = np.maximum(last[deal], due) if deal in last else due
    return loads, last


def _earliest(
    bundle: Iterable[str], rows: Mapping[str, int], joins: Mapping[str, Flags], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Per trial the row of the earliest date among the deals that join; one past the last when none does."""
    due = np.full(shape[1], shape[0], dtype=np.int64)
    for deal in bundle:
        np.minimum(due, rows[deal], out=due, where=joins[deal])
    return due


def _rows_of(done: Floats, row: Row) -> Floats:
    """Each trial's day from its own row; where the deal does not join any row will do."""
    if isinstance(row, int):
        return np.asarray(done[row], dtype=np.float64)
    days: Floats = done[np.minimum(row, len(done) - 1), np.arange(done.shape[1])]
    return days


def _due_dates(
    dates: Sequence[date], promised: Mapping[str, date], deals: Sequence[str], loads: Floats, capacity: Floats
) -> tuple[DueDate, ...]:
    enough = (capacity >= loads - _ROUNDING).mean(axis=1)
    load, able = loads.mean(axis=1), capacity.mean(axis=1)
    at: dict[date, list[str]] = defaultdict(list)
    for deal in deals:
        at[promised[deal]].append(deal)
    return tuple(
        DueDate(
            day,
            float(enough[i]),
            float(load[i]),
            float(able[i]),
            _missing(loads[i], capacity[i]),
            tuple(at[day]),
        )
        for i, day in enumerate(dates)
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
