"""Why a promise slips: the parts sum to the delay, and each follows from its own record."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_engine.domain.model import Sprint
from risk_engine.domain.slip import (
    Promised,
    PromiseStep,
    SlipFacts,
    pace_of,
    present_promise,
    split_delay,
)

MADE = date(2026, 3, 1)
DAY = MADE + timedelta(days=40)
FACTS = SlipFacts(
    made=MADE,
    first=DAY,
    present=DAY,
    finish=DAY + timedelta(days=20),
    started=DAY - timedelta(days=20),
    points_then=40,
    points_now=40,
    pace=2,
)
"""40 points at 2 a day: 20 days of work, begun 20 days before the date, finished 20 days after it."""
days = st.dates(date(2026, 1, 1), date(2027, 12, 31))
points = st.floats(0, 500)


@given(
    st.builds(
        SlipFacts,
        made=days,
        first=days,
        present=days,
        finish=days,
        started=days,
        points_then=points,
        points_now=points,
        injected=points,
        pace=st.one_of(st.just(0.0), st.floats(0.01, 50)),
    )
)
def test_the_parts_sum_to_the_delay_exactly_and_none_is_negative(facts: SlipFacts) -> None:
    slip = split_delay(facts)
    assert slip.days == max((facts.finish - facts.present).days, 0)
    assert sum(slip.parts.values()) == slip.days
    assert min(slip.parts.values()) >= 0
    assert len(slip.parts) == 6


def parts(**changes: object) -> dict[str, Decimal]:
    """The causes that explain anything."""
    slip = split_delay(replace(FACTS, **changes))  # type: ignore[arg-type]  # each test names real fields
    return {cause: told for cause, told in slip.parts.items() if told}


def test_work_that_began_in_time_and_did_not_grow_lost_its_capacity() -> None:
    assert parts() == {"lost_capacity": 20}


def test_a_start_five_days_too_late_explains_five_days() -> None:
    """The last day to begin is 20 days of work before the date, not the day of the promise."""
    assert parts(started=DAY - timedelta(days=15)) == {"late_start": 5, "lost_capacity": 15}


def test_ten_more_points_explain_five_days_and_injected_work_as_many_as_it_took() -> None:
    told = parts(points_now=50.0, injected=14.0)
    assert told == {"scope_growth": 5, "injected_work": 7, "lost_capacity": 8}


def test_a_date_pulled_in_explains_as_many_days_as_it_moved() -> None:
    pulled = {"first": DAY, "present": DAY - timedelta(days=8), "finish": DAY + timedelta(days=4)}
    assert parts(**pulled) == {"date_pulled_in": 8, "lost_capacity": 4}
    in_time_for_the_first = {"present": DAY - timedelta(days=8), "finish": DAY - timedelta(days=3)}
    assert parts(**in_time_for_the_first) == {"date_pulled_in": 5}


def test_a_date_that_moved_out_is_what_the_delay_counts_from() -> None:
    assert parts(present=DAY + timedelta(days=15), started=DAY) == {"late_start": 5}


def test_a_promise_that_never_fitted_is_not_blamed_on_the_team() -> None:
    """100 points need 50 days; 40 were left when it was promised."""
    told = parts(points_then=100.0, points_now=100.0, started=MADE, finish=DAY + timedelta(days=12))
    assert told == {"never_fitted": 10, "lost_capacity": 2}


def test_a_team_that_made_up_for_half_shares_the_rest_in_proportion() -> None:
    told = parts(points_now=80.0, injected=40.0, finish=DAY + timedelta(days=20))
    assert told == {"scope_growth": 10, "injected_work": 10}


def test_a_promise_counts_from_when_the_deal_last_came_into_force() -> None:
    at = [datetime(2026, 3, day, tzinfo=UTC) for day in range(1, 6)]
    steps = [
        PromiseStep(at[0], DAY),
        PromiseStep(at[1], None),
        PromiseStep(at[2], DAY),
        PromiseStep(at[3], MADE),
    ]
    assert present_promise(steps) == Promised(at[2], DAY, MADE)
    assert present_promise([*steps, PromiseStep(at[4], None)]) is None
    assert present_promise([]) is None


def closed(number: int, day: int, done: float) -> Sprint:
    end = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    start = end - timedelta(days=14)
    return Sprint(str(number), str(number), "closed", None, (), start, end, end, None, done)


def test_what_is_usual_is_what_was_done_before_the_promise() -> None:
    sprints = [closed(n, 14 * n, 28) for n in range(1, 5)] + [closed(5, 70, 14)]
    made = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=60)
    pace = pace_of(sprints, made)
    assert pace.usual == pytest.approx(2)
    assert pace.since == pytest.approx(1)
    assert pace_of(sprints[:4], made).since is None
    young = pace_of(sprints[3:], made)
    assert young.usual == pytest.approx(1.5)
    assert pace_of([], made).usual == 0
