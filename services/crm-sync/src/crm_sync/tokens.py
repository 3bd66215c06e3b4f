"""Access tokens: one login at a time, few of them, and never a login storm against a refusing org.

How a login is made is in ``login.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from crm_sync.errors import LoginDelayed, SalesforceUnavailable
from crm_sync.fields import long_id
from troth_chassis.clock import Clock
from troth_chassis.errors import TrothError

EARLY_REFRESH = 45 * 60.0
FORCED_SPACING = 30.0
FREE_FAILURES = 3
FIRST_WAIT = 60.0
LONGEST_WAIT = 900.0
PATH = "/services/oauth2/token"


@dataclass(frozen=True, slots=True)
class Token:
    """A session of one org."""

    value: str = field(repr=False)
    instance_url: str
    org_id: str
    """18 characters."""


Login = Callable[[], Awaitable[Token]]


class _Answer(msgspec.Struct):
    access_token: str
    instance_url: str
    id: str


def read_token(body: bytes) -> Token:
    """The token answer; the org is the last but one part of its ``id`` URL."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
        org = answer.id.rstrip("/").split("/")[-2]
    except (msgspec.MsgspecError, IndexError) as error:
        raise SalesforceUnavailable("the login answer is not a token") from error
    return Token(answer.access_token, answer.instance_url.rstrip("/"), long_id(org))


def json_of(body: bytes) -> object:
    """The body as JSON, or else as text."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body.decode("utf-8", "replace")


class TokenSource:
    """Hands out the current token. Ask at every request: it changes without notice."""

    def __init__(
        self,
        login: Login,
        clock: Clock,
        *,
        spacing: float = FORCED_SPACING,
        told: Callable[[str], None] = lambda _result: None,
    ) -> None:
        """``told`` hears of each login whether it was ok or failed."""
        self._login = login
        self._clock = clock
        self._spacing = spacing
        self._told = told
        self._lock = asyncio.Lock()
        self._token: Token | None = None
        self._since = 0.0
        self._proven = False
        self._doubted = False
        self._failures = 0
        self._not_before = 0.0
        self._last_forced: float | None = None
        self.logins = 0

    async def current(self) -> Token:
        """A token younger than 45 minutes, logging in when there is none."""
        async with self._lock:
            if self._token is None or self._clock.monotonic() - self._since > EARLY_REFRESH:
                return await self._renew()
            return self._token

    async def refused(self, token: Token) -> Token:
        """Reports that Salesforce answered 401 to ``token``; returns another one.

        Whoever comes second gets the token the first one fetched. LoginDelayed instead of a login storm; the refused
        token is then kept, since trying it again costs no login and shows at once when Salesforce has recovered.
        """
        async with self._lock:
            if self._token is not None and self._token is not token:
                return self._token
            self._doubt()
            self._space_out()
            return await self._renew()

    def accepted(self, token: Token) -> None:
        """Reports that Salesforce accepted ``token``."""
        if token is self._token and (self._doubted or not self._proven):
            self._proven, self._doubted = True, False
            self._failures = 0

    def _doubt(self) -> None:
        """A token that never worked counts as one failed login, however often it is refused."""
        if self._token is not None and not self._proven and not self._doubted:
            self._count_failure()
        self._doubted = True

    def _space_out(self) -> None:
        now = self._clock.monotonic()
        if self._last_forced is not None and now - self._last_forced < self._spacing:
            raise LoginDelayed(f"the last forced login is less than {self._spacing:.0f} s ago")
        self._last_forced = now

    async def _renew(self) -> Token:
        wait = self._not_before - self._clock.monotonic()
        if wait > 0:
            raise LoginDelayed(f"{self._failures} logins failed in a row: next one in {wait:.0f} s")
        self.logins += 1
        try:
            token = await self._login()
        except TrothError:
            self._told("failed")
            self._count_failure()
            raise
        self._told("ok")
        self._token, self._since = token, self._clock.monotonic()
        self._proven = self._doubted = False
        return token

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures >= FREE_FAILURES:
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (self._failures - FREE_FAILURES))
            self._not_before = self._clock.monotonic() + wait
