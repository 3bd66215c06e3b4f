"""The port's network side: unmodified simple-salesforce in direct-session mode, made safe for a long-running sync.

What the library lacks is supplied here: a timeout on every call, one client per thread, our own token and refresh
(its own is never reached in this mode), the server's clock, and errors that the loops understand.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from crm_sync.errors import LocatorLost, SalesforceUnavailable, SessionExpired
from crm_sync.faults import error_of, read_fault
from crm_sync.salesforce import Deletions, Described, Page
from crm_sync.soql import Query, parse_time
from crm_sync.tokens import Token, TokenSource
from troth_chassis.clock import Clock

TRIES = 5
LONGEST_PAUSE = 30.0
CONNECT_TIMEOUT = 10.0


class CallWatcher(Protocol):
    """Is told of every call, for metrics."""

    def called(self, resource: str, status: str, limit_info: str | None) -> None:
        """``limit_info`` is the header Sforce-Limit-Info, where Salesforce sent it."""
        ...


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach Salesforce. ``verify`` is a path of certificates, or True for the usual ones."""

    api_version: str
    timeout: float
    verify: str | bool


@dataclass(frozen=True, slots=True)
class _Answer:
    body: Any
    headers: Mapping[str, str]


class _Transport(HTTPAdapter):
    """Gives every request a timeout and our certificates, and keeps the headers of the last answer."""

    def __init__(self, connection: Connection) -> None:
        self._timeout = (min(CONNECT_TIMEOUT, connection.timeout), connection.timeout)
        self._verify = connection.verify
        self.headers: Mapping[str, str] = {}
        self.status = "none"
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """The one way out; whatever the caller asked for, our timeout and certificates count."""
        self.headers, self.status = {}, "none"
        response = super().send(
            request, *args, **{**kwargs, "timeout": self._timeout, "verify": self._verify}
        )
        self.headers, self.status = response.headers, str(response.status_code)
        return response


class _ThreadClient(threading.local):
    """One requests session and one library client per thread; the client is rebuilt when the token changes."""

    def __init__(self, connection: Connection) -> None:
        self._version = connection.api_version
        self.transport = _Transport(connection)
        self._session = requests.Session()
        self._session.mount("https://", self.transport)
        self._token: Token | None = None
        self._client: Salesforce | None = None

    def client(self, token: Token) -> Salesforce:
        """The library's client for ``token``."""
        if self._client is None or self._token is not token:
            self._token = token
            self._client = Salesforce(
                session_id=token.value,
                instance_url=token.instance_url,
                version=self._version,
                session=self._session,
                parse_float=Decimal,
                object_pairs_hook=None,
            )
            self._client.headers.pop("X-PrettyPrint", None)
        return self._client


Ask = Callable[[Salesforce], Any]


class RestReader:
    """Answers the port's questions over the REST API."""

    def __init__(
        self,
        tokens: TokenSource,
        connection: Connection,
        pool: ThreadPoolExecutor,
        clock: Clock,
        watcher: CallWatcher,
    ) -> None:
        self._tokens = tokens
        self._clients = _ThreadClient(connection)
        self._pool = pool
        self._clock = clock
        self._watcher = watcher

    async def org_id(self) -> str:
        """The org of the current session."""
        return (await self._tokens.current()).org_id

    async def query(self, query: Query) -> Page:
        """First page; soft-deleted rows included."""
        text = str(query)
        return _page(await self._refreshing("query", lambda client: client.query(text, include_deleted=True)))

    async def more(self, next_url: str) -> Page:
        """A further page. A new token would not know the locator: LocatorLost instead of a retry."""
        token = await self._tokens.current()
        try:
            answer = await self._patiently(
                "page", token, lambda client: client.query_more(next_url, identifier_is_url=True)
            )
        except SessionExpired as error:
            await self._tokens.refused(token)
            raise LocatorLost("the session ended in the middle of a result") from error
        return _page(answer)

    async def describe(self, name: str) -> tuple[Described, ...]:
        """Fields this user may read."""
        answer = await self._refreshing("describe", lambda client: getattr(client, name).describe())
        with _expecting("a describe"):
            return tuple(_described(item) for item in answer.body["fields"])

    async def deleted(self, name: str, start: datetime, end: datetime) -> Deletions:
        """Deletions in the window, to the minute."""
        answer = await self._refreshing("deleted", lambda client: getattr(client, name).deleted(start, end))
        with _expecting("a list of deletions"):
            ids = tuple(str(item["id"]) for item in answer.body["deletedRecords"])
            return Deletions(ids, parse_time(answer.body["latestDateCovered"]))

    async def _refreshing(self, resource: str, ask: Ask) -> _Answer:
        """Asks; after one 401 asks once more with a new token."""
        token = await self._tokens.current()
        try:
            return await self._patiently(resource, token, ask)
        except SessionExpired:
            return await self._patiently(resource, await self._tokens.refused(token), ask)

    async def _patiently(self, resource: str, token: Token, ask: Ask) -> _Answer:
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
                answer = await self._in_thread(resource, token, ask)
                self._tokens.accepted(token)
                return answer
        raise AssertionError("unreachable")  # pragma: no cover

    async def _in_thread(self, resource: str, token: Token, ask: Ask) -> _Answer:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._call, resource, token, ask)

    def _call(self, resource: str, token: Token, ask: Ask) -> _Answer:
        """Runs in a worker thread."""
        local = self._clients
        try:
            body = ask(local.client(token))
        except SalesforceError as error:
            raise error_of(read_fault(error.status, error.content)) from error
        except (requests.RequestException, UnicodeDecodeError) as error:
            raise SalesforceUnavailable(
                f"no usable answer from Salesforce: {type(error).__name__}"
            ) from error
        finally:
            headers = local.transport.headers
            self._watcher.called(resource, local.transport.status, headers.get("Sforce-Limit-Info"))
        return _Answer(body, headers)


@contextlib.asynccontextmanager
async def worker_threads(count: int) -> AsyncIterator[ThreadPoolExecutor]:
    """A bounded pool for the blocking library; what is still waiting at the end is dropped."""
    pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix="salesforce")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _page(answer: _Answer) -> Page:
    with _expecting("a query result"):
        body = answer.body
        next_url = None if body["done"] else str(body["nextRecordsUrl"])
        records = tuple(body["records"])
        return Page(records, int(body["totalSize"]), next_url, _server_time(answer.headers))


def _server_time(headers: Mapping[str, str]) -> datetime:
    return parsedate_to_datetime(headers["Date"])


def _described(item: Mapping[str, Any]) -> Described:
    return Described(
        item["name"],
        item["type"],
        bool(item["custom"]),
        bool(item["filterable"]),
        item.get("label") or item["name"],
    )


@contextlib.contextmanager
def _expecting(what: str) -> Any:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SalesforceUnavailable(f"the answer is not {what}: {error!r}") from error
