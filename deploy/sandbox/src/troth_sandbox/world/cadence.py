"""Where sprints lie in time, relative to the day a world is built for.

A sprint lasts ten working days and fourteen calendar days, starts at 09:00 and is planned to end at 16:00 UTC on
its tenth working day. Slot 0 is the active sprint, -1 the one closed last, 1 the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

SPRINT_WORKING_DAYS = 10
_SPRINT = timedelta(days=14)
_SATURDAY = 5


@dataclass(frozen=True)
class Slot:
    """Planned start and end of one sprint (UTC)."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Cadence:
    """A team's sprint calendar, known by the first day of its active sprint."""

    first_day: date

    def slot(self, number: int) -> Slot:
        """Start and end of a sprint; slot 0 is the active one."""
        start = self.first_day + number * _SPRINT
        end = start
        for _ in range(SPRINT_WORKING_DAYS - 1):
            end = next_working_day(end)
        return Slot(datetime.combine(start, time(9), UTC), datetime.combine(end, time(16), UTC))

    def last_day(self, number: int) -> date:
        """The date on which a sprint is planned to end."""
        return self.slot(number).end.date()


def monday_cadence(today: date) -> Cadence:
    """Sprints from Monday to the Friday of the second week; today is at most seven days into the active one.

    Starting on the last Monday *before* today keeps the active sprint started and not overdue on any weekday.
    """
    return Cadence(today - timedelta(days=today.weekday() or 7))


def closing_cadence(today: date) -> Cadence:
    """Sprints of which the active one ends on the next working day, whatever weekday today is.

    What is left of the active sprint then hardly adds capacity, so an answer about the end of the *next* sprint
    does not depend on the weekday.
    """
    day = next_working_day(today)
    for _ in range(SPRINT_WORKING_DAYS - 1):
        day = previous_working_day(day)
    return Cadence(day)


def next_working_day(day: date) -> date:
    """The first Monday-to-Friday day after ``day``."""
    day += timedelta(days=1)
    while day.weekday() >= _SATURDAY:
        day += timedelta(days=1)
    return day


def previous_working_day(day: date) -> date:
    """The last Monday-to-Friday day before ``day``."""
    day -= timedelta(days=1)
    while day.weekday() >= _SATURDAY:
        day -= timedelta(days=1)
    return day


def working_days(after: date, until: date) -> int:
    """Monday-to-Friday days later than ``after``, up to and including ``until``."""
    span = (until - after).days
    return sum((after + timedelta(days=n)).weekday() < _SATURDAY for n in range(1, span + 1))
