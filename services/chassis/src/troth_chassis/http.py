"""One careful way to call out: explicit timeouts, a budget per host, waits never shorter than the server says."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from aiolimiter import AsyncLimiter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from troth_chassis.clock import Clock
from troth_chassis.errors import TransientError

TRIES = 6
LONGEST_WAIT = 300.0
LONGEST_ASKED_WAIT = 3_900.0
"""Seconds; an hourly quota and a margin. Asked for more, a call fails and the host stays closed."""
LONGEST_CLOSED = 86_400.0
_REQUEST_IDS = ("atl-traceid", "x-arequestid", "x-request-id", "x-sfdc-request-id")
RETRIED = frozenset({408, 420, 425, 429, 500, 502, 503, 504})


class RequestBudget:
    """What one host may be asked: a steady rate with a burst, and a bound on what is in flight."""

    def __init__(self, rate_per_second: float, burst: int, max_in_flight: int, clock: Clock) -> None:
        self._limiter = AsyncLimiter(burst, burst / rate_per_second)
        self._in_flight = asyncio.Semaphore(max_in_flight)
        self._clock = clock
        self._closed_until = 0.0

    @contextlib.asynccontextmanager
    async def slot(self, request: str = "") -> AsyncIterator[None]:  # noqa: ARG002  (for subclasses)
        """Waits for a place; holds it until left. ``request`` (method and path) is for budgets that tell them apart."""
        await self._open()
        async with self._limiter, self._in_flight:
            await self._open()  # it may have been closed while this caller waited for its place
            yield

    async def _open(self) -> None:
        while (wait := self._closed_until - self._clock.monotonic()) > 0:
            await self._clock.sleep(wait)

    def refused(self, request: str, status: int, headers: Mapping[str, str]) -> ServerWait:  # noqa: ARG002
        """Notes an answer that is to be asked for again; returns how long to wait before that."""
        wait = asked_wait(headers, self._clock.now())
        if wait.seconds is not None:
            self.close_for(wait.seconds)
        return wait

    def answered(self, request: str, headers: Mapping[str, str]) -> None:
        """Notes any other answer."""

    def close_for(self, seconds: float) -> None:
        """Nobody asks this host before ``seconds`` have passed; a shorter wait never undoes a longer one."""
        self._closed_until = max(self._closed_until, self._clock.monotonic() + seconds)


@dataclass(frozen=True, slots=True)
class ServerWait:
    """How long the server asked to wait, in seconds; None when it did not say."""

    seconds: float | None


def asked_wait(headers: Mapping[str, str], now: datetime) -> ServerWait:
    """Longest of Retry-After (seconds or date) and X-RateLimit-Reset; unreadable values count as not said.

    ``headers`` by lower-case name. Times are compared with the server's own (``Date``), so that a clock of ours that is
    ahead does not come too early; with ``now`` where there is none.
    """
    with contextlib.suppress(ValueError, TypeError):
        now = _aware(parsedate_to_datetime(headers.get("date", "")))
    waits = [
        wait
        for wait in (
            _retry_after(headers.get("retry-after"), now),
            _reset(headers.get("x-ratelimit-reset"), now),
        )
        if wait is not None
    ]
    return ServerWait(min(max(waits), LONGEST_CLOSED) if waits else None)


def _retry_after(value: str | None, now: datetime) -> float | None:
    if value is None:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(value))
    with contextlib.suppress(ValueError, TypeError):
        return _until(parsedate_to_datetime(value), now)
    return None


def _reset(value: str | None, now: datetime) -> float | None:
    if value is None:
        return None
    with contextlib.suppress(ValueError):
        return _until(datetime.fromisoformat(value), now)
    return None


def _until(moment: datetime, now: datetime) -> float:
    return max(0.0, (_aware(moment) - now).total_seconds())


def _aware(moment: datetime) -> datetime:
    """A time without offset is UTC, as HTTP dates are."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class _Again(Exception):
    def __init__(self, cause: str, wait: ServerWait) -> None:
        super().__init__(cause)
        self.wait = wait


class HttpClient:
    """httpx with the manners of this project. 4xx answers other than the retried ones go back to the caller.

    ``is_whole`` judges answers below 300: one that is not, such as half a body, is asked for again. The way out leads
    through the proxy of HTTPS_PROXY or HTTP_PROXY, except to the hosts of NO_PROXY.
    """

    def __init__(
        self,
        *,
        base_url: str,
        budget: RequestBudget,
        clock: Clock,
        timeout: httpx.Timeout | float = 30.0,
        auth: httpx.Auth | tuple[str, str] | None = None,
        verify: Any = True,
        transport: httpx.AsyncBaseTransport | None = None,
        rng: random.Random | None = None,
        tries: int = TRIES,
        is_whole: Callable[[httpx.Response], bool] = lambda _response: True,
    ) -> None:
        self._client = httpx.AsyncClient(
            base_url=base_url,
            timeout=timeout,
            auth=auth,
            verify=verify,
            transport=transport,
            follow_redirects=False,
        )
        self._budget = budget
        self._clock = clock
        self._rng = rng or random.Random()
        self._tries = tries
        self._is_whole = is_whole

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Asks up to six times; TransientError names the last answer and the vendor's request id."""
        request = self._client.build_request(
            method, path, params=params, json=json, data=data, headers=headers
        )
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._tries),
            retry=retry_if_exception_type(_Again),
            wait=self._wait,
            sleep=self._clock.sleep,
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    return await self._once(request)
        except _Again as error:
            raise TransientError(f"{method} {request.url.path}: {error} after {self._tries} tries") from error
        raise AssertionError("unreachable")  # pragma: no cover

    async def _once(self, request: httpx.Request) -> httpx.Response:
        name = f"{request.method} {request.url.path}"
        async with self._budget.slot(name):
            try:
                response = await self._client.send(request)
            except httpx.RequestError as error:
                raise _Again(f"{type(error).__name__} {error}".strip(), ServerWait(None)) from error
            if response.status_code in RETRIED:
                wait = self._budget.refused(name, response.status_code, response.headers)
                _refuse_long(wait.seconds or 0.0, response)
                raise _Again(f"answered {response.status_code}{request_id(response)}", wait)
            self._budget.answered(name, response.headers)
        if response.status_code < 300 and not self._is_whole(response):
            raise _Again(f"an answer that is none{request_id(response)}", ServerWait(None))
        return response

    def _wait(self, state: RetryCallState) -> float:
        """What the server asked plus 0-20 % jitter; else exponential with full jitter above one second."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait.seconds if isinstance(error, _Again) else None
        if asked is not None:
            return max(asked, 0.5) * (1 + 0.2 * self._rng.random())
        return self._rng.uniform(0.5, min(LONGEST_WAIT, 2.0**state.attempt_number))


def _refuse_long(seconds: float, response: httpx.Response) -> None:
    if seconds > LONGEST_ASKED_WAIT:
        raise TransientError(
            f"{response.request.url.path} answered {response.status_code}{request_id(response)} "
            f"and asks to wait {seconds:,.0f} seconds"
        )


def request_id(response: httpx.Response) -> str:
    """`` (request id …)`` when the vendor sent one, else nothing."""
    for name in _REQUEST_IDS:
        if name in response.headers:
            return f" (request id {response.headers[name]})"
    return ""
