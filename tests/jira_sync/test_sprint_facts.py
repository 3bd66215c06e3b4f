"""Sprint figures by Jira's own rules: hand-made cases from the field, and random lives against a forward replay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.jira_sync.stories import RULES, Story, day

from jira_sync.domain.sprint_facts import SprintFacts, Window, share_of, sprint_facts
from troth_contracts.jira import SprintFigures

MS = timedelta(milliseconds=1)
START, CLOSE = day(0), day(14)
WINDOW = Window("1", START, CLOSE)
RUNNING = Window("1", START, None)


def facts(*stories: Story, window: Window = WINDOW) -> SprintFacts:
    return sprint_facts(window, RULES, [story.timeline() for story in stories])


def points(figures: SprintFigures) -> dict[str, Decimal]:
    return {issue.issue_id: issue.points for issue in figures.issues}


def planned(issue_id: str, points: int | None = 3, status: str = "todo") -> Story:
    story = Story(issue_id, points=points, status=status)
    return story.put_into("1", day(-5))


def test_committed_is_the_estimate_at_the_start_and_completed_the_estimate_at_the_close() -> None:
    story = planned("1", 3).estimate(5, day(2)).turn("done", day(3)).estimate(8, day(15))
    found = facts(story)
    assert points(found.commitment) == {"1": Decimal(3)}
    assert points(found.result) == {"1": Decimal(5)}


@pytest.mark.parametrize(("at", "is_committed"), [(START - MS, True), (START, True), (START + MS, False)])
def test_a_change_at_exactly_the_start_counts_as_before(at: datetime, is_committed: bool) -> None:
    found = facts(Story("1", points=3).put_into("1", at))
    assert (points(found.commitment), points(found.added)) == (
        ({"1": Decimal(3)}, {}) if is_committed else ({}, {"1": Decimal(3)})
    )


@pytest.mark.parametrize(("at", "is_done"), [(CLOSE - MS, True), (CLOSE, True), (CLOSE + MS, False)])
def test_a_change_at_exactly_the_close_counts_as_inside(at: datetime, is_done: bool) -> None:
    assert facts(planned("1").turn("done", at)).result.issue_count == int(is_done)


def test_g2_taken_out_and_put_back_before_the_start_is_committed_and_nothing_else() -> None:
    """https://github.com/apache/devlake/issues/1938"""
    out, back = datetime.fromisoformat("2022-04-01T14:09Z"), datetime.fromisoformat("2022-04-01T14:28Z")
    start, close = datetime.fromisoformat("2022-04-06T13:41Z"), datetime.fromisoformat("2022-04-18T10:00Z")
    window = Window("1", start, close)
    first = (
        Story("1", created=day(-2_000), points=3, sprints=frozenset({"1"}))
        .take_out("1", out)
        .put_into("1", back)
    )
    found = facts(first, window=window)
    assert points(found.commitment) == points(found.commitment_by_report) == {"1": Decimal(3)}
    assert not found.added.issues
    assert not found.removed.issues
    assert not found.readings_differ


@pytest.mark.parametrize("back", [day(6), CLOSE - MS])
def test_g2_out_and_in_again_during_the_sprint_is_committed_by_the_text_and_flagged(back: datetime) -> None:
    found = facts(planned("1").take_out("1", day(5)).put_into("1", back))
    assert points(found.commitment) == {"1": Decimal(3)}
    assert not found.added.issues
    assert not found.removed.issues
    assert not found.commitment_by_report.issues
    assert found.readings_differ


def test_g4_removed_before_the_close_or_carried_over_by_it() -> None:
    """Four unfinished issues around the close: only what Jira writes after it is carry-over."""
    stories = [
        planned("1").move("1", "2", CLOSE - MS),
        planned("2").move("1", "2", CLOSE),
        planned("3").put_into("2", CLOSE + timedelta(seconds=4)),
        planned("4").move("1", "2", day(5)),
    ]
    found = facts(*stories)
    assert points(found.commitment) == dict.fromkeys("1234", Decimal(3))
    assert points(found.removed) == dict.fromkeys("124", Decimal(3))
    assert not found.result.issues


def test_g4_gives_the_same_answer_seen_live_and_read_only_after_the_close() -> None:
    stories = [planned("1").move("1", "2", CLOSE - MS), planned("4").move("1", "2", day(5)), planned("5")]
    live = facts(*stories, window=RUNNING)
    stories[2].put_into("2", CLOSE + timedelta(seconds=4)).turn("done", day(20))
    later = facts(*stories)
    assert (live.commitment, live.removed, live.result) == (later.commitment, later.removed, later.result)


def test_mutation_naive_carry_over_taking_todays_field_would_lose_the_closed_sprint() -> None:
    """Carry-over that replaces the sprint after the close must be undone, not believed."""
    found = facts(planned("1").turn("done", day(3)).move("1", "2", CLOSE + timedelta(seconds=4)))
    assert points(found.result) == {"1": Decimal(3)}
    assert not found.removed.issues


def test_done_before_the_start_counts_neither_as_committed_nor_as_completed() -> None:
    story = Story("1", points=3).put_into("1", day(-5)).turn("done", day(-1))
    found = facts(story)
    assert not found.commitment.issues
    assert not found.result.issues
    assert points(found.commitment_by_report) == {"1": Decimal(3)}
    assert found.readings_differ


def test_done_at_exactly_the_start_is_done_before_it() -> None:
    found = facts(planned("1").turn("done", START))
    assert not found.commitment.issues
    assert not found.result.issues


def test_put_in_at_exactly_the_start_is_planned_by_both_readings() -> None:
    assert not facts(Story("1", points=3).put_into("1", START)).readings_differ


