"""An event says where to look, never what is there (field cases G14, G15)."""

from __future__ import annotations

import asyncio
import copy
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.fakes import NOW
from tests.jira_sync.small_site import status_item

from jira_sync.budget import Pace, Priority, PriorityBudget, asking_as
from jira_sync.gap import PATIENCE
from jira_sync.hints import Hint, Hints, hints_of
from jira_sync.webhooks.follower import Identifiers
from troth_chassis.clock import ManualClock
from troth_contracts.jira import Board, Issue, Sprint, SprintEvent
from troth_contracts.topics import BOARDS, ISSUE_EVENTS, ISSUES, SPRINT_EVENTS, SPRINTS

AT = datetime(2025, 11, 25, 10, 0, tzinfo=UTC)


def issue(stage: Stage, number: str) -> Issue | None:
    last = [record.body for record in stage.kafka.told(ISSUES) if record.key == f"{SITE}:{number}"][-1]
    assert last is None or isinstance(last, Issue)
    return last


def sprint(stage: Stage, number: str) -> Sprint:
    found = stage.kafka.latest(SPRINTS)[f"{SITE}:{number}"]
    assert isinstance(found, Sprint)
    return found


def lives(stage: Stage, number: str) -> Counter[str]:
    told = [record.body for record in stage.kafka.told(SPRINT_EVENTS)]
    effects = [b.effect for b in told if isinstance(b, SprintEvent) and b.sprint_id == number]
    return Counter(effect for effect in effects if effect in ("started", "closed"))


async def announced(stage: Stage, *hints: Hint) -> None:
    """The hints are followed without a scan."""
    stage.hints.put(hints)
    stage.site.now += timedelta(seconds=1)
    await stage.poller._desk.attend()


def event(name: str, **parts: Any) -> tuple[Hint, ...] | None:
    return hints_of({"webhookEvent": name, "timestamp": int(AT.timestamp() * 1000), **parts})


async def test_an_announced_issue_is_read_past_the_index_before_the_next_poll(stage: Stage) -> None:
    await stage.scan()
    stage.site.unlisted.add("10005")
    history = stage.site.change("10005", NOW, status_item("1", "3"), status={"id": "3"})
    await announced(stage, Hint("issue", "10005"))
    found = issue(stage, "10005")
    assert found is not None
    assert found.status_id == "3"
    stage.site.unlisted.clear()
    await stage.later(60)
    await stage.scan(2)
    ids = Counter(record.id for record in stage.kafka.told(ISSUE_EVENTS))
    assert ids[f"{SITE}:10005:{history}:0"] == 1


async def test_mutation_a_payload_taken_for_the_state_would_bring_the_past_back(stage: Stage) -> None:
    """The event of an earlier change comes last; what it shows of issue and sprint is over."""
    await stage.scan()
    stage.site.change("10005", NOW, status_item("1", "3"), status={"id": "3"}, summary="As it was")
    past = copy.deepcopy(stage.site.issue("10005"))
    running = copy.deepcopy(stage.site.sprint(2))
    stage.site.change("10005", NOW, status_item("3", "1"), status={"id": "1"}, summary="As it is")
    stage.site.sprint(2)["name"] = "As it is"
    await announced(stage, *(event("jira:issue_updated", issue=past, changelog={"id": "1"}) or ()))
    await announced(stage, *(event("sprint_updated", sprint=running, oldValue=running | {"goal": "x"}) or ()))
    body = issue(stage, "10005")
    assert body is not None
    assert (body.status_id, body.summary) == ("1", "As it is")
    assert sprint(stage, "2").name == "As it is"


