"""The only place that reads time: a settable clock, and the vendor's spellings of dates and times."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SettableClock:
    """Aware UTC datetimes; runs with `source` from the instant it was set to, until it is frozen."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._offset = timedelta(0)
        self._frozen: datetime | None = None

    def now(self) -> datetime:
        """The simulated time in UTC, whole milliseconds."""
        moment = self._frozen or self._real() + self._offset
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def set(self, moment: datetime, *, frozen: bool = False) -> None:
        """Jump to `moment`; time goes on from there unless `frozen`."""
        self._frozen = moment if frozen else None
        self._offset = moment - self._real()

    def advance(self, step: timedelta) -> None:
        """Move forward; a frozen clock stays frozen."""
        if self._frozen is not None:
            self._frozen += step
        self._offset += step

    def _real(self) -> datetime:
        return EPOCH + timedelta(seconds=self._source())


def stamp(moment: datetime) -> str:
    """The vendor's datetime, always UTC: `2022-03-17T16:21:26.000+0000`. These texts sort like the times."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}+0000"


def parse_moment(text: str) -> datetime:
    """An aware UTC datetime from ISO 8601; without an offset it is read as UTC. Raises ValueError."""
    # A plus sign that was not escaped arrives as a space in a query string.
    moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def parse_day(text: str) -> str:
    """`2026-11-25`, checked. Raises ValueError."""
    return date.fromisoformat(text).isoformat()


def http_date(moment: datetime) -> str:
    """The form of the `Date` header."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def minute(moment: datetime) -> datetime:
    """The start of the minute of `moment`."""
    return moment.replace(second=0, microsecond=0)
