"""Documents recorded on real sites are read without exception, and mean what their collectors say they mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tests.jira_sync.recorded import ANY_ISSUE, MERICO, documents, read, rows

from jira_sync.domain.changelog import issue_events
from jira_sync.domain.fields import SiteFields
from jira_sync.domain.structure import board_rules, read_board, read_sprint
from jira_sync.domain.timeline import build_timeline
from jira_sync.parse import id_list, instant, optional_instant
from troth_contracts.jira import IssueEvent

SNAPSHOTS = ("devlake", "snapshot_tables")
_ITEMS = "_tool_jira_issue_changelog_items"


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


def test_devlake_domain_sprints_are_ours_but_for_one_it_lacks(fixtures_dir: Path) -> None:
    """Board 8 lists 30 sprints, one of them made on board 13; the domain table lacks sprint 25, without saying why."""
    raw = documents(fixtures_dir, "_raw_jira_api_sprints.csv")
    ours = {sprint.id: sprint for sprint in (read_sprint("site", document, ("8",)) for document in raw)}
    table = {row["id"].rpartition(":")[2]: row for row in rows(fixtures_dir, *SNAPSHOTS, "sprints.csv")}
    listed = {row["sprint_id"] for row in rows(fixtures_dir, *SNAPSHOTS, "_tool_jira_board_sprints.csv")}
    assert listed == ours.keys()
    assert ours["15"].origin_board_id == "13"
    assert ours.keys() - table.keys() == {"25"}
    for sprint_id, row in table.items():
        sprint = ours[sprint_id]
        assert [sprint.planned_start_at, sprint.planned_end_at, sprint.completed_at] == [
            instant(row[name]) for name in ("started_date", "ended_date", "completed_date")
        ]
        assert (sprint.state.upper(), sprint.name) == (row["status"], row["name"])


def recorded_events(place: Path) -> Iterator[IssueEvent]:
    """From changelogs inline in issues, and from those fetched one by one."""
    for document in documents(place, "_raw_jira_api_issues.csv"):
        yield from read(document, MERICO)[1]
    yield from issue_events(ANY_ISSUE, documents(place, "_raw_jira_api_issue_changelogs.csv"), MERICO)


def test_devlake_changelog_items_equal_its_own_tables(fixtures_dir: Path) -> None:
    """Row for row: id, author and time of the history, field, both values and both texts of the item.

    Left out are items that planning has no use for (remote links, workflows, ranks, worklogs, resolutions, ...), and
    three epics that its tables were not made from. They hold one item per history and field, the last; ours keeps all.
    """
    kinds = {
        "status": "status",
        "customfield_10020": "sprint",
        "customfield_10014": "parent",
        "assignee": "assignee",
        "summary": "summary",
        "description": "description",
        "fixVersions": "version",
        "duedate": "due_date",
    }
    heads = {
        row["changelog_id"]: (row["author_account_id"] or None, instant(row["created"]))
        for suffix in ("", "_extractor")
        for row in rows(fixtures_dir, *SNAPSHOTS, f"_tool_jira_issue_changelogs{suffix}.csv")
    }
    expected = {
        (row["changelog_id"], kinds[row["field_id"]]): (
            *heads[row["changelog_id"]],
            *(row[name] for name in ("from_value", "from_string", "to_value", "to_string")),
        )
        for suffix in ("", "_extractor")
        for row in rows(fixtures_dir, *SNAPSHOTS, f"{_ITEMS}{suffix}.csv")
        if row["field_id"] in kinds
    }
    found = {
        (event.history_id, event.field): (
            event.actor_id,
            event.at,
            *(text or "" for text in (event.from_value, event.from_text, event.to_value, event.to_text)),
        )
        for event in recorded_events(fixtures_dir)
        if event.field_id in kinds and event.history_id in heads
    }
    assert len(expected) > 250
    assert found == expected


def test_devlake_issues_equal_its_own_table(fixtures_dir: Path) -> None:
    """Key, project, type, status, people, times and sprints; one summary was recorded with a NUL, which both drop."""
    ours = {
        issue.id: issue
        for issue in (read(d, MERICO)[0] for d in documents(fixtures_dir, "_raw_jira_api_issues.csv"))
    }
    sprints: dict[str, set[str]] = {}
    for row in rows(fixtures_dir, *SNAPSHOTS, "_tool_jira_sprint_issues.csv"):
        sprints.setdefault(row["issue_id"], set()).add(row["sprint_id"])
    table = list(rows(fixtures_dir, *SNAPSHOTS, "_tool_jira_issues.csv"))
    assert len(table) == 30
    for row in table:
        issue = ours[row["issue_id"]]
        assert (issue.issue_key, issue.project_id, issue.type_name) == (
            row["issue_key"],
            row["project_id"],
            row["type"],
        )
        assert (issue.status_name, issue.status_category) == (row["status_name"], row["status_key"])
        assert (issue.creator_id or "", issue.assignee_id or "") == (
            row["creator_account_id"],
            row["assignee_account_id"],
        )
        assert issue.summary == row["summary"]
        assert [issue.created_at, issue.updated_at, issue.resolved_at] == [
            optional_instant(row[name]) for name in ("created", "updated", "resolution_date")
        ]
        assert sprints.get(issue.id, set()) == set(issue.sprint_ids)


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


def test_recorded_board_configurations_name_what_is_done(fixtures_dir: Path) -> None:
    done = {}
    for path in (
        "jirametrics/complete_sample/sample_board_1_configuration.json",
        "go-jira/board_configuration.json",
    ):
        configuration = json.loads((fixtures_dir / "jira" / path).read_text())
        board = read_board("site", configuration, configuration, {}, SiteFields())
        assert board.estimation_field is None
        done[board.id] = board_rules(board).done
    assert done == {"1": {"10002"}, "35": {"10601"}}


def test_go_jira_sprints_with_offsets_are_read(fixtures_dir: Path) -> None:
    page = json.loads((fixtures_dir / "jira" / "go-jira" / "sprints.json").read_text())
    sprints = [read_sprint("site", document, ("734",)) for document in page["values"]]
    assert sprints[0].completed_at == instant("2016-04-28T12:08:48.543Z")
