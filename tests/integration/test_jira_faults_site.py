"""Every change once, whatever Jira does: the fault rows of the reference, judged by the simulator's write log.

Scaled for every run; at full size with ``make faults FULL=1``.
"""

from __future__ import annotations

import gc
import os
import random
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.jira_play import DAY, HOUR, START, Play, opened

from jira_sync.errors import JiraUnavailableError, ScanFailedError
from troth_contracts.jira import IssueEvent
from troth_contracts.topics import ISSUE_EVENTS, ISSUES
from troth_sandbox.jira import sample, writes
from troth_sandbox.jira.writes import SprintEdit

FULL = os.environ.get("TROTH_FULL") == "1"
MINUTE = 60.0
RARELY = {
    "jira_poll_seconds": 1_800.0,
    "jira_structure_seconds": 1_800.0,
    "jira_overlap_seconds": 2_400,
    "jira_deep_seconds": 4 * HOUR,
    "jira_census_seconds": 4 * HOUR,
}
"""For long plays: what matters there is not how often the poll asks."""
TWO_CENSUSES = 9 * HOUR
FIRST = 10_001


def site(kafka: str, issues: int, *, page: int = 20, start: datetime = START, **changes: Any) -> Play:
    play = Play(kafka, sample.seed(issues) | changes, start=start)
    play.site.switches.search_page_cap = page
    return play


def busy(play: Play, *, every: float, until: float, seed: int = 7, since: float = 0.0) -> None:
    """People change a status, an estimate, the sprint or a summary of some issue every so often."""
    rng, at = random.Random(seed), play.clock.monotonic() + since
    issues = [issue.id for issue in play.site.store.issues()]
    while at < until:
        play.clock.at(at, _change(play, rng, rng.choice(issues)))
        at += every * rng.uniform(0.5, 1.5)


def _change(play: Play, rng: random.Random, issue: int) -> Any:
    fields: dict[str, Any] = rng.choice(
        [
            {"status": {"id": rng.choice("123")}},
            {sample.POINTS_FIELD: float(rng.randint(0, 13))},
            {sample.SPRINT_FIELD: rng.choice([[78], [79], [90], []])},
            {"summary": f"said {rng.random()}"},
            {"status": {"id": rng.choice("123")}, sample.POINTS_FIELD: float(rng.randint(0, 13))},
        ]
    )
    return lambda: play.edit(issue, **fields)


def with_a_long_past(seed: dict[str, Any], changes: int) -> dict[str, Any]:
    """Its first issue has far more histories than any page of them holds."""
    begun = datetime.fromisoformat(seed["issues"][0]["fields"]["created"])
    seed["issues"][0]["histories"] += [
        {
            "id": str(700_000 + number),
            "created": (begun + timedelta(minutes=10 + number)).isoformat(),
            "items": [
                {"field": "summary", "fieldtype": "jira", "fieldId": "summary", "toString": f"{number}"}
            ],
        }
        for number in range(changes)
    ]
    return seed


async def test_work_while_the_site_is_read_is_told_once(kafka: str) -> None:
    """A busy site from the first page of the backfill on; a sprint closes and carries over meanwhile."""
    play = Play(kafka, with_a_long_past(sample.seed(120), 6_000 if FULL else 150))
    play.site.switches.search_page_cap = 20
    async with opened(play) as reader:
        busy(play, every=5, until=20 * MINUTE)
        play.clock.at(
            9 * MINUTE,
            lambda: writes.edit_sprint(
                play.site, 78, SprintEdit(state="closed", move_open_to=79), play.now_ms()
            ),
        )
        life = play.start(reader)
        await play.until(25 * MINUTE)
        await play.exact()
        assert not life.failures
        assert life.value("jira_sync_backfill_ratio") == 1.0


