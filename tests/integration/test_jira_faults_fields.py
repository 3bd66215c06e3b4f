"""Fault T19: no field id is known beforehand, two fields share a name, and boards change what they count by."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from tests.integration.jira_play import HOUR, Life, Play, opened
from tests.integration.test_jira_faults_site import FIRST, MINUTE

from troth_contracts.jira import Board, Issue, PlanChange, Sprint
from troth_contracts.topics import BOARDS, ISSUES, PLAN_CHANGES, SPRINTS, Topic
from troth_sandbox.jira import catalogue_writes, sample
from troth_sandbox.jira.catalogue_writes import BoardEdit
from troth_sandbox.jira.records import Column

APPLES, PEARS = "10000", "10001"
APPLE_POINTS, PEAR_POINTS, SPRINTS_OF_ISSUE = "customfield_20071", "customfield_20072", "customfield_20090"
CLOSED, RUNNING = "76", "90"
APPLE_BOARD, PEAR_BOARD = 1, 2
ISSUES_OF_THE_SITE = 40
DONE = "2026-10-25T09:00:00.000+0000"
"""While the closed sprint ran."""
STATUS_ITEM = {"field": "status", "fieldtype": "jira", "fieldId": "status", "from": "2", "to": "3"}


def seed() -> dict[str, Any]:
    """The sample under other field ids. Each team has its own field of one name; each has a sprint of its own."""
    text = json.dumps(sample.seed(ISSUES_OF_THE_SITE))
    text = text.replace(sample.POINTS_FIELD, APPLE_POINTS).replace(sample.SPRINT_FIELD, SPRINTS_OF_ISSUE)
    found: dict[str, Any] = json.loads(text)
    points = next(entry for entry in found["fields"] if entry["id"] == APPLE_POINTS)
    found["fields"].insert(0, points | {"id": PEAR_POINTS, "schema": points["schema"] | {"customId": 20072}})
    found["boards"][0]["project_ids"] = [APPLES]
    found["boards"][1] |= {"project_ids": [PEARS], "estimation_field_id": PEAR_POINTS}
    for number, issue in enumerate(found["issues"]):
        fields = issue["fields"]
        fields[PEAR_POINTS] = 0.5 + number
        fields[APPLE_POINTS] = 100.0 + number
        fields[SPRINTS_OF_ISSUE] = [int(RUNNING if fields["project"]["id"] == PEARS else CLOSED)]
        fields["created"] = "2026-10-10T09:00:00.000+0000"
        fields["status"] = {"id": "2"}
        issue["histories"] = []
        if fields["project"]["id"] == APPLES and number % 2:
            fields["status"] = {"id": "3"}
            issue["histories"] = [{"id": str(5_000 + number), "created": DONE, "items": [STATUS_ITEM]}]
    return found


async def latest(play: Play, topic: Topic) -> dict[str, Any]:
    await play.topics.refresh()
    kept = play.topics.kept(topic, play.site_id)
    return {record.key.partition(":")[2]: record.body for record in kept if record.body is not None}


async def estimates(play: Play) -> dict[str, dict[str | None, Decimal | None]]:
    """Field and value by issue, grouped by project."""
    found: dict[str, dict[str | None, Decimal | None]] = {APPLES: {}, PEARS: {}}
    issues: dict[str, Issue] = await latest(play, ISSUES)
    for number, issue in issues.items():
        found[issue.project_id][f"{issue.estimate_field} {number}"] = issue.estimate
    return found


def stored(play: Play, field: str, project: str) -> dict[str | None, Decimal | None]:
    return {
        f"{field} {issue.id}": Decimal(str(issue.fields[field])).normalize()
        for issue in play.site.store.issues()
        if issue.project_id == project
    }


def total(play: Play, field: str, project: str, *, done: tuple[str, ...] = ("1", "2", "3")) -> Decimal:
    issues = [issue for issue in play.site.store.issues() if issue.project_id == project]
    return sum((Decimal(str(i.fields[field])) for i in issues if i.status_id in done), Decimal(0))


async def test_t19_the_right_field_and_columns_per_board_also_after_they_change(kafka: str) -> None:
    play = Play(kafka, seed())
    play.estimates = {APPLES: APPLE_POINTS, PEARS: PEAR_POINTS}
    async with opened(play, jira_structure_seconds=5 * MINUTE) as reader:
        life = play.start(reader)
        await play.until(10 * MINUTE)
        await play.exact()
        found = await estimates(play)
        assert found[APPLES] == stored(play, APPLE_POINTS, APPLES)
        assert found[PEARS] == stored(play, PEAR_POINTS, PEARS)
        running, closed = await sprints(play)
        assert running.commitment is not None
        assert closed.result is not None
        assert running.commitment.points == total(play, PEAR_POINTS, PEARS)
        assert closed.result.points == total(play, APPLE_POINTS, APPLES, done=("3",))

        before = play.clock.now()
        catalogue_writes.edit_board(
            play.site, PEAR_BOARD, BoardEdit(estimation_field_id=APPLE_POINTS), play.now_ms()
        )
        columns = (Column("To Do", ("1",)), Column("Done", ("2",)))
        catalogue_writes.edit_board(play.site, APPLE_BOARD, BoardEdit(columns=columns), play.now_ms())
        play.estimates = {APPLES: APPLE_POINTS, PEARS: APPLE_POINTS}
        await play.passes(20 * MINUTE)
        await play.exact()
        found = await estimates(play)
        assert found[APPLES] == stored(play, APPLE_POINTS, APPLES)
        assert found[PEARS] == stored(play, APPLE_POINTS, PEARS)
        running, closed = await sprints(play)
        assert running.commitment is not None
        assert closed.result is not None
        assert running.commitment.points == total(play, APPLE_POINTS, PEARS)
        assert closed.result.points == total(play, APPLE_POINTS, APPLES, done=("3",)), (
            "by the rules of its close"
        )

        play.edit(FIRST + 3, **{APPLE_POINTS: 7.5, "status": {"id": "1"}})  # type: ignore[arg-type]
        await told_of_configurations(play, before)
        await play.passes(HOUR)
        await play.exact()
        await told_of_configurations(play, before)
        assert not life.failures
        await starts_again(play, life, reader)
        await told_of_configurations(play, before)


async def sprints(play: Play) -> tuple[Sprint, Sprint]:
    found: dict[str, Sprint] = await latest(play, SPRINTS)
    return found[RUNNING], found[CLOSED]


async def told_of_configurations(play: Play, before: Any) -> None:
    """Each change once, as an event and as the board's past."""
    await play.topics.refresh()
    told = [record.body for record in play.topics.kept(PLAN_CHANGES, play.site_id)]
    changes = {
        (c.entity_id, c.change): (c.from_value, c.to_value, c.at)
        for c in told
        if isinstance(c, PlanChange) and c.entity == "board"
    }
    assert len(changes) == len([c for c in told if isinstance(c, PlanChange) and c.entity == "board"])
    assert changes.keys() == {
        ("1", "columns_changed"),
        ("2", "estimation_changed"),
        ("3", "estimation_changed"),  # a kanban board names no field: it counts by that of its project
    }
    assert changes["2", "estimation_changed"][:2] == (PEAR_POINTS, APPLE_POINTS)
    assert changes["1", "columns_changed"][:2] == (
        "To Do: 1; In Progress: 2; Done: 3",
        "To Do: 1; Done: 2",
    )
    for _, _, at in changes.values():
        assert 0 <= (at - before).total_seconds() <= 6 * MINUTE
    boards: dict[str, Board] = await latest(play, BOARDS)
    assert [b.estimation_field for b in boards.values()].count(APPLE_POINTS) == 3
    assert [former.estimation_field for former in boards["2"].former] == [PEAR_POINTS]
    assert [column.status_ids for column in boards["1"].former[0].columns] == [("1",), ("2",), ("3",)]
    assert [column.status_ids for column in boards["1"].columns] == [("1",), ("2",)]


async def starts_again(play: Play, life: Life, reader: Any) -> None:
    await life.stop()
    play.start(reader)
    await play.passes(10 * MINUTE)
    await play.exact()
