"""Whether what is promised fits what can be delivered: first each team on its own, then each deal over its teams."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_UP, Decimal
from math import fsum

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
    """Points due by then, median over trials."""
    capacity: float
    """Points deliverable by then, median over trials."""
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
    place = {day: index for index, day in enumerate(dates)}
    columns = {deal: place[promised[deal]] for deal in deals}
    trials = len(capacity.draws)
    loads = np.zeros((trials, len(dates)))
    last = {deal: np.full(trials, -1, dtype=np.int64) for deal in deals}
    for bundle, points in bundles:
        due = _due_columns(bundle, columns, joins, len(dates), trials)
        _add_load(loads, due, points)
        for deal in bundle:
            np.maximum(last[deal], due, out=last[deal], where=joins[deal])
    np.cumsum(loads, axis=1, out=loads)
    done = finish_days(capacity, loads)
    return TeamOutlook(
        team,
        capacity.grid.today,
        _due_dates(dates, promised, deals, loads, cumulative_capacity(capacity, dates)),
        {deal: _finish(done, last[deal], joins[deal]) for deal in deals},
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


def _due_columns(
    bundle: Sequence[str], columns: Mapping[str, int], joins: Mapping[str, Flags], n_dates: int, trials: int
) -> NDArray[np.int64]:
    """Per trial the column of the earliest date among the deals that join; ``n_dates`` when none does."""
    due = np.full(trials, n_dates, dtype=np.int64)
    for deal in bundle:
        np.minimum(due, columns[deal], out=due, where=joins[deal])
    return due


def _add_load(loads: Floats, due: NDArray[np.int64], points: float) -> None:
    joined = np.flatnonzero(due < loads.shape[1])
    loads[joined, due[joined]] += points


def _finish(done: Floats, column: NDArray[np.int64], joins: Flags) -> Floats:
    days = np.take_along_axis(done, np.maximum(column, 0)[:, np.newaxis], axis=1)[:, 0]
    return np.where(joins, days, np.nan)


def _due_dates(
    dates: Sequence[date], promised: Mapping[str, date], deals: Sequence[str], loads: Floats, capacity: Floats
) -> tuple[DueDate, ...]:
    if not dates:
        return ()
    enough = (capacity >= loads - _ROUNDING).mean(axis=0)
    short = np.quantile(np.maximum(loads - capacity, 0.0), 0.85, axis=0, method="inverted_cdf")
    load, able = np.median(loads, axis=0), np.median(capacity, axis=0)
    at: dict[date, list[str]] = defaultdict(list)
    for deal in deals:
        at[promised[deal]].append(deal)
    return tuple(
        DueDate(
            day,
            float(enough[i]),
            float(load[i]),
            float(able[i]),
            _rounded_up(float(short[i])),
            tuple(at[day]),
        )
        for i, day in enumerate(dates)
    )


def _rounded_up(points: float) -> Decimal:
    return Decimal(repr(round(points, 6))).quantize(Decimal("0.1"), ROUND_UP)


def _p_by(days: Floats, promised: date) -> float:
    return float((days <= promised.toordinal()).mean())


def _quantile(days: Floats, share: float) -> date | None:
    day = float(np.quantile(days, share, method="inverted_cdf"))
    return date.fromordinal(int(day)) if day <= date.max.toordinal() else None
