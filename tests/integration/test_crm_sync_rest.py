"""The adapter over unmodified simple-salesforce against a server that misbehaves in every known way."""

from __future__ import annotations

import asyncio
import functools
import json
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from prometheus_client import CollectorRegistry
from simple_salesforce.api import Salesforce

from crm_sync import rest
from crm_sync.direct import Connection
from crm_sync.errors import (
    BudgetExhausted,
    LocatorLost,
    LoginDelayed,
    SalesforceUnavailable,
    SchemaChanged,
    SessionExpired,
)
from crm_sync.metrics import CrmMetrics
from crm_sync.patience import TRIES, Patience, ServerClock
from crm_sync.rest import RestReader
from crm_sync.soql import Query
from crm_sync.tokens import Token, TokenSource
from troth_chassis.clock import AutoClock
from troth_chassis.errors import TrothError

QUERY = Query("Opportunity", ("Id", "Amount"))
EMPTY = {"totalSize": 0, "done": True, "records": []}
EXPIRED = (
    401,
    "application/json",
    json.dumps([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]),
)
Answer = tuple[int, str, str]


class _Server(ThreadingHTTPServer):
    """Gives the scripted answers in turn, the last one for ever."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.script: list[Answer | Callable[[_Handler], None]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []

    @property
    def tokens(self) -> list[str]:
        return [headers["Authorization"] for headers in self.headers]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.server.headers.append(dict(self.headers))
        script = self.server.script
        answer = script.pop(0) if len(script) > 1 else script[0]
        if callable(answer):
            answer(self)
            return
        status, kind, body = answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.send_header("Sforce-Limit-Info", "api-usage=18/5000; per-app-api-usage=17/250(appName=other)")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_Server]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    running = _Server(context)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


class _Service:
    """A reader on the server, with a clock that never waits."""

    def __init__(self, server: _Server, ca: Path, pool: ThreadPoolExecutor, timeout: float) -> None:
        self.clock = AutoClock(datetime(2026, 11, 25, tzinfo=UTC))
        self.logins = 0
        self.url = f"https://127.0.0.1:{server.server_port}"
        self.tokens = TokenSource(self._login, self.clock)
        self.metrics = CrmMetrics(CollectorRegistry(), self.clock)
        connection = Connection("66.0", timeout, str(ca))
        patience = Patience(self.tokens, self.clock)
        self.reader = RestReader(patience, connection, pool, self.metrics, ServerClock())

    async def _login(self) -> Token:
        self.logins += 1
        return Token(f"token-{self.logins}", self.url, "00D000000000001AAA")


@pytest.fixture
async def service(server: _Server, tmp_path: Path) -> AsyncIterator[_Service]:
    with ThreadPoolExecutor(2) as pool:
        yield _Service(server, tmp_path / "ca.pem", pool, timeout=0.5)


def ok(body: object = EMPTY) -> Answer:
    return 200, "application/json", body if isinstance(body, str) else json.dumps(body)


async def test_decimals_server_time_and_usage_come_through(server: _Server, service: _Service) -> None:
    server.script = [ok('{"totalSize":1,"done":true,"records":[{"Id":"006","Amount":0.10}]}')]
    page = await service.reader.query(QUERY)
    assert str(page.records[0]["Amount"]) == "0.10"
    assert page.server_time.tzinfo is UTC
    assert service.metrics.usage._value.get() == pytest.approx(18 / 5000)
    assert server.paths == [
        "/services/data/v66.0/queryAll/?q=SELECT+Id%2C+Amount+FROM+Opportunity+ORDER+BY+Id"
    ]


async def test_one_401_is_answered_with_one_new_token(server: _Server, service: _Service) -> None:
    server.script = [EXPIRED, ok()]
    await service.reader.query(QUERY)
    assert server.tokens == ["Bearer token-1", "Bearer token-2"]


GONE = (
    404,
    "application/json",
    json.dumps([{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]),
)
DESCRIBED = {"name": "Opportunity", "fields": [], "queryable": True}


async def test_a_query_that_is_not_found_looks_for_the_org_with_a_new_login(
    server: _Server, service: _Service
) -> None:
    server.script = [GONE, ok()]
    await service.reader.query(QUERY)
    assert server.tokens == ["Bearer token-1", "Bearer token-2"]


async def test_a_describe_at_a_host_that_lost_the_org_is_asked_again_at_the_new_one(
    server: _Server, service: _Service
) -> None:
    server.script = [GONE, GONE, ok({}), ok(DESCRIBED)]
    assert await service.reader.describe("Opportunity") == ()
    assert server.tokens == [*["Bearer token-1"] * 2, *["Bearer token-2"] * 2]


async def test_an_object_that_is_not_there_costs_one_more_call_and_no_login(
    server: _Server, service: _Service
) -> None:
    server.script = [GONE, ok({})]
    with pytest.raises(SchemaChanged):
        await service.reader.describe("OpportunityTeamMember")
    assert (len(server.paths), service.logins) == (2, 1)


async def test_a_lasting_401_makes_at_most_three_logins(server: _Server, service: _Service) -> None:
    server.script = [EXPIRED]
    asked = 0
    while service.clock.monotonic() < 55:
        with pytest.raises((SessionExpired, LoginDelayed, LocatorLost)):
            await (service.reader.describe("Opportunity") if asked % 2 else service.reader.query(QUERY))
        asked += 1
        await service.clock.sleep(5)
    assert service.logins <= 3
    assert len(server.paths) <= 2 * asked


async def test_a_401_in_the_middle_of_a_result_restarts_the_chain(server: _Server, service: _Service) -> None:
    server.script = [EXPIRED, ok()]
    with pytest.raises(LocatorLost):
        await service.reader.more("/services/data/v66.0/query/0r8000000000001-2000")
    await service.reader.query(QUERY)
    assert service.logins == 2


def _hang(handler: _Handler) -> None:
    threading.Event().wait(2)
    handler.close_connection = True


def _reset(handler: _Handler) -> None:
    handler.connection.close()


def _cut_short(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"totalSize":1,')
    handler.close_connection = True


FAULTS: dict[str, Answer | Callable[[_Handler], None]] = {
    "a maintenance page with status 200": (200, "text/html", "<html>maintenance</html>"),
    "an HTML page with status 503": (503, "text/html", "<html>Service Not Available</html>"),
    "truncated JSON": (200, "application/json", '{"totalSize":1,"records":['),
    "an empty body": (200, "application/json", ""),
    "something that is not a result": (200, "application/json", "[]"),
    "status 420 of the edge": (420, "text/html", ""),
    "status 500": (500, "application/json", '[{"errorCode":"UNKNOWN_EXCEPTION","message":"An unexpected error occurred."}]'),
    "a server that hangs": _hang,
    "a connection that is reset": _reset,
    "a body that is cut short": _cut_short,
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_passing_fault_is_waited_out(server: _Server, service: _Service, fault: str) -> None:
    server.script = [FAULTS[fault], FAULTS[fault], ok()]
    page = await service.reader.query(QUERY)
    assert page.total == 0
    assert len(service.clock.slept) == 2


@pytest.mark.parametrize(
    "fault", ["a maintenance page with status 200", "a connection that is reset", "status 500"]
)
async def test_a_lasting_fault_is_given_up_after_five_tries(
    server: _Server, service: _Service, fault: str
) -> None:
    server.script = [FAULTS[fault]]
    with pytest.raises(SalesforceUnavailable):
        await service.reader.query(QUERY)
    assert len(service.clock.slept) == TRIES - 1


async def test_every_call_has_a_timeout_also_describe_and_deleted(server: _Server, service: _Service) -> None:
    """describe and deleted take no timeout. https://github.com/simple-salesforce/simple-salesforce/issues/240"""
    server.script = [_hang]
    started = asyncio.get_running_loop().time()
    with pytest.raises(SalesforceUnavailable, match="ReadTimeout"):
        await service.reader.describe("Opportunity")
    assert asyncio.get_running_loop().time() - started < 15


