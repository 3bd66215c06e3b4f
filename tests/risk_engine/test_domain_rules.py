"""The three rules: when they speak, what they say, and when they keep still."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from risk_engine.domain.calendar import working_days
from risk_engine.domain.feasibility import DealOutlook, DueDate, TeamOutlook, TeamPart
from risk_engine.domain.finding import Finding, fingerprint
from risk_engine.domain.model import Commitment, Deal, Link, Money
from risk_engine.domain.rules import late_forecast, oversold, unlinked_commitment
from risk_engine.domain.rules.levels import percent

TODAY = date(2026, 11, 2)
SOON, LATER = TODAY + timedelta(21), TODAY + timedelta(42)


def deal(key: str, amount: int = 100, currency: str = "SEK", name: str | None = None) -> Deal:
    return Deal(key, key, name or f"Deal {key}", amount=Money(Decimal(amount), currency), is_won=True)


DEALS: Mapping[str, Deal] = {key: deal(key) for key in ("a", "b", "c", "d")}


def due(day: date, probability: float, *deals: str, missing: str = "12.0") -> DueDate:
    return DueDate(day, probability, 50.0, 40.0, Decimal(missing), deals)


def outlook(*dates: DueDate, cold: bool = False) -> TeamOutlook:
    return TeamOutlook("s:1", TODAY, dates, {}, cold)


def found(*dates: DueDate, cold: bool = False) -> Finding:
    finding = oversold(outlook(*dates, cold=cold), "Apollo", DEALS)
    assert finding is not None
    return finding


def test_oversold_names_the_first_breaking_date_its_deals_and_their_money() -> None:
    finding = found(due(SOON, 0.9, "a"), due(LATER, 0.3, "b", "c"))
    assert (finding.date, finding.team, finding.severity) == (LATER, "Apollo", "critical")
    assert [late.key for late in finding.deals] == ["b", "c"]
    assert finding.money == (Money(Decimal(200), "SEK"),)
    assert finding.missing_points == 12
    assert finding.title == "Apollo is oversold by 12.0 points for 2026-12-14"
    assert "30 % of the trials cover everything due by 2026-12-14." in finding.evidence


@pytest.mark.parametrize(
    ("probability", "severity", "holds"),
    [(0.49, "critical", True), (0.50, "warning", True), (0.69, "warning", True), (0.70, "warning", False)],
)
def test_one_set_of_thresholds(probability: float, severity: str, holds: bool) -> None:
    finding = found(due(SOON, probability, "a"))
    assert (finding.severity, finding.holds) == (severity, holds)


def test_a_team_that_clears_every_date_is_not_mentioned() -> None:
    assert oversold(outlook(due(SOON, 0.80, "a")), "Apollo", DEALS) is None
    assert oversold(outlook(), "Apollo", DEALS) is None


def test_a_cold_team_is_never_louder_than_info() -> None:
    assert found(due(SOON, 0.1, "a"), cold=True).severity == "info"


def test_an_overdue_date_keeps_an_alert_but_starts_none() -> None:
    overdue = due(TODAY - timedelta(1), 0.0, "a")
    assert not found(overdue).holds
    assert found(overdue, due(SOON, 0.2, "b")).date == SOON


def test_money_is_summed_per_currency() -> None:
    deals = {"a": deal("a", 100, "EUR"), "b": deal("b", 50, "SEK"), "c": deal("c", 7, "EUR")}
    finding = oversold(outlook(due(SOON, 0.2, "a", "b", "c")), "Apollo", deals)
    assert finding is not None
    assert finding.money == (Money(Decimal(107), "EUR"), Money(Decimal(50), "SEK"))


def late(chance: float | None = 0.3, promised: date = SOON, **more: Any) -> Finding | None:
    parts = (TeamPart("s:2", 0.4, LATER), TeamPart("s:1", 0.75, None))
    result = DealOutlook("a", chance, LATER, None, parts, 100)
    names = {"s:1": "Apollo", "s:2": "Zeus"}
    return late_forecast(DEALS["a"], Commitment("a", promised), result, today=TODAY, team_names=names, **more)


def test_late_forecast_names_its_teams_as_drivers() -> None:
    finding = late()
    assert finding is not None
    assert (finding.team, finding.date, finding.severity, finding.probability) == (
        "Apollo, Zeus",
        SOON,
        "critical",
        0.3,
    )
    assert finding.evidence[0] == "Forecast: 2026-12-14 (p50), never at present capacity (p85)."
    assert finding.evidence[1].startswith("Zeus alone: 40 %")


@pytest.mark.parametrize(
    ("promised", "spoken", "holds"),
    [
        (TODAY, True, True),
        (TODAY + timedelta(90), True, True),
        (TODAY + timedelta(91), False, False),
        (TODAY - timedelta(1), True, False),
    ],
)
def test_late_forecast_looks_ninety_days_ahead(promised: date, spoken: bool, holds: bool) -> None:
    finding = late(promised=promised)
    assert (finding is not None) is spoken
    assert finding is None or finding.holds is holds


def test_late_forecast_is_silent_when_likely_or_unknown() -> None:
    assert late(0.80) is None
    assert late(None) is None
    band = late(0.75)
    assert band is not None
    assert not band.holds


def test_late_forecast_of_a_cold_team_is_info() -> None:
    finding = late(cold_teams={"s:2"})
    assert finding is not None
    assert finding.severity == "info"


def inhibitor(finding: Finding, **more: Any) -> str | None:
    hidden = late(oversold=[finding], **more)
    assert hidden is not None
    return hidden.inhibited_by


def test_an_oversold_team_speaks_for_the_deals_it_breaks_now_or_later() -> None:
    at_the_break = found(due(SOON, 0.3, "a"))
    later_too = found(due(SOON, 0.3, "b"), due(LATER, 0.2, "a"))
    later_safe = found(due(SOON, 0.3, "b"), due(LATER, 0.9, "a"))
    assert inhibitor(at_the_break) == at_the_break.fingerprint
    assert inhibitor(later_too) == later_too.fingerprint
    assert inhibitor(later_safe) is None


def test_a_finding_nobody_is_told_of_hides_nothing() -> None:
    band, cold = found(due(SOON, 0.75, "a")), found(due(SOON, 0.1, "a"), cold=True)
    assert inhibitor(band) is None
    assert inhibitor(band, firing={band.fingerprint}) == band.fingerprint
    assert inhibitor(cold) is None


def unlinked(entered: date | None, links: tuple[Link, ...] = (), **more: Any) -> Finding | None:
    strong = tuple(link for link in links if link.confidence >= 0.8)
    values: dict[str, Any] = {"today": TODAY, "is_working_day": working_days(), **more}
    return unlinked_commitment(DEALS["a"], Commitment("a", SOON, strong), links, entered=entered, **values)


@pytest.mark.parametrize(
    ("entered", "spoken"),
    [(TODAY - timedelta(5), True), (TODAY - timedelta(4), False), (TODAY, False), (None, False)],
)
def test_a_promise_has_three_business_days_to_reach_a_board(entered: date | None, spoken: bool) -> None:
    """Monday 2 November: Wednesday is three business days ago, Thursday two."""
    assert (unlinked(entered) is not None) is spoken


def test_holidays_are_no_business_days() -> None:
    assert unlinked(TODAY - timedelta(5), is_working_day=working_days({TODAY})) is None


def test_a_believed_link_is_enough_a_suggestion_is_not() -> None:
    long_ago = TODAY - timedelta(30)
    assert unlinked(long_ago, (Link("s:1", ("A-1",), 0.85, ("text Name",)),)) is None
    finding = unlinked(long_ago, (Link("s:1", ("A-1",), 0.75, ("text Name",)),))
    assert finding is not None
    assert finding.evidence[-1] == "A-1 is only a suggestion (0.75: text Name)."


def test_a_deal_not_in_force_promises_nothing() -> None:
    silent = unlinked_commitment(
        DEALS["a"], None, (), entered=TODAY - timedelta(30), today=TODAY, is_working_day=working_days()
    )
    assert silent is None


def test_a_fingerprint_is_kind_subject_and_major_version_only() -> None:
    one = found(due(SOON, 0.3, "a"))
    other = found(due(LATER, 0.6, "b", "c", missing="99.0"))
    assert one.fingerprint == other.fingerprint
    assert replace(one, rule_version="1.7").fingerprint == one.fingerprint
    assert replace(one, rule_version="2.0").fingerprint != one.fingerprint
    assert replace(one, subject=("s:2",)).fingerprint != one.fingerprint
    assert fingerprint("oversold", ("ab", "c"), "1.0") != fingerprint("oversold", ("a", "bc"), "1.0")
    assert "." not in one.fingerprint


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.0, "0 %"), (0.004, "under 1 %"), (0.314, "31 %"), (0.996, "over 99 %"), (1.0, "100 %")],
)
def test_a_share_is_never_rounded_to_certainty(probability: float, text: str) -> None:
    assert percent(probability) == text
