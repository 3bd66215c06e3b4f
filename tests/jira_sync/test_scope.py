"""What the configuration leaves out: counted by rule, shown, and gone from the topics when it was there before."""

from __future__ import annotations

import pytest
from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.fakes import NOW
from tests.jira_sync.small_site import status_item

from jira_sync.scope import LeftOut, Scope
from troth_contracts.sync import SyncStatus
from troth_contracts.topics import BOARDS, ISSUES, SPRINTS, SYNC_STATUS

BOTH = ("APA", "BET")


def ids(stage: Stage, topic_name: str) -> set[str]:
    """Live ids on a topic."""
    latest: dict[str, bool] = {}
    for record in stage.kafka.records:
        if record.topic == topic_name:
            latest[record.key.removeprefix(f"{SITE}:")] = record.value is not None
    return {key for key, live in latest.items() if live}


async def restarted(stage: Stage, scope: Scope) -> Stage:
    """A minute later, as another process."""
    await stage.later(60)
    stage.scope = scope
    stage.start()
    return stage


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        (Scope(projects=("APA",)), {"10001", "10002", "10003", "10004", "10005"}),
        (Scope(excluded_projects=("APA",)), {"10101", "10102"}),
        (
            Scope(projects=BOTH, issue_types=("story",)),
            {"10001", "10002", "10003", "10005", "10101", "10102"},
        ),
        (
            Scope(projects=BOTH, excluded_issue_types=("BUG",)),
            {"10001", "10002", "10003", "10005", "10101", "10102"},
        ),
        (Scope(projects=BOTH, test_labels=("qa",)), {"10001", "10002", "10003", "10004", "10101", "10102"}),
    ],
)
async def test_only_what_is_wanted_is_published(stage: Stage, scope: Scope, left: set[str]) -> None:
    stage.site.issue("10004")["fields"]["issuetype"] = {"id": "9", "name": "Bug", "subtask": False}
    stage.site.issue("10005")["fields"]["labels"] = ["qa"]
    await (await restarted(stage, scope)).scan()
    assert ids(stage, ISSUES.name) == left


async def test_test_data_can_be_included(stage: Stage) -> None:
    stage.site.issue("10005")["fields"]["labels"] = ["qa"]
    await (await restarted(stage, Scope(projects=BOTH, test_labels=("qa",), include_test_data=True))).scan()
    assert "10005" in ids(stage, ISSUES.name)


async def test_what_is_left_out_is_counted_and_shown(stage: Stage) -> None:
    stage.site.issue("10005")["fields"]["labels"] = ["qa"]
    await (await restarted(stage, Scope(projects=BOTH, excluded_boards=("2",), test_labels=("qa",)))).scan(2)
    expected = "left out: 1 board (board excluded), 1 issue (test data)"
    assert expected in stage.health.checks["jira"].detail
    status = stage.kafka.latest(SYNC_STATUS)[f"jira-sync:{SITE}"]
    assert isinstance(status, SyncStatus)
    assert expected in (status.detail or "")
    for kind, rule in (("issue", "test data"), ("board", "board excluded")):
        assert stage.registry.get_sample_value("jira_sync_left_out", {"kind": kind, "rule": rule}) == 1


async def test_projects_that_are_not_wanted_are_counted_though_nothing_of_them_is_read(stage: Stage) -> None:
    await (await restarted(stage, Scope(projects=("APA",)))).scan(2)
    assert "1 project (project not named)" in stage.health.checks["jira"].detail
    labels = {"kind": "project", "rule": "project not named"}
    assert stage.registry.get_sample_value("jira_sync_left_out", labels) == 1

    stage.site.seed["projects"] = [p for p in stage.site.seed["projects"] if p["key"] != "BET"]
    await stage.later(60)
    await stage.scan()
    assert "project not named" not in stage.health.checks["jira"].detail, "one that is gone is not left out"


async def test_an_issue_that_becomes_test_data_leaves_the_topic_and_may_return(stage: Stage) -> None:
    await (await restarted(stage, Scope(projects=BOTH, test_labels=("qa",)))).scan()
    stage.site.change("10005", NOW, status_item("1", "3"), labels=["qa"])
    await stage.later(60)
    await stage.scan()
    assert "10005" not in ids(stage, ISSUES.name)
    stage.site.change("10005", NOW, status_item("3", "1"), labels=[])
    await stage.later(60)
    await stage.scan()
    assert "10005" in ids(stage, ISSUES.name)


async def test_a_wider_scope_is_read_from_the_beginning(stage: Stage) -> None:
    """The watermark says nothing of what nobody asked for when it was set."""
    await (await restarted(stage, Scope(projects=("APA",)))).scan()
    await (await restarted(stage, Scope(projects=BOTH))).scan()
    assert {"10101", "10102"} <= ids(stage, ISSUES.name)
    before = len(stage.site.queries)
    await (await restarted(stage, Scope(projects=BOTH))).scan()
    assert any("updated >=" in query for query in stage.site.queries[before:]), "the same scope is not"


async def test_a_board_left_out_later_goes_with_its_sprints(stage: Stage) -> None:
    await stage.scan()
    await (await restarted(stage, Scope(projects=BOTH, excluded_boards=("2",)))).scan(2)
    assert ids(stage, BOARDS.name) == {"1", "3"}
    assert ids(stage, SPRINTS.name) == {"1", "2", "3"}


def test_nothing_left_out_says_nothing() -> None:
    left_out = LeftOut()
    left_out.note("issue", "1", "test data")
    left_out.note("issue", "1", None)
    assert left_out.sentence() == ""
