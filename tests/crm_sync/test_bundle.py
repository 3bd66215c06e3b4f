"""What is asked at the same moment is one call, and each question gets its own answer or its own error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from tests.crm_sync.fakes import START

from crm_sync.bulk import BulkJobs
from crm_sync.bundle import REFUSALS, BundlingReader
from crm_sync.composite import MOST, MOST_QUERIES, Composite, packed
from crm_sync.direct import Connection, DirectClient
from crm_sync.errors import BudgetExhausted, SalesforceUnavailable, SchemaChanged
from crm_sync.metrics import CrmMetrics
from crm_sync.patience import TRIES, Patience, ServerClock
from crm_sync.salesforce import Deletions, Description, Page
from crm_sync.soql import Query
from crm_sync.tokens import EARLY_REFRESH, Token, TokenSource
from troth_chassis.clock import AutoClock

HOST = "https://example.my.salesforce.com"
DATE = {"Date": "Wed, 25 Nov 2026 10:00:00 GMT", "Sforce-Limit-Info": "api-usage=18/15000"}
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
Answer = Callable[[dict[str, Any]], tuple[int, Any]]


class _Alone:
    """What a question that is asked by itself is answered."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.descriptions = _Descriptions()
        self.server_time = START

    async def query(self, query: Query) -> Page:
        self.asked.append(query.source)
        return Page((), 7, None, START)

    async def describe(self, name: str) -> Description:
        self.asked.append(name)
        return Description()

    async def deleted(self, name: str, *_: Any) -> Deletions:
        self.asked.append(name)
        return Deletions((), START)

    async def more(self, next_url: str) -> Page:
        self.asked.append(next_url)
        return Page((), 7, None, START)


class _Descriptions:
    def condition(self, name: str) -> dict[str, str]:
        return {"If-Modified-Since": DATE["Date"]}

    def known(self, name: str) -> Description:
        return Description()

    def take(self, *_: Any) -> Description:
        raise AssertionError("nothing has changed")


class Desk:
    """A reader whose composites are answered by ``answer``, one subrequest at a time."""

    def __init__(self, router: respx.Router) -> None:
        self.clock = AutoClock(START)
        self.logins = 0
        self.alone = _Alone()
        self.metrics = CrmMetrics(CollectorRegistry(), self.clock)
        self.answer: Answer = lambda part: (200, {"totalSize": 0, "done": True, "records": []})
        self.refusals: list[httpx.Response] = []
        self.calls: list[list[dict[str, Any]]] = []
        self.unbundled = 0
        self.direct = DirectClient(Connection("66.0", 5.0, verify=True), self.metrics, ServerClock())
        patience = Patience(TokenSource(self._login, self.clock), self.clock)
        composite = Composite(self.direct, patience)
        jobs = BulkJobs(self.direct, patience)
        self.reader = BundlingReader(self.alone, composite, jobs, self._told)  # type: ignore[arg-type]
        router.post(f"{HOST}/services/data/v66.0/composite").mock(side_effect=self._serve)

    async def _login(self) -> Token:
        self.logins += 1
        return Token(f"token-{self.logins}", HOST, "00D000000000001AAA")

    def _told(self) -> None:
        self.unbundled += 1

    def _serve(self, request: httpx.Request) -> httpx.Response:
        parts = json.loads(request.content)["compositeRequest"]
        self.calls.append(parts)
        if self.refusals:
            return self.refusals.pop(0)
        answers = []
        for part in reversed(parts):
            status, body = self.answer(part)
            answers.append({"referenceId": part["referenceId"], "httpStatusCode": status, "body": body})
        return httpx.Response(200, json={"compositeResponse": answers}, headers=DATE)

    async def queries(self, *names: str) -> list[Page | BaseException]:
        asked = (self.reader.query(Query(name, ("Id",))) for name in names)
        return list(await asyncio.gather(*asked, return_exceptions=True))


@pytest.fixture
async def desk(respx_mock: respx.Router) -> Any:
    made = Desk(respx_mock)
    yield made
    await made.direct.aclose()


