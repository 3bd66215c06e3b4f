"""A team's book: everything its outlook follows from, as values that can be stored, and drawn again from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache

import numpy as np

from risk_engine.domain.calendar import IsWorkingDay
from risk_engine.domain.capacity import (
    SPRINTS_AHEAD,
    CapacityBasis,
    SprintGrid,
    TeamCapacity,
    capacity_draws,
    cumulative_capacity,
    sprint_grid,
)
from risk_engine.domain.feasibility import (
    Demand,
    OwedLeaf,
    TeamOutlook,
    deal_joins,
    kept_in_time,
    lay_out,
    outlook_of,
)
from risk_engine.domain.growth import growth_draws
from risk_engine.domain.history import PastPeriod, Unit, points_per_item
from risk_engine.domain.model import Flags, Floats, commitment_key
from risk_engine.domain.ranking import Ranking, judge_ranking
from risk_engine.domain.registry import Absence, present_share

_YEAR = timedelta(days=364)
_SLACK = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Promise:
    """A commitment that waits for the team. Those of one deal join the same trials."""

    deal: str
    promised: date
    probability: float = 1.0
    won: bool = True
    part: str = ""

    @property
    def key(self) -> str:
        """Names the commitment."""
        return commitment_key(self.deal, self.part)


@dataclass(frozen=True, slots=True)
class TeamInputs:
    """What a team's outlook is computed from. The draws follow from the keys of team and deals (`seeds`)."""

    team: str
    name: str
    today: date
    sprint_end: date | None
    """Last day of the running sprint."""
    cadence_days: int
    until: date
    """Capacity is drawn at least until then."""
    points: tuple[float, ...]
    """Completed points of the last sprints, oldest first."""
    earlier: tuple[float, ...]
    cold: bool
    trials: int
    free_weekdays: tuple[date, ...] = ()
    """Mondays to Fridays nobody works."""
    worked_weekends: tuple[date, ...] = ()
    owed: tuple[OwedLeaf, ...] = ()
    promises: tuple[Promise, ...] = ()
    unit: Unit = "points"
    """What work is counted in: ``points``, ``earlier`` and the sizes of ``owed``."""
    errors: Mapping[str, float] = field(default_factory=dict)
    """By unit, how far forecasts of one period were off (`unit_errors`); units without an error are left out."""
    past: tuple[PastPeriod, ...] = ()
    """What ``earlier`` and ``points`` were made from."""
    absences: tuple[Absence, ...] = ()
    growth: tuple[float, ...] = ()
    """By how much finished epics grew."""
    deal_share: float = 1.0
    """What part of the capacity may serve deals."""

    @property
    def points_per_item(self) -> float:
        """What an item has on the mean: turns an effort in points into the unit of the team."""
        return points_per_item(self.past)


@dataclass(frozen=True, eq=False, slots=True)
class TeamBook:
    """The drawn form of the inputs."""

    inputs: TeamInputs
    capacity: TeamCapacity
    promised: Mapping[str, date]
    joins: Mapping[str, Flags]


@dataclass(frozen=True, slots=True)
class DealPart:
    """The team's part of a commitment: its chance to be in time now, and with one more usual sprint of the team."""

    commitment: str
    promised: date
    p_on_time: float
    p_with_sprint: float


@dataclass(frozen=True, eq=False, slots=True)
class TeamReading:
    """What the book says: dates, verdicts, and what another sprint would change."""

    outlook: TeamOutlook
    ranking: Ranking
    parts: tuple[DealPart, ...]


def unusual_days(
    today: date, until: date, cadence_days: int, is_working_day: IsWorkingDay
) -> tuple[tuple[date, ...], tuple[date, ...]]:
    """Free weekdays and worked weekends of the time that capacity looks at, to the end of its last year."""
    end = max(until, today + timedelta(days=SPRINTS_AHEAD * cadence_days)) + _SLACK
    return _unusual_between(today - _YEAR, date(end.year, 12, 31), is_working_day)


@lru_cache(maxsize=32)
def _unusual_between(
    start: date, end: date, is_working_day: IsWorkingDay
) -> tuple[tuple[date, ...], tuple[date, ...]]:
    days = [start + timedelta(days=offset) for offset in range((end - start).days + 1)]
    unusual = [day for day in days if is_working_day(day) is not (day.weekday() < 5)]
    return (
        tuple(day for day in unusual if day.weekday() < 5),
        tuple(day for day in unusual if day.weekday() >= 5),
    )


def open_book(inputs: TeamInputs) -> TeamBook:
    """Draws capacity and joins: the same inputs give the same book, anywhere and at any time."""
    return TeamBook(
        inputs,
        _capacity(inputs),
        {promise.key: promise.promised for promise in inputs.promises},
        {promise.key: joins_of(promise, inputs.trials) for promise in inputs.promises},
    )


def joins_of(promise: Promise, trials: int) -> Flags:
    """The trials in which the promise counts."""
    return deal_joins(promise.deal, promise.probability, trials, won=promise.won)


def read_book(book: TeamBook) -> TeamReading:
    """The team's outlook, the verdict on its ranking, and the deals' chances."""
    demand = lay_out(book.inputs.owed, book.promised, book.joins, book.inputs.trials)
    able = cumulative_capacity(book.capacity, demand.dates)
    return TeamReading(
        outlook_of(book.inputs.team, demand, book.capacity, able),
        judge_ranking(demand, able, book.inputs.today),
        _parts(demand, able, book.capacity),
    )


def _parts(demand: Demand, able: Floats, capacity: TeamCapacity) -> tuple[DealPart, ...]:
    """One more sprint is a usual one of the trial, there before the first date."""
    more = able + capacity.draws.mean(axis=1)
    return tuple(
        DealPart(
            deal,
            demand.promised[deal],
            _share(kept_in_time(demand, able, deal), joined),
            _share(kept_in_time(demand, more, deal), joined),
        )
        for deal, joined in ((deal, demand.joins[deal]) for deal in demand.rows)
        if joined.any()
    )


def _share(kept: Flags, joined: Flags) -> float:
    return float(kept[joined].mean())


def _capacity(inputs: TeamInputs) -> TeamCapacity:
    free, worked = frozenset(inputs.free_weekdays), frozenset(inputs.worked_weekends)
    grid = sprint_grid(
        inputs.today,
        inputs.sprint_end,
        inputs.cadence_days,
        lambda day: (day.weekday() < 5 and day not in free) or day in worked,
        inputs.until,
    )
    basis = CapacityBasis(inputs.points, inputs.cold, inputs.earlier)
    draws = capacity_draws(inputs.team, basis.history, inputs.trials, grid.sprints, basis.halving)
    growth = growth_draws(inputs.team, inputs.growth, len(inputs.promises), inputs.trials)
    left = inputs.deal_share * _presence(grid, inputs.absences)[np.newaxis, :] / growth[:, np.newaxis]
    return TeamCapacity(draws * left, grid, inputs.cold)


def _presence(grid: SprintGrid, absences: Sequence[Absence]) -> Floats:
    """By sprint, the part of the team that is there on the mean of its working days."""
    there = np.ones(len(grid.days))
    for place, ordinal in enumerate(grid.days) if absences else ():
        there[place] = present_share(absences, date.fromordinal(int(ordinal)))
    worked, days = np.bincount(grid.sprint_of_day, there, minlength=grid.sprints), grid.days_per_sprint
    return np.divide(worked, days, out=np.ones(grid.sprints), where=days > 0)
