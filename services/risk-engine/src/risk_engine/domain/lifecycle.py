"""The life of an alert: when it starts, when its news is worth telling, when it ends. Silence is the normal case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from risk_engine.domain.feasibility import CRITICAL_CLEARS
from risk_engine.domain.finding import Finding
from risk_engine.domain.model import Money, Severity

Phase = Literal["firing", "resolved"]
Reason = Literal["first", "worse", "larger", "better", "resolved"]
GROWTH = Decimal("1.25")


@dataclass(frozen=True, slots=True)
class AlertState:
    """An alert as it was last told. Small changes are measured against this, so they add up instead of vanishing."""

    fingerprint: str
    phase: Phase
    severity: Severity
    sequence: int
    changed_at: datetime
    missing_points: Decimal | None = None
    money: tuple[Money, ...] = ()


@dataclass(frozen=True, slots=True)
class Transition:
    """A step worth telling; ``state`` is to be kept as the next ``previous``."""

    reason: Reason
    state: AlertState
    finding: Finding | None
    """None when resolved because nothing is found any more."""


def transition(previous: AlertState | None, finding: Finding | None, now: datetime) -> Transition | None:
    """The next step of an alert, or None when there is no news. ``now`` is UTC.

    Fires below the threshold; a critical one eases above 0.60, any ends above 0.80 (no finding any more, or one
    of severity info). An inhibited finding leaves everything as it is.
    """
    firing = previous if previous is not None and previous.phase == "firing" else None
    if finding is not None and finding.inhibited_by is not None:
        return None
    if finding is None or finding.severity == "info":
        return _resolved(firing, now)
    if firing is None:
        return _told("first", previous, finding, finding.severity, now) if finding.holds else None
    severity = _eased(firing, finding)
    reason = _news(firing, finding, severity)
    return _told(reason, firing, finding, severity, now) if reason else None


def _resolved(firing: AlertState | None, now: datetime) -> Transition | None:
    if firing is None:
        return None
    ended = AlertState(firing.fingerprint, "resolved", firing.severity, firing.sequence + 1, now)
    return Transition("resolved", ended, None)


def _told(
    reason: Reason, previous: AlertState | None, finding: Finding, severity: Severity, now: datetime
) -> Transition:
    sequence = previous.sequence + 1 if previous is not None else 1
    state = AlertState(
        finding.fingerprint, "firing", severity, sequence, now, finding.missing_points, finding.money
    )
    return Transition(reason, state, finding)


def _eased(firing: AlertState, finding: Finding) -> Severity:
    """A critical alert stays critical until its probability is clear of the threshold."""
    close = finding.probability is not None and finding.probability <= CRITICAL_CLEARS
    return "critical" if firing.severity == "critical" and close else finding.severity


def _news(firing: AlertState, finding: Finding, severity: Severity) -> Reason | None:
    if severity != firing.severity:
        return "worse" if severity == "critical" else "better"
    if finding.holds and (_more_points(firing, finding) or _more_money(firing.money, finding.money)):
        return "larger"
    return None


def _more_points(firing: AlertState, finding: Finding) -> bool:
    if finding.missing_points is None:
        return False
    return _grown(firing.missing_points or Decimal(0), finding.missing_points)


def _more_money(before: Iterable[Money], after: Iterable[Money]) -> bool:
    """Compared in each currency on its own: a change of rates is no growth."""
    known: Mapping[str, Decimal] = {money.currency: money.amount for money in before}
    return any(_grown(known.get(money.currency, Decimal(0)), money.amount) for money in after)


def _grown(before: Decimal, after: Decimal) -> bool:
    return after > before and after >= before * GROWTH