def refused(status: int, code: str, message: str = "") -> tuple[int, Any]:
    return status, [{"errorCode": code, "message": message}]


async def test_five_queries_of_one_moment_are_one_call(desk: Desk) -> None:
    desk.answer = lambda part: (
        200,
        {"totalSize": 1, "done": True, "records": [{"Id": unquote_plus(part["url"]).split()[3]}]},
    )
    found = await desk.queries("A", "B", "C", "D", "E")
    assert [page.records[0]["Id"] for page in found if isinstance(page, Page)] == ["A", "B", "C", "D", "E"]
    (parts,) = desk.calls
    assert all("/queryAll/?q=" in part["url"] for part in parts), "deleted rows would not be shown"
    assert desk.alone.asked == []
    assert desk.metrics.budget.limit == 15_000


async def test_deletions_and_describes_ride_with_the_queries(desk: Desk) -> None:
    covered = {"deletedRecords": [], "latestDateCovered": "2026-11-25T10:00:00.000+0000"}
    desk.answer = lambda part: (
        (304, None)
        if "describe" in part["url"]
        else (200, covered if "deleted" in part["url"] else {"totalSize": 0, "done": True, "records": []})
    )
    page, gone, _known = await asyncio.gather(
        desk.reader.query(Query("A", ("Id",))),
        desk.reader.deleted("A", START, START),
        desk.reader.describe("A"),
    )
    assert (page.total, gone.covered_until) == (0, START)
    (parts,) = desk.calls
    assert parts[1]["url"].endswith(
        "start=2026-11-25T10%3A00%3A00%2B00%3A00&end=2026-11-25T10%3A00%3A00%2B00%3A00"
    )
    assert parts[2]["httpHeaders"] == {"If-Modified-Since": DATE["Date"]}


async def test_a_question_that_is_alone_is_asked_by_itself(desk: Desk) -> None:
    await desk.queries("A")
    await desk.reader.more("/next")
    assert desk.calls == []
    assert desk.alone.asked == ["A", "/next"]


async def test_a_refused_object_does_not_touch_the_others(desk: Desk) -> None:
    desk.answer = lambda part: (
        refused(400, "INVALID_TYPE", "sObject type 'B' is not supported.")
        if "FROM+B" in part["url"]
        else (200, {"totalSize": 0, "done": True, "records": []})
    )
    a, b, c = await desk.queries("A", "B", "C")
    assert isinstance(a, Page)
    assert isinstance(c, Page)
    assert isinstance(b, SchemaChanged)


async def test_an_answer_that_cannot_be_used_is_asked_for_again_alone(desk: Desk) -> None:
    desk.answer = lambda part: (
        refused(503, "SERVER_UNAVAILABLE")
        if "FROM+B" in part["url"]
        else (200, None)
        if "FROM+C" in part["url"]
        else (200, {"totalSize": 0, "done": True, "records": []})
    )
    found = await desk.queries("A", "B", "C")
    assert [page.total for page in found if isinstance(page, Page)] == [0, 7, 7]
    assert desk.alone.asked == ["B", "C"]


async def test_daily_limit_is_one_call_and_no_question_is_asked_again(desk: Desk) -> None:
    limit = refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    desk.refusals = [httpx.Response(limit[0], json=limit[1])]
    found = await desk.queries("A", "B", "C")
    assert [type(each) for each in found] == [BudgetExhausted] * 3
    assert len(desk.calls) == 1
    assert desk.alone.asked == []


async def test_an_expired_session_is_renewed_once_for_all(desk: Desk) -> None:
    desk.refusals = [httpx.Response(401, json=EXPIRED)]
    found = await desk.queries("A", "B")
    assert [type(each) for each in found] == [Page, Page]
    assert desk.logins == 2


@pytest.mark.parametrize("status", [301, 404])
async def test_an_org_that_has_moved_is_found_by_a_new_login(desk: Desk, status: int) -> None:
    desk.refusals = [httpx.Response(status, headers={"Location": HOST})]
    assert [type(each) for each in await desk.queries("A", "B")] == [Page, Page]
    assert desk.logins == 2


