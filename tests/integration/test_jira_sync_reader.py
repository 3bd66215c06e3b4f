"""The Cloud adapter (unmodified ``jira`` and httpx) against the simulator, honest and misbehaving."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.jira_sync import small_site
from tests.jira_sync.reader_contract import EVERYTHING, ReaderContract

from jira_sync.app import open_reader
from jira_sync.errors import (
    AccessLostError,
    ForbiddenError,
    JiraUnavailableError,
    NotSupportedError,
    ScanFailedError,
)
from jira_sync.probe import probe
from jira_sync.reader import JiraReader
from jira_sync.settings import JiraSettings
from troth_chassis.clock import AutoClock, SystemClock
from troth_chassis.settings import load_settings
from troth_sandbox.processes import ChildProcess

SEARCH, BULK = "search/jql", "changelog/bulkfetch"


class Simulator:
    """A simulator process and its admin API."""

    def __init__(self, folder: Path, seed: dict[str, Any]) -> None:
        path = folder / "jira.json"
        path.write_text(json.dumps(seed))
        arguments = ["--port", "0", "--admin-port", "0", "--seed", str(path)]
        self.process = ChildProcess("jira", "troth_sandbox.jira", arguments, environ=os.environ)
        self.process.start()
        ports = self.process.wait_ready()
        self.url = f"http://127.0.0.1:{ports['api']}"
        self._admin = httpx.Client(base_url=f"http://127.0.0.1:{ports['admin']}/admin", trust_env=False)

    def tell(self, path: str, body: object) -> Any:
        response = self._admin.post(path, json=body)
        assert response.is_success, response.text
        return response.json() if response.content else None

    def fault(self, path: str, times: int | None = 1, **act: object) -> None:
        self.tell("/faults", [{"match": {"path": path, "times": times}, "act": act}])

    def asked(self, path: str) -> list[dict[str, Any]]:
        journal: list[dict[str, Any]] = self._admin.get("/journal").json()
        return [entry for entry in journal if path in entry["path"]]

    def reset(self) -> None:
        assert self._admin.delete("/faults").is_success

    def stop(self) -> None:
        self._admin.close()
        self.process.stop()


def settings_of(url: str, token: str = small_site.AUTH["token"]) -> JiraSettings:
    return load_settings(
        JiraSettings,
        {
            "KAFKA_BOOTSTRAP_SERVERS": "nowhere:9092",
            "TROTH_JIRA_URL": url,
            "TROTH_JIRA_EMAIL": small_site.AUTH["email"],
            "TROTH_JIRA_API_TOKEN": token,
            "TROTH_JIRA_REQUESTS_PER_SECOND": "500",
            "TROTH_JIRA_BURST": "100",
            "TROTH_JIRA_REQUEST_TIMEOUT_SECONDS": "5",
        },
    )


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
        {"status": 429, "headers": {"Retry-After": "Wed, 25 Nov 2026 10:00:00 GMT"}},
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
        findings = await probe(reader, ("APA",))
    finally:
        simulator.tell("/boards/2/forbid", {"status": None})
    bad = [finding.name for finding in findings if not finding.ok]
    assert len(bad) == 3
    assert all(name.startswith("board 2 'Beta'") for name in bad)
