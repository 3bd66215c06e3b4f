"""Fault T19: field ids differ, boards of one site count in different fields, and a board's rules change for good.

Every configuration a board ever had stays with it: what closed under the old one keeps its figures.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.fakes import NOW
from tests.jira_sync.small_site import POINTS_FIELD, item, status_item

from troth_contracts.jira import Board, Issue, PlanChange, Sprint, SprintEvent, SprintFigures
from troth_contracts.topics import BOARDS, ISSUES, PLAN_CHANGES, SPRINT_EVENTS, SPRINTS

EFFORT = "customfield_10031"
"""Called "Story Points" too."""
FLOAT = {"type": "number", "custom": "com.atlassian.jira.plugin.system.customfieldtypes:float"}
TWIN = {"id": EFFORT, "name": "Story Points", "custom": True, "schema": FLOAT}


def sprint(stage: Stage, number: str) -> Sprint:
    found = stage.kafka.latest(SPRINTS)[f"{SITE}:{number}"]
    assert isinstance(found, Sprint)
    return found


def board(stage: Stage, number: str) -> Board:
    found = stage.kafka.latest(BOARDS)[f"{SITE}:{number}"]
    assert isinstance(found, Board)
    return found


def points(figures: SprintFigures | None) -> Decimal | None:
    return None if figures is None else figures.points


def changes(stage: Stage) -> list[tuple[str, str | None, str | None]]:
    bodies = [record.body for record in stage.kafka.told(PLAN_CHANGES)]
    return [(c.change, c.from_value, c.to_value) for c in bodies if isinstance(c, PlanChange)]


def done(stage: Stage, number: str) -> list[str | None]:
    bodies = [record.body for record in stage.kafka.told(SPRINT_EVENTS)]
    events = [body for body in bodies if isinstance(body, SprintEvent) and body.sprint_id == number]
    return [event.issue_id for event in events if event.effect == "issue_done"]


def configure(stage: Stage, number: int, **changed: Any) -> None:
    found = next(row for row in stage.site.seed["boards"] if row["id"] == number)
    found.update(changed)


def columns(*last: str) -> list[dict[str, Any]]:
    return [{"name": "To Do", "status_ids": ["1"]}, {"name": "Done", "status_ids": list(last)}]


async def later(stage: Stage, minutes: float = 15) -> None:
    await stage.later(60 * minutes)
    await stage.scan()


async def test_changed_columns_are_an_event_and_what_runs_is_derived_anew(stage: Stage) -> None:
    stage.site.change("10004", NOW - timedelta(hours=1), status_item("1", "3"), status={"id": "3"})
    await stage.scan()
    closed = sprint(stage, "1")
    assert done(stage, "2") == []
    configure(stage, 1, columns=columns("3", "9"))
    await later(stage)
    before, after = "To Do: 1; In Progress: 3; Done: 9", "To Do: 1; Done: 3, 9"
    assert changes(stage) == [("columns_changed", before, after)]
    assert board(stage, "1").done_status_ids == ("3", "9")
    assert done(stage, "2") == ["10004"], "done by the columns of today"
    stage.site.sprint(2).update(state="closed", completeDate=(NOW + timedelta(minutes=16)).isoformat())
    await later(stage)
    assert points(sprint(stage, "2").result) == Decimal(8)
    assert sprint(stage, "1") == closed, "closed by the columns of then"


async def test_a_sprint_keeps_the_columns_of_its_close_over_changes_and_restarts(stage: Stage) -> None:
    await stage.scan(2)
    closed = sprint(stage, "1")
    configure(stage, 1, columns=columns("3"))
    await later(stage)
    configure(stage, 1, columns=columns("9"))
    await later(stage)
    configure(stage, 1, columns=columns("3"))
    await later(stage)
    told = changes(stage)
    assert [change for change, _, _ in told] == ["columns_changed"] * 3
    assert len(board(stage, "1").former) == 3
    stage.start()
    stage.site.change("10003", NOW, item("summary", "summary", ("a", "a"), ("b", "b")), summary="b")
    await later(stage)
    assert sprint(stage, "1") == closed
    assert changes(stage) == told
    ids = [record.id for record in stage.kafka.told(PLAN_CHANGES)]
    assert len(set(ids)) == len(ids), "the same columns for the second time are another change"


async def test_a_board_that_counts_in_another_field_is_read_anew_in_it(stage: Stage) -> None:
    stage.site.seed["fields"].append(TWIN)
    stage.site.seed["fields"][-1]["name"] = "Effort"
    for number, effort in (("10002", 13), ("10004", 21)):
        stage.site.issue(number)["fields"][EFFORT] = effort
    await stage.scan()
    closed = sprint(stage, "1")
    assert points(sprint(stage, "2").commitment) == Decimal(5)
    configure(stage, 1, estimation_field_id=EFFORT)
    await later(stage)
    await later(stage)
    assert changes(stage) == [("estimation_changed", POINTS_FIELD, EFFORT)]
    running = sprint(stage, "2")
    assert (points(running.commitment), points(running.added)) == (Decimal(13), Decimal(21))
    story = stage.kafka.latest(ISSUES)[f"{SITE}:10002"]
    assert isinstance(story, Issue)
    assert (story.estimate_field, story.estimate) == (EFFORT, Decimal(13))
    assert sprint(stage, "1") == closed, "in the field it was closed with"


@pytest.mark.parametrize("mine", [POINTS_FIELD, EFFORT])
async def test_of_two_fields_called_story_points_each_board_has_its_own(stage: Stage, mine: str) -> None:
    stage.site.seed["fields"].insert(0, TWIN)
    other = EFFORT if mine == POINTS_FIELD else POINTS_FIELD
    configure(stage, 1, estimation_field_id=mine)
    configure(stage, 2, estimation_field_id=other)
    stage.site.issue("10002")["fields"][EFFORT] = 40
    stage.site.issue("10101")["fields"][EFFORT] = 50
    await stage.scan()
    assert points(sprint(stage, "2").commitment) == {POINTS_FIELD: 5, EFFORT: 40}[mine]
    assert points(sprint(stage, "4").commitment) == {POINTS_FIELD: 1, EFFORT: 50}[other]
    assert [board(stage, number).estimation_field for number in "12"] == [mine, other]
