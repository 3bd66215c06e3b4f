"""The plan keeps us within our share of the org's calls, and sheds load as the org runs out of them."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync.budget import OWN_SHARE, Budget, Level, Wanted

WANTED = Wanted(poll=30, reference=300, describe=600, sweep=21_600, reread=900, open_deals=400)


def budget(used: int, limit: int) -> Budget:
    made = Budget()
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
    assert plan.calls_a_day == 5_250


def test_an_org_that_takes_no_composites_is_polled_less_often() -> None:
    made = budget(10, 15_000)
    made.unbundle()
    plan = made.plan(WANTED)
    assert plan.poll_seconds > 300
    assert plan.calls_a_day <= 5_250


def test_many_open_deals_are_read_again_less_often() -> None:
    plan = budget(10, 15_000).plan(dataclasses.replace(WANTED, open_deals=20_000))
    assert plan.stretch == pytest.approx((50 * 96 + 576 + 144 + 24) / 2_625)
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


@pytest.mark.parametrize(
    ("percent", "level", "poll"),
    [
        (49, Level.ALL, 30),
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
    plan = Budget().plan(WANTED)
    assert plan.poll_seconds == 30
    assert "not known" in str(plan)


def test_an_unreadable_header_changes_nothing() -> None:
    known = budget(10, 100)
    known.told("per-app-api-usage=99/100(appName=api-usage)")
    known.told(None)
    assert (known.used, known.limit) == (10, 100)