async def test_t6_an_index_that_lags_is_caught_up_by_the_next_deep_overlap(kafka: str) -> None:
    """Every write up to 180 s late, one bulk edit 10 min late."""
    count = 5_000 if FULL else 200
    play = site(kafka, count, page=100 if FULL else 20)
    async with opened(play, jira_poll_seconds=120.0) as reader:
        play.site.set_lag(180_000, uniform=True, seed=3)
        busy(play, every=20, until=20 * MINUTE, since=MINUTE)

        def bulk() -> None:
            with play.site.lagging(600):
                for issue in [found.id for found in play.site.store.issues()]:
                    play.edit(issue, bulk=True, status={"id": "3"}, summary=f"swept {issue}")

        play.clock.at(10 * MINUTE, bulk)
        play.start(reader)
        await play.until(1.5 * HOUR)
        await play.exact()


async def test_t7_many_issues_of_one_millisecond_and_changes_while_paging(kafka: str) -> None:
    count = 500 if FULL else 60
    play = site(kafka, count, page=7)
    async with opened(play) as reader:
        play.start(reader)
        await play.until(2 * MINUTE)
        for issue in range(FIRST, FIRST + count):
            play.edit(issue, summary=f"of one moment {issue}")
        play.latency = 1.0
        busy(play, every=10, until=play.clock.monotonic() + 10 * MINUTE)
        await play.passes(20 * MINUTE)
        await play.exact()


async def test_t7_an_issue_that_never_rests_is_told_all_along(kafka: str) -> None:
    """Twice a second, so that it is always newer than the scan that reads it: an upper bound would hide it."""
    play = site(kafka, 20)
    async with opened(play) as reader:
        play.start(reader)
        await play.until(2 * MINUTE)
        play.latency = 1.0
        begun = play.clock.monotonic()
        for number in range(720):
            play.clock.at(begun + number / 2, lambda: play.edit(FIRST, summary=f"at {play.now_ms()}"))
        await play.passes(5 * MINUTE)
        await play.topics.refresh()
        told = [record.body for record in play.topics.kept(ISSUE_EVENTS, play.site_id)]
        newest = max(event.at for event in told if isinstance(event, IssueEvent))
        assert play.clock.now() - newest < timedelta(minutes=2)
        await play.passes(5 * MINUTE)
        await play.exact()


