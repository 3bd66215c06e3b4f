"""Documents recorded on real sites are read without exception, and mean what their collectors say they mean."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jira_sync.domain.changelog import former_keys, issue_events
from jira_sync.domain.fields import SiteFields
from jira_sync.domain.issue import read_issue
from jira_sync.domain.structure import board_rules, read_board, read_sprint
from jira_sync.domain.timeline import build_timeline
from jira_sync.parse import id_list, instant
from troth_contracts.jira import Issue, IssueEvent

_ITEMS = "_tool_jira_issue_changelog_items"
csv.field_size_limit(sys.maxsize)
MERICO = SiteFields(sprint="customfield_10020", estimates=("customfield_10024", "customfield_10016"))
IMPROVING_FLOW = SiteFields(sprint="customfield_10020", estimates=("customfield_10016",))


def rows(place: Path, *parts: str) -> Iterator[dict[str, str]]:
    with place.joinpath("jira", *parts).open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def documents(place: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(row["data"]) for row in rows(place, "devlake", "raw_tables", name)]


def read(document: dict[str, Any], fields: SiteFields) -> tuple[Issue, tuple[IssueEvent, ...]]:
    issue = read_issue("site", document, fields)
    return issue, issue_events(issue, document.get("changelog", {}).get("histories", ()), fields)


def test_devlake_sprint_dates_equal_its_own_table(fixtures_dir: Path) -> None:
    expected = {
        row["sprint_id"]: row
        for row in rows(fixtures_dir, "devlake", "snapshot_tables", "_tool_jira_sprints.csv")
    }
    found = [read_sprint("site", d, ()) for d in documents(fixtures_dir, "_raw_jira_api_sprints.csv")]
    assert len({sprint.id for sprint in found}) == len(expected) == 30
    for sprint in found:
        row = expected[sprint.id]
        dates = (sprint.planned_start_at, sprint.planned_end_at, sprint.completed_at)
        assert dates == tuple(instant(row[name]) for name in ("start_date", "end_date", "complete_date"))
        assert (sprint.state, sprint.name, sprint.origin_board_id) == (
            row["state"],
            row["name"],
            row["origin_board_id"],
        )


def recorded_events(place: Path) -> Iterator[IssueEvent]:
    """From changelogs inline in issues, and from those fetched one by one."""
    issue: Issue | None = None
    for document in documents(place, "_raw_jira_api_issues.csv"):
        issue, events = read(document, MERICO)
        yield from events
    assert issue is not None
    yield from issue_events(issue, documents(place, "_raw_jira_api_issue_changelogs.csv"), MERICO)


def test_devlake_changelog_items_equal_its_own_tables(fixtures_dir: Path) -> None:
    """Every item its collector kept of a planning field is one of ours, with the same values, and no other.

    Its tables hold one item per history and field, the last; ours keeps all.
    """
    kinds = {
        "status": "status",
        "customfield_10020": "sprint",
        "assignee": "assignee",
        "summary": "summary",
        "fixVersions": "version",
    }
    expected = {
        (row["changelog_id"], kinds[row["field_id"]]): (row["from_value"], row["to_value"])
        for suffix in ("", "_extractor")
        for row in rows(fixtures_dir, "devlake", "snapshot_tables", f"{_ITEMS}{suffix}.csv")
        if row["field_id"] in kinds
    }
    found = {
        (event.history_id, event.field): (event.from_value or "", event.to_value or "")
        for event in recorded_events(fixtures_dir)
        if event.field_id in kinds
    }
    assert len(expected) > 200
    assert found == expected


def test_every_devlake_issue_is_read_with_its_past(fixtures_dir: Path) -> None:
    read_issues = 0
    for name in ("_raw_jira_api_issues.csv", "_raw_jira_api_issues_for_due_date.csv"):
        for document in documents(fixtures_dir, name):
            issue, events = read(document, MERICO)
            timeline = build_timeline(issue, events)
            assert timeline.now.status == issue.status_id or events
            assert list(timeline.steps) == sorted(
                timeline.steps, key=lambda step: (step.at, int(step.history_id))
            )
            read_issues += 1
    assert read_issues >= 33


def test_devlake_carry_over_is_written_after_the_close(fixtures_dir: Path) -> None:
    """The recorded reason for undoing what comes after ``completeDate``: 3 to 13 seconds later."""
    closes = {
        d["id"]: instant(d["completeDate"]) for d in documents(fixtures_dir, "_raw_jira_api_sprints.csv")
    }
    gaps = [
        gap
        for event in recorded_events(fixtures_dir)
        if event.field == "sprint" and id_list(event.from_value) < id_list(event.to_value)
        for sprint_id in id_list(event.from_value)
        if (close := closes.get(int(sprint_id))) and 0 <= (gap := (event.at - close).total_seconds()) < 60
    ]
    assert len(gaps) == 9
    assert all(3.2 <= gap <= 13.1 for gap in gaps)


@pytest.mark.parametrize("folder", ["testdata", "complete_sample/sample_issues"])
def test_every_jirametrics_issue_is_read(fixtures_dir: Path, folder: str) -> None:
    found = sorted((fixtures_dir / "jira" / "jirametrics" / folder).glob("SP-*.json"))
    assert found
    for path in found:
        issue, events = read(json.loads(path.read_text()), IMPROVING_FLOW)
        assert build_timeline(issue, events).now.status == issue.status_id
        assert not former_keys(issue.issue_key, events)


def test_recorded_board_configurations_name_what_is_done(fixtures_dir: Path) -> None:
    done = {}
    for path in (
        "jirametrics/complete_sample/sample_board_1_configuration.json",
        "go-jira/board_configuration.json",
    ):
        configuration = json.loads((fixtures_dir / "jira" / path).read_text())
        board = read_board("site", configuration, configuration, (), SiteFields())
        assert board.estimation_field is None
        done[board.id] = board_rules(board).done
    assert done == {"1": {"10002"}, "35": {"10601"}}


def test_go_jira_sprints_with_offsets_are_read(fixtures_dir: Path) -> None:
    page = json.loads((fixtures_dir / "jira" / "go-jira" / "sprints.json").read_text())
    sprints = [read_sprint("site", document, ("734",)) for document in page["values"]]
    assert sprints[0].completed_at == instant("2016-04-28T12:08:48.543Z")


def test_recorded_webhook_issues_are_read_in_old_and_new_form(fixtures_dir: Path) -> None:
    """Their bodies carry issues in version 2 form; some lack fields that search answers always have."""
    read_issues = 0
    for path in sorted((fixtures_dir / "jira" / "webhooks-mattermost").glob("*issue-updated*.json")):
        document = json.loads(path.read_text()).get("issue", {})
        if {"project", "status", "issuetype"} <= document.get("fields", {}).keys():
            read_issue("site", document, SiteFields())
            read_issues += 1
    assert read_issues
