"""What a team can deliver by a day: its closed sprints, drawn again and again into the sprints to come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from math import ceil, inf
from statistics import median

import numpy as np
from numpy.typing import NDArray

from risk_engine.domain.calendar import IsWorkingDay
from risk_engine.domain.model import Flags, Floats, Sprint
from risk_engine.domain.seeds import generator

DEFAULT_TRIALS = 2000
SPRINTS_REMEMBERED = 12
SPRINTS_NEEDED = 3
HALVING_SPRINTS = 5.0
TRUST = 0.5
"""The share of its effective count the past is trusted with: sprints in a row resemble each other."""
UNSEEN_SPRINTS = 1.5
"""How many unseen sprints stand beside the past of a team as irregular as they come; a steady team has none."""
DRIFT = 0.10
"""Standard deviation by which the log of a team's level wanders from one sprint to the next."""
DEFAULT_CADENCE_DAYS = 14
SPRINTS_AHEAD = 26
"""At least this many sprints are drawn, so that a date beyond them rests on a fair mean."""
_YEAR = 364  # whole weeks, so that weekends do not bend the mean
_ROUNDING = 1e-9
_UNSEEN: Floats = -np.log1p(-np.arange(8) / 8)
_UNSEEN /= _UNSEEN.mean()
"""Sprints nobody has seen, as multiples of the level: nothing to 2.6 times, as an exponential spreads (the widest
guess that keeps the mean)."""


@dataclass(frozen=True, slots=True)
class CapacityBasis:
    """The completed points, oldest first, a team's capacity is drawn from."""

    points: tuple[float, ...]
    """The last twelve sprints."""
    cold: bool = False
    """Too few sprints of its own: other teams' sprints stand in, and nothing louder than info may follow."""
    earlier: tuple[float, ...] = ()
    """Up to twelve sprints before ``points``: little weight, but they show what the team has been through."""

    @property
    def halving(self) -> float:
        """After how many sprints the past counts half; sprints that stand in for missing ones count alike."""
        return inf if self.cold else HALVING_SPRINTS

    @property
    def history(self) -> tuple[float, ...]:
        """Every sprint that carries weight."""
        return (*self.earlier, *self.points)


