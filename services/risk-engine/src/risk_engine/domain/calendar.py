"""Days, not instants: one place decides which day an instant falls on and which days are worked."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal

IsWorkingDay = Callable[[date], bool]
HALF_A_DAY = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class FiscalYear:
    """A year of four quarters that begins with a month; named by the calendar year it ends or starts in."""

    first_month: int = 1
    named_by: Literal["start", "end"] = "end"

    def quarter_of(self, day: date) -> str:
        """``FY2027 Q3``: the quarter the day falls in."""
        months = (day.month - self.first_month) % 12
        started = day.year if day.month >= self.first_month else day.year - 1
        later = self.named_by == "end" and self.first_month > 1
        return f"FY{started + later} Q{months // 3 + 1}"


def working_days(holidays: Container[date] = ()) -> IsWorkingDay:
    """Monday to Friday except ``holidays`` (a calendar of the package ``holidays`` fits)."""
    return lambda day: day.weekday() < 5 and day not in holidays


def day_of(at: datetime, zone: tzinfo) -> date:
    """The day ``at`` falls on in ``zone``; ``at`` must be aware."""
    if at.tzinfo is None:
        raise ValueError("an instant needs a time zone before it can be a day")
    return at.astimezone(zone).date()


def last_day_of_sprint(end: datetime, zone: tzinfo) -> date:
    """The last day that counts for a sprint planned to end at ``end``.

    Sprints made in Jira end at the hour they began: one that ends in the morning leaves that day to its successor.
    """
    return day_of(end - HALF_A_DAY, zone)


def business_days_between(start: date, end: date, is_working_day: IsWorkingDay) -> int:
    """Working days after ``start`` up to and including ``end``; 0 when ``end`` is not later."""
    span = (end - start).days
    return sum(is_working_day(start + timedelta(days=offset)) for offset in range(1, span + 1))
