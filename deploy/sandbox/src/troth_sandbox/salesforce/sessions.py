"""Access tokens and the query cursors that die with them."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.soql import Result

SESSION_LIFE = timedelta(hours=2)
"""The default of the org setting; a session's end moves with its use [sess-exp]."""
CURSOR_LIFE = timedelta(days=2)


class Sessions:
    """Tokens that are good until they rest for two hours of simulated time, or are expired on request."""

    def __init__(self, clock: SettableClock, org_id: str) -> None:
        self._clock = clock
        self._org_id = org_id
        self._last_use: dict[str, datetime] = {}
        self._issued = 0

    def open(self) -> str:
        """A new token; the n-th token of a run is always the same text."""
        self._issued += 1
        secret = hashlib.sha256(f"{self._org_id}/{self._issued}".encode()).hexdigest()
        token = f"{self._org_id[:15]}!AQ{secret}"
        self._last_use[token] = self._clock.now()
        return token

    def touch(self, token: str) -> bool:
        """Use a token; False when it is unknown or over."""
        now = self._clock.now()
        last = self._last_use.get(token)
        if last is None or now - last > SESSION_LIFE:
            self._last_use.pop(token, None)
            return False
        self._last_use[token] = now
        return True

    def expire_all(self) -> int:
        """End every session; returns how many there were."""
        count = len(self._last_use)
        self._last_use.clear()
        return count


@dataclass(frozen=True, slots=True)
class Cursor:
    """A query's answer kept for paging: ids as of the query, for the token that asked."""

    token: str
    result: Result
    include_deleted: bool
    batch_size: int
    opened: datetime


class Cursors:
    """Locators of 18 characters; only the session that opened one may follow it [ab-84302], for two days [cursors]."""

    def __init__(self, clock: SettableClock) -> None:
        self._clock = clock
        self._cursors: dict[str, Cursor] = {}
        self._count = 0

    def open(self, token: str, result: Result, batch_size: int, *, include_deleted: bool) -> str:
        """Keep a result and return its locator."""
        self._count += 1
        locator = f"0r8Sim{self._count:012d}"
        self._cursors[locator] = Cursor(token, result, include_deleted, batch_size, self._clock.now())
        return locator

    def find(self, locator: str, token: str) -> Cursor | None:
        """The cursor, unless it is unknown, too old, or another session's."""
        cursor = self._cursors.get(locator)
        if cursor is None or cursor.token != token or self._clock.now() - cursor.opened > CURSOR_LIFE:
            return None
        return cursor
