"""The only place that reads time: a clock that runs, can be set, and can be frozen.

Times inside the simulator are whole milliseconds since 1970 in UTC; text forms exist only at the edges.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
DAY_MS = 86_400_000
SECOND_MS = 1_000


class SettableClock:
    """Milliseconds since 1970; follows `source` plus an offset until it is frozen."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._offset_ms = 0
        self._frozen_ms: int | None = None

    def now(self) -> int:
        """The simulated time in milliseconds since 1970."""
        if self._frozen_ms is not None:
            return self._frozen_ms
        return self._real() + self._offset_ms

    def set(self, now_ms: int, *, frozen: bool = False) -> None:
        """Jump to `now_ms`; the clock goes on from there unless `frozen`."""
        self._frozen_ms = now_ms if frozen else None
        self._offset_ms = now_ms - self._real()

    def advance(self, milliseconds: int) -> None:
        """Move forward; a frozen clock stays frozen."""
        if self._frozen_ms is not None:
            self._frozen_ms += milliseconds
        self._offset_ms += milliseconds

    def _real(self) -> int:
        return int(self._source() * SECOND_MS)


def parse_instant(text: str) -> int:
    """Milliseconds of an ISO 8601 time; without an offset it is read as UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // MILLISECOND


def moment(milliseconds: int, zone: tzinfo = UTC) -> datetime:
    """The same instant as an aware datetime in `zone`."""
    return (EPOCH + timedelta(milliseconds=milliseconds)).astimezone(zone)


def site_stamp(milliseconds: int, zone: tzinfo) -> str:
    """Jira's platform form: `2026-11-25T10:00:00.000+0000`, offset without colon."""
    text = moment(milliseconds, zone).isoformat(timespec="milliseconds")
    return text[:-3] + text[-2:]


def agile_stamp(milliseconds: int) -> str:
    """The form of sprint dates: UTC with `Z`."""
    return moment(milliseconds).isoformat(timespec="milliseconds")[:-6] + "Z"
