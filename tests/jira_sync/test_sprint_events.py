"""Sprint events: what is told, under which id, and what is not."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from tests.jira_sync.stories import RULES, SITE, Story, day

from jira_sync.domain.sprint_events import life_events, scope_events, window_of
from troth_contracts.jira import Sprint, SprintEvent

SPRINT = Sprint(
    site_id=SITE,
    id="1",
    name="One",
    state="closed",
    planned_start_at=day(0),
    activated_at=day(0),
    completed_at=day(14),
)


def events(*stories: Story, sprint: Sprint = SPRINT) -> list[SprintEvent]:
    window = window_of(sprint)
    assert window is not None
    return list(scope_events(sprint, window, RULES, [story.timeline() for story in stories]))


def test_g2_moves_before_the_start_tell_nobody_anything() -> None:
    story = Story("1", sprints=frozenset({"1"})).take_out("1", day(-5)).put_into("1", day(-4))
    assert not events(story)


def test_at_exactly_the_start_is_planning_at_exactly_the_close_is_an_event() -> None:
    assert not events(Story("1").put_into("1", day(0)))
    assert [event.effect for event in events(Story("1").put_into("1", day(14)))] == ["scope_added"]


def test_g2_both_moves_during_the_sprint_are_visible() -> None:
    story = Story("1", sprints=frozenset({"1"}), points=3).take_out("1", day(5)).put_into("1", day(6))
    assert [event.effect for event in events(story)] == ["scope_removed", "scope_added"]


def test_carry_over_after_the_close_is_no_event() -> None:
    assert not events(Story("1", sprints=frozenset({"1"})).move("1", "2", day(14) + timedelta(seconds=4)))


def test_each_effect_with_points_actor_and_an_id_from_the_history() -> None:
    story = (
        Story("7", points=3)
        .put_into("1", day(1))
        .estimate(5, day(2))
        .turn("done", day(3))
        .turn("todo", day(4))
    )
    found = events(story)
    assert [(e.effect, e.points, e.points_before) for e in found] == [
        ("scope_added", Decimal(3), None),
        ("estimate_changed", Decimal(5), Decimal(3)),
        ("issue_done", Decimal(5), None),
        ("issue_reopened", Decimal(5), None),
    ]
    assert found[0].event_id == "site:7000:0:1:scope_added"
    assert all(e.in_active_sprint and e.actor_id == "somebody" for e in found)


def test_an_issue_created_inside_has_no_invented_history() -> None:
    found = events(Story("7", created=day(3), sprints=frozenset({"1"})))
    assert [(e.event_id, e.history_id) for e in found] == [("site:created:7:1", None)]


def test_one_item_that_leaves_one_sprint_and_enters_another_tells_each_its_own() -> None:
    second = Sprint(site_id=SITE, id="2", name="Two", state="active", planned_start_at=day(0))
    story = Story("7", sprints=frozenset({"1"})).move("1", "2", day(3))
    ids = [event.event_id for event in (*events(story), *events(story, sprint=second))]
    assert ids == ["site:7000:0:1:scope_removed", "site:7000:0:2:scope_added"]


def test_sub_tasks_and_issues_elsewhere_are_silent() -> None:
    subtask = Story("1", subtask=True).put_into("1", day(2))
    assert not events(subtask, Story("2", sprints=frozenset({"2"})).turn("done", day(3)))


def test_started_and_closed_are_named_after_the_instant() -> None:
    assert [event.effect for event in life_events(SPRINT, None)] == ["started", "closed"]
    future = Sprint(site_id=SITE, id="3", name="Three", state="future", planned_start_at=day(20))
    assert not list(life_events(future, None))