async def test_deletion_window_is_sent_with_its_zone(server: _Server, service: _Service) -> None:
    server.script = [
        ok(
            {
                "deletedRecords": [],
                "latestDateCovered": "2026-11-25T10:00:00.000+0000",
                "earliestDateAvailable": "2026-10-25T10:00:00.000+0000",
            }
        )
    ]
    answer = await service.reader.deleted(
        "Opportunity", datetime(2026, 11, 25, 9, tzinfo=UTC), datetime(2026, 11, 25, 10, tzinfo=UTC)
    )
    assert answer.covered_until == datetime(2026, 11, 25, 10, tzinfo=UTC)
    assert "start=2026-11-25T09%3A00%3A00%2B00%3A00" in server.paths[0]


DESCRIBED = {"name": "Opportunity", "fields": [], "childRelationships": []}
LATER = "/services/data/v66.0/query/0r8000000000001-2000"


async def _a_lasting_401_of_a_query_is_no_login_storm(server: _Server, service: _Service) -> None:
    """4 calls and 5 logins per call (reference, 3.2 b)."""
    server.script = [EXPIRED]
    with pytest.raises(SessionExpired):
        await service.reader.query(QUERY)
    assert (len(server.paths), service.logins) == (2, 2)


async def _a_lasting_401_of_a_describe_ends(server: _Server, service: _Service) -> None:
    """Unbounded (3.2 c). https://github.com/simple-salesforce/simple-salesforce/issues/804"""
    server.script = [EXPIRED]
    with pytest.raises(SessionExpired):
        await service.reader.describe("Opportunity")
    assert (len(server.paths), service.logins) == (2, 2)