@pytest.mark.parametrize(
    ("account", "start"),
    [
        ("Pacific/Pago_Pago", START),
        ("America/St_Johns", datetime(2026, 3, 8, 5, 0, tzinfo=UTC)),
        ("Asia/Kolkata", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("Pacific/Kiritimati", datetime(2026, 11, 1, 8, 30, tzinfo=UTC)),
    ],
)
async def test_t8_the_zones_of_account_and_site_change_nothing(
    kafka: str, account: str, start: datetime
) -> None:
    """The site's own zone changes its clocks: forward on 8 March, back on 1 November 2026."""
    seed = sample.seed(20)
    seed["account"]["timeZone"] = account
    zone = {"title": "Zoned", "time_zone": "America/Los_Angeles"}
    play = Play(kafka, seed | {"site": zone}, start=start)
    async with opened(play, **RARELY) as reader:
        busy(play, every=120, until=2.5 * HOUR, since=MINUTE)
        play.start(reader)
        await play.until(3.25 * HOUR)
        await play.exact()  # by the polls: the only deep pass was the first
        busy(play, every=200, until=5.25 * HOUR)
        await play.until(6 * HOUR)
        await play.exact()
    quoted = [
        e["path"]
        for e in play.asked("search")
        if "updated" in e["path"] and "%22" in e["path"].split("updated")[1]
    ]
    assert not quoted


async def test_t10_answers_that_are_none_cost_time_only(kafka: str) -> None:
    """5 % each of 502, 503, 504, half a body, a page of HTML, nothing at all, a reset, and no answer in time."""
    play = site(kafka, 120, page=10)
    acts: list[dict[str, Any]] = [
        {"status": 502},
        {"status": 503},
        {"status": 504},
        {"truncate": True},
        {"html": True},
        {"status": 200, "body": ""},
        {"reset": True},
        {"delay": 3.0},
    ]
    async with opened(play, jira_request_timeout_seconds=1.0, jira_poll_seconds=120.0) as reader:
        for number, act in enumerate(acts):
            play.fault("/rest/", times=None, share=0.05, seed=number, **act)
        busy(play, every=20, until=20 * MINUTE)
        life = play.start(reader)
        await play.until(40 * MINUTE)
        play.site.faults.clear()
        await play.passes(2 * MINUTE)
        await play.exact()
        struck = [entry for entry in play.site.journal if entry["fault"]]
        assert len(struck) > 50
        assert all(isinstance(failure, JiraUnavailableError) for failure in life.failures)


@pytest.mark.parametrize(
    "page",
    ["repeated_token", "empty_page", "expired_token", "token_and_last", "no_is_last", "max_results_ignored"],
)
@pytest.mark.parametrize("path", ["search/jql", "changelog/bulkfetch"])
async def test_t11_a_spoilt_page_is_read_rightly_or_fails_the_scan(kafka: str, page: str, path: str) -> None:
    """Half of the pages are spoilt, in the backfill and in the polls; while all are, no watermark moves."""
    play = site(kafka, 40, page=6)
    async with opened(play) as reader:
        play.fault(path, times=None, share=0.5, seed=5, page=page)
        life = play.start(reader)
        busy(play, every=30, until=10 * MINUTE)
        await play.until(10 * MINUTE)
        play.site.faults.clear()
        asked = len(play.asked())
        await play.passes(2 * MINUTE)
        await play.exact()
        assert asked < 3_000, "no loop without end"
        assert all(isinstance(failure, ScanFailedError) for failure in life.failures)


async def test_t11_a_token_that_is_always_repeated_is_asked_for_twice_at_most(kafka: str) -> None:
    play = site(kafka, 40, page=6)
    async with opened(play) as reader:
        life = play.start(reader)
        await play.until(3 * MINUTE)
        age = life.value("jira_sync_watermark_age_seconds", scope=play.site_id)
        for issue in range(FIRST, FIRST + 30):
            play.edit(issue, summary="again")
        play.fault("nextPageToken", times=None, page="repeated_token")
        before = len(play.asked("nextPageToken"))
        await play.passes(2 * MINUTE, resting=False)
        failures = len(life.failures)
        assert failures
        assert len(play.asked("nextPageToken")) - before <= 2 * failures
        assert life.value("jira_sync_watermark_age_seconds", scope=play.site_id) >= age + MINUTE
        play.site.faults.clear()
        await play.passes(3 * MINUTE)
        await play.exact()


async def test_t12_what_is_gone_is_told_by_its_class_within_two_censuses(kafka: str) -> None:
    """Deleted and hidden issues go, moved ones stay; a project that is trashed, archived or revoked keeps its issues."""
    tens = 10 * (10 if FULL else 1)
    seed = sample.seed(20 * tens)
    deleted = range(FIRST, FIRST + 2 * tens)
    moved = range(FIRST + 2 * tens, FIRST + 3 * tens)
    hidden = range(FIRST + 3 * tens, FIRST + 3 * tens + 5)
    names = {"10002": "TRA", "10003": "ARC", "10004": "REV"}
    seed["projects"] += [{"id": number, "key": key, "name": key} for number, key in names.items()]
    play = Play(kafka, seed)
    async with opened(play, **RARELY) as reader:
        now = play.now_ms()
        for key in names.values():
            for number in range(3):
                writes.create_issue(
                    play.site,
                    None,
                    {"project": {"key": key}, "issuetype": {"id": "10001"}, "summary": f"{key} {number}"},
                    now,
                )
        life = play.start(reader)
        await play.until(HOUR)
        await play.exact()
        for issue in deleted:
            writes.delete_issue(play.site, str(issue), play.now_ms())
        for issue in moved:
            play.edit(issue, project={"key": "PEA" if issue % 4 != 1 else "APA"})
        for issue in hidden:
            play.site.store.hide(issue, hidden=True)
        play.change_project("TRA", state="deleted")
        play.change_project("ARC", state="archived")
        play.change_project("REV", browsable=False)
        await play.passes(TWO_CENSUSES)
        assert not life.failures
        gone = {str(issue) for issue in (*deleted, *hidden)}
        published = await play.published_ids(ISSUES)
        assert published == {str(issue.id) for issue in play.site.store.issues()} - gone
        classes = ("trashed", "archived", "access_lost", "suspect")
        assert {name: life.value("jira_sync_absent", **{"class": name}) for name in classes} == {
            "trashed": 3,
            "archived": 3,
            "access_lost": 3,
            "suspect": 0,
        }
        # Everything returns, and what was changed out of sight is told.
        revoked = next(i.id for i in play.site.store.issues() if i.key.startswith("REV"))
        play.site.store.hide(revoked, hidden=False)
        for key, change in (
            ("TRA", {"state": "live"}),
            ("ARC", {"state": "live"}),
            ("REV", {"browsable": True}),
        ):
            if key == "REV":
                play.change_out_of_sight(revoked, status={"id": "3"})
            play.change_project(key, **change)
        for issue in hidden:
            play.site.store.hide(issue, hidden=False)
        play.site.index.forget_results()
        await play.passes(TWO_CENSUSES)
        await play.exact()


async def test_t13_a_census_that_is_cut_deletes_nothing_and_alarms(kafka: str) -> None:
    play = site(kafka, 100)
    async with opened(play, **RARELY) as reader:
        life = play.start(reader)
        await play.until(HOUR)
        play.site.index.forget_results()
        hidden = set(range(FIRST + 60, FIRST + 100))
        search = reader.search

        async def cut(jql: str, fields: Any, *more: Any, **named: Any) -> Any:
            found = await search(jql, fields, *more, **named)
            if tuple(fields) != ("id",):
                return found
            items = tuple(item for item in found.items if int(item["id"]) not in hidden)
            return type(found)(items, found.token, found.is_last)

        reader.search = cut  # type: ignore[method-assign]
        await play.passes(5 * HOUR)
        await play.exact()
        assert life.value("jira_sync_absent", **{"class": "suspect"}) == len(hidden)
        assert life.value("jira_sync_absent", **{"class": "deleted"}) == 0
        assert "suspect" in life.health.checks["jira"].detail
        reader.search = search  # type: ignore[method-assign]
        await play.passes(5 * HOUR)
        assert life.value("jira_sync_absent", **{"class": "suspect"}) == 0


@pytest.mark.skipif(not FULL, reason="three simulated days; make faults FULL=1")
@pytest.mark.timeout(7_200)
async def test_t23_three_days_keep_the_watermark_young_and_the_memory_small(kafka: str) -> None:
    """Memory: what the service's own code holds; it knows every event it told, so a busy site lets it grow a little."""
    play = site(kafka, 1_000, page=100)
    tracemalloc.start(1)
    try:
        async with opened(play) as reader:
            busy(play, every=600, until=3 * DAY)
            life = play.start(reader)
            held = []
            for hour in range(72):
                await play.until((hour + 1) * HOUR)
                age = life.value("jira_sync_watermark_age_seconds", scope=play.site_id)
                assert age < 5 * MINUTE, f"hour {hour}"
                held.append(_held_by_the_service())
            await play.exact()
            assert not life.failures
            assert held[71] <= held[23] * 1.10, "no more than 5 % a day"
    finally:
        tracemalloc.stop()


def _held_by_the_service() -> int:
    """Bytes allocated by its modules and still alive."""
    gc.collect()
    own = [tracemalloc.Filter(True, f"*/{package}/*") for package in ("jira_sync", "troth_chassis")]
    found = tracemalloc.take_snapshot().filter_traces(own)
    return sum(statistic.size for statistic in found.statistics("filename"))
