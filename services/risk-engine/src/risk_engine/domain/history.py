"""What a team delivered, sprint by sprint (or week by week), and the unit in which that foretells best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta, tzinfo
from math import inf, sqrt
from statistics import median
from typing import Literal

import numpy as np

from risk_engine.domain.calendar import IsWorkingDay, business_days_between, day_of, last_day_of_sprint
from risk_engine.domain.capacity import HALVING_SPRINTS, SPRINTS_NEEDED
from risk_engine.domain.model import Floats, Sprint

Unit = Literal["points", "items"]
UNITS: tuple[Unit, ...] = ("points", "items")
FAR_OUT = 3.5
"""A period further from the median than so many deviations (median absolute, scaled to a normal's) stands out."""
MOST_STRETCH = 2.0
"""A short or long period is evened out by at most this factor: three days say little about three weeks."""
BEYOND_CHANCE = 2.0
"""Standard errors of the mean difference by which items must be better before they replace points."""
_NORMAL = 1.4826


@dataclass(frozen=True, slots=True)
class PastPeriod:
    """A closed sprint, or a week of a team without sprints."""

    key: str
    """The sprint's, or the Monday of the week."""
    closed: date
    points: float
    items: float
    working_days: float = 0.0
    """From its first to its last day, less who was away; 0: not known."""

    def done(self, unit: Unit) -> float:
        """What was done in it."""
        return self.points if unit == "points" else self.items


def past_sprints(
    sprints: Iterable[Sprint], zone: tzinfo, is_working_day: IsWorkingDay
) -> tuple[PastPeriod, ...]:
    """The closed sprints that have a result, in the order they closed."""
    closed = sorted(
        (sprint.completed_at, sprint.key, sprint)
        for sprint in sprints
        if sprint.state == "closed" and sprint.completed_at and sprint.completed_points is not None
    )
    return tuple(_period(sprint, zone, is_working_day) for _, _, sprint in closed)


def side_by_side(boards: Sequence[Sequence[PastPeriod]], cadence_days: int) -> tuple[PastPeriod, ...]:
    """One history of a team with several boards: sprints of different boards that close together are one."""
    ordered = sorted(
        ((one.closed, one.key, board, one) for board, past in enumerate(boards) for one in past),
        key=lambda item: item[:3],
    )
    joined: list[tuple[set[int], PastPeriod]] = []
    for closed, _, board, period in ordered:
        seen, last = joined[-1] if joined else (set(), period)
        if joined and board not in seen and (closed - last.closed).days * 2 < cadence_days:
            joined[-1] = (seen | {board}, _sum(last, period))
        else:
            joined.append(({board}, period))
    return tuple(period for _, period in joined)


def evened(past: Sequence[PastPeriod], unit: Unit, usual_days: float) -> tuple[float, ...]:
    """What each period would have brought with the working days of a usual one."""
    return tuple(round(one.done(unit) * _stretch(one.working_days, usual_days), 6) for one in past)


def outliers(done: Sequence[float]) -> tuple[bool, ...]:
    """Which periods stand out. They count like any other: what happened may happen again."""
    if len(done) < SPRINTS_NEEDED:
        return (False,) * len(done)
    middle = median(done)
    usual = _NORMAL * median(abs(one - middle) for one in done)
    return tuple(abs(one - middle) > max(FAR_OUT * usual, 1e-9) and usual > 0 for one in done)


def unit_scores(past: Mapping[Unit, Sequence[float]]) -> dict[Unit, Floats]:
    """By unit, how far each forecast of the next period was off, as a part of what a period brings on the mean.

    Each period from the fourth on is forecast from those before it, weighted as capacity weighs them, and scored by
    the continuous ranked probability score. Empty: too little is known, or nothing was ever done.
    """
    return {unit: _one_ahead(done) for unit, done in past.items()}


def unit_errors(scores: Mapping[Unit, Floats]) -> dict[Unit, float]:
    """The mean of each unit's scores; a unit without any is left out."""
    return {unit: float(found.mean()) for unit, found in scores.items() if len(found)}


def better_unit(scores: Mapping[Unit, Floats]) -> Unit:
    """Points, unless items foretell better beyond chance: by two standard errors of the mean difference.

    A dozen sprints of which two went wrong make any unit look better. Items where nobody estimates.
    """
    points, items = scores["points"], scores["items"]
    if not (len(points) and len(items)):
        return "items" if len(items) else "points"
    gain = points - items
    doubt = float(gain.std(ddof=1)) / sqrt(len(gain)) if len(gain) > 1 else inf
    return "items" if float(gain.mean()) > BEYOND_CHANCE * doubt else "points"


def points_per_item(past: Sequence[PastPeriod]) -> float:
    """How many points an item of work had on the mean; 1 when nobody counts points."""
    items, points = sum(one.items for one in past), sum(one.points for one in past)
    return points / items if items > 0 and points > 0 else 1.0


def _one_ahead(done: Sequence[float]) -> Floats:
    values = np.asarray(done, dtype=np.float64)
    scores = np.array(
        [_crps(values[:origin], values[origin]) for origin in range(SPRINTS_NEEDED, len(values))]
    )
    brought = float(values[SPRINTS_NEEDED:].mean()) if len(scores) else 0.0
    return scores / brought if brought > 0 else np.empty(0)


def _crps(past: Floats, outcome: float) -> float:
    weights = np.exp2(np.arange(len(past)) / HALVING_SPRINTS)
    weights /= weights.sum()
    apart = np.abs(past[:, np.newaxis] - past[np.newaxis, :])
    return float(weights @ np.abs(past - outcome) - weights @ apart @ weights / 2)


def _period(sprint: Sprint, zone: tzinfo, is_working_day: IsWorkingDay) -> PastPeriod:
    if sprint.completed_at is None or sprint.completed_points is None:
        raise AssertionError(f"{sprint.key} has no result")
    closed = last_day_of_sprint(sprint.completed_at, zone)
    days = 0.0
    if sprint.start is not None and sprint.start < sprint.completed_at:
        eve = day_of(sprint.start, zone) - timedelta(days=1)
        days = float(business_days_between(eve, closed, is_working_day))
    return PastPeriod(
        sprint.key, closed, float(sprint.completed_points), float(sprint.completed_items or 0), days
    )


def _sum(one: PastPeriod, other: PastPeriod) -> PastPeriod:
    return replace(
        one,
        closed=max(one.closed, other.closed),
        points=one.points + other.points,
        items=one.items + other.items,
        working_days=max(one.working_days, other.working_days),
    )


def _stretch(working_days: float, usual_days: float) -> float:
    if working_days <= 0 or usual_days <= 0:
        return 1.0
    return min(MOST_STRETCH, max(1 / MOST_STRETCH, usual_days / working_days))
