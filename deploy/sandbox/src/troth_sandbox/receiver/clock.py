"""The only place of this package that asks for the time."""

from __future__ import annotations

from datetime import UTC, datetime


def now_utc() -> datetime:
    """The present moment in UTC."""
    return datetime.now(tz=UTC)
