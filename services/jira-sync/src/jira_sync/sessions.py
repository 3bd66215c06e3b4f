"""The unmodified ``jira`` client, kept on a short leash: bounded threads, one client each, our budget and retries.

Measured on 3.10.5: it has no timeout of its own, comes back earlier than ``Retry-After`` allows, cannot read a date
there, and its errors print request headers. So it gets ``max_retries=0`` and explicit timeouts, is asked for one page
at a time, and its errors never leave this module.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar, cast

import requests
from jira import JIRA
from jira.exceptions import JIRAError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from jira_sync.errors import (
    AccessLostError,
    ForbiddenError,
    JiraUnavailableError,
    MissingError,
    NotSupportedError,
    ScanFailedError,
)
from troth_chassis.clock import Clock
from troth_chassis.errors import TrothError
from troth_chassis.http import LONGEST_WAIT, TRIES, RequestBudget, asked_wait

T = TypeVar("T")
CONNECT_SECONDS = 10.0
SHORTEST_WAIT = 0.5
"""``Retry-After: 0`` occurs; without a floor a client spins."""
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Access:
    """Where the site is and whom to be there."""

    url: str
    email: str
    token: str
    timeout_seconds: float


class _Again(Exception):
    def __init__(self, cause: str, wait: float | None) -> None:
        super().__init__(cause)
        self.wait = wait


class JiraSessions:
    """Runs calls of the ``jira`` client in a bounded thread pool, one client per thread."""

    def __init__(
        self, access: Access, *, budget: RequestBudget, clock: Clock, threads: int, rng: random.Random
    ) -> None:
        self._access = access
        self._budget = budget
        self._clock = clock
        self._rng = rng
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="jira")
        self._own = threading.local()

    def close(self) -> None:
        """Lets running calls end by their timeouts; takes no new ones."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def call(self, name: str, ask: Callable[[JIRA], T]) -> T:
        """One call with retries; the errors of the port, named after ``name``."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(TRIES),
            retry=retry_if_exception_type(_Again),
            wait=self._wait,
            sleep=self._clock.sleep,
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    return await self._once(name, ask)
        except _Again as error:
            raise JiraUnavailableError(f"{name}: {error} after {TRIES} tries") from None
        raise AssertionError("unreachable")  # pragma: no cover

    async def _once(self, name: str, ask: Callable[[JIRA], T]) -> T:
        async with self._budget.slot():
            try:
                return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, ask)
            except JIRAError as error:
                self._refused(name, error)
            except (requests.RequestException, ValueError) as error:
                raise _Again(type(error).__name__, None) from None

    def _ask(self, ask: Callable[[JIRA], T]) -> T:
        client: JIRA | None = getattr(self._own, "client", None)
        if client is None:
            client = self._own.client = self._connect()
        return ask(client)

    def _connect(self) -> JIRA:
        """Asks ``serverInfo`` once; the first search of a thread asks ``field`` once more."""
        return JIRA(
            server=self._access.url,
            options={"rest_api_version": "2", "check_update": False},
            basic_auth=(self._access.email, self._access.token),
            max_retries=0,
            timeout=(CONNECT_SECONDS, self._access.timeout_seconds),
            logging=False,
        )

    def _refused(self, name: str, error: JIRAError) -> NoReturn:
        """Turns the client's error into ours without its headers."""
        headers = _headers(error)
        status = error.status_code or 0
        trace = f" (request id {headers['atl-traceid']})" if "atl-traceid" in headers else ""
        if status in _RETRIED or status < 400:
            asked = asked_wait(headers, self._clock.now()).seconds
            if asked is not None:
                self._budget.close_for(max(asked, SHORTEST_WAIT))
            raise _Again(f"answered {status}{trace}", asked) from None
        raise refusal(name, status, trace) from None

    def _wait(self, state: RetryCallState) -> float:
        """What the server asked plus 0-20 % jitter, else exponential with full jitter."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait if isinstance(error, _Again) else None
        if asked is not None:
            return max(asked, SHORTEST_WAIT) * (1 + 0.2 * self._rng.random())
        return self._rng.uniform(SHORTEST_WAIT, min(LONGEST_WAIT, 2.0**state.attempt_number))


def refusal(name: str, status: int, trace: str) -> TrothError:
    """The error of the port for a final 4xx answer."""
    sentence = f"{name}: Jira answered {status}{trace}"
    if status == 401:
        return AccessLostError(sentence)
    if status == 404:
        return MissingError(sentence)
    if status == 403:
        return ForbiddenError(sentence)
    if status == 410:
        return NotSupportedError(f"{sentence}: this endpoint was removed by the vendor, update jira-sync")
    return ScanFailedError(sentence)


def _headers(error: JIRAError) -> Mapping[str, str]:
    """Lower-case names; empty when there was no answer."""
    given = cast("Any", error.response).headers if error.response is not None else {}
    return {str(name).lower(): str(value) for name, value in given.items()}
