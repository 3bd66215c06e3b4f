"""The plan keeps us within our share of the org's calls, and sheds load as the org runs out of them."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crm_sync.conftest import Stage
from tests.crm_sync.fakes import START

from crm_sync.budget import DAY, FULL_READ_SHARE, OWN_SHARE, Budget, Level, OwnCalls, Wanted
from crm_sync.errors import BudgetExhausted
from troth_chassis.clock import AutoClock

WANTED = Wanted(poll=30, reference=300, describe=600, sweep=21_600, reread=900, open_deals=400)


def budget(used: int, limit: int, clock: AutoClock | None = None) -> Budget:
    made = Budget(clock or AutoClock(START))
    made.told(f"api-usage={used}/{limit}; per-app-api-usage=9999/10000(appName=other)")
    return made


def test_numbers_of_a_large_org() -> None:
    plan = budget(10, 100_000).plan(WANTED)
    assert plan.poll_seconds == 30
    assert plan.stretch == 1
    assert plan.calls_a_day == 2_880 * 2 + 576 + 144 + 24 + 96 == 6_600


def test_numbers_of_a_developer_edition() -> None:
    plan = budget(10, 15_000).plan(WANTED)
    assert round(plan.poll_seconds) == 39
    assert plan.stretch == 1
    assert 5_230 <= plan.calls_a_day <= 5_250


def test_one_by_one_the_questions_of_a_large_org_cost_what_the_page_says() -> None:
    one = dataclasses.replace(WANTED, open_deals=1)
    assert 5 * 2_880 + one.fixed(1) == 18_216


def test_an_org_that_takes_no_composites_is_polled_less_often() -> None:
    made = budget(10, 15_000)
    made.unbundle()
    plan = made.plan(WANTED)
    assert plan.poll_seconds > 300
    assert plan.calls_a_day <= 5_250


def test_many_open_deals_are_read_again_less_often() -> None:
    plan = budget(10, 15_000).plan(dataclasses.replace(WANTED, open_deals=20_000))
    assert plan.stretch == pytest.approx((50 * 96 + 576 + 144 + 24) / 2_625, rel=0.01)
    assert plan.calls_a_day <= 5_250


@given(
    limit=st.integers(1_000, 5_000_000),
    poll=st.floats(5, 3_600),
    objects=st.integers(1, 20),
    open_deals=st.integers(0, 1_000_000),
)
def test_planned_use_is_never_more_than_our_share(
    limit: int, poll: float, objects: int, open_deals: int
) -> None:
    wanted = dataclasses.replace(WANTED, poll=poll, objects=objects, open_deals=open_deals)
    assert budget(0, limit).plan(wanted).calls_a_day <= limit * OWN_SHARE + 1


async def test_what_was_used_at_once_is_missing_from_the_rest_of_the_day() -> None:
    clock = AutoClock(START)
    made = budget(10, 15_000, clock)
    for _ in range(3_999):
        made.told(None)
    plan = made.plan(WANTED)
    assert (plan.own, plan.ours) == (4_000, 5_250)
    assert plan.calls_a_day <= 1_250
    assert plan.poll_seconds > 200
    await clock.sleep(DAY + 300)
    assert round(made.plan(WANTED).poll_seconds) == 39


class HandMoved(AutoClock):
    """Moves without a coroutine."""

    def move(self, seconds: float) -> None:
        self._move_to(self._elapsed + seconds)


@settings(deadline=None)
@given(
    bursts=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 90)), min_size=1, max_size=6),
    ours=st.integers(50, 300),
)
def test_whoever_keeps_the_pace_never_uses_more_than_the_share_in_a_day(
    bursts: list[tuple[int, int]], ours: int
) -> None:
    """Bursts that nobody planned, each followed by calls every 20 minutes as many as the pace allows."""
    clock = HandMoved(START)
    own, made = OwnCalls(clock), []

    def call(count: int) -> None:
        for _ in range(count):
            own.count()
            made.append(clock.monotonic())

    for burst, steps in bursts:
        call(min(burst, ours - own.total))
        for _ in range(steps):
            clock.move(1_200)
            call(int(own.pace(ours) * 1_200 / DAY))
    for start in made:
        assert sum(start <= at < start + DAY for at in made) <= ours


def test_a_full_read_leaves_a_fifth_of_the_share_to_the_polls_and_says_so() -> None:
    made = budget(10, 15_000)
    for _ in range(int(FULL_READ_SHARE * 5_250) - 2):
        made.told(None)
    made.allow_full_read()
    made.told(None)
    with pytest.raises(
        BudgetExhausted, match=r"4,200 of our 5,250 API calls a day are used: .* less than 80 %|80%"
    ):
        made.allow_full_read()


def test_a_full_read_waits_while_the_org_uses_half_of_its_calls() -> None:
    with pytest.raises(BudgetExhausted, match="50,000 of the org's 100,000 API calls are used"):
        budget(50_000, 100_000).allow_full_read()


@pytest.mark.parametrize(
    ("percent", "level", "poll"),
    [
        (49, Level.NOTHING, 30),
        (50, Level.NO_SWEEP, 30),
        (60, Level.NO_REREAD, 30),
        (70, Level.SLOW, 300),
        (80, Level.TRAIL, 600),
        (95, Level.PROBE, 900),
        (120, Level.PROBE, 900),
    ],
)
def test_levels(percent: int, level: Level, poll: float) -> None:
    plan = budget(percent * 1_000, 100_000).plan(WANTED)
    assert plan.level is level
    assert plan.poll_seconds == poll


def test_before_the_first_answer_the_configured_interval_stands() -> None:
    plan = Budget(AutoClock(START)).plan(WANTED)
    assert plan.poll_seconds == 30
    assert "not known" in str(plan)


def test_an_unreadable_header_changes_nothing() -> None:
    known = budget(10, 100)
    known.told("per-app-api-usage=99/100(appName=api-usage)")
    known.told(None)
    assert (known.used, known.limit) == (10, 100)


async def test_a_new_process_goes_on_counting(stage: Stage) -> None:
    """Else every restart would have the whole share of the day again."""
    stage.org.deal()
    for _ in range(2_400):
        stage.metrics.budget.told("api-usage=2400/15000")
    await stage.poll()
    assert stage.metrics.budget.own.total == 2_400

    stage.org.advance(6 * 3_600)
    await stage.clock.sleep(6 * 3_600)
    stage.restart()
    await stage.poll()

    assert stage.metrics.budget.own.total == pytest.approx(1_800, abs=100)
    await stage.poll(12 * 3_600)
    assert stage.metrics.budget.own.total == pytest.approx(600, abs=100)
    await stage.poll(6.1 * 3_600)
    assert stage.metrics.budget.own.total == 0
