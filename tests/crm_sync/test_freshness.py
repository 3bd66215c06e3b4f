"""Readiness by what moves, not by what lives."""

from __future__ import annotations

import pytest
from tests.crm_sync.fakes import START

from crm_sync.errors import (
    AccessRefused,
    BudgetExhausted,
    LoginDelayed,
    QueryTooLong,
    SalesforceUnavailable,
    SessionExpired,
)
from crm_sync.freshness import CYCLES, Freshness, reason_of
from troth_chassis.clock import AutoClock
from troth_chassis.errors import TrothError
from troth_chassis.health import Health

NAMES = ("Opportunity", "OpportunityLineItem")


async def test_three_cycles_without_a_move_are_stale_and_say_since_when() -> None:
    clock = AutoClock(START)
    fresh = Freshness(Health(clock), clock)
    fresh.moved(NAMES, START, interval=60)
    told = []
    for seconds in (CYCLES * 60 - 1, 1):
        await clock.sleep(seconds)
        told.append(fresh.stalled or "")
    fresh.moved(NAMES, clock.now(), interval=60)
    told.append(fresh.stalled or "")
    before, stalled, after = told
    assert not before
    assert not after
    for part in ("stale", "2026-11-25 10:00:00 UTC", *NAMES):
        assert part in stalled


async def test_trouble_is_told_only_when_it_lasts() -> None:
    clock = AutoClock(START)
    health = Health(clock)
    fresh = Freshness(health, clock)
    fresh.moved(NAMES, START, interval=30)
    fresh.troubled(SessionExpired("the session ended"))
    told = [health.ready]
    await clock.sleep(600)
    assert [*told, health.ready] == [True, False]
    assert health.checks["freshness"].detail.startswith("auth: the session ended; not read since")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BudgetExhausted("x"), "budget"),
        (LoginDelayed("x"), "auth"),
        (AccessRefused("x"), "auth"),
        (SalesforceUnavailable("x"), "stale"),
        (QueryTooLong("x"), "stale"),
    ],
)
def test_the_reason_is_named(error: TrothError, reason: str) -> None:
    assert reason_of(error) == reason
