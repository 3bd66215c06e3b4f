"""Whether each object's trail still moves, and if not, why: the only honest sign of health.

A process that lives and logs warnings can be dead for weeks. An object is fresh when a poll moved its trail within the
last three cycles (reference: section 8, health).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from crm_sync.errors import AccessRefused, BudgetExhausted, LoginDelayed, SessionExpired
from troth_chassis.clock import Clock
from troth_chassis.errors import TrothError
from troth_chassis.health import Health

Reason = Literal["budget", "auth", "backfilling", "stale"]
CYCLES = 3
SHORTEST = 60.0
"""Seconds without a poll that never count as stale, however short the interval is."""
CHECK = "freshness"


def reason_of(error: TrothError) -> Reason:
    """Which kind of trouble keeps a trail from moving."""
    if isinstance(error, BudgetExhausted):
        return "budget"
    return "auth" if isinstance(error, SessionExpired | LoginDelayed | AccessRefused) else "stale"


class Freshness:
    """When the trail of each object last moved."""

    def __init__(self, health: Health, clock: Clock) -> None:
        self._health = health
        self._clock = clock
        self._moved: dict[str, tuple[float, datetime]] = {}
        self._limit = SHORTEST
        self._trouble: str | None = None

    def moved(self, names: Iterable[str], at: datetime, interval: float) -> None:
        """Everything of these objects up to ``at`` (server time) is published; the next is due in ``interval`` s."""
        now = self._clock.monotonic()
        self._moved = dict.fromkeys(names, (now, at))
        self._limit = max(SHORTEST, CYCLES * interval)
        self._trouble = None
        self._tell()

    def troubled(self, error: TrothError) -> None:
        """A pass failed; the check fails once a trail has not moved for too long, and then says this."""
        self._trouble = f"{reason_of(error)}: {error}"
        if self._moved:
            self._tell()

    @property
    def stalled(self) -> str | None:
        """The sentence that readiness shows, or None while everything is fresh."""
        check = self._health.checks.get(CHECK)
        return None if check is None or check.ok else check.detail

    def ages(self) -> dict[str, float]:
        """Seconds since each trail moved."""
        now = self._clock.monotonic()
        return {name: now - moved for name, (moved, _) in self._moved.items()}

    def _tell(self) -> None:
        oldest = min(moved for moved, _ in self._moved.values())
        at = min(at for _, at in self._moved.values())
        names = ", ".join(sorted(name for name, (moved, _) in self._moved.items() if moved == oldest))
        why = self._trouble or "stale: no poll has ended"
        self._health.expect(
            CHECK,
            oldest + self._limit - self._clock.monotonic(),
            "every object moves",
            late=f"{why}; not read since {at:%Y-%m-%d %H:%M:%S} UTC: {names}",
        )