@pytest.mark.parametrize(
    "broken",
    [
        httpx.Response(503, text="<html>Service Not Available</html>"),
        httpx.Response(200, text="<html>maintenance</html>"),
        httpx.Response(200, text='{"compositeResponse":['),
        httpx.Response(200, json={"compositeResponse": []}, headers=DATE),
        httpx.Response(200, json=[]),
        httpx.Response(420),
    ],
)
async def test_a_passing_fault_is_waited_out(desk: Desk, broken: httpx.Response) -> None:
    desk.refusals = [broken, broken]
    assert [type(each) for each in await desk.queries("A", "B")] == [Page, Page]
    assert len(desk.calls) == 3
    assert len(desk.clock.slept) == 2


async def test_a_lasting_fault_is_given_up_and_told_to_each(desk: Desk) -> None:
    desk.refusals = [httpx.Response(503)] * TRIES
    found = await desk.queries("A", "B")
    assert [type(each) for each in found] == [SalesforceUnavailable] * 2
    assert desk.alone.asked == []


async def test_every_call_carries_the_token_of_its_moment(desk: Desk, respx_mock: respx.Router) -> None:
    """Captured once per job it would end in the middle of a long one: https://github.com/airbytehq/airbyte/issues/75283"""
    page = {**DATE, "Content-Type": "text/csv", "Sforce-NumberOfRecords": "0", "Sforce-Locator": "null"}
    jobs = f"{HOST}/services/data/v66.0/jobs/query"
    respx_mock.post(jobs).respond(json={"id": "750"}, headers=DATE)
    respx_mock.get(f"{jobs}/750").respond(json={"state": "JobComplete"}, headers=DATE)
    respx_mock.get(f"{jobs}/750/results").respond(content=b"Id\n", headers=page)

    async def read() -> None:
        await desk.clock.sleep(EARLY_REFRESH + 1)
        (await desk.reader.job_page("750", None, 10)).file.close()

    await desk.reader.start_job(Query("A", ("Id",)))
    await desk.clock.sleep(EARLY_REFRESH + 1)
    await desk.reader.job("750")
    await read()
    await read()
    await desk.clock.sleep(EARLY_REFRESH + 1)
    await desk.queries("A", "B")

    sent = [call.request.headers["Authorization"] for call in respx_mock.calls]
    assert sent == [f"Bearer token-{number}" for number in range(1, 6)]


async def test_an_org_that_takes_no_composites_is_asked_one_by_one(desk: Desk) -> None:
    """That composite takes queryAll is in the vendor's text only; a client must live with an org that does not."""
    for _ in range(REFUSALS + 1):
        desk.refusals = [httpx.Response(400, json=[{"errorCode": "NOT_ALLOWED", "message": "no"}])]
        assert [type(each) for each in await desk.queries("A", "B")] == [Page, Page]
    assert len(desk.calls) == REFUSALS
    assert len(desk.alone.asked) == 2 * (REFUSALS + 1)
    assert desk.unbundled == 1


async def test_who_gives_up_waiting_harms_nobody(desk: Desk) -> None:
    waiting = asyncio.ensure_future(desk.reader.query(Query("A", ("Id",))))
    others = asyncio.ensure_future(desk.queries("B", "C"))
    await asyncio.sleep(0)
    waiting.cancel()
    assert [type(each) for each in await others] == [Page, Page]


@given(st.lists(st.booleans(), max_size=80))
def test_no_call_carries_more_than_it_may(kinds: list[bool]) -> None:
    """https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-composite-post.html"""
    groups = list(packed(list(zip(kinds, range(len(kinds)), strict=True))))
    assert [place for group in groups for place in group] == list(range(len(kinds)))
    for group in groups:
        assert 0 < len(group) <= MOST
        assert sum(kinds[place] for place in group) <= MOST_QUERIES
