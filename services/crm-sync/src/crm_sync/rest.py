"""The port's network side: unmodified simple-salesforce in direct-session mode, made safe for a long-running sync.

What the library lacks is supplied here: a timeout on every call, one client per thread, our own token and refresh
(its own is never reached in this mode), the server's clock, and errors that the loops understand.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError

from crm_sync.answers import Descriptions, read_deletions, read_page
from crm_sync.composite import NOT_MODIFIED
from crm_sync.direct import Connection
from crm_sync.errors import LocatorLost, SalesforceUnavailable, SchemaChanged, SessionExpired
from crm_sync.faults import error_of, read_fault
from crm_sync.patience import CallWatcher, Patience, ServerClock
from crm_sync.salesforce import Deletions, Description, Page
from crm_sync.soql import Query
from crm_sync.tokens import Token


class _Transport(HTTPAdapter):
    """Gives every request a timeout and our certificates, and keeps the headers of the last answer."""

    def __init__(self, connection: Connection) -> None:
        self._timeout = (connection.connect_timeout, connection.timeout)
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


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class _ThreadClient(threading.local):
    """One requests session and one library client per thread; the client is rebuilt when the token changes."""

    def __init__(self, connection: Connection) -> None:
        self._version = connection.api_version
        self.transport = _Transport(connection)
        self._session = requests.Session()
        self._session.auth = _as_it_is  # else a netrc that names the host would take the place of our token
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


NOT_FOUND = 404
_ALWAYS_THERE = frozenset({"query", "page", "resources"})
"""Addresses of the API itself: where they are not found, the host no longer has this org."""


class NotModified(Exception):
    """Salesforce answered 304."""


T = TypeVar("T")
Ask = Callable[[Salesforce], Any]
Read = Callable[[Any, Mapping[str, str]], T]
"""From body and headers to the answer; SalesforceUnavailable when they are something else."""


class RestReader:
    """Answers the port's questions over the REST API, one call each."""

    def __init__(
        self,
        patience: Patience,
        connection: Connection,
        pool: ThreadPoolExecutor,
        watcher: CallWatcher,
        clock: ServerClock,
    ) -> None:
        self._patience = patience
        self._clients = _ThreadClient(connection)
        self._pool = pool
        self._watcher = watcher
        self._clock = clock
        self.descriptions = Descriptions()

    async def org_id(self) -> str:
        """The org of the current session."""
        return (await self._patience.tokens.current()).org_id

    async def renew(self) -> None:
        """A new token, and with it the address where the org lives now."""
        tokens = self._patience.tokens
        await tokens.refused(await tokens.current())

    async def query(self, query: Query) -> Page:
        """First page; soft-deleted rows included."""
        text = str(query)
        return await self._refreshing(
            "query", lambda client: client.query(text, include_deleted=True), read_page
        )

    async def more(self, next_url: str) -> Page:
        """A further page. A new token would not know the locator: LocatorLost instead of a retry."""
        tokens = self._patience.tokens
        token = await tokens.current()
        ask = self._asking(
            "page", lambda client: client.query_more(next_url, identifier_is_url=True), read_page
        )
        try:
            return await self._patience.repeating(token, ask)
        except SessionExpired as error:
            await tokens.refused(token)
            raise LocatorLost("the session ended in the middle of a result") from error

    async def describe(self, name: str) -> Description:
        """Fields this user may read; the last answer again when Salesforce says nothing changed since.

        A host that lost the org answers 404 as for an object that is not there: only what the API itself answers is
        about the object.
        """
        token = await self._patience.tokens.current()
        try:
            return await self._describe(name)
        except SchemaChanged:
            await self._refreshing("resources", lambda client: client.restful(""), lambda *_: None)
            if await self._patience.tokens.current() is token:
                raise
            return await self._describe(name)

    async def _describe(self, name: str) -> Description:
        headers = self.descriptions.condition(name)
        try:
            return await self._refreshing(
                "describe",
                lambda client: getattr(client, name).describe(headers=headers or None),
                functools.partial(self.descriptions.take, name),
            )
        except NotModified:
            return self.descriptions.known(name)

    @property
    def server_time(self) -> datetime:
        """Salesforce's clock in the newest answer; the beginning of time before the first."""
        return self._clock.time

    async def deleted(self, name: str, start: datetime, end: datetime) -> Deletions:
        """Deletions in the window, to the minute."""
        return await self._refreshing(
            "deleted", lambda client: getattr(client, name).deleted(start, end), read_deletions
        )

    async def _refreshing(self, resource: str, ask: Ask, read: Read[T]) -> T:
        return await self._patience.refreshing(self._asking(resource, ask, read))

    def _asking(self, resource: str, ask: Ask, read: Read[T]) -> Callable[[Token], Awaitable[T]]:
        async def once(token: Token) -> T:
            work = functools.partial(self._call, resource, token, ask, read)
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)

        return once

    def _call(self, resource: str, token: Token, ask: Ask, read: Read[T]) -> T:
        """Runs in a worker thread."""
        transport = self._clients.transport
        try:
            return read(ask(self._clients.client(token)), transport.headers)
        except SalesforceError as error:
            if error.status == NOT_MODIFIED:
                raise NotModified from error
            fault = read_fault(error.status, error.content)
            is_elsewhere = fault.status == NOT_FOUND and resource in _ALWAYS_THERE
            raise (SessionExpired(str(fault)) if is_elsewhere else error_of(fault)) from error
        except (requests.RequestException, UnicodeDecodeError) as error:
            raise SalesforceUnavailable(
                f"no usable answer from Salesforce: {type(error).__name__}"
            ) from error
        finally:
            self._clock.note(transport.headers.get("Date"))
            self._watcher.called(resource, transport.status, transport.headers.get("Sforce-Limit-Info"))


@contextlib.asynccontextmanager
async def worker_threads(count: int) -> AsyncIterator[ThreadPoolExecutor]:
    """A bounded pool for the blocking library; what is still waiting at the end is dropped."""
    pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix="salesforce")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
