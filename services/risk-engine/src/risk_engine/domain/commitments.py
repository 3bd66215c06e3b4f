"""What counts as promised: which deals are in force, since when, and what each of them promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from risk_engine.domain.model import Deal, DealStep

PROMISE_FIELD = "Promised_Date__c"
_PROMISE_WORDS = ("promis", "deliver", "commit")


@dataclass(frozen=True, slots=True)
class CommitPolicy:
    """When a deal is in force."""

    won_days: int = 365
    """A won deal stays in force this long after its close date."""
    probability: float = 0.70
    forecast_categories: frozenset[str] = frozenset({"Commit", "Forecast"})
    """The category shown as "Commit" travels as ``Forecast`` in ForecastCategory."""
    committing_products: frozenset[str] = frozenset()
    """Ids, names or codes of the products whose service date engineering has to keep."""

    @property
    def name(self) -> str:
        """The same for the same policy, in any process."""
        sets = [sorted(self.forecast_categories), sorted(self.committing_products)]
        return f"{self.won_days} days, {self.probability}, {sets}"


DEFAULT_POLICY = CommitPolicy()


def in_force(deal: Deal, today: date, policy: CommitPolicy = DEFAULT_POLICY) -> bool:
    """Whether the deal is won and not long closed, or likely enough; its flags decide, never the stage's name."""
    if deal.is_won:
        return deal.close_date is None or (today - deal.close_date).days <= policy.won_days
    if deal.is_closed:
        return False
    return _qualifies(deal.probability, deal.forecast_category, policy)


def entered_commit_set(
    steps: Iterable[DealStep], first_seen: datetime | None, policy: CommitPolicy = DEFAULT_POLICY
) -> datetime | None:
    """When a deal that is in force now came into force; leaving it in between starts anew.

    ``first_seen`` (when we first saw it in force) stands in where the history does not tell.
    """
    entered: datetime | None = None
    for step in sorted(steps, key=lambda step: step.at):
        if not _step_qualifies(step, policy):
            entered = None
        elif entered is None:
            entered = step.at
    return entered or first_seen


def promise_field(custom: Mapping[str, str], name: str = PROMISE_FIELD) -> tuple[str, date] | None:
    """Name and date of the promise in a record's fields: the field ``name``, else the first that speaks of one."""
    others = sorted(field for field in custom if _speaks_of_promise(field))
    days = ((field, _day(custom[field])) for field in (name, *others) if field in custom)
    return next(((field, day) for field, day in days if day is not None), None)


def promised_date(custom: Mapping[str, str], name: str = PROMISE_FIELD) -> date | None:
    """The promised date in a deal's custom fields."""
    found = promise_field(custom, name)
    return found[1] if found else None


def _qualifies(probability: float | None, category: str | None, policy: CommitPolicy) -> bool:
    return category in policy.forecast_categories or (probability or 0.0) >= policy.probability - 1e-9


def _step_qualifies(step: DealStep, policy: CommitPolicy) -> bool:
    return step.forecast_category == "Closed" or _qualifies(step.probability, step.forecast_category, policy)


def _speaks_of_promise(field: str) -> bool:
    return any(word in field.lower() for word in _PROMISE_WORDS)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