async def _headers_outlive_a_refresh(server: _Server, service: _Service) -> None:
    """Dropped on the retry (3.2 a): a describe would come in full again."""
    server.script = [ok(DESCRIBED), EXPIRED, ok(DESCRIBED)]
    for _ in range(2):
        await service.reader.describe("Opportunity")
    assert ["If-Modified-Since" in headers for headers in server.headers] == [False, True, True]


async def _a_401_with_an_object_is_a_401(server: _Server, service: _Service) -> None:
    """KeyError (3.2 d)."""
    server.script = [(401, "application/json", '{"message": "Session expired"}'), ok()]
    await service.reader.query(QUERY)
    assert server.tokens == ["Bearer token-1", "Bearer token-2"]


async def _a_401_with_a_page_for_people_is_a_401(server: _Server, service: _Service) -> None:
    """JSONDecodeError (3.2 d)."""
    server.script = [(401, "text/html", "<html>log in</html>"), ok()]
    await service.reader.query(QUERY)
    assert server.tokens == ["Bearer token-1", "Bearer token-2"]


async def _a_new_login_moves_all_calls_to_the_new_host(server: _Server, service: _Service) -> None:
    """Queries stay with the old one, further pages go to the new one (3.2 h)."""
    server.script = [ok(), EXPIRED, ok()]
    await service.reader.query(QUERY)
    service.url = service.url.replace("127.0.0.1", "localhost")
    await service.reader.query(QUERY)
    await service.reader.more(LATER)
    old, new = f"127.0.0.1:{server.server_port}", f"localhost:{server.server_port}"
    assert [headers["Host"] for headers in server.headers] == [old, old, new, new]


async def _a_page_is_never_asked_for_with_a_token_that_did_not_open_it(
    server: _Server, service: _Service
) -> None:
    """A locator dies with its token. https://github.com/airbytehq/airbyte/pull/84302"""
    server.script = [EXPIRED, ok()]
    with pytest.raises(LocatorLost):
        await service.reader.more(LATER)
    assert server.tokens == ["Bearer token-1"]


SPARED = (
    _a_lasting_401_of_a_query_is_no_login_storm,
    _a_lasting_401_of_a_describe_ends,
    _headers_outlive_a_refresh,
    _a_401_with_an_object_is_a_401,
    _a_401_with_a_page_for_people_is_a_401,
    _a_new_login_moves_all_calls_to_the_new_host,
    _a_page_is_never_asked_for_with_a_token_that_did_not_open_it,
)
"""Defects of the library's own refresh, each as what the adapter does instead."""
each_spared = pytest.mark.parametrize("holds", SPARED, ids=lambda each: each.__name__.strip("_"))


@each_spared
async def test_a_defect_of_the_librarys_own_refresh_is_spared(
    server: _Server, service: _Service, holds: Callable[[_Server, _Service], Awaitable[None]]
) -> None:
    await holds(server, service)


@each_spared
async def test_with_its_own_refresh_switched_on_the_defect_is_back(
    server: _Server,
    service: _Service,
    holds: Callable[[_Server, _Service], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that the tests above cannot pass by accident, nor go unnoticed when the library is repaired."""

    class Refreshing(Salesforce):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self._salesforce_login_partial = functools.partial(self._log_in)

        def _log_in(self) -> tuple[str, str]:
            service.logins += 1
            return f"token-{service.logins}", service.url.removeprefix("https://")

    monkeypatch.setattr(rest, "Salesforce", Refreshing)
    with pytest.raises((AssertionError, pytest.fail.Exception, TrothError, KeyError, RecursionError)):
        await holds(server, service)


async def test_the_use_of_calls_is_read_from_errors_too(server: _Server, service: _Service) -> None:
    """The library reads it from good answers only (3.2 e), and is blind when the limit is reached."""
    refused = [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    server.script = [(403, "application/json", json.dumps(refused))]
    with pytest.raises(BudgetExhausted):
        await service.reader.query(QUERY)
    assert service.metrics.usage._value.get() == pytest.approx(18 / 5000)


async def test_numbers_of_further_pages_are_exact_too(server: _Server, service: _Service) -> None:
    """3.2 k: the library reads them as decimals on one path only."""
    server.script = [ok('{"totalSize":1,"done":true,"records":[{"Id":"006","Amount":0.10}]}')]
    page = await service.reader.more(LATER)
    assert str(page.records[0]["Amount"]) == "0.10"


async def test_each_thread_has_a_session_of_its_own(
    server: _Server, service: _Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3.2 l: a session of requests must not be shared by threads."""
    users: dict[int, set[int]] = {}
    together = threading.Barrier(2)
    ask = Salesforce.query

    def noted(client: Salesforce, *asked: Any, **more: Any) -> Any:
        users.setdefault(id(client.session), set()).add(threading.get_ident())
        together.wait(30)
        return ask(client, *asked, **more)

    monkeypatch.setattr(Salesforce, "query", noted)
    server.script = [ok()]
    await asyncio.gather(*(service.reader.query(QUERY) for _ in range(4)))
    assert [len(threads) for threads in users.values()] == [1, 1]
