"""How a call is made, whichever client makes it: with a live token, once more after a 401, several times in a fault.

The token is asked for at each call and never kept: it changes without notice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Protocol, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from crm_sync.errors import SalesforceUnavailable, SessionExpired
from crm_sync.soql import BEGINNING
from crm_sync.tokens import Token, TokenSource
from troth_chassis.clock import Clock

TRIES = 5
LONGEST_PAUSE = 30.0
T = TypeVar("T")


class CallWatcher(Protocol):
    """Is told of every call, for metrics."""

    def called(self, resource: str, status: str, limit_info: str | None) -> None:
        """``limit_info`` is the header Sforce-Limit-Info, where Salesforce sent it."""
        ...


@dataclass(slots=True)
class ServerClock:
    """Salesforce's clock, as the newest answer told it."""

    time: datetime = BEGINNING
    """UTC, whole seconds; the beginning of time before the first answer."""

    def note(self, date: str | None) -> None:
        """Reads the header ``Date``; what is no date changes nothing."""
        with contextlib.suppress(ValueError):
            self.time = parsedate_to_datetime(date) if date else self.time


class Patience:
    """Repeats a call as often as makes sense. Thread clients and httpx share one."""

    def __init__(self, tokens: TokenSource, clock: Clock) -> None:
        self.tokens = tokens
        self._clock = clock

    async def refreshing(self, ask: Callable[[Token], Awaitable[T]]) -> T:
        """Asks; after one 401 asks once more with a new token."""
        token = await self.tokens.current()
        try:
            return await self.repeating(token, ask)
        except SessionExpired:
            return await self.repeating(await self.tokens.refused(token), ask)

    async def repeating(self, token: Token, ask: Callable[[Token], Awaitable[T]]) -> T:
        """Asks several times while Salesforce gives no usable answer."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE),
            retry=retry_if_exception_type(SalesforceUnavailable),
            sleep=self._clock.sleep,
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                answer = await ask(token)
                self.tokens.accepted(token)
                return answer
        raise AssertionError("unreachable")  # pragma: no cover
