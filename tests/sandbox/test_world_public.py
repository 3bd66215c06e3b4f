"""The public world is the public data: every sprint's sums and every deal, read again here in another way."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from troth_sandbox.world import World, build_world, read_scenario
from troth_sandbox.world.errors import FixtureError
from troth_sandbox.world.public_sprints import choose_boards, read_sprints

SCENARIO = Path(__file__).parents[2] / "deploy" / "sandbox" / "scenarios" / "demo.yaml"
TODAY = date(2026, 11, 25)
ROW = re.compile(r"^(\d+),(\d+),(.*)" + r",(-?\d+)" * 16 + "$")


@pytest.fixture(scope="module")
def world(fixtures_dir: Path) -> World:
    return build_world(today=TODAY, scenario=read_scenario(SCENARIO), fixtures=fixtures_dir)


@pytest.fixture(scope="module")
def pipeline(fixtures_dir: Path) -> list[dict[str, str]]:
    text = (fixtures_dir / "crm" / "opportunities" / "sales_pipeline.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def source_rows(fixtures: Path, share: int) -> dict[tuple[str, int, int], tuple[str, list[int]]]:
    rows = {}
    for site in ("apache", "jboss", "mongodb"):
        text = (fixtures / "sprints-tse2017" / site / f"{site}_iteration_{share}.csv").read_text()
        for line in text.splitlines()[1:]:
            match = ROW.match(line)
            assert match, line
            board, sprint, name, *numbers = match.groups()
            rows[site, int(board), int(sprint)] = (name, [int(number) for number in numbers])
    return rows


def test_every_laid_sprint_has_the_sums_of_its_source(world: World, fixtures_dir: Path) -> None:
    at_start, late = source_rows(fixtures_dir, 0), source_rows(fixtures_dir, 80)
    rows = [row for row in world.truth["sprint_figures"] if row["source"]]
    for row in rows:
        key = (row["source"]["site"], row["source"]["board"], row["source"]["sprint"])
        difference, _, _, start, _, added, _, removed = late[key][1][:8]
        assert (row["committed"], row["added"], row["removed"]) == (start, added, removed)
        assert row["completed"] == start + added - removed + difference
        first = at_start[key][1]
        assert row["completed"] == first[3] + first[5] - first[7] + first[0]
    assert len({(row["source"]["site"], row["source"]["sprint"]) for row in rows}) == len(rows)


def test_it_is_large_enough_and_not_too_large(world: World) -> None:
    assert world.truth["deals"] >= 8_000
    assert 350 <= world.truth["real_sprints"] <= 600
    assert world.counts["issues"] <= 9_000
    assert {row["source"]["site"] for row in world.truth["sprint_figures"] if row["source"]} == {
        "apache",
        "jboss",
        "mongodb",
    }


def test_sprints_of_a_board_follow_each_other_in_the_order_of_their_ids(world: World) -> None:
    starts = {sprint["id"]: sprint["startDate"] for sprint in world.jira["sprints"]}
    boards: dict[str, list[tuple[int, str]]] = {}
    for row in world.truth["sprint_figures"]:
        if row["source"]:
            boards.setdefault(row["board"], []).append((row["source"]["sprint"], starts[row["sprint_id"]]))
    for sprints in boards.values():
        assert sprints == sorted(sprints)
        days = [date.fromisoformat(start[:10]) for _, start in sprints]
        assert all((later - earlier).days == 14 for earlier, later in itertools.pairwise(days))
        assert {day.weekday() for day in days} == {0}


def test_names_with_commas_stay_whole(fixtures_dir: Path) -> None:
    sprints = read_sprints(fixtures_dir / "sprints-tse2017")
    names = {(sprint.site, sprint.board, sprint.sprint): sprint.name for sprint in sprints}
    source = source_rows(fixtures_dir, 80)
    assert names == {key: name.strip() for key, (name, _) in source.items()}
    assert sum("," in name for name in names.values()) == 4


def test_no_real_sprint_is_laid_on_two_boards(fixtures_dir: Path) -> None:
    boards = choose_boards(read_sprints(fixtures_dir / "sprints-tse2017"))
    used = Counter((sprint.site, sprint.sprint) for board in boards for sprint in board)
    assert set(used.values()) == {1}


def test_planted_teams_are_real_and_steady(world: World) -> None:
    generated = set(world.truth["generated_teams"])
    assert generated == {"Team Quartz", "Team Raven", "Team Slate"}
    for story in world.truth["planted"]:
        if story["kind"] == "oversold":
            assert story["team"] not in generated
    assert not generated & set(world.truth["healthy_teams"])


def test_every_public_deal_is_there_with_its_dates_moved_by_whole_days(
    world: World, pipeline: list[dict[str, str]]
) -> None:
    deals = {
        deal["Name"].rsplit("(", 1)[-1].rstrip(")"): deal
        for deal in world.salesforce["objects"]["Opportunity"]
    }
    newest = max(row["close_date"] for row in pipeline)
    shift = date(2026, 11, 24) - date.fromisoformat(newest)
    for row in pipeline:
        deal = deals[row["opportunity_id"]]
        assert deal["StageName"] == row["deal_stage"]
        assert deal["Promised_Date__c"] is None
        assert deal["Jira_Key__c"] is None
        if row["close_date"]:
            assert date.fromisoformat(deal["CloseDate"]) == date.fromisoformat(row["close_date"]) + shift
            assert deal["Amount"] == float(row["close_value"])
        else:
            assert deal["CloseDate"] > TODAY.isoformat()
        if row["engage_date"]:
            assert (
                date.fromisoformat(deal["CreatedDate"][:10]) == date.fromisoformat(row["engage_date"]) + shift
            )


def test_products_spelt_differently_are_joined(world: World, pipeline: list[dict[str, str]]) -> None:
    objects = world.salesforce["objects"]
    names = {product["Id"]: product["Name"] for product in objects["Product2"]}
    sold = Counter(names[line["Product2Id"]] for line in objects["OpportunityLineItem"])
    assert "GTXPro" not in names.values()
    assert sold["GTX Pro"] >= sum(row["product"] == "GTXPro" for row in pipeline) == 1480


def test_what_was_added_is_named(world: World) -> None:
    added = world.truth["added"]
    assert "ForecastCategory" in added["Opportunity"]
    assert "startDate" in added["sprint"]


def test_missing_data_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FixtureError, match="sales_pipeline"):
        build_world(today=TODAY, fixtures=tmp_path)