def test_reopened_and_done_again_inside_counts_as_completed() -> None:
    story = planned("1").turn("done", day(-1)).turn("todo", day(2)).turn("done", day(3))
    assert points(facts(story).result) == {"1": Decimal(3)}


def test_a_status_on_no_column_is_not_committed_and_the_sprint_is_flagged() -> None:
    found = facts(planned("1", status="parked"))
    assert not found.commitment.issues
    assert found.readings_differ


def test_created_inside_the_sprint_without_a_sprint_item_is_added() -> None:
    story = Story("1", created=day(4), sprints=frozenset({"1"}), points=2).estimate(5, day(6))
    found = facts(story)
    assert points(found.added) == {"1": Decimal(2)}
    assert not found.commitment.issues


def test_created_after_the_close_has_no_part() -> None:
    assert share_of(WINDOW, RULES, Story("1", created=day(15), sprints=frozenset({"1"})).timeline()) is None


def test_null_estimate_counts_zero_but_the_issue_counts() -> None:
    found = facts(planned("1", None))
    assert (found.commitment.points, found.commitment.issue_count) == (Decimal(0), 1)


def test_g3_sub_tasks_never_count_points_stand_at_the_story_once() -> None:
    task = Story("2", points=2, subtask=True, sprints=frozenset({"1"}))
    assert facts(planned("1", 5), task).commitment.points == Decimal(5)


def test_added_counts_the_estimate_at_the_moment_it_was_added() -> None:
    story = Story("1", points=2).put_into("1", day(3)).estimate(8, day(4)).turn("done", day(5))
    found = facts(story)
    assert (points(found.added), points(found.result)) == ({"1": Decimal(2)}, {"1": Decimal(8)})


# --- random lives -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Act:
    """One thing that happens to an issue at a whole hour."""

    hour: int
    kind: str
    value: int


SPAN = 40
START_HOUR, CLOSE_HOUR = 10, 30
ACTS = st.builds(
    Act, st.integers(0, SPAN), st.sampled_from(["in", "out", "status", "estimate"]), st.integers(0, 4)
)
LIVES = st.tuples(
    st.integers(-1, SPAN),
    st.booleans(),
    st.lists(ACTS, max_size=12).map(lambda acts: sorted(acts, key=lambda a: a.hour)),
)
STATUSES = ("todo", "doing", "done", "parked", "done")


def hour(number: int) -> datetime:
    return day(0) + timedelta(hours=number)


def tell(issue_id: str, created: int, starts_inside: bool, acts: Iterable[Act]) -> Story:
    sprints = frozenset({"1"}) if starts_inside else frozenset[str]()
    story = Story(issue_id, created=hour(created), sprints=sprints, points=1)
    for act in acts:
        at = hour(max(act.hour, created))
        match act.kind:
            case "in" if "1" not in story.sprints:
                story.put_into("1", at)
            case "out" if "1" in story.sprints:
                story.take_out("1", at)
            case "status" if story.status != STATUSES[act.value]:
                story.turn(STATUSES[act.value], at)
            case "estimate" if story.points != act.value:
                story.estimate(act.value, at)
    return story


@dataclass
class Replay:
    """The sprint report kept by hand, event after event, as somebody watching the sprint would."""

    committed: int | None = None
    added: int | None = None
    removed: int | None = None
    completed: int | None = None


def replay(created: int, starts_inside: bool, acts: Iterable[Act]) -> Replay:
    """Forward, hour by hour, sharing no code with the product."""
    report = Replay()
    inside, status, points = starts_inside, "todo", 1
    was_done_at_start = flipped = present_at_start = ever = False
    born = created
    log = [(max(act.hour, created), act) for act in acts]
    cursor = 0
    for now in range(-1, SPAN + 1):
        if now < born:
            continue
        if now == born and START_HOUR < now <= CLOSE_HOUR and inside:
            report.added, ever = points, True
        while cursor < len(log) and log[cursor][0] == now:
            act = log[cursor][1]
            cursor += 1
            running = START_HOUR < now <= CLOSE_HOUR
            if act.kind == "in" and not inside:
                inside = True
                if running:
                    ever = True
                    if not present_at_start and report.added is None:
                        report.added = points
            elif act.kind == "out" and inside:
                inside = False
                if running:
                    report.removed = points
            elif act.kind == "status" and status != STATUSES[act.value]:
                if running and (status == "done") != (STATUSES[act.value] == "done"):
                    flipped = True
                status = STATUSES[act.value]
            elif act.kind == "estimate":
                points = act.value
        if now == START_HOUR:
            present_at_start = ever = inside
            was_done_at_start = status == "done"
            if inside and status != "parked":
                report.committed = points
        if now == CLOSE_HOUR:
            if inside:
                report.removed = None
                report.completed = points if status == "done" else None
            if was_done_at_start and not flipped:
                report.committed = report.removed = report.completed = None
    return report if ever else Replay()


@given(st.lists(LIVES, max_size=5))
def test_random_lives_equal_a_forward_replay(lives: list[tuple[int, bool, list[Act]]]) -> None:
    window = Window("1", hour(START_HOUR), hour(CLOSE_HOUR))
    stories = [tell(str(number), *life) for number, life in enumerate(lives, start=1)]
    found = sprint_facts(window, RULES, [story.timeline() for story in stories])
    expected = {str(number): replay(*life) for number, life in enumerate(lives, start=1)}

    def figure(name: str) -> dict[str, Decimal]:
        return {key: Decimal(value) for key, r in expected.items() if (value := getattr(r, name)) is not None}

    assert points(found.commitment) == figure("committed")
    assert points(found.added) == figure("added")
    assert points(found.removed) == figure("removed")
    assert points(found.result) == figure("completed")
