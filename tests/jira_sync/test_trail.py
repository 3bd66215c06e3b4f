"""Trails of what has no changelog: late, doubled and missing sightings, and the names of what they tell."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.jira_sync.stories import T0

from jira_sync.domain.trail import Change, Trail

Name = tuple[str | None, int]
SECOND = timedelta(seconds=1)


def moment(number: float) -> datetime:
    """Steps of ten minutes, so that everything here is within two hours."""
    return T0 + timedelta(minutes=10 * number)


def names(trail: Trail) -> list[Name]:
    return [(change.after, change.ordinal) for change in trail.changes()]


def read(trail: Trail, value: str, number: float) -> None:
    trail.read(value, moment(number), moment(number) + SECOND)


def seen(*values: str) -> Trail:
    """Read once a step from step 0 on."""
    trail = Trail()
    for number, value in enumerate(values):
        read(trail, value, number)
    return trail


def test_a_change_between_two_readings_lies_between_them() -> None:
    expected = Change("A", "B", moment(2) + SECOND, moment(1), 1, moment(1) + SECOND, moment(2))
    assert list(seen("A", "A", "B").changes()) == [expected]


def test_a_webhook_knows_the_moment() -> None:
    trail = seen("A")
    trail.told("A", "B", moment(0.5))
    read(trail, "B", 1)
    assert list(trail.changes()) == [Change("A", "B", moment(0.5), None, 1)]


def test_the_webhook_of_a_change_that_a_reading_found_first_tells_nothing_new() -> None:
    trail = seen("A", "B")
    before = names(trail)
    trail.told("A", "B", moment(0.5))
    trail.told("A", "B", moment(0.5))
    assert names(trail) == before == [("B", 1)]


def test_a_webhook_within_the_second_of_a_reading_that_already_shows_it_tells_nothing_new() -> None:
    """The header ``Date`` has no parts of a second."""
    trail = seen("A", "B")
    trail.told("A", "B", moment(1) + SECOND / 2)
    assert names(trail) == [("B", 1)]


def test_a_return_is_a_new_change() -> None:
    assert names(seen("A", "B", "A", "B")) == [("B", 1), ("A", 1), ("B", 2)]


def test_a_state_no_reading_saw_is_told_late_and_once() -> None:
    trail = seen("A", "C")
    assert names(trail) == [("C", 1)]
    trail.told("B", "C", moment(0.6))
    assert names(trail) == [("B", 1), ("C", 1)]
    trail.told("A", "B", moment(0.5))
    assert [(c.after, c.at, c.not_before) for c in trail.changes()] == [
        ("B", moment(0.5), None),
        ("C", moment(0.6), None),
    ]


def test_two_changes_with_one_timestamp_in_either_order() -> None:
    """Starting a sprint sends two events with one time (reference 4.3); they may come in either order."""
    for steps in ((("A", "B"), ("B", "C")), (("B", "C"), ("A", "B"))):
        trail = seen("A")
        for before, after in steps:
            trail.told(before, after, moment(0.5))
        read(trail, "C", 1)
        assert names(trail) == [("B", 1), ("C", 1)]


def restored(trail: Trail) -> Trail:
    """From the published changes alone, as after a restart."""
    fresh = Trail()
    for change in sorted(trail.changes(), key=lambda change: change.at):
        fresh.restore(change)
    return fresh


def test_a_change_within_the_second_of_a_reading_before_it_is_restored_after_it() -> None:
    """A reading is over a second after it began; what a webhook says of that second came after what was read."""
    trail = seen("A", "B")
    trail.told("B", "C", moment(1) + SECOND / 2)
    assert names(trail) == names(restored(trail)) == [("B", 1), ("C", 1)]


def test_a_change_within_the_second_of_a_reading_after_it_is_restored_before_it() -> None:
    trail = seen("B", "C")
    trail.told("A", "B", moment(0) + SECOND / 2)
    assert names(trail) == names(restored(trail)) == [("B", 1), ("C", 1)]


def test_what_was_last_published_tells_nothing_new_of_a_change_made_during_its_reading() -> None:
    """A reading of the whole site takes minutes; what is published of it is named by when it began."""
    trail = Trail()
    trail.told("A", "B", moment(0) + 40 * SECOND)
    trail.saw("B", moment(0))
    assert names(trail) == [("B", 1)]


def test_an_interval_that_a_late_webhook_split_is_restored_in_order() -> None:
    """A reading told A to C; the webhook of B came after it, and both are published."""
    fresh = Trail()
    fresh.told("A", "B", moment(0.5))
    fresh.restore(Change("A", "C", moment(1), moment(0), 1))
    assert names(fresh) == [("B", 1), ("C", 1)]


LIVES = st.lists(st.sampled_from("ABC"), min_size=2, max_size=9)
"""What it was from each step on; a reading falls in the middle of the steps drawn, or at their very end."""
JUST_BEFORE = 1 - 0.5 / 600
"""In steps: the reading is over half a second after the next step has begun."""


@given(LIVES, st.data())
def test_in_whatever_order_webhooks_come_everything_they_or_readings_saw_is_told_once(
    values: list[str], data: st.DataObject
) -> None:
    within = st.sampled_from((0.5, JUST_BEFORE))
    readings = [
        n + data.draw(within, "when")
        for n in range(len(values))
        if n == 0 or data.draw(st.booleans(), "read")
    ]
    readings.append(len(values) - 0.4)
    moves = [(n, values[n - 1], values[n]) for n in range(1, len(values)) if values[n - 1] != values[n]]
    heard = [move for move in moves if data.draw(st.booleans(), "webhook")]
    repeated = data.draw(st.permutations(heard + heard[:2]), "order")
    late = data.draw(st.integers(0, len(repeated)), "after the last reading")
    trail = Trail()
    for number in readings:
        read(trail, values[int(number)], number)
        for move in [m for m in repeated[late:] if m[0] < number]:
            trail.told(move[1], move[2], moment(move[0]))
    for move in repeated[:late]:
        trail.told(move[1], move[2], moment(move[0]))
    expected = _visible(values, readings, [move for move in heard if move in repeated])
    assert names(trail) == expected
    assert names(restored(trail)) == expected


def _visible(values: list[str], readings: list[float], heard: list[tuple[int, str, str]]) -> list[Name]:
    """Forward: everything seen in order of time, and each arrival counted."""
    seen_at = [(number, 0, values[int(number)]) for number in readings]
    seen_at += [(number, 1, before) for number, before, _ in heard]
    seen_at += [(number, 2, after) for number, _, after in heard]
    chain = [value for *_, value in sorted(seen_at)]
    counts: Counter[str] = Counter()
    told: list[Name] = []
    for one, other in pairwise(chain):
        if one != other:
            counts[other] += 1
            told.append((other, counts[other]))
    return told
