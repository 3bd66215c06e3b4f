"""Access tokens and the query cursors that die with them."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.soql import Result

SESSION_LIFE = timedelta(hours=2)
"""The default of the org setting; a session's end moves with its use [sess-exp]."""
CURSOR_LIFE = timedelta(days=2)


@dataclass(slots=True)
class Session:
    """One user's token: when it was opened and last used."""

    user_id: str
    opened: datetime
    last_use: datetime


class Sessions:
    """Tokens that are good until they rest for `rest` of simulated time, or are ended on request."""

    def __init__(self, clock: SettableClock, org_id: str, user_id: str) -> None:
        self._clock = clock
        self._org_id = org_id
        self._user_id = user_id
        self._live: dict[str, Session] = {}
        self.issued: list[str] = []
        """Every token of this run, so that a test can look for them where none may be."""
        self.rest = SESSION_LIFE
        self.longest: timedelta | None = None
        """A control of the simulator: no session gets older than this, however often it is used."""

    def open(self, user_id: str | None = None) -> str:
        """A new token, for the run-as user unless another is named; the n-th of a run is always the same text."""
        secret = hashlib.sha256(f"{self._org_id}/{len(self.issued) + 1}".encode()).hexdigest()
        token = f"{self._org_id[:15]}!AQ{secret}"
        self.issued.append(token)
        now = self._clock.now()
        self._live[token] = Session(user_id or self._user_id, now, now)
        return token

    def touch(self, token: str) -> str | None:
        """Use a token: its user's id, or None when it is unknown or over."""
        now, session = self._clock.now(), self._live.get(token)
        if session is None:
            return None
        too_old = self.longest is not None and now - session.opened > self.longest
        if too_old or now - session.last_use > self.rest:
            del self._live[token]
            return None
        session.last_use = now
        return session.user_id

    def end(self, token: str) -> bool:
        """End one session; False when there is none with that token."""
        return self._live.pop(token, None) is not None

    def end_user(self, user_id: str) -> int:
        """End every session of a user; returns how many there were."""
        tokens = [token for token, session in self._live.items() if session.user_id == user_id]
        for token in tokens:
            del self._live[token]
        return len(tokens)

    def expire_all(self) -> int:
        """End every session; returns how many there were."""
        count = len(self._live)
        self._live.clear()
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
        self._draws = Random(1)
        self.page_rows: tuple[int, int] | None = None
        """A control: fewest and most rows of a page, drawn per result; the size asked for is a hint only [q-opts]."""

    def open(
        self, token: str, result: Result, batch_size: int, *, include_deleted: bool
    ) -> tuple[str, Cursor]:
        """The locator of a result, which is kept when it has more than one page."""
        if self.page_rows:
            batch_size = min(batch_size, self._draws.randint(*self.page_rows))
        self._count += 1
        locator = f"0r8Sim{self._count:012d}"
        cursor = Cursor(token, result, include_deleted, batch_size, self._clock.now())
        if len(result.ids) > batch_size:
            self._forget()
            self._cursors[locator] = cursor
        return locator, cursor

    def _forget(self) -> None:
        horizon = self._clock.now() - CURSOR_LIFE
        while self._cursors and (oldest := next(iter(self._cursors.items())))[1].opened < horizon:
            del self._cursors[oldest[0]]

    def find(self, locator: str, token: str) -> Cursor | None:
        """The cursor, unless it is unknown, too old, or another session's."""
        cursor = self._cursors.get(locator)
        if cursor is None or cursor.token != token or self._clock.now() - cursor.opened > CURSOR_LIFE:
            return None
        return cursor
