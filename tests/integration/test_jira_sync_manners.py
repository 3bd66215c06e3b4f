"""Fault rows T9 and T22: every form of 429, on Cloud and Data Center; nothing is asked before the time it allowed.

The service's clock and the site's are one: waiting moves both, so an hour passes at once, and the site's journal notes
every request that comes too early.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.integration.test_jira_sync_dialects import APP, oauth
from tests.jira_sync import small_site
from tests.jira_sync.reader_contract import ALL_IDS, EVERYTHING
from tests.jira_sync.simulator import LocalSimulator, settings_of, settings_with

from jira_sync.budget import Priority, asking_as
from jira_sync.errors import BudgetSpentError
from jira_sync.metrics import BudgetMetrics
from jira_sync.opening import open_reader
from jira_sync.paging import token_pages
from jira_sync.parse import parts, text
from jira_sync.reader import JiraReader, TokenPage
from jira_sync.settings import JiraSettings
from troth_chassis.clock import AutoClock, SystemClock
from troth_sandbox.jira.clock import SettableClock

START = datetime(2026, 11, 25, 12, 10, 0, 400_000, tzinfo=UTC)
FULL_HOUR = datetime(2026, 11, 25, 13, 0, tzinfo=UTC)
CHANGED = {"10001", "10002", "10003", "10101"}


class SharedClock(AutoClock):
    """Sleeping moves the site's frozen clock too."""

    def __init__(self) -> None:
        super().__init__(START)
        self.of_site = SettableClock()
        self._carry_over()

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self._carry_over()

    def _carry_over(self) -> None:
        self.of_site.set(milliseconds(self.now()), frozen=True)


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)


@pytest.fixture
def clock() -> SharedClock:
    return SharedClock()


@pytest.fixture
def cloud(clock: SharedClock) -> Iterator[LocalSimulator]:
    seed = small_site.seed()
    seed["site"]["cloud_id"] = "cloud-1"
    seed["auth"] = {**small_site.AUTH, "app": APP}
    running = LocalSimulator(seed, clock.of_site)
    yield running
    running.stop()


@pytest.fixture
def data_center(clock: SharedClock) -> Iterator[LocalSimulator]:
    running = LocalSimulator(small_site.data_center_seed(), clock.of_site)
    yield running
    running.stop()


def settings_one_by_one(simulator: LocalSimulator, in_flight: int = 1) -> JiraSettings:
    """With one request under way at a time nothing can have been sent before a refusal was heard."""
    return settings_with(
        simulator.url,
        TROTH_JIRA_EMAIL=small_site.AUTH["email"],
        TROTH_JIRA_API_TOKEN=small_site.AUTH["token"],
        TROTH_JIRA_MAX_IN_FLIGHT=str(in_flight),
    )


def personal(simulator: LocalSimulator, in_flight: int) -> JiraSettings:
    return settings_with(
        simulator.url,
        TROTH_JIRA_PERSONAL_ACCESS_TOKEN=small_site.AUTH["token"],
        TROTH_JIRA_MAX_IN_FLIGHT=str(in_flight),
    )


async def search(reader: JiraReader, size: int, token: str | None) -> TokenPage:
    return await reader.search(EVERYTHING, ("id",), token, size)


async def read_everything(reader: JiraReader) -> None:
    """Some forty requests over both ways in; whatever is refused in between, all that is there arrives once."""
    for size in (1, 2, 3):
        pages = token_pages(partial(search, reader, size))
        found = [text(issue, "id") async for page in pages for issue in page]
        assert sorted(found) == sorted(ALL_IDS)
    entries = [
        entry
        async for page in token_pages(lambda token: reader.changelogs(sorted(ALL_IDS), token))
        for entry in page
    ]
    assert {text(entry, "issueId") for entry in entries if parts(entry, "changeHistories")} == CHANGED
    boards: Sequence[Callable[[], Awaitable[object]]] = [
        *(lambda number=number: reader.board_configuration(number) for number in "123"),
        *(lambda number=number: reader.board_projects(number, 0) for number in "123"),
        *(lambda number=number: reader.sprints(number, ("active", "closed"), 0) for number in "12"),
        *(lambda key=key: reader.versions(key) for key in ("APA", "BET")),
    ]
    await asyncio.gather(*(ask() for ask in boards))


def early(simulator: LocalSimulator, in_flight: int = 1) -> list[dict[str, Any]]:
    """Requests that came too soon; others under way at the very moment of a refusal could not know of it."""
    asked = simulator.asked("")
    found = [entry for entry in asked if entry.get("early_ms")]
    if in_flight == 1:
        return found
    moments = Counter(entry["at"] for entry in found)
    refusals = {entry["at"] for entry in asked if entry["status"] == 429}
    return [e for e in found if e["at"] not in refusals or moments[e["at"]] >= in_flight]


def refused(simulator: LocalSimulator) -> list[dict[str, Any]]:
    return [entry for entry in simulator.asked("") if entry["status"] == 429]


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("header", ["seconds", "date", "reset_without_seconds", "missing"])
async def test_bursts_refused_in_every_form_lose_nothing_and_nothing_comes_too_early(
    cloud: LocalSimulator, clock: SharedClock, header: str, in_flight: int
) -> None:
    cloud.tell(
        "/limits", {"burst": {"refuse_share": 0.1, "refuse_seconds": 4.2}, "header": header, "seed": 3}
    )
    async with open_reader(settings_one_by_one(cloud, in_flight), clock) as reader:
        for _ in range(3):
            await read_everything(reader)
    assert len(refused(cloud)) >= 5
    assert early(cloud, in_flight) == []


