"""Whole projects: several fetched at once, one published at a time, few requests for their changelogs."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.jira_sync import small_site
from tests.jira_sync.conftest import Stage
from tests.jira_sync.fakes import MemorySite

from jira_sync.backfill import PAGES_TOGETHER, PROJECTS_AT_ONCE
from jira_sync.errors import JiraUnavailableError, ScanFailedError
from jira_sync.intake import AT_A_STRETCH
from jira_sync.paging import grouped
from jira_sync.scan import PAGE_SIZE, tell_issue
from jira_sync.scope import Scope
from troth_chassis.errors import TransientError
from troth_contracts.topics import ISSUE_EVENTS, ISSUES


def many(projects: int, issues: int) -> dict[str, Any]:
    """The small site with more projects of so many issues each."""
    return of_sizes([issues] * projects)


def of_sizes(sizes: Sequence[int]) -> dict[str, Any]:
    """The small site with a project of each size, keys ``P1`` and on; every issue has one history."""
    seed = copy.deepcopy(small_site.seed())
    pattern = seed["issues"][0]
    seed["issues"] = []
    seed["projects"] = [
        {"id": str(n), "key": f"P{n}", "name": f"Project {n}"} for n in range(1, len(sizes) + 1)
    ]
    for number, of in enumerate((n for n, size in enumerate(sizes, 1) for _ in range(size)), 1):
        document, status = copy.deepcopy(pattern), small_site.status_item("1", "3")
        document |= {"id": str(20_000 + number), "key": f"P{of}-{number}"}
        document["histories"] = [small_site.history(number, "2026-10-20T10:00:00.000Z", status)]
        document["fields"]["project"] = {"id": str(of), "key": f"P{of}"}
        seed["issues"].append(document)
    return seed


class Watched(MemorySite):
    """Counts the searches that wait at the same time, and refuses what it is told to."""

    def __init__(self, seed: dict[str, Any]) -> None:
        super().__init__(seed)
        self.searching = self.most_at_once = 0
        self.bulk: list[int] = []
        self.broken: dict[str, Exception] = {}

    async def search(self, jql: str, *args: Any, **kwargs: Any) -> Any:
        self.searching += 1
        self.most_at_once = max(self.most_at_once, self.searching)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.searching -= 1
        for key, error in self.broken.items():
            if f'"{key}"' in jql:
                raise error
        return await super().search(jql, *args, **kwargs)

    async def changelogs(self, issue_ids: Any, token: str | None) -> Any:
        self.bulk.append(len(issue_ids))
        return await super().changelogs(issue_ids, token)


def stage_of(site: MemorySite) -> Stage:
    return Stage(site=site, scope=Scope())


async def test_projects_are_fetched_side_by_side_and_told_completely() -> None:
    site = Watched(many(projects=PROJECTS_AT_ONCE + 2, issues=7))
    stage = stage_of(site)
    await stage.scan()
    assert len(stage.kafka.latest(ISSUES)) == 7 * (PROJECTS_AT_ONCE + 2)
    assert site.most_at_once >= PROJECTS_AT_ONCE


async def test_the_changelogs_of_several_pages_take_one_request() -> None:
    site = Watched(many(projects=1, issues=2 * PAGES_TOGETHER * 3 + 1))
    site.page_cap, site.changelog_cap = 3, 1_000
    stage = stage_of(site)
    await stage.scan()
    assert len(stage.kafka.latest(ISSUES)) == 2 * PAGES_TOGETHER * 3 + 1
    assert site.bulk[-3:] == [3 * PAGES_TOGETHER, 3 * PAGES_TOGETHER, 1]
    assert len(site.bulk) <= 4  # the probe at the start asks for one
    assert PAGES_TOGETHER * PAGE_SIZE <= 1_000


async def test_one_projects_failure_leaves_its_neighbours_their_turn() -> None:
    site = Watched(many(projects=6, issues=2))
    site.broken["P1"] = ScanFailedError("refused")
    stage = stage_of(site)
    with pytest.raises(ScanFailedError):
        await stage.scan()
    assert len(stage.kafka.latest(ISSUES)) == 10
    site.broken.clear()
    await stage.scan()
    assert len(stage.kafka.latest(ISSUES)) == 12


async def test_an_unreachable_site_ends_all_readers_and_a_restart_reads_the_rest() -> None:
    site = Watched(many(projects=6, issues=2))
    site.broken["P3"] = JiraUnavailableError("away")
    stage = stage_of(site)
    with pytest.raises(JiraUnavailableError):
        await stage.scan()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    site.broken.clear()
    stage.start()
    await stage.scan()
    assert len(stage.kafka.latest(ISSUES)) == 12


@pytest.mark.parametrize("reached", [True, False])
@pytest.mark.parametrize("failing", range(2, 8))
async def test_after_a_transaction_nobody_knows_of_no_neighbour_publishes(
    failing: int, reached: bool
) -> None:
    """Otherwise it would pass for certain, nothing would be read back, and what it held would be told twice."""
    stage, calls = stage_of(Watched(many(projects=6, issues=2))), 0
    original = stage.kafka.publish

    async def publish(records: Any) -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.001)  # the neighbours come to wait for their turn
        if calls != failing or reached:
            await original(records)
        if calls == failing:
            raise TransientError("Kafka did not acknowledge")

    stage.kafka.publish = publish  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="did not acknowledge"):
        await stage.scan()
    assert calls == failing, "only what was read back is added to"
    await stage.scan()
    events = [record.id for record in stage.kafka.told(ISSUE_EVENTS)]
    assert len(events) == len(set(events)) == 12
    assert len(stage.kafka.latest(ISSUES)) == 12


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 5))
async def test_groups_hold_every_item_once_and_the_token_after_their_last_page(
    sizes: list[int], together: int
) -> None:
    async def pages() -> Any:
        for number, size in enumerate(sizes, 1):
            following = str(number) if number < len(sizes) else None
            yield tuple({"id": f"{number}.{item}"} for item in range(size)), following

    found = [group async for group in grouped(pages(), together)]
    told = [item["id"] for items, _ in found for item in items]
    assert told == [f"{number}.{item}" for number, size in enumerate(sizes, 1) for item in range(size)]
    ends = [str(n) for n in range(together, len(sizes), together)] + ([None] if sizes else [])
    assert [following for _, following in found] == ends


async def test_sprints_that_fit_into_one_page_are_read_in_one_request() -> None:
    asked: list[tuple[str, ...]] = []
    stage = Stage()
    original = stage.site.sprints

    async def sprints(board_id: str, states: Any, start: int) -> Any:
        asked.append((board_id, *states))
        return await original(board_id, states, start)

    stage.site.sprints = sprints  # type: ignore[method-assign]
    await stage.scan()
    assert {len(request) for request in asked} == {4}
    asked.clear()
    stage.site.agile_cap = 1
    stage.start()
    await stage.scan()
    assert ("1", "active", "future") in asked
    assert ("1", "closed") in asked


async def test_t22_others_have_their_turn_between_a_few_issues(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five pages are told as one; made ready at a stretch they would hold up a webhook for a good part of a second."""
    stage = Stage(site=MemorySite(of_sizes([PAGES_TOGETHER * PAGE_SIZE])), scope=Scope())
    turns = 0
    told: Counter[int] = Counter()
    tell = tell_issue

    def noted(*args: Any) -> Any:
        told[turns] += 1
        return tell(*args)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr("jira_sync.intake.tell_issue", noted)
    waiting = asyncio.create_task(others())
    await stage.scan()
    waiting.cancel()
    assert sum(told.values()) >= PAGES_TOGETHER * PAGE_SIZE
    assert max(told.values()) <= AT_A_STRETCH