@dataclass(frozen=True, eq=False, slots=True)
class SprintGrid:
    """The working days of the sprints to come; today counts in full."""

    today: date
    days: NDArray[np.int64]
    """Date ordinals, ascending."""
    sprint_of_day: NDArray[np.int64]
    share_per_day: float
    """What part of a usual sprint's capacity one working day brings."""
    calendar_days_per_day: float
    """How many calendar days pass per working day, on the year's mean."""
    sprints: int

    @property
    def days_per_sprint(self) -> NDArray[np.int64]:
        """Working days from today on in each sprint."""
        return np.bincount(self.sprint_of_day, minlength=self.sprints).astype(np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class TeamCapacity:
    """Drawn capacity: ``draws`` is trials x sprints, in points per usual sprint, on the days of ``grid``."""

    draws: Floats
    grid: SprintGrid
    cold: bool = False


def capacity_basis(own: Sequence[float], pooled: Sequence[float]) -> CapacityBasis:
    """The team's last sprints (``own``: oldest first), or for a team with fewer than three the pool."""
    if len(own) >= SPRINTS_NEEDED:
        earlier = own[-2 * SPRINTS_REMEMBERED : -SPRINTS_REMEMBERED]
        return CapacityBasis(tuple(own[-SPRINTS_REMEMBERED:]), earlier=tuple(earlier))
    return CapacityBasis((*own, *pooled), cold=True)


def pooled_points(histories: Iterable[Sequence[float]]) -> tuple[float, ...]:
    """Twelve typical sprints over all teams: evenly spaced quantiles, so that the spread is kept."""
    every = sorted(points for history in histories for points in history[-SPRINTS_REMEMBERED:])
    if not every:
        return ()
    steps = (np.arange(SPRINTS_REMEMBERED) + 0.5) / SPRINTS_REMEMBERED
    return tuple(float(points) for points in np.quantile(every, steps, method="inverted_cdf"))


def completed_history(sprints: Iterable[Sprint]) -> tuple[float, ...]:
    """Completed points of the closed sprints, in the order they closed."""
    closed = [
        (sprint.completed_at, sprint.key, sprint.completed_points)
        for sprint in sprints
        if sprint.state == "closed"
        and sprint.completed_at is not None
        and sprint.completed_points is not None
    ]
    return tuple(float(points) for _, _, points in sorted(closed))


def usual_cadence(sprints: Iterable[Sprint]) -> int:
    """The team's usual sprint length in days: the median of the planned ones, 14 when there are none."""
    lengths = [
        (sprint.end - sprint.start).total_seconds() / 86400
        for sprint in sprints
        if sprint.start is not None and sprint.end is not None and sprint.end > sprint.start
    ]
    return max(1, round(median(lengths))) if lengths else DEFAULT_CADENCE_DAYS


def capacity_draws(
    team_seed: str,
    history: Sequence[float],
    n_trials: int = DEFAULT_TRIALS,
    n_sprints: int = SPRINTS_AHEAD,
    halving: float = HALVING_SPRINTS,
) -> Floats:
    """Points per coming sprint, trials x sprints, by a recency-weighted Bayesian bootstrap of ``history``.

    Each trial weighs the past, and a little of what was never seen, anew (Dirichlet), then draws its sprints from it,
    so a trial is a good or a bad stretch as a whole; its level drifts, so the far is less sure than the near. The
    mean stays the weighted mean of ``history``. More sprints leave the first ones unchanged. No history: zeros.
    Rubin, The Bayesian Bootstrap, https://doi.org/10.1214/aos/1176345338; constants: ``make backtest``.
    """
    if not history:
        return np.zeros((n_trials, n_sprints))
    sprints, alphas = _weighed(np.asarray(history, dtype=np.float64), halving)
    weights = generator("capacity-weights", team_seed).dirichlet(alphas, size=n_trials)
    uniform = generator("capacity-sprints", team_seed).random((n_sprints, n_trials))
    picked = np.zeros((n_sprints, n_trials), dtype=np.int64)
    for bound in np.cumsum(weights, axis=1)[:, :-1].T:
        picked += uniform > bound
    drawn: Floats = sprints[picked] * _drift(team_seed, n_sprints, n_trials)
    return drawn.T


def sprint_grid(
    today: date,
    sprint_end: date | None,
    cadence_days: int,
    is_working_day: IsWorkingDay,
    until: date,
) -> SprintGrid:
    """Consecutive sprints of the usual length from today on, at least until ``until``.

    ``sprint_end`` is the last day of the active sprint, whose rest counts in proportion; None or a past day: a
    sprint starts today. A sprint of more working days than the year's mean brings more than a usual one, one with
    holidays less.
    """
    running = sprint_end is not None and sprint_end >= today
    first_end = sprint_end if running and sprint_end is not None else today + timedelta(days=cadence_days - 1)
    sprints = max(SPRINTS_AHEAD, ceil(max(0, (until - first_end).days) / cadence_days) + 1)
    span = (first_end - today).days + 1 + (sprints - 1) * cadence_days
    offsets = np.flatnonzero([is_working_day(today + timedelta(days=offset)) for offset in range(span)])
    first_days = (first_end - today).days + 1
    sprint_of_day = np.maximum(0, (offsets - first_days) // cadence_days + 1)
    density = working_share(today, is_working_day)
    return SprintGrid(
        today,
        offsets.astype(np.int64) + today.toordinal(),
        sprint_of_day.astype(np.int64),
        1 / usual_days(cadence_days, today, is_working_day),
        1 / density,
        sprints,
    )


def cumulative_capacity(capacity: TeamCapacity, dates: Sequence[date]) -> Floats:
    """Points delivered from today to the end of each date, dates x trials; nothing by a date that is past."""
    cumulative: Floats = _accrual(capacity.grid, dates) @ capacity.draws.T
    return cumulative


def finish_days(capacity: TeamCapacity, loads: Floats) -> Floats:
    """The day each cumulative load (loads x trials, points) is done, as a date ordinal; infinite: never.

    Beyond the drawn sprints a trial goes on at its own mean, so a far date is far and never cut off.
    """
    pace = _Pace.of(capacity)
    sprint = np.zeros(loads.shape, dtype=np.int16)
    short_of = loads - _ROUNDING
    for end in pace.by_end:
        behind = end < short_of
        if not behind.any():
            break
        sprint += behind
    beyond = sprint >= capacity.grid.sprints
    days = pace.days_inside(loads, np.minimum(sprint, capacity.grid.sprints - 1).astype(np.int64))
    if beyond.any():
        days = np.where(beyond, pace.days_beyond(loads), days)
    days[loads <= _ROUNDING] = capacity.grid.today.toordinal()
    return days


@dataclass(frozen=True, eq=False, slots=True)
class _Pace:
    """How fast each trial works: sprints x trials, points per working day and points by the sprint's end."""

    grid: SprintGrid
    per_day: Floats
    by_end: Floats

    @classmethod
    def of(cls, capacity: TeamCapacity) -> _Pace:
        per_day = np.ascontiguousarray(capacity.draws.T) * capacity.grid.share_per_day
        by_end: Floats = np.cumsum(per_day * capacity.grid.days_per_sprint[:, np.newaxis], axis=0)
        return cls(capacity.grid, per_day, by_end)

    def days_inside(self, loads: Floats, sprint: NDArray[np.int64]) -> Floats:
        """The working day of ``sprint`` that completes the load."""
        worked = self.grid.days_per_sprint
        cell = sprint * loads.shape[1] + np.arange(loads.shape[1])
        rate = self.per_day.take(cell)
        left = loads - (self.by_end - self.per_day * worked[:, np.newaxis]).take(cell)
        needed = np.ceil(np.divide(left, rate, out=np.ones_like(left), where=rate > 0) - _ROUNDING)
        before = np.cumsum(worked) - worked
        position = before.take(sprint) + np.clip(needed, 1, worked.take(sprint)).astype(np.int64) - 1
        days: Floats = self.grid.days.astype(np.float64).take(position, mode="clip")
        return days

    def days_beyond(self, loads: Floats) -> Floats:
        """The day after the drawn sprints that completes the load, at the trial's mean."""
        rate = np.broadcast_to(self.per_day.mean(axis=0), loads.shape)
        left = loads - self.by_end[-1]
        worked = np.divide(left, rate, out=np.full(loads.shape, np.inf), where=rate > 0)
        days: Floats = self.grid.days[-1] + np.ceil(worked * self.grid.calendar_days_per_day)
        return days


def _weighed(past: Floats, halving: float) -> tuple[Floats, Floats]:
    """The sprints a trial may draw, seen and unseen, and the Dirichlet parameter of each."""
    weights = np.exp2(-np.arange(len(past), dtype=np.float64)[::-1] / halving)
    shares = weights / weights.sum()
    effective = 1 / float((shares**2).sum())
    level = float(shares @ past)
    variance = float(shares @ (past - level) ** 2)
    if variance <= _ROUNDING:
        return past, shares * effective * TRUST
    unseen = UNSEEN_SPRINTS * variance / max(variance, level**2)
    doubt = np.full(len(_UNSEEN), unseen / len(_UNSEEN))
    return np.concatenate([past, _UNSEEN * level]), np.concatenate([shares * effective * TRUST, doubt])


def _drift(team_seed: str, n_sprints: int, n_trials: int) -> Floats:
    """Sprints x trials: a random walk of the log level whose mean factor is 1 at every sprint."""
    steps = generator("capacity-drift", team_seed).normal(-(DRIFT**2) / 2, DRIFT, (n_sprints, n_trials))
    return np.exp(np.cumsum(steps, axis=0))


def usual_days(cadence_days: int, today: date, is_working_day: IsWorkingDay) -> float:
    """Working days of a usual sprint, on the mean of the past year."""
    return cadence_days * working_share(today, is_working_day)


@lru_cache(maxsize=32)
def working_share(today: date, is_working_day: IsWorkingDay) -> float:
    """What part of the past year's days was worked."""
    worked = sum(is_working_day(today - timedelta(days=back)) for back in range(1, _YEAR + 1))
    return max(worked, 1) / _YEAR


def _accrual(grid: SprintGrid, dates: Sequence[date]) -> Floats:
    """Dates x sprints: the part of each sprint's draw delivered by the end of the date."""
    ordinals = np.array([day.toordinal() for day in dates], dtype=np.int64)
    reached: Flags = grid.days[np.newaxis, :] <= ordinals[:, np.newaxis]
    in_sprint: Floats = np.equal.outer(grid.sprint_of_day, np.arange(grid.sprints)).astype(np.float64)
    return reached.astype(np.float64) @ in_sprint * grid.share_per_day