async def test_a_burst_closes_its_endpoint_only(cloud: LocalSimulator, clock: SharedClock) -> None:
    burst = {"Retry-After": "600", "RateLimit-Reason": "jira-burst-based"}
    cloud.fault("search/jql", status=429, headers=burst)
    async with open_reader(settings_of(cloud.url), SystemClock()) as patient:
        waiting = asyncio.create_task(patient.search(EVERYTHING, ("id",), None, 100))
        while not refused(cloud):  # noqa: ASYNC110  (the journal has no event)
            await asyncio.sleep(0.01)
        assert len((await patient.boards(0)).items) == 3
        assert await patient.approximate_count("updated >= 0") == 7
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert clock.now() == START


async def test_a_spent_quota_closes_everything_until_the_full_hour(
    cloud: LocalSimulator, clock: SharedClock
) -> None:
    """Fifty minutes; the wait is the server's or more, never less."""
    cloud.tell("/limits", {"quota": {"points": 60, "used": 60}})
    registry = CollectorRegistry()
    async with open_reader(settings_of(cloud.url), clock, BudgetMetrics(registry)) as reader:
        with asking_as(Priority.SPRINTS):
            await asyncio.gather(reader.boards(0), *(reader.board_configuration(number) for number in "123"))
    asked = cloud.asked("")
    assert 1 <= len(refused(cloud)) <= 4
    late = [entry for entry in asked if entry["status"] == 200]
    assert len(late) == 4
    assert all(entry["at"] >= milliseconds(FULL_HOUR) for entry in late)
    assert early(cloud, 4) == []
    waited = registry.get_sample_value("jira_sync_throttled_seconds_total", {"priority": "sprints"})
    assert waited is not None
    assert waited > 2_900


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("zero", [True, False])
async def test_data_centers_bucket_is_waited_for_even_when_it_says_zero(
    data_center: LocalSimulator, clock: SharedClock, zero: bool, in_flight: int
) -> None:
    """``Retry-After: 0`` in a refusal: https://github.com/pycontribs/jira/pull/1825."""
    data_center.tell("/limits", {"per_user": {"capacity": 3, "fill": 1, "interval_seconds": 2, "zero": zero}})
    async with open_reader(personal(data_center, in_flight), clock) as reader:
        await read_everything(reader)
    assert early(data_center, in_flight) == []
    assert len(refused(data_center)) <= 2 * in_flight, "it keeps count of the bucket itself"


async def test_a_refusal_that_says_zero_is_not_asked_again_at_once(
    data_center: LocalSimulator, clock: SharedClock
) -> None:
    zero = {"Retry-After": "0"}
    data_center.fault("/search", times=5, status=429, headers=zero)
    async with open_reader(personal(data_center, 1), clock) as reader:
        await reader.search(EVERYTHING, ("id",), None, 100)
    at = [entry["at"] for entry in data_center.asked("/search")]
    waits = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert all(wait >= least for wait, least in zip(waits, (1_000, 2_000, 4_000, 8_000, 16_000), strict=True))


async def test_an_app_stops_itself_before_the_vendor_does(
    cloud: LocalSimulator, clock: SharedClock, tmp_path: Path
) -> None:
    """65,000 points an hour: the census ends at 60 %, everything at 80 %, and the next hour begins anew."""
    cloud.tell("/limits", {"quota": {"points": 65_000, "used": 38_900}})
    registry = CollectorRegistry()
    async with open_reader(oauth(cloud, tmp_path / "t"), clock, BudgetMetrics(registry)) as reader:
        reader.spend(38_900)
        with asking_as(Priority.CENSUS):
            await reader.projects("live")
            reader.spend(200)
            with pytest.raises(BudgetSpentError):
                await reader.projects("live")
        assert (await reader.boards(0)).items
        left = registry.get_sample_value("jira_sync_points_left")
        assert left is not None
        assert 12_000 < left < 13_000
        reader.spend(int(left))
        before = clock.now()
        assert (await reader.boards(0)).items
        assert before < FULL_HOUR <= clock.now()
        with asking_as(Priority.CENSUS):
            await reader.projects("live")
    assert refused(cloud) == []


async def test_what_other_tenants_of_the_app_spent_counts(
    cloud: LocalSimulator, clock: SharedClock, tmp_path: Path
) -> None:
    """The server tells what is left above 80 % use; our own count alone would go on."""
    cloud.tell("/limits", {"quota": {"points": 65_000, "used": 60_000}})
    async with open_reader(oauth(cloud, tmp_path / "t"), clock) as reader:
        await reader.boards(0)
        assert clock.now() < FULL_HOUR
        await reader.boards(0)
        assert clock.now() >= FULL_HOUR
    assert refused(cloud) == []


async def test_the_event_loop_goes_on_while_refusals_are_waited_out() -> None:
    """T22. A wait of the library or of ours in the loop would stall it for two seconds and more."""
    simulator = LocalSimulator(small_site.seed())
    lags: list[float] = []

    async def measure() -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(0.01)
            lags.append(loop.time() - began - 0.01)

    measuring = asyncio.create_task(measure())
    simulator.tell("/limits", {"burst": {"refuse_share": 0.1, "refuse_seconds": 1.5}, "seed": 3})
    async with open_reader(settings_of(simulator.url), SystemClock()) as reader:
        await read_everything(reader)
    measuring.cancel()
    asked_again = len(refused(simulator))
    simulator.stop()
    assert asked_again >= 1
    assert max(lags) < 1.0, f"the loop stood still for {max(lags):.2f} s"
