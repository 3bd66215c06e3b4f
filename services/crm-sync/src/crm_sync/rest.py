"""The port's network side: unmodified simple-salesforce in direct-session mode, made safe for a long-running sync.

What the library lacks is supplied here: a timeout on every call, one client per thread, our own token and refresh
(its own is never reached in this mode), the server's clock, and errors that the loops understand.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from crm_sync.errors import LocatorLost, SalesforceUnavailable, SessionExpired
from crm_sync.faults import error_of, read_fault
from crm_sync.salesforce import Deletions, Described, Description, Lookup, Page
from crm_sync.soql import BEGINNING, Query, parse_time
from crm_sync.tokens import Token, TokenSource
from troth_chassis.clock import Clock

TRIES = 5
LONGEST_PAUSE = 30.0
CONNECT_TIMEOUT = 10.0
NOT_MODIFIED = 304


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


class NotModified(Exception):
    """Salesforce answered 304."""


T = TypeVar("T")
Ask = Callable[[Salesforce], Any]
Read = Callable[[Any, Mapping[str, str]], T]
"""From body and headers to the answer; SalesforceUnavailable when they are something else."""


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
        self._described: dict[str, tuple[Description, str]] = {}
        self._server_time = BEGINNING

    async def org_id(self) -> str:
        """The org of the current session."""
        return (await self._tokens.current()).org_id

    async def query(self, query: Query) -> Page:
        """First page; soft-deleted rows included."""
        text = str(query)
        return await self._refreshing(
            "query", lambda client: client.query(text, include_deleted=True), read_page
        )

    async def more(self, next_url: str) -> Page:
        """A further page. A new token would not know the locator: LocatorLost instead of a retry."""
        token = await self._tokens.current()
        try:
            return await self._patiently(
                "page", token, lambda client: client.query_more(next_url, identifier_is_url=True), read_page
            )
        except SessionExpired as error:
            await self._tokens.refused(token)
            raise LocatorLost("the session ended in the middle of a result") from error

    async def describe(self, name: str) -> Description:
        """Fields this user may read; the last answer again when Salesforce says nothing changed since."""
        known, since = self._described.get(name, (None, None))
        headers = {"If-Modified-Since": since} if since else None
        try:
            told, at = await self._refreshing(
                "describe",
                lambda client: getattr(client, name).describe(headers=headers),
                lambda body, given: (
                    read_described(body, given),
                    given.get("Last-Modified") or given["Date"],
                ),
            )
        except NotModified:
            assert known is not None  # noqa: S101  (only a known answer is asked for conditionally)
            return known
        self._described[name] = (told, at)
        return told

    @property
    def server_time(self) -> datetime:
        """Salesforce's clock in the newest answer; the beginning of time before the first."""
        return self._server_time

    async def deleted(self, name: str, start: datetime, end: datetime) -> Deletions:
        """Deletions in the window, to the minute."""
        return await self._refreshing(
            "deleted", lambda client: getattr(client, name).deleted(start, end), read_deletions
        )

    async def _refreshing(self, resource: str, ask: Ask, read: Read[T]) -> T:
        """Asks; after one 401 asks once more with a new token."""
        token = await self._tokens.current()
        try:
            return await self._patiently(resource, token, ask, read)
        except SessionExpired:
            return await self._patiently(resource, await self._tokens.refused(token), ask, read)

    async def _patiently(self, resource: str, token: Token, ask: Ask, read: Read[T]) -> T:
        """Asks several times while Salesforce gives no usable answer."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE),
            retry=retry_if_exception_type(SalesforceUnavailable),
            sleep=self._clock.sleep,
            reraise=True,
        )
        work = functools.partial(self._call, resource, token, ask, read)
        async for attempt in retrying:
            with attempt:
                answer = await asyncio.get_running_loop().run_in_executor(self._pool, work)
                self._tokens.accepted(token)
                return answer
        raise AssertionError("unreachable")  # pragma: no cover

    def _call(self, resource: str, token: Token, ask: Ask, read: Read[T]) -> T:
        """Runs in a worker thread."""
        transport = self._clients.transport
        try:
            return read(ask(self._clients.client(token)), transport.headers)
        except SalesforceError as error:
            if error.status == NOT_MODIFIED:
                raise NotModified from error
            raise error_of(read_fault(error.status, error.content)) from error
        except (requests.RequestException, UnicodeDecodeError) as error:
            raise SalesforceUnavailable(
                f"no usable answer from Salesforce: {type(error).__name__}"
            ) from error
        finally:
            self._note_time(transport.headers.get("Date"))
            self._watcher.called(resource, transport.status, transport.headers.get("Sforce-Limit-Info"))

    def _note_time(self, date: str | None) -> None:
        with contextlib.suppress(ValueError):
            self._server_time = parsedate_to_datetime(date) if date else self._server_time


@contextlib.asynccontextmanager
async def worker_threads(count: int) -> AsyncIterator[ThreadPoolExecutor]:
    """A bounded pool for the blocking library; what is still waiting at the end is dropped."""
    pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix="salesforce")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def read_page(body: Any, headers: Mapping[str, str]) -> Page:
    """A query result; SalesforceUnavailable when it is something else."""
    with _expecting("a query result"):
        next_url = None if body["done"] else str(body["nextRecordsUrl"])
        at = parsedate_to_datetime(headers["Date"])
        return Page(tuple(body["records"]), int(body["totalSize"]), next_url, at)


def read_described(body: Any, _headers: Mapping[str, str]) -> Description:
    """The fields of a describe, and the objects that look it up."""
    with _expecting("a describe"):
        children = body.get("childRelationships") or ()
        lookups = (Lookup(item["childSObject"], item["field"]) for item in children)
        return Description.of((_described(item) for item in body["fields"]), lookups)


def read_deletions(body: Any, _headers: Mapping[str, str]) -> Deletions:
    """The answer of getDeleted."""
    with _expecting("a list of deletions"):
        ids = tuple(str(item["id"]) for item in body["deletedRecords"])
        return Deletions(ids, parse_time(body["latestDateCovered"]))


def _described(item: Mapping[str, Any]) -> Described:
    label = item.get("label") or item["name"]
    return Described(item["name"], item["type"], bool(item.get("custom")), bool(item["filterable"]), label)


@contextlib.contextmanager
def _expecting(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SalesforceUnavailable(f"the answer is not {what}: {error!r}") from error
