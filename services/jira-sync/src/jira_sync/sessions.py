"""The unmodified ``jira`` client, kept on a short leash: bounded threads, one client each, our budget and retries.

Measured on 3.10.5: it has no timeout of its own, comes back earlier than ``Retry-After`` allows, cannot read a date
there, asks ``serverInfo`` when it is made, and its errors print request headers. So it gets ``max_retries=0`` and
explicit timeouts, is told what the site is, is asked for one page at a time, and its errors never leave this module.
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

from jira_sync.errors import JiraUnavailableError
from jira_sync.limits import SHORTEST_WAIT
from jira_sync.login import Login, RequestsLogin
from jira_sync.needs import refusal
from troth_chassis.clock import Clock
from troth_chassis.http import LONGEST_WAIT, RETRIED, TRIES, RequestBudget

T = TypeVar("T")
CONNECT_SECONDS = 10.0
UNAUTHORISED = 401


@dataclass(frozen=True, slots=True)
class Place:
    """Where the site is, what it is (``Cloud`` or ``Server``), and how long to wait for an answer."""

    url: str
    deployment: str
    timeout_seconds: float


class _Again(Exception):
    def __init__(self, cause: str, wait: float | None = None) -> None:
        super().__init__(cause)
        self.wait = wait


class JiraSessions:
    """Runs calls of the ``jira`` client in a bounded thread pool, one client per thread."""

    def __init__(
        self,
        place: Place,
        login: Login,
        *,
        budget: RequestBudget,
        clock: Clock,
        threads: int,
        rng: random.Random,
    ) -> None:
        self._place = place
        self._login = login
        self._budget = budget
        self._clock = clock
        self._rng = rng
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="jira")
        self._own = threading.local()

    def close(self) -> None:
        """Lets running calls end by their timeouts; takes no new ones."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def call(self, path: str, ask: Callable[[JIRA], T], method: str = "GET") -> T:
        """One request to ``path``, with retries; the errors of the port."""
        request = f"{method} {path}"
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
                    return await self._once(request, ask, attempt.retry_state.attempt_number)
        except _Again as error:
            raise JiraUnavailableError(f"{request}: {error} after {TRIES} tries") from None
        raise AssertionError("unreachable")  # pragma: no cover

    async def _once(self, request: str, ask: Callable[[JIRA], T], number: int) -> T:
        header = ""
        try:
            async with self._budget.slot(request):
                header = await self._login.header()
                return await self._in_thread(request, ask, header)
        except JIRAError as error:
            if error.status_code == UNAUTHORISED and number == 1 and await self._login.renewed(header):
                raise _Again("the token had ended", 0.0) from None
            _refused(request, error)
        except (requests.RequestException, ValueError) as error:
            raise _Again(type(error).__name__) from None

    async def _in_thread(self, request: str, ask: Callable[[JIRA], T], header: str) -> T:
        """The budget hears of the answer before the place is left."""
        loop = asyncio.get_running_loop()
        try:
            found, headers = await loop.run_in_executor(self._pool, self._ask, ask, header)
        except JIRAError as error:
            status, headers = error.status_code or 0, _headers(error)
            if status in RETRIED or status < 400:
                wait = self._budget.refused(request, status, headers).seconds
                raise _Again(f"answered {status}{_trace(headers)}", wait) from None
            self._budget.answered(request, headers)
            raise
        self._budget.answered(request, headers)
        return found

    def _ask(self, ask: Callable[[JIRA], T], header: str) -> tuple[T, Mapping[str, str]]:
        client: JIRA | None = getattr(self._own, "client", None)
        if client is None:
            client = self._own.client = self._connect()
        session = cast("requests.Session", client._session)  # noqa: SLF001  (it offers no other way)
        session.auth = RequestsLogin(header)
        return ask(client), getattr(self._own, "headers", {})

    def _connect(self) -> JIRA:
        client = JIRA(
            server=self._place.url,
            options={"rest_api_version": "2", "check_update": False},
            token_auth="set at every call",  # noqa: S106
            get_server_info=False,
            max_retries=0,
            timeout=(CONNECT_SECONDS, self._place.timeout_seconds),
            logging=False,
        )
        client.deploymentType = self._place.deployment
        client._fields_cache_value = {"id": "id"}  # noqa: SLF001  (only ids are asked for: nothing to translate)
        session = cast("requests.Session", client._session)  # noqa: SLF001
        session.hooks["response"].append(self._note)
        return client

    def _note(self, response: requests.Response, *_: object, **__: object) -> None:
        """Remembers the headers in the thread: the client does not hand them out.

        ValueError for an answer that is none: the client would take a page of HTML for an empty object.
        """
        self._own.headers = {name.lower(): value for name, value in response.headers.items()}
        if response.status_code < 300 and not is_whole_json(response.status_code, response.content):
            raise ValueError("the body is not whole")

    def _wait(self, state: RetryCallState) -> float:
        """What the server asked plus 0-20 % jitter, else exponential with full jitter."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait if isinstance(error, _Again) else None
        if asked is not None:
            return max(asked, SHORTEST_WAIT) * (1 + 0.2 * self._rng.random())
        return self._rng.uniform(SHORTEST_WAIT, min(LONGEST_WAIT, 2.0**state.attempt_number))


def is_whole_json(status: int, content: bytes) -> bool:
    """False for a page of HTML, for nothing at all, and for JSON that ends in the middle."""
    body = content.strip()
    if not body:
        return status != 200
    return (body[:1], body[-1:]) in ((b"{", b"}"), (b"[", b"]"))


def _refused(request: str, error: JIRAError) -> NoReturn:
    """Turns the client's error into ours without its headers."""
    raise refusal(request, error.status_code or 0, _trace(_headers(error))) from None


def _trace(headers: Mapping[str, str]) -> str:
    found = headers.get("atl-traceid") or headers.get("x-arequestid")
    return f" (request id {found})" if found else ""


def _headers(error: JIRAError) -> Mapping[str, str]:
    """Lower-case names; empty when there was no answer."""
    given = cast("Any", error.response).headers if error.response is not None else {}
    return {str(name).lower(): str(value) for name, value in given.items()}
