"""The small parts a world is made of: sprint calendar, splitting of sums, ids, scenario file, command line."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_sandbox.world import Scenario, build_world, read_scenario
from troth_sandbox.world.cadence import closing_cadence, monday_cadence, working_days
from troth_sandbox.world.errors import ScenarioError
from troth_sandbox.world.figures import SprintFigures, split

days = st.dates(date(2020, 1, 1), date(2040, 1, 1))


@given(days)
def test_the_active_sprint_has_begun_and_is_not_overdue(today: date) -> None:
    for cadence in (monday_cadence(today), closing_cadence(today)):
        active = cadence.slot(0)
        assert active.start.date() < today < active.end.date()
        assert working_days(active.start.date() - timedelta(days=1), active.end.date()) == 10


@given(days)
def test_little_is_left_of_a_closing_sprint(today: date) -> None:
    assert working_days(today, closing_cadence(today).last_day(0)) == 1


@given(days, st.integers(-60, 5))
def test_sprints_follow_each_other_without_overlap(today: date, number: int) -> None:
    cadence = monday_cadence(today)
    assert cadence.slot(number).end < cadence.slot(number + 1).start
    assert (cadence.slot(number + 1).start - cadence.slot(number).start).days == 14


@st.composite
def sprint_sums(draw: st.DrawFn) -> SprintFigures:
    committed, added = draw(st.integers(0, 120)), draw(st.integers(0, 60))
    at_start, joined = draw(st.integers(0, 40)), draw(st.integers(0, 20))
    return SprintFigures(
        committed=committed,
        added=added,
        removed=draw(st.integers(0, committed + added)),
        completed=draw(st.integers(0, 200)),
        issues_at_start=at_start,
        issues_added=joined,
        issues_removed=draw(st.integers(0, at_start + joined)),
    )


@given(sprint_sums(), st.integers())
def test_split_issues_add_up_exactly(figures: SprintFigures, seed: int) -> None:
    parts = split(figures, Random(seed))
    assert sum(part.points or 0 for part in parts if part.entry == "start") == figures.committed
    assert sum(part.points or 0 for part in parts if part.entry == "added") == figures.added
    assert sum(part.points or 0 for part in parts if part.outcome == "removed") == figures.removed
    assert sum(part.points_at_close or 0 for part in parts if part.outcome == "done") == figures.completed
    assert len(parts) >= figures.issues_at_start + figures.issues_added
    assert len(parts) <= figures.issues_at_start + figures.issues_added + 7


def test_a_mistake_in_a_scenario_names_its_place(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text("oversold:\n  - team: {rang: 1}\n")
    with pytest.raises(ScenarioError, match=r"oversold\.0\.team\.rank"):
        read_scenario(file)


def test_a_team_that_does_not_exist_is_refused() -> None:
    deal = {"title": "x", "stage": "Won", "days_in_force": 20, "amount": 1}
    late = {"teams": ["Team Nobody"], "sprint_end": 1, "points": 3, "deal": deal}
    with pytest.raises(ScenarioError, match="Team Nobody"):
        build_world(today=date(2026, 11, 25), scenario=Scenario.model_validate({"late_forecast": [late]}))


def test_the_command_line_writes_the_three_files(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "troth_sandbox.world", "--out", str(tmp_path), "--today", "2026-11-25"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "generated world for 2026-11-25: 600 deals" in done.stdout
    assert {file.name for file in tmp_path.iterdir()} == {"salesforce.json", "jira.json", "truth.json"}
    assert json.loads((tmp_path / "truth.json").read_text())["planted"] == []