async def test_a_poll_counts_what_no_webhook_announced(stage: Stage) -> None:
    await stage.scan(2)
    stage.hints.listening = True
    stage.site.change("10005", NOW, status_item("1", "3"), status={"id": "3"})
    stage.site.change("10102", NOW, status_item("1", "3"), status={"id": "3"})
    await announced(stage, Hint("issue", "10102"))
    await stage.later(60)
    await stage.scan()
    assert stage.registry.get_sample_value("jira_sync_webhook_gap_total") == 0, "one may be on its way"
    await stage.later(PATIENCE)
    await stage.scan()
    assert stage.registry.get_sample_value("jira_sync_webhook_gap_total") == 1
    assert stage.registry.get_sample_value("jira_sync_webhook_announced_total") == 1
    feeds = {
        feed: stage.registry.get_sample_value("jira_sync_events_total", {"type": "status", "feed": feed})
        for feed in ("webhook", "poll")
    }
    assert feeds == {"webhook": 1, "poll": 1}


async def test_a_deletion_is_believed_when_a_direct_read_confirms_it(stage: Stage) -> None:
    await stage.scan()
    await announced(stage, Hint("issue_deleted", "10005"))
    assert issue(stage, "10005") is not None, "it is still there: a forged or stale event deletes nothing"
    stage.site.seed["issues"] = [row for row in stage.site.seed["issues"] if row["id"] != "10005"]
    await announced(stage, Hint("issue_deleted", "10005"))
    assert issue(stage, "10005") is None


async def test_an_update_that_answers_404_waits_for_its_confirmation(stage: Stage) -> None:
    await stage.scan()
    stage.site.seed["issues"] = [row for row in stage.site.seed["issues"] if row["id"] != "10005"]
    await announced(stage, Hint("issue", "10005"))
    assert issue(stage, "10005") is not None
    await stage.later(700)
    await stage.scan()
    assert issue(stage, "10005") is None


async def test_g14_two_events_with_one_timestamp_the_older_one_last(stage: Stage) -> None:
    """https://github.com/promhippie/github_exporter/issues/296"""
    await stage.scan()
    close = NOW + timedelta(seconds=20)
    stage.site.sprint(2).update(state="closed", completeDate=close.isoformat())
    stage.site.change("10004", close, status_item("1", "9"), status={"id": "9"})
    stage.site.now = close
    old = {"id": 2, "state": "active"}
    for name in ("sprint_closed", "sprint_updated", "sprint_started"):
        await announced(stage, *(event(name, sprint=old) or ()))
    for state in ("9", "3"):
        body = {"id": "10004", "fields": {"status": {"id": state}}}
        await announced(stage, *(event("jira:issue_updated", issue=body) or ()))
    first = sprint(stage, "2")
    assert first.state == "closed"
    assert lives(stage, "2") == {"started": 1, "closed": 1}
    await stage.later(60)
    await stage.scan(2)
    assert lives(stage, "2") == {"started": 1, "closed": 1}, "found by snapshot under the same id"
    assert sprint(stage, "2").result == first.result
    found = issue(stage, "10004")
    assert found is not None
    assert found.status_id == "9"


async def test_a_start_is_one_event_whether_announced_or_found(stage: Stage) -> None:
    by_hint, by_poll = Stage(), stage
    for one in (by_hint, by_poll):
        await one.scan()
        one.site.sprint(3).update(
            state="active", startDate=NOW.isoformat(), activatedDate=NOW.isoformat(), endDate=NOW.isoformat()
        )
    await announced(by_hint, Hint("sprint", "3"))
    await by_poll.later(60)
    await by_poll.scan()
    ids = [
        {r.id for r in one.kafka.told(SPRINT_EVENTS) if r.key == f"{SITE}:3"} for one in (by_hint, by_poll)
    ]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 1


async def test_a_deleted_sprint_goes_at_once_when_its_deletion_was_announced(stage: Stage) -> None:
    await stage.scan()
    stage.site.seed["sprints"] = [row for row in stage.site.seed["sprints"] if row["id"] != 3]
    await announced(stage, Hint("sprint_deleted", "3"))
    assert [r.body for r in stage.kafka.told(SPRINTS) if r.key == f"{SITE}:3"][-1] is None
    await stage.later(60)
    await stage.scan()
    assert [r.body for r in stage.kafka.told(SPRINTS) if r.key == f"{SITE}:3"][-1] is None


