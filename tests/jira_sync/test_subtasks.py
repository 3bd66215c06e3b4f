"""G3: sub-tasks follow their parent without any history; people only move the parent.

https://github.com/mikebowler/jirametrics/issues/71
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.fakes import NOW
from tests.jira_sync.small_site import APA, SPRINT_FIELD, issue, sprint_item

from jira_sync.errors import ForbiddenError, JiraUnavailableError
from troth_contracts.jira import Issue, Sprint, SprintEvent
from troth_contracts.topics import ISSUE_EVENTS, ISSUES, SPRINT_EVENTS, SPRINTS

STORY, BEFORE, AFTER = "10060", "10061", "10062"
SUBTASK = {"id": "5", "name": "Sub-task", "subtask": True}
PARENT = {"id": STORY, "key": "APA-60"}


@pytest.fixture
async def told(stage: Stage) -> Stage:
    """A story of 5 points in the running sprint, a sub-task made before the start and one made after it."""
    before, after = "2026-10-18T08:00:00.000Z", "2026-10-22T08:00:00.000Z"
    stage.site.seed["issues"] += [
        issue(10060, APA, points=5, sprints=(2,), created="2026-10-18T08:00:00.000Z"),
        issue(10061, APA, points=2, sprints=(2,), created=before, issuetype=SUBTASK, parent=PARENT),
        issue(10062, APA, points=2, sprints=(2,), created=after, issuetype=SUBTASK, parent=PARENT),
    ]
    await stage.scan(2)
    return stage


def sprint(stage: Stage, number: str) -> Sprint:
    found = stage.kafka.latest(SPRINTS)[f"{SITE}:{number}"]
    assert isinstance(found, Sprint)
    return found


async def parent_moves(stage: Stage) -> None:
    """On day 4. Jira shows the new sprint on the sub-tasks, and leaves their change time alone."""
    stage.site.change(STORY, NOW, sprint_item("2", "3"), **{SPRINT_FIELD: [3]})
    for number in (BEFORE, AFTER):
        stage.site.issue(number)["fields"][SPRINT_FIELD] = [3]
    await stage.later(60)
    await stage.scan()


async def test_they_are_in_the_sprint_and_points_are_counted_at_the_story_once(told: Stage) -> None:
    found = sprint(told, "2")
    assert found.subtask_ids == (BEFORE, AFTER)
    assert found.commitment is not None
    assert found.commitment.points == Decimal(5 + 5), "APA-2 and the story; not 9 for the story"
    assert not {BEFORE, AFTER} & {part.issue_id for part in found.commitment.issues}


async def test_they_leave_with_their_parent(told: Stage) -> None:
    await parent_moves(told)
    assert sprint(told, "2").subtask_ids == ()
    for number in (BEFORE, AFTER):
        found = told.kafka.latest(ISSUES)[f"{SITE}:{number}"]
        assert isinstance(found, Issue)
        assert found.sprint_ids == ("3",), "read again because the parent moved"


async def test_no_event_is_invented_for_them(told: Stage) -> None:
    await parent_moves(told)
    keys = {f"{SITE}:{number}" for number in (BEFORE, AFTER)}
    assert not [record for record in told.kafka.told(ISSUE_EVENTS) if record.key in keys]
    bodies = [record.body for record in told.kafka.told(SPRINT_EVENTS)]
    assert not [b for b in bodies if isinstance(b, SprintEvent) and b.issue_id in (BEFORE, AFTER)]


async def test_a_restart_knows_them(told: Stage) -> None:
    before = sprint(told, "2")
    told.start()
    await told.later(60)
    await told.scan()
    assert sprint(told, "2") == before


async def test_a_subtask_made_after_the_close_is_not_in_it(told: Stage) -> None:
    told.site.sprint(2).update(state="closed", completeDate="2026-11-01T08:00:00.000Z")
    told.site.seed["issues"].append(
        issue(10063, APA, sprints=(2,), created="2026-11-02T08:00:00.000Z", issuetype=SUBTASK, parent=PARENT)
    )
    told.site.issue("10063")["fields"]["updated"] = NOW.isoformat()
    await told.later(60)
    await told.scan()
    assert sprint(told, "2").subtask_ids == (BEFORE, AFTER)


async def test_they_are_told_in_the_transaction_of_their_parent(told: Stage) -> None:
    """A crash in between would leave them where they were for ever: the next scan sees no change of the parent."""
    await parent_moves(told)
    moved = next(
        batch
        for batch in reversed(told.kafka.transactions)
        if any(r.topic == ISSUES.name and r.key == f"{SITE}:{STORY}" for r in batch)
    )
    assert {record.key for record in moved if record.topic == ISSUES.name} >= {
        f"{SITE}:{number}" for number in (STORY, BEFORE, AFTER)
    }


async def test_a_sub_task_that_cannot_be_read_now_is_read_with_its_parent_later(told: Stage) -> None:
    def down(name: str) -> None:
        if name == f"issue/{BEFORE}":
            raise JiraUnavailableError("Jira answered 503")

    told.site.before = down
    with pytest.raises(JiraUnavailableError):
        await parent_moves(told)
    told.site.before = lambda _name: None
    await told.scan()
    for number in (STORY, BEFORE, AFTER):
        found = told.kafka.latest(ISSUES)[f"{SITE}:{number}"]
        assert isinstance(found, Issue)
        assert found.sprint_ids == ("3",)


async def test_an_issue_that_is_forbidden_is_not_missing_because_sub_tasks_were_read_after_it(
    told: Stage,
) -> None:
    def refuse(name: str) -> None:
        if name == "issue/10005":
            raise ForbiddenError("issue/10005: Jira answered 403")

    told.site.before = refuse
    told.site.change(STORY, NOW, sprint_item("2", "3"), **{SPRINT_FIELD: [3]})
    assert await told.poller._intake.read({"10005", STORY}, "repair") == frozenset()
