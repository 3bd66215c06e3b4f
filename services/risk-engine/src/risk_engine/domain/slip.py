"""Why a promise slips: its delay in days, split by what the records show to have happened since it was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from statistics import mean
from typing import Literal

from risk_engine.domain.capacity import (
    SPRINTS_NEEDED,
    SPRINTS_REMEMBERED,
    completed_history,
    usual_cadence,
)
from risk_engine.domain.model import Sprint
from risk_engine.domain.money import allocate

Cause = Literal[
    "date_pulled_in", "never_fitted", "late_start", "scope_growth", "injected_work", "lost_capacity"
]


@dataclass(frozen=True, slots=True)
class PromiseStep:
    """A deal's promised date from ``at`` (UTC) on; None: it stopped promising."""

    at: datetime
    promised: date | None


@dataclass(frozen=True, slots=True)
class Promised:
    """A promise as it was made and as it stands."""

    at: datetime
    first: date
    present: date


@dataclass(frozen=True, slots=True)
class Pace:
    """What a team completes per calendar day: usually, and since the promise (None: no sprint closed since)."""

    usual: float
    """0 where the team never closed a sprint."""
    since: float | None = None


@dataclass(frozen=True, slots=True)
class SlipFacts:
    """What is on record of a late promise, of the team that finishes last; days are calendar days."""

    made: date
    first: date
    """The day it was first promised for."""
    present: date
    finish: date
    started: date
    """When work on it began; today while it has not."""
    points_then: float
    """The size of the work when the promise was made."""
    points_now: float
    injected: float = 0.0
    """Points of other work that came into the team's running sprints since, less what was taken out."""
    pace: float = 0.0
    """Points per calendar day the team completed before; 0: unknown."""


@dataclass(frozen=True, slots=True)
class Slip:
    """A delay against the present date, and its parts: none negative, the sum is the delay exactly."""

    days: int
    parts: Mapping[Cause, Decimal]


def present_promise(steps: Sequence[PromiseStep]) -> Promised | None:
    """The promise since the deal last came into force; None when it promises nothing now. Oldest step first."""
    made: tuple[datetime, date] | None = None
    for step in steps:
        if step.promised is None:
            made = None
        elif made is None:
            made = step.at, step.promised
    present = steps[-1].promised if steps else None
    return Promised(made[0], made[1], present) if made and present else None


def pace_of(sprints: Iterable[Sprint], made: datetime) -> Pace:
    """The last twelve sprints before the promise; with fewer than three, every sprint the team has closed."""
    known = list(sprints)
    days = usual_cadence(known)
    before = completed_history(one for one in known if one.completed_at and one.completed_at <= made)
    after = completed_history(one for one in known if one.completed_at and one.completed_at > made)
    usual = before if len(before) >= SPRINTS_NEEDED else (*before, *after)
    return Pace(
        mean(usual[-SPRINTS_REMEMBERED:]) / days if usual else 0.0,
        mean(after) / days if after else None,
    )


def together(boards: Iterable[Pace]) -> Pace:
    """The pace of a team that works on several boards side by side."""
    paces = list(boards)
    since = [pace.since for pace in paces if pace.since is not None]
    return Pace(sum(pace.usual for pace in paces), sum(since) if since else None)


def split_delay(facts: SlipFacts) -> Slip:
    """The delay in calendar days, to the hundredth.

    A date that was pulled in explains as many days as it was moved. Of the rest, each cause explains what its own
    record shows at the team's usual pace; what no record shows is capacity that did not go into this work. Causes
    that show more than the rest (a team that made up for them) share it in proportion.
    """
    days = max((facts.finish - facts.present).days, 0)
    base = max(facts.first, facts.present)
    rest = min(max((facts.finish - base).days, 0), days)
    shown = _shown(facts, base)
    lost = max(rest - sum(shown.values()), 0.0)
    parts: dict[Cause, Decimal] = {"date_pulled_in": Decimal(days - rest)}
    weights: dict[Cause, float] = {**shown, "lost_capacity": lost}
    split = allocate(Decimal(rest), {str(cause): weight for cause, weight in weights.items()})
    return Slip(days, parts | {cause: split[cause] for cause in weights})


def _shown(facts: SlipFacts, base: date) -> dict[Cause, float]:
    """Days each record accounts for; work that fits begins in time when it begins its own length before the date."""
    needed = _days(facts.points_then, facts.pace)
    latest = max(float(facts.made.toordinal()), base.toordinal() - needed)
    return {
        "never_fitted": max(facts.made.toordinal() + needed - base.toordinal(), 0.0),
        "late_start": max(facts.started.toordinal() - latest, 0.0),
        "scope_growth": _days(facts.points_now - facts.points_then, facts.pace),
        "injected_work": _days(facts.injected, facts.pace),
    }


def _days(points: float, pace: float) -> float:
    return max(points, 0.0) / pace if pace > 0 else 0.0