async def test_a_changed_board_is_read_at_once(stage: Stage) -> None:
    stage.structure_seconds = 10_000
    stage.start()
    await stage.scan()
    stage.site.seed["boards"][0]["columns"][-1]["status_ids"] = []
    stage.hints.put(event("board_configuration_changed", configuration={"id": 1}) or ())
    await stage.later(1)
    await stage.scan(2)
    board = stage.kafka.latest(BOARDS)[f"{SITE}:1"]
    assert isinstance(board, Board)
    assert board.done_status_ids == ("3",)


async def test_people_may_repair_by_key_and_ask_for_everything(stage: Stage) -> None:
    await stage.scan(2)
    stage.site.unlisted.add("10005")
    stage.site.change("10005", NOW, status_item("1", "3"), status={"id": "3"})
    await announced(stage, *(hints_of({"webhookEvent": "troth:repair", "issue": "APA-5"}) or ()))
    found = issue(stage, "10005")
    assert found is not None
    assert found.status_id == "3"
    stage.site.queries.clear()
    stage.hints.put(hints_of({"webhookEvent": "troth:backfill"}) or ())
    await stage.later(60)
    await stage.scan(2)
    assert any("updated" not in query.partition(" ORDER")[0] for query in stage.site.queries)


@pytest.mark.parametrize(
    ("name", "parts", "hints"),
    [
        ("jira:issue_created", {"issue": {"id": "7"}}, (Hint("issue", "7"),)),
        ("jira:issue_deleted", {"issue": {"id": "7"}}, (Hint("issue_deleted", "7"),)),
        ("sprint_started", {"sprint": {"id": 7}}, (Hint("sprint", "7"),)),
        ("sprint_deleted", {"sprint": {"id": 7}}, (Hint("sprint_deleted", "7", at=AT),)),
        ("board_configuration_changed", {"configuration": {"id": 1}}, (Hint("structure"),)),
        ("jira:version_merged", {"version": {"id": "1"}}, (Hint("structure"),)),
        (
            "issuelink_created",
            {"issueLink": {"sourceIssueId": 7, "destinationIssueId": 8}},
            (Hint("issue", "7"), Hint("issue", "8")),
        ),
        ("jira:issue_updated", {"issue": {"id": "7/../../myself"}}, ()),
        ("jira:issue_updated", {}, ()),
        ("comment_created", {}, ()),
        ("surprise", {}, None),
    ],
)
def test_where_an_event_points(name: str, parts: dict[str, Any], hints: tuple[Hint, ...] | None) -> None:
    assert event(name, **parts) == hints


def test_every_recorded_webhook_points_somewhere_or_nowhere(fixtures_dir: Path) -> None:
    files = sorted((fixtures_dir / "jira" / "webhooks-mattermost").rglob("*.json"))
    assert files
    for path in files:
        body = json.loads(path.read_bytes())
        assert isinstance(hints_of(body), tuple | None)


async def test_a_hint_given_again_while_it_is_followed_stays() -> None:
    hints = Hints(ManualClock(NOW))
    hint = Hint("issue", "1")
    hints.put([hint])
    taken = hints.take()
    hints.put([hint])
    hints.settle(taken)
    assert hint in hints.take()


def test_an_identifier_is_new_once() -> None:
    known = Identifiers(limit=2)
    assert [known.is_new(name) for name in ("a", "a", "b", "c", "a")] == [True, False, True, True, True]


async def test_repair_goes_before_census_when_both_wait() -> None:
    clock = ManualClock(NOW)
    budget = PriorityBudget(Pace(1_000.0, 1_000, 1), clock)
    served: list[str] = []

    async def one(priority: Priority) -> None:
        with asking_as(priority):
            async with budget.slot():
                served.append(priority.name)
                await asyncio.sleep(0)

    async with budget.slot():
        waiting = [asyncio.create_task(one(p)) for p in (Priority.CENSUS, Priority.POLL, Priority.REPAIR)]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert served == ["REPAIR", "POLL", "CENSUS"]
    await one(Priority.BACKFILL)
