"""The life of an alert: it speaks when there is news, and only then."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_engine.domain.finding import Finding
from risk_engine.domain.lifecycle import AlertState, Transition, transition
from risk_engine.domain.model import Money
from risk_engine.domain.rules.levels import fires, severity_of

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)


def finding(
    probability: float = 0.6,
    points: int | str = 10,
    money: int = 100,
    currency: str = "SEK",
    by: str | None = None,
) -> Finding | None:
    """What a rule answers at this probability: nothing from 0.80 on."""
    if probability >= 0.80:
        return None
    return Finding(
        kind="oversold",
        subject=("s:1",),
        rule_version="1.0",
        severity=severity_of(probability),
        title=f"{points} points missing",
        deals=(),
        clears_when="",
        next_step="",
        holds=fires(probability),
        inhibited_by=by,
        probability=probability,
        missing_points=Decimal(points),
        money=(Money(Decimal(money), currency),),
    )


def told(*findings: Finding | None) -> list[str]:
    """The reasons told over consecutive evaluations; '' where nothing was."""
    return [step.reason if step else "" for step in live(findings)]


def live(findings: Sequence[Finding | None]) -> list[Transition | None]:
    steps: list[Transition | None] = []
    state: AlertState | None = None
    for number, found in enumerate(findings):
        step = transition(state, found, NOW + timedelta(minutes=number))
        state = step.state if step else state
        steps.append(step)
    return steps


def test_it_fires_once_and_resolves_once() -> None:
    assert told(finding(0.6), finding(0.6), None, None) == ["first", "", "resolved", ""]


def test_what_never_fired_is_never_resolved() -> None:
    assert told(None, None) == ["", ""]


def test_it_fires_below_070_and_clears_from_080() -> None:
    assert told(finding(0.75), finding(0.69), finding(0.75), finding(0.69), finding(0.80)) == [
        "",
        "first",
        "",
        "",
        "resolved",
    ]


def test_critical_eases_above_060() -> None:
    assert told(finding(0.4), finding(0.55), finding(0.60), finding(0.61)) == ["first", "", "", "better"]
    assert told(finding(0.6), finding(0.49), finding(0.55), finding(0.48)) == ["first", "worse", "", ""]


@pytest.mark.parametrize(
    ("points", "reasons"),
    [
        ((31, 32, 31), ["first", "", ""]),
        ((40, 49, 50), ["first", "", "larger"]),
        ((40, 45, 50, 55), ["first", "", "larger", ""]),
        ((40, 10, 41), ["first", "", ""]),
    ],
)
def test_growth_is_measured_against_what_was_told(points: Sequence[int], reasons: list[str]) -> None:
    assert told(*(finding(points=number) for number in points)) == reasons


def test_more_money_is_larger_in_its_own_currency_only() -> None:
    assert told(finding(money=100), finding(money=124), finding(money=125)) == ["first", "", "larger"]
    assert told(finding(money=100), finding(money=20, currency="EUR")) == ["first", "larger"]


def test_a_new_wording_is_no_news() -> None:
    """Field case G13: texts are no part of an alert's identity or state."""
    first = live([finding(0.6)])[0]
    assert first is not None
    assert transition(first.state, finding(0.62), NOW) is None


def test_g12_an_inhibited_finding_is_told_once_its_parent_is_gone() -> None:
    """https://github.com/prometheus/alertmanager/issues/2628"""
    hidden = finding(0.4, by="oversold-1")
    assert told(hidden, hidden, finding(0.4), finding(0.4)) == ["", "", "first", ""]


def test_an_alert_told_before_it_was_inhibited_stays_as_it_is() -> None:
    assert told(finding(0.6), finding(0.3, by="oversold-1"), finding(0.6), None) == [
        "first",
        "",
        "",
        "resolved",
    ]


def test_info_never_alerts_and_ends_what_fired() -> None:
    info = finding(0.4)
    assert info is not None
    cold = replace(info, severity="info")
    assert told(cold, finding(0.4), cold) == ["", "first", "resolved"]


def test_a_second_episode_goes_on_counting() -> None:
    steps = live([finding(0.6), None, finding(0.6)])
    assert [(step.reason, step.state.sequence, step.state.phase) for step in steps if step] == [
        ("first", 1, "firing"),
        ("resolved", 2, "resolved"),
        ("first", 3, "firing"),
    ]


findings = st.builds(
    finding,
    st.sampled_from([0.2, 0.49, 0.55, 0.62, 0.69, 0.72, 0.9]),
    st.integers(1, 100),
    st.integers(1, 100),
    by=st.sampled_from([None, None, None, "oversold-1"]),
)


@settings(deadline=None)
@given(st.lists(findings, max_size=20))
def test_each_episode_starts_first_and_ends_resolved_without_holes(history: list[Finding | None]) -> None:
    steps = [step for step in live(history) if step]
    assert [step.state.sequence for step in steps] == list(range(1, len(steps) + 1))
    firing = False
    for step in steps:
        assert (step.reason == "first") is not firing, "first if and only if it did not fire"
        firing = step.state.phase == "firing"
        assert (step.reason == "resolved") is not firing


@settings(deadline=None)
@given(st.lists(findings, max_size=10))
def test_the_same_finding_again_is_never_news(history: list[Finding | None]) -> None:
    repeated = [same for found in history for same in (found, found)]
    assert all(step is None for step in live(repeated)[1::2])
