"""What the org allows: calls per day, and calls that last long at the same time."""

from datetime import datetime, timedelta

from troth_sandbox.salesforce.clock import SettableClock

DAY = timedelta(hours=24)
LONG = timedelta(seconds=20)
"""A call that has lasted so long counts against the concurrent limit [api-lim]."""
LONG_CALLS = 25
"""Of a production org or sandbox; a Developer Edition has 5."""


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

    def set_used(self, used: int) -> None:
        """Say how many calls were made, by whomever, in a day that begins now if none has."""
        self._since = self._since or self._clock.now()
        self.used = used

    def header(self) -> str:
        """The value of `Sforce-Limit-Info` [lim-hdr]."""
        return f"api-usage={self.used}/{self.allowed}"


class LongCalls:
    """The calls that are being answered; too many long ones keep new ones out."""

    def __init__(self, clock: SettableClock) -> None:
        self._clock = clock
        self._running: dict[int, datetime] = {}
        self._count = 0
        self.after = LONG
        self.allowed = LONG_CALLS

    def enter(self) -> int | None:
        """Begin a call: its number for `leave`, or None when it is refused."""
        now = self._clock.now()
        if sum(now - begun >= self.after for begun in self._running.values()) >= self.allowed:
            return None
        self._count += 1
        self._running[self._count] = now
        return self._count

    def leave(self, number: int) -> None:
        """End a call."""
        self._running.pop(number, None)
