"""Which deals are in force, since when, and what they promise."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from risk_engine.domain.calendar import business_days_between, day_of, last_day_of_sprint, working_days
from risk_engine.domain.commitments import (
    CommitPolicy,
    entered_commit_set,
    in_force,
    promised_date,
)
from risk_engine.domain.model import Deal, DealStep

TODAY = date(2026, 11, 2)
OPEN = Deal("o:1", "1", "Deal", close_date=date(2026, 12, 1), promised_date=date(2027, 1, 15))
WON = replace(OPEN, is_closed=True, is_won=True, probability=1.0, close_date=TODAY - timedelta(days=30))


def test_g5_the_flags_decide_never_the_stage_name() -> None:
    """https://github.com/SalesforceFoundation/NPSP/issues/3062"""
    lost = replace(OPEN, stage="Gesloten Verloren", is_closed=True, is_won=False)
    likely = replace(OPEN, stage="Toegezegd", probability=0.80)
    only_named_won = replace(OPEN, stage="Closed Won – legacy", is_closed=False, probability=0.20)
    assert [in_force(deal, TODAY) for deal in (lost, likely, only_named_won)] == [False, True, False]


@pytest.mark.parametrize(("days", "expected"), [(0, True), (365, True), (366, False)])
def test_a_won_deal_stays_in_force_for_a_year(days: int, expected: bool) -> None:
    assert in_force(replace(WON, close_date=TODAY - timedelta(days=days)), TODAY) is expected


@pytest.mark.parametrize(("probability", "expected"), [(0.69, False), (0.70, True), (70 / 100, True)])
def test_an_open_deal_is_in_force_from_seventy_percent(probability: float, expected: bool) -> None:
    assert in_force(replace(OPEN, probability=probability), TODAY) is expected


def test_forecast_category_commit_is_enough_unless_lost() -> None:
    commit = replace(OPEN, forecast_category="Commit", probability=0.1)
    assert in_force(commit, TODAY)
    assert not in_force(replace(commit, is_closed=True), TODAY)


def test_the_policy_is_a_setting() -> None:
    assert not in_force(WON, TODAY, CommitPolicy(won_days=10))


def at(day: int) -> datetime:
    return datetime(2026, 10, day, 12, tzinfo=UTC)


def test_a_deal_enters_once_per_stay() -> None:
    steps = [
        DealStep(at(1), 0.5),
        DealStep(at(2), 0.8),
        DealStep(at(5), 0.3),
        DealStep(at(9), 0.7),
        DealStep(at(12), 1.0, "Closed"),
    ]
    assert entered_commit_set(reversed(steps), first_seen=at(20)) == at(9)


def test_first_seen_stands_in_where_the_history_is_silent() -> None:
    assert entered_commit_set([], first_seen=at(20)) == at(20)
    assert entered_commit_set([DealStep(at(3), 0.1)], first_seen=at(20)) == at(20)


def test_the_promised_date_is_the_named_field_else_one_that_speaks_of_a_promise() -> None:
    assert promised_date({"Promised_Date__c": "2026-12-01", "Delivery__c": "2026-11-01"}) == date(2026, 12, 1)
    assert promised_date({"Delivery_Date__c": "2026-11-01"}) == date(2026, 11, 1)
    assert promised_date({"Committed__c": "yes", "Delivery_Date__c": "2026-11-01"}) == date(2026, 11, 1)
    assert promised_date({"Renewal_Date__c": "2026-11-01"}) is None


def test_business_days_leave_out_weekends_and_holidays() -> None:
    friday, monday = date(2026, 10, 30), date(2026, 11, 2)
    assert business_days_between(friday, monday, working_days()) == 1
    assert business_days_between(friday, monday, working_days({monday})) == 0
    assert business_days_between(monday, friday, working_days()) == 0


@pytest.mark.parametrize(
    ("zone", "instant", "today"),
    [
        ("Asia/Ho_Chi_Minh", datetime(2026, 8, 23, 22, tzinfo=UTC), date(2026, 8, 24)),
        ("America/Los_Angeles", datetime(2026, 8, 24, 5, tzinfo=UTC), date(2026, 8, 23)),
        ("Europe/Stockholm", datetime(2026, 10, 24, 22, 30, tzinfo=UTC), date(2026, 10, 25)),
    ],
)
def test_g16_the_day_is_the_product_zones(zone: str, instant: datetime, today: date) -> None:
    """https://github.com/margince/margince/issues/2550"""
    assert day_of(instant, ZoneInfo(zone)) == today


def test_an_instant_without_zone_is_no_day() -> None:
    with pytest.raises(ValueError, match="time zone"):
        day_of(datetime(2026, 8, 23, 22), UTC)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("end", "last"),
    [
        (datetime(2026, 11, 13, 17, tzinfo=UTC), date(2026, 11, 13)),
        (datetime(2026, 11, 16, 9, tzinfo=UTC), date(2026, 11, 15)),
        (datetime(2026, 11, 16, 0, tzinfo=UTC), date(2026, 11, 15)),
    ],
)
def test_a_sprint_that_ends_in_the_morning_leaves_the_day_to_the_next(end: datetime, last: date) -> None:
    assert last_day_of_sprint(end, UTC) == last
