"""A project is read newest first, goes on where it was left, and again when something says that it must."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.fakes import NOW
from tests.jira_sync.small_site import issue, status_item

from jira_sync import backfill
from jira_sync.errors import JiraUnavailableError, ScanFailedError
from jira_sync.hints import Hint, hints_of
from jira_sync.progress import share_of
from jira_sync.reader import TokenPage
from jira_sync.scope import Scope
from troth_contracts.jira import Issue
from troth_contracts.sync import Watermark
from troth_contracts.topics import ISSUES, JIRA_STATE

PROJECT_OF = {"APA": "10000", "BET": "10100"}


def mark(stage: Stage, key: str) -> Watermark:
    found = stage.kafka.latest(JIRA_STATE)[f"{SITE}/project/{PROJECT_OF[key]}"]
    assert isinstance(found, Watermark)
    return found


def backfills(stage: Stage) -> list[str]:
    """Projects whose pages were asked for, in order, one entry per page."""
    return [query.split('"')[1] for query in stage.site.queries if "created DESC" in query]


async def asked_for(stage: Stage, *keys: str) -> None:
    stage.hints.put([Hint("backfill", key) for key in keys])
    await stage.poller._desk.attend()


@pytest.fixture
def paged(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Page by page and project by project, so that there is a middle to stop in."""
    monkeypatch.setattr(backfill, "PAGES_TOGETHER", 1)
    monkeypatch.setattr(backfill, "PROJECTS_AT_ONCE", 1)
    stage.site.page_cap = 2
    return stage


async def test_a_backfill_that_stops_goes_on_with_the_page_after_the_last_published(paged: Stage) -> None:
    pages = 0

    def fails_at_the_third(name: str) -> None:
        nonlocal pages
        pages += name == "search/jql"
        if pages == 4:  # the probe asks once
            raise JiraUnavailableError("search/jql: Jira answered 503")

    paged.site.before = fails_at_the_third
    with pytest.raises(JiraUnavailableError):
        await paged.scan()
    left = mark(paged, "APA")
    assert (left.read, left.expected, left.backfill_complete, left.token) == (4, 5, False, "4")
    paged.site.before = lambda _name: None
    paged.site.queries.clear()
    paged.start()
    await paged.scan()
    assert backfills(paged) == ["APA", "BET"]
    assert mark(paged, "APA").backfill_complete
    assert len(paged.kafka.latest(ISSUES)) == 7


async def test_the_watermark_goes_back_to_when_the_first_project_was_begun(paged: Stage) -> None:
    """What changed in it while the service was down is in reach of the next poll."""

    def down(name: str) -> None:
        if name == "approximate-count" and paged.kafka.latest(ISSUES):
            raise JiraUnavailableError("Jira answered 503")

    paged.site.before = down
    with pytest.raises(JiraUnavailableError):
        await paged.scan()
    paged.site.before = lambda _name: None
    await paged.later(40 * 3_600)
    paged.start()
    await paged.scan()
    found = paged.kafka.latest(JIRA_STATE)[SITE]
    assert isinstance(found, Watermark)
    assert found.position == NOW - timedelta(minutes=5)


async def test_a_token_that_is_not_accepted_any_more_begins_the_project_anew(paged: Stage) -> None:
    await test_a_backfill_that_stops_goes_on_with_the_page_after_the_last_published(paged)
    await asked_for(paged, "APA")
    paged.poller._backfill._marks["10000"] = Watermark(
        service="jira-sync", stream="", position=NOW, token="stale", scope=mark_scope(paged), read=2
    )
    search = paged.site.search

    async def refuses(
        jql: str, fields: Sequence[str], token: str | None, size: int, reconcile: Sequence[str] = ()
    ) -> TokenPage:
        if token == "stale":
            raise ScanFailedError("search/jql: Jira answered 400")
        return await search(jql, fields, token, size, reconcile)

    paged.site.search = refuses  # type: ignore[method-assign]
    await paged.scan()
    assert mark(paged, "APA").backfill_complete
    assert mark(paged, "APA").read == 5


def mark_scope(stage: Stage) -> str:
    return stage.poller._backfill._wanted("10000")


