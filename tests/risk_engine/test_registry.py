"""The team registry: several boards, new boards, splits, absences, and the file they are told in."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from risk_engine.domain.book import TeamInputs, open_book
from risk_engine.domain.growth import growth_draws
from risk_engine.domain.history import PastPeriod
from risk_engine.domain.model import Issue, Sprint, Team
from risk_engine.domain.registry import Absence, Registry, Split, TeamEntry, before_the_split, present_share
from risk_engine.domain.work import Roster, team_of
from risk_engine.registry_file import read_registry
from troth_chassis.errors import ConfigurationError

MONDAY = date(2026, 11, 2)
BOARDS = {
    "s:1": Team("s:1", "Atlas", ("ATL",)),
    "s:2": Team("s:2", "Atlas bugs", ("BUG", "ATL")),
    "s:3": Team("s:3", "Flow", ("FLW",), is_scrum=False),
}
BOTH = Registry.of([TeamEntry(("s:1", "s:2"), name="Atlas one")])


def inputs(**more: object) -> TeamInputs:
    told: dict[str, object] = {
        "team": "s:1",
        "name": "Atlas",
        "today": MONDAY,
        "sprint_end": MONDAY + timedelta(days=13),
        "cadence_days": 14,
        "until": MONDAY + timedelta(days=60),
        "points": (20.0,) * 12,
        "earlier": (),
        "cold": False,
        "trials": 200,
    }
    return TeamInputs(**(told | more))  # type: ignore[arg-type]


def mean_by_sprint(**more: object) -> list[float]:
    return [round(float(points), 3) for points in open_book(inputs(**more)).capacity.draws.mean(axis=0)[:4]]


def test_a_team_with_two_boards_is_one_team_with_all_their_projects() -> None:
    teams = BOTH.teams(BOARDS)
    assert sorted(teams) == ["s:1", "s:3"]
    assert (teams["s:1"].name, teams["s:1"].project_keys) == ("Atlas one", ("ATL", "BUG"))


def test_work_in_a_sprint_of_either_board_is_the_teams() -> None:
    sprint = Sprint("s:50", "50", "active", origin_board="s:2", boards=("s:2",))
    roster = Roster(BOTH.teams(BOARDS), {"s:50": sprint}, leads=BOTH.leads)
    issue = Issue("s:9", "9", "BUG-1", "BUG", "Bug", done=False, sprint_keys=("s:50",))
    assert team_of(issue, roster) == "s:1"


def test_a_project_without_a_scrum_board_works_on_its_other_board() -> None:
    roster = Roster(Registry().teams(BOARDS), {})
    assert team_of(Issue("s:9", "9", "FLW-1", "FLW", "Story", done=False), roster) == "s:3"


def test_before_a_split_a_team_did_its_share() -> None:
    past = [PastPeriod(f"s:{n}", date(2026, n, 15), 40, 10) for n in (1, 2, 3)]
    split = Split("s:1", 0.25, date(2026, 3, 1))
    assert [(one.points, one.items) for one in before_the_split(past, split)] == [(10, 2.5), (10, 2.5)]


def test_who_is_away_brings_nothing() -> None:
    fortnight = Absence(MONDAY + timedelta(days=14), MONDAY + timedelta(days=27))
    half = Absence(MONDAY + timedelta(days=28), MONDAY + timedelta(days=41), share=0.5)
    usual = mean_by_sprint()
    assert mean_by_sprint(absences=(fortnight, half)) == [
        usual[0],
        0,
        pytest.approx(usual[2] / 2, abs=0.001),
        usual[3],
    ]


def test_nobody_is_away_more_than_wholly() -> None:
    away = [Absence(MONDAY, MONDAY, 0.7), Absence(MONDAY, MONDAY, 0.7)]
    assert present_share(away, MONDAY) == 0
    assert present_share(away, MONDAY + timedelta(days=1)) == 1


def test_only_the_share_that_may_serve_deals_counts() -> None:
    assert mean_by_sprint(deal_share=0.5) == [pytest.approx(one / 2, abs=0.001) for one in mean_by_sprint()]


def test_scope_grows_as_it_grew_in_finished_epics() -> None:
    grown = mean_by_sprint(growth=(1.25,) * 6)
    assert grown == [pytest.approx(one / 1.25, abs=0.001) for one in mean_by_sprint()]


def test_growth_is_drawn_from_what_was_seen_and_evens_out_over_many_promises() -> None:
    seen = [1.0, 1.0, 1.1, 1.4, 2.0]
    one, many = growth_draws("t", seen, 1, 4000), growth_draws("t", seen, 50, 4000)
    assert set(np.unique(one)) <= set(seen)
    assert many.std() < one.std()
    assert many.mean() == pytest.approx(np.mean(seen), rel=0.02)
    assert (growth_draws("t", seen[:4], 1, 10) == 1).all(), "four epics say nothing"


def test_the_file_says_what_boards_do_not(tmp_path: Path) -> None:
    file = tmp_path / "teams.toml"
    file.write_text(
        """
        [[team]]
        name = "Atlas"
        boards = ["acme.example:1", "acme.example:7"]
        former = ["acme.example:3"]
        split = {board = "acme.example:2", share = 0.4, on = 2026-03-01}
        deal_share = 0.8
        absence = [{from = 2026-12-21, to = 2027-01-03}, {from = 2027-02-01, to = 2027-02-05, share = 0.5}]
        """
    )
    registry = read_registry(file)
    entry = registry.entry("acme.example:1")
    assert registry.lead("acme.example:7") == "acme.example:1"
    assert (entry.name, entry.former, entry.deal_share) == ("Atlas", ("acme.example:3",), 0.8)
    assert entry.split == Split("acme.example:2", 0.4, date(2026, 3, 1))
    assert entry.absences[1] == Absence(date(2027, 2, 1), date(2027, 2, 5), 0.5)
    assert read_registry(None) == Registry()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[team]]\nname = 'A'", "boards"),
        ("[[team]]\nboards = ['7']", r"team\[0\]"),
        ("[[team]]\nboards = ['s:1']\nholiday = 1", "holiday"),
        ("[[team]]\nboards = ['s:1']\n[[team]]\nboards = ['s:2', 's:1']", "s:1"),
        (
            "[[team]]\nboards = ['s:1']\nabsence = [{from = 2026-05-02, to = 2026-05-01}]",
            "ends before it begins",
        ),
        ("[[team", "team"),
    ],
)
def test_a_wrong_file_is_told_its_place(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "teams.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=says) as told:
        read_registry(file)
    assert str(file) in str(told.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_registry(tmp_path / "none.toml")
