"""The points an OAuth app may spend in a UTC hour, counted here: the server tells them only when few are left.

One point per request and one per core object it returns, two per person. 65,000 an hour are shared by all tenants of an
app; we stop the census at 60 % and everything at 80 % (reference 3.8 and 7).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from jira_sync.limits import QuotaState
from troth_chassis.clock import Clock

TIER_1 = 65_000
SOFT, HARD = 0.6, 0.8
_HOUR = timedelta(hours=1)


class PointsLedger:
    """This hour's points. A new hour starts at nothing: there is no carry-over."""

    def __init__(self, clock: Clock, points: int = TIER_1) -> None:
        self._clock = clock
        self._points = points
        self._used = 0
        self._hour = _full_hour(clock.now())

    def spend(self, points: int) -> None:
        """Notes what an answer cost."""
        self._turn()
        self._used += points

    def told(self, state: QuotaState) -> None:
        """The server counts what other tenants and instances of the app spend too: the worse count holds."""
        self._turn()
        self._points = state.points
        self._used = max(self._used, state.points - state.left)

    @property
    def is_soft(self) -> bool:
        """True once only what cannot wait may be asked."""
        self._turn()
        return self._used >= SOFT * self._points

    @property
    def left(self) -> int:
        """Points until the hard stop."""
        self._turn()
        return max(0, int(HARD * self._points) - self._used)

    def wait(self) -> float:
        """Seconds until something may be asked again: to the full hour once the hard stop is reached."""
        if self.left > 0:
            return 0.0
        now = self._clock.now()
        return (_full_hour(now) + _HOUR - now).total_seconds()

    def _turn(self) -> None:
        hour = _full_hour(self._clock.now())
        if hour != self._hour:
            self._hour, self._used = hour, 0


def _full_hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)
