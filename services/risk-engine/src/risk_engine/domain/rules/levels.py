"""One set of thresholds for every rule that rests on a probability."""

from __future__ import annotations

from risk_engine.domain.feasibility import CRITICAL, WARNING
from risk_engine.domain.model import Severity


def severity_of(probability: float, *, cold: bool = False) -> Severity:
    """Critical below 0.50, warning from there; a cold start is never louder than info."""
    if cold:
        return "info"
    return "critical" if probability < CRITICAL else "warning"


def fires(probability: float) -> bool:
    """Whether the probability is low enough to start an alert."""
    return probability < WARNING


def percent(probability: float) -> str:
    """``0.314`` as ``31 %``; never rounded up to certainty or down to impossibility."""
    if 0 < probability < 0.01:
        return "under 1 %"
    if 0.99 < probability < 1:
        return "over 99 %"
    return f"{probability:.0%}".replace("%", " %")