async def test_people_name_the_projects_to_be_read_again_and_a_restart_remembers_it(stage: Stage) -> None:
    await stage.scan()
    stage.site.queries.clear()
    await asked_for(stage, "BET", "XYZ")
    stage.start()
    await stage.scan(2)
    assert backfills(stage) == ["BET"]
    stage.site.queries.clear()
    await asked_for(stage, "")
    await stage.scan(2)
    assert backfills(stage) == ["APA", "BET"]


async def test_a_project_read_again_waits_for_the_poll(stage: Stage) -> None:
    await stage.scan(2)
    stage.site.queries.clear()
    await asked_for(stage, "APA")
    await stage.scan()
    kinds = ["backfill" if "created DESC" in query else "poll" for query in stage.site.queries]
    assert kinds == ["poll", "backfill"]


async def test_a_project_that_returns_is_read_again(stage: Stage) -> None:
    """What was changed in it while nobody could see it has an old ``updated``."""
    await stage.scan()
    stage.site.seed["projects"][1]["state"] = "archived"
    await stage.later(60)
    await stage.scan()
    changed = NOW + timedelta(seconds=90)
    stage.site.change("10102", changed, status_item("1", "3"), status={"id": "3"})
    await stage.later(40 * 3_600)
    await stage.scan(2)
    stage.site.seed["projects"][1]["state"] = "live"
    await stage.later(40 * 3_600)
    await stage.scan(2)
    found = stage.kafka.latest(ISSUES)[f"{SITE}:10102"]
    assert isinstance(found, Issue)
    assert found.status_id == "3"


async def test_a_search_names_only_projects_that_are_there(stage: Stage) -> None:
    """One that is trashed would have the whole search refused."""
    await stage.scan()
    stage.site.seed["projects"][1]["state"] = "deleted"
    await stage.later(60)
    stage.site.queries.clear()
    await stage.scan()
    assert all('"BET"' not in query for query in stage.site.queries)


async def test_a_new_project_of_the_scope_is_read_without_the_others(stage: Stage) -> None:
    stage.scope = Scope()
    stage.start()
    await stage.scan()
    stage.site.queries.clear()
    new = {"id": "10200", "key": "NEW", "name": "New"}
    stage.site.seed["projects"].append(new)
    stage.site.seed["issues"].append(issue(10201, new, created="2026-01-01T00:00:00.000Z"))
    await stage.later(60)
    await stage.scan(2)
    assert backfills(stage) == ["NEW"]
    assert f"{SITE}:10201" in stage.kafka.latest(ISSUES)


async def test_one_project_that_cannot_be_paged_leaves_its_neighbour_its_turn(paged: Stage) -> None:
    search = paged.site.search

    async def repeats(
        jql: str, fields: Sequence[str], token: str | None, size: int, reconcile: Sequence[str] = ()
    ) -> TokenPage:
        page = await search(jql, fields, None if token == "again" else token, size, reconcile)
        return TokenPage(page.items, "again", is_last=False) if jql.startswith('project in ("APA")') else page

    paged.site.search = repeats  # type: ignore[method-assign]
    with pytest.raises(ScanFailedError):
        await paged.scan()
    assert mark(paged, "BET").backfill_complete
    assert not mark(paged, "APA").backfill_complete


def test_the_request_names_projects_or_all() -> None:
    named = hints_of({"webhookEvent": "troth:backfill", "projects": "APA,BET"})
    assert named == (Hint("backfill", "APA"), Hint("backfill", "BET"))
    assert hints_of({"webhookEvent": "troth:backfill"}) == (Hint("backfill"),)


def test_a_share_is_whole_only_when_every_project_is_read() -> None:
    half = Watermark(service="jira-sync", stream="", position=NOW, read=50, expected=100)
    more = Watermark(service="jira-sync", stream="", position=NOW, read=150, expected=100)
    done = Watermark(service="jira-sync", stream="", position=NOW, backfill_complete=True, read=100)
    assert share_of({"1": half, "2": done}) == pytest.approx(0.75)
    assert share_of({"1": more}) == 0.99
    assert share_of({"1": done}) == 1.0
