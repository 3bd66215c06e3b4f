"""The Cloud adapter (unmodified ``jira`` and httpx) against the simulator, honest and misbehaving."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.jira_sync import small_site
from tests.jira_sync.reader_contract import EVERYTHING, ReaderContract
from tests.jira_sync.simulator import Simulator, settings_of

from jira_sync.errors import (
    AccessLostError,
    ForbiddenError,
    JiraUnavailableError,
    NotSupportedError,
    ScanFailedError,
)
from jira_sync.login_choice import LoginKind
from jira_sync.opening import open_reader
from jira_sync.probe import probe
from jira_sync.reader import JiraReader
from troth_chassis.clock import AutoClock, SystemClock

SEARCH, BULK = "search/jql", "changelog/bulkfetch"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    running = Simulator(tmp_path_factory.mktemp("jira"), small_site.seed())
    yield running
    running.stop()


@pytest.fixture
async def reader(simulator: Simulator) -> AsyncIterator[JiraReader]:
    """Back-off takes no time: the clock jumps."""
    simulator.reset()
    async with open_reader(settings_of(simulator.url), AutoClock(small_clock())) as found:
        yield found
    simulator.reset()


def small_clock() -> Any:
    return SystemClock().now()


class TestCloudReader(ReaderContract):
    """The contract of the port, over the network."""

    @pytest.mark.parametrize("form", ["seconds", "milliseconds", "string"])
    async def test_changelogs_in_every_date_form(
        self, reader: JiraReader, simulator: Simulator, form: str
    ) -> None:
        simulator.tell("/switches", {"bulk_created": form})
        await self.test_changelogs_are_complete_and_by_issue(reader)

    async def test_short_agile_pages_lose_nothing(self, reader: JiraReader, simulator: Simulator) -> None:
        simulator.tell("/switches", {"agile_page_cap": 1})
        try:
            await self.test_boards_with_columns_estimation_and_projects(reader)
            await self.test_sprints_by_state_with_their_dates(reader)
        finally:
            simulator.tell("/switches", {"agile_page_cap": 50})


async def one_page(reader: JiraReader, path: str) -> int:
    if path == SEARCH:
        return len((await reader.search(EVERYTHING, ("summary",), None, 100)).items)
    return len((await reader.changelogs(["10001", "10002", "10003", "10101"], None)).items) + 3


@pytest.mark.parametrize("path", [SEARCH, BULK])
@pytest.mark.parametrize(
    "act",
    [
        {"status": 502},
        {"status": 503},
        {"status": 429, "headers": {"Retry-After": "Wed, 25 Nov 2015 10:00:00 GMT"}},
        {"status": 429},
        {"reset": True},
    ],
    ids=lambda act: "-".join(f"{key}" for key in (act.get("status"), *act) if key),
)
async def test_a_passing_fault_is_survived(
    reader: JiraReader, simulator: Simulator, path: str, act: dict[str, Any]
) -> None:
    simulator.fault(path, times=2, **act)
    assert await one_page(reader, path) == 7


@pytest.mark.parametrize("path", [SEARCH, BULK])
@pytest.mark.parametrize("act", [{"html": True}, {"truncate": True}, {"status": 200, "body": {}}], ids=str)
async def test_an_answer_that_is_none_is_never_taken_for_an_empty_page(
    reader: JiraReader, simulator: Simulator, path: str, act: dict[str, Any]
) -> None:
    simulator.fault(path, times=None, **act)
    with pytest.raises(JiraUnavailableError):
        await one_page(reader, path)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ScanFailedError),
        (401, AccessLostError),
        (403, ForbiddenError),
        (404, ForbiddenError),
        (410, NotSupportedError),
    ],
)
@pytest.mark.parametrize("path", [SEARCH, BULK])
async def test_final_answers_are_asked_once_and_named(
    reader: JiraReader, simulator: Simulator, path: str, status: int, error: type[Exception]
) -> None:
    before = len(simulator.asked(path))
    simulator.fault(path, status=status)
    with pytest.raises(error, match=str(status)) as caught:
        await one_page(reader, path)
    assert len(simulator.asked(path)) == before + 1
    assert small_site.AUTH["token"] not in repr(caught.value)
    assert "Authorization" not in str(caught.value)


@pytest.mark.parametrize("path", [SEARCH, BULK])
async def test_no_request_is_sent_before_the_time_a_429_allowed(simulator: Simulator, path: str) -> None:
    """Over both ways in: the budget is shared, so the other way waits too."""
    simulator.reset()
    simulator.fault(path, status=429, headers={"Retry-After": "2"})
    before = len(simulator.asked(""))
    async with open_reader(settings_of(simulator.url), SystemClock()) as reader:
        assert await one_page(reader, path) == 7
        await reader.board_configuration("1")
    asked = simulator.asked("")[before:]
    refused = next(index for index, entry in enumerate(asked) if entry["status"] == 429)
    assert asked[refused + 1]["at"] - asked[refused]["at"] >= 2_000


async def test_a_wrong_token_is_refused(simulator: Simulator) -> None:
    async with open_reader(settings_of(simulator.url, "wrong-token"), AutoClock(small_clock())) as reader:
        with pytest.raises(AccessLostError):
            await reader.myself()


async def test_check_names_what_is_missing_board_by_board(reader: JiraReader, simulator: Simulator) -> None:
    simulator.tell("/boards/2/forbid", {"status": 403})
    try:
        findings = await probe(reader, LoginKind.API_TOKEN, ("APA",))
    finally:
        simulator.tell("/boards/2/forbid", {"status": None})
    bad = [finding.name for finding in findings if not finding.ok]
    assert len(bad) == 3
    assert all(name.startswith("board 2 'Beta'") for name in bad)
