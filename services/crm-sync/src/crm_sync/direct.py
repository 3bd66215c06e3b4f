"""What simple-salesforce has no call for, asked over httpx: composite with several queries, and bulk jobs.

Same manners as the library's side in ``rest.py``: a timeout on every call, the token of this moment, every call told
to the metrics, and errors that the loops understand.
"""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx

from crm_sync.errors import QueryRefused, SalesforceUnavailable, SchemaChanged, SessionExpired
from crm_sync.faults import error_of, read_fault
from crm_sync.patience import CallWatcher, ServerClock
from crm_sync.tokens import Token

CONNECT_TIMEOUT = 10.0
_NOT_PASSING = {
    **dict.fromkeys((400, 405, 409, 411, 413, 414, 415, 501), QueryRefused),
    404: SchemaChanged,
}
"""What the same request would be answered again, with a code that nothing is known of."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach Salesforce. ``verify`` is a path of certificates, or True for the usual ones."""

    api_version: str
    timeout: float
    verify: str | bool

    @property
    def prefix(self) -> str:
        """Path of the REST API."""
        return f"/services/data/v{self.api_version}"

    @property
    def connect_timeout(self) -> float:
        """Seconds to wait for a connection."""
        return min(CONNECT_TIMEOUT, self.timeout)


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``path`` begins with /services/data; ``resource`` is its name in the metrics."""

    resource: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    params: Mapping[str, str] | None = None


class DirectClient:
    """One pool of connections, through the proxy of HTTPS_PROXY where there is one. Close it with ``aclose``."""

    def __init__(self, connection: Connection, watcher: CallWatcher, clock: ServerClock) -> None:
        self.connection = connection
        self.clock = clock
        self._watcher = watcher
        trust = connection.verify if isinstance(connection.verify, str) else None
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(connection.timeout, connect=connection.connect_timeout),
            verify=ssl.create_default_context(cafile=trust),
            follow_redirects=False,
        )

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def json(self, token: Token, call: Call) -> tuple[Any, httpx.Response]:
        """The answer, numbers with a fraction as Decimal, and its envelope; raises what ``faults`` makes of errors."""
        async with self.stream(token, call) as response:
            body = await response.aread()
        try:
            return json.loads(body, parse_float=Decimal), response
        except ValueError as error:
            raise SalesforceUnavailable(f"{call.resource}: the answer is not JSON") from error

    @contextlib.asynccontextmanager
    async def stream(self, token: Token, call: Call) -> AsyncIterator[httpx.Response]:
        """The answer while it arrives; an error answer is raised instead. A break in the middle is raised too."""
        request = self._http.build_request(
            call.method,
            f"{token.instance_url}{call.path}",
            json=call.body,
            params=call.params,
            headers={"Authorization": f"Bearer {token.value}"},
        )
        status, headers = "none", httpx.Headers()
        try:
            response = await self._http.send(request, stream=True)
            status, headers = str(response.status_code), response.headers
            try:
                await _checked(call, response)
                yield response
            finally:
                await response.aclose()
        except httpx.RequestError as error:
            raise SalesforceUnavailable(
                f"no usable answer from Salesforce: {type(error).__name__}"
            ) from error
        finally:
            self.clock.note(headers.get("Date"))
            self._watcher.called(call.resource, status, headers.get("Sforce-Limit-Info"))


async def _checked(call: Call, response: httpx.Response) -> None:
    """An org that moved answers with a redirect: a new login tells where it lives now."""
    if response.is_redirect:
        raise SessionExpired(f"{call.resource}: the org has moved to another host")
    if response.is_success:
        return
    body = await response.aread()
    try:
        told: object = json.loads(body)
    except ValueError:
        told = body.decode("utf-8", "replace")
    error = error_of(read_fault(response.status_code, told))
    if isinstance(error, SalesforceUnavailable) and response.status_code in _NOT_PASSING:
        raise _NOT_PASSING[response.status_code](str(error))
    raise error
