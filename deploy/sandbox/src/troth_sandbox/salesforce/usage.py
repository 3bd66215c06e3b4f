"""The org's daily allowance of API calls."""

from datetime import datetime, timedelta

from troth_sandbox.salesforce.clock import SettableClock

DAY = timedelta(hours=24)


class Usage:
    """Counts calls per 24 hours of simulated time; a full count starts anew a day after its first call."""

    def __init__(self, clock: SettableClock, allowed: int) -> None:
        self._clock = clock
        self._since: datetime | None = None
        self.allowed = allowed
        self.used = 0

    def count(self) -> bool:
        """Count one call; False when the allowance is used up."""
        now = self._clock.now()
        if self._since is None or now - self._since >= DAY:
            self._since, self.used = now, 0
        if self.used >= self.allowed:
            return False
        self.used += 1
        return True

    def header(self) -> str:
        """The value of `Sforce-Limit-Info` [lim-hdr]."""
        return f"api-usage={self.used}/{self.allowed}"
