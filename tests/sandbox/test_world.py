"""Both worlds: their records hold together, their sprints add up, and both plant the same stories."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from troth_sandbox.world import World, build_world, read_scenario
from troth_sandbox.world.ids import checksum_suffix

SCENARIO = Path(__file__).parents[2] / "deploy" / "sandbox" / "scenarios" / "demo.yaml"
TODAY = date(2026, 11, 25)


@pytest.fixture(scope="module", params=["generated", "public"])
def world(request: pytest.FixtureRequest) -> World:
    fixtures = request.getfixturevalue("fixtures_dir") if request.param == "public" else None
    return build_world(today=TODAY, scenario=read_scenario(SCENARIO), fixtures=fixtures)


@dataclass(frozen=True)
class Reading:
    """One issue at one moment, read backwards from its fields."""

    sprints: frozenset[str]
    points: float
    status: str


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def at(issue: dict[str, Any], when: datetime) -> Reading:
    """Undo every change later than ``when``."""
    fields = issue["fields"]
    sprints = {str(sprint) for sprint in fields["customfield_10020"]}
    points, status = fields["customfield_10016"] or 0, fields["status"]["id"]
    for history in reversed(issue["histories"]):
        if moment(history["created"]) <= when:
            break
        for item in history["items"]:
            if item["field"] == "Sprint":
                sprints = set(filter(None, item["from"].split(", ")))
            elif item["field"] == "Story Points":
                points = float(item["fromString"] or 0)
            elif item["field"] == "status":
                status = item["from"]
    return Reading(frozenset(sprints), points, status)


def figures_of(sprint: dict[str, Any], issues: list[dict[str, Any]]) -> dict[str, float]:
    """Committed, added, removed and completed points, from fields and histories alone."""
    start, close, name = moment(sprint["activatedDate"]), moment(sprint["completeDate"]), str(sprint["id"])
    sums: Counter[str] = Counter(committed=0, added=0, removed=0, completed=0)
    for issue in issues:
        before = at(issue, start)
        if (
            name in before.sprints
            and moment(issue["fields"]["created"]) <= start
            and before.status != "10002"
        ):
            sums["committed"] += int(before.points)
        after = at(issue, close)
        if name in after.sprints and after.status == "10002":
            sums["completed"] += int(after.points)
        for history in issue["histories"]:
            when = moment(history["created"])
            for item in history["items"] if start < when <= close else ():
                if item["field"] != "Sprint":
                    continue
                old, new = (set(item[side].split(", ")) for side in ("from", "to"))
                sums["added"] += int(at(issue, when).points) if name in new - old else 0
                sums["removed"] += int(at(issue, when).points) if name in old - new else 0
    return dict(sums)


def touched_sprints(issue: dict[str, Any]) -> set[str]:
    names = {str(sprint) for sprint in issue["fields"]["customfield_10020"]}
    for history in issue["histories"]:
        for item in history["items"]:
            if item["field"] == "Sprint":
                names |= set(filter(None, item["from"].split(", "))) | set(
                    filter(None, item["to"].split(", "))
                )
    return names


def test_issues_of_every_closed_sprint_add_up_to_its_figures(world: World) -> None:
    by_sprint: dict[str, list[dict[str, Any]]] = {}
    for issue in world.jira["issues"]:
        for name in touched_sprints(issue):
            by_sprint.setdefault(name, []).append(issue)
    closed = {sprint["id"]: sprint for sprint in world.jira["sprints"] if sprint["state"] == "closed"}
    stated = {row["sprint_id"]: row for row in world.truth["sprint_figures"]}

    assert stated.keys() == closed.keys()
    for number, sprint in closed.items():
        expected = {name: stated[number][name] for name in ("committed", "added", "removed", "completed")}
        assert figures_of(sprint, by_sprint.get(str(number), [])) == expected, sprint["name"]


def test_replaying_an_issue_forwards_gives_its_fields(world: World) -> None:
    for issue in world.jira["issues"]:
        sprints, status = None, None
        for history in issue["histories"]:
            for item in history["items"]:
                if item["field"] == "Sprint":
                    assert sprints is None or item["from"] == sprints, issue["key"]
                    sprints = item["to"]
                elif item["field"] == "status":
                    assert status is None or item["from"] == status, issue["key"]
                    status = item["to"]
        fields = issue["fields"]
        assert sprints is None or sprints == ", ".join(map(str, fields["customfield_10020"]))
        assert status is None or status == fields["status"]["id"]
        assert (fields["resolution"] is None) == (fields["status"]["id"] != "10002")


def test_histories_are_numbered_in_the_order_of_time_and_lie_in_the_past(world: World) -> None:
    histories = [history for issue in world.jira["issues"] for history in issue["histories"]]
    in_time = sorted(histories, key=lambda history: (history["created"], int(history["id"])))
    assert [int(history["id"]) for history in in_time] == sorted(int(history["id"]) for history in histories)
    assert in_time[-1]["created"] < f"{TODAY}T00:00:00"
    for issue in world.jira["issues"]:
        times = [issue["fields"]["created"], *(history["created"] for history in issue["histories"])]
        assert times == sorted(times), issue["key"]


def test_salesforce_ids_are_unique_and_carry_their_checksum(world: World) -> None:
    ids = [record["Id"] for records in world.salesforce["objects"].values() for record in records]
    assert len(ids) == len(set(ids))
    for record_id in ids:
        assert len(record_id) == 18
        assert checksum_suffix(record_id[:15]) == record_id[15:]


def test_checksum_suffix_of_a_published_pair() -> None:
    assert checksum_suffix("001A0000006Vm9r") == "IAC"


def test_every_salesforce_reference_resolves(world: World) -> None:
    objects = world.salesforce["objects"]
    known = {name: {record["Id"] for record in records} for name, records in objects.items()}
    targets = {
        "AccountId": "Account",
        "ContactId": "Contact",
        "CreatedById": "User",
        "OpportunityId": "Opportunity",
        "OwnerId": "User",
        "Product2Id": "Product2",
        "UserId": "User",
    }
    for records in objects.values():
        for record in records:
            for field, target in targets.items():
                assert record.get(field) is None or record[field] in known[target], (field, record)
    stages = {stage["ApiName"] for stage in objects["OpportunityStage"]}
    currencies = {currency["IsoCode"] for currency in objects["CurrencyType"]}
    for deal in objects["Opportunity"]:
        assert deal["StageName"] in stages
        assert deal["CurrencyIsoCode"] in currencies


def test_every_jira_reference_resolves(world: World) -> None:
    jira = world.jira
    for name in ("users", "projects", "boards", "sprints", "issues", "fields", "statuses"):
        ids = [record.get("id", record.get("accountId")) for record in jira[name]]
        assert len(ids) == len(set(ids)), name
    accounts = {user["accountId"] for user in jira["users"]}
    sprints = {sprint["id"] for sprint in jira["sprints"]}
    issues = {issue["id"]: issue["key"] for issue in jira["issues"]}
    projects = {project["id"]: project["key"] for project in jira["projects"]}
    assert len(set(issues.values())) == len(issues)
    assert {sprint["originBoardId"] for sprint in jira["sprints"]} <= {
        board["id"] for board in jira["boards"]
    }
    for board in jira["boards"]:
        assert set(board["project_ids"]) <= projects.keys()
    for issue in jira["issues"]:
        fields = issue["fields"]
        assert projects[fields["project"]["id"]] == issue["key"].rsplit("-", 1)[0]
        assert set(fields["customfield_10020"]) <= sprints
        assert fields["creator"]["accountId"] in accounts
        assert fields["assignee"] is None or fields["assignee"]["accountId"] in accounts
        if "parent" in fields:
            assert issues[fields["parent"]["id"]] == fields["parent"]["key"]
        assert {history["author"]["accountId"] for history in issue["histories"]} <= accounts


def test_each_board_has_one_active_and_some_future_sprints(world: World) -> None:
    states = Counter((sprint["originBoardId"], sprint["state"]) for sprint in world.jira["sprints"])
    for board in world.jira["boards"]:
        assert states[board["id"], "active"] == 1
        assert states[board["id"], "future"] >= 2
        assert states[board["id"], "closed"] >= 12


def test_the_same_arguments_give_the_same_bytes(
    world: World, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fixtures = request.getfixturevalue("fixtures_dir") if world.truth["world"] == "public" else None
    again = build_world(today=TODAY, scenario=read_scenario(SCENARIO), fixtures=fixtures)
    world.write(tmp_path / "one")
    again.write(tmp_path / "two")
    for name in ("salesforce.json", "jira.json", "truth.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert json.loads((tmp_path / "one" / "truth.json").read_text())["today"] == "2026-11-25"


def test_another_seed_gives_another_world() -> None:
    assert build_world(today=TODAY, seed=1).jira != build_world(today=TODAY, seed=2).jira


def test_both_worlds_plant_the_same_kinds(world: World) -> None:
    kinds = Counter(story["kind"] for story in world.truth["planted"])
    assert kinds == {"oversold": 3, "late_forecast": 1, "unlinked_commitment": 2}
    assert len(world.truth["healthy_teams"]) == 3
    assert len(world.truth["silent"]) == 6
    breaking = {story["team"] for story in world.truth["planted"]}
    assert not breaking & set(world.truth["healthy_teams"])


def test_only_planted_deals_carry_a_promise(world: World) -> None:
    told = {deal for story in world.truth["planted"] for deal in story["deals"]}
    told |= {row["deal"] for row in world.truth["silent"]}
    promising = {d["Id"] for d in world.salesforce["objects"]["Opportunity"] if d["Promised_Date__c"]}
    assert told <= promising
    assert len(promising - told) == 8  # the safe promises of broken teams and those of healthy ones


@pytest.mark.parametrize("day", [date(2026, 11, 23 + n) for n in range(7)])
def test_a_world_can_be_built_on_any_weekday(day: date) -> None:
    world = build_world(today=day, scenario=read_scenario(SCENARIO))
    now = f"{day}T00:00:00"
    for sprint in world.jira["sprints"]:
        assert (sprint["startDate"] < now) == (sprint["state"] != "future")
        assert (sprint["endDate"] < now) == (sprint["state"] == "closed")
        assert sprint.get("completeDate", "") < now
