"""A board that cannot be read for a while: what it counts by is still what it was last known to be."""

from __future__ import annotations

import pytest
from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.small_site import POINTS_FIELD

from troth_contracts.jira import Issue, Sprint
from troth_contracts.topics import ISSUES, PLAN_CHANGES, SPRINTS

OWN_POINTS = "customfield_10036"
BETA = 2


@pytest.fixture
def two_teams(stage: Stage) -> Stage:
    """Beta counts in a field of its own; both boards list Beta's sprint, and they count by different columns."""
    seed = stage.site.seed
    points = next(entry for entry in seed["fields"] if entry["id"] == POINTS_FIELD)
    seed["fields"].append(points | {"id": OWN_POINTS, "schema": points["schema"] | {"customId": 10036}})
    beta = next(board for board in seed["boards"] if board["id"] == BETA)
    beta |= {"estimation_field_id": OWN_POINTS, "columns": beta["columns"][:-1]}
    next(sprint for sprint in seed["sprints"] if sprint["id"] == 4)["board_ids"] = [1]
    for number in ("10101", "10102"):
        stage.site.issue(number)["fields"][OWN_POINTS] = 13
    return stage


def told(stage: Stage) -> tuple[Sprint, set[tuple[str | None, str]]]:
    sprint = stage.kafka.latest(SPRINTS)[f"{SITE}:4"]
    assert isinstance(sprint, Sprint)
    issues = [issue for issue in stage.kafka.latest(ISSUES).values() if isinstance(issue, Issue)]
    return sprint, {(i.estimate_field, str(i.estimate)) for i in issues if i.project_key == "BET"}


async def test_its_refusal_changes_no_figure_and_reads_no_project_again(two_teams: Stage) -> None:
    await two_teams.scan(2)
    before = told(two_teams)
    sprint, estimates = before
    assert sprint.board_ids == ("1", "2")
    assert sprint.commitment is not None
    assert sprint.commitment.points == 13
    assert estimates == {(OWN_POINTS, "13")}
    two_teams.site.forbidden_boards = {str(BETA)}
    asked = len(two_teams.site.queries)
    await two_teams.scan(3)
    assert told(two_teams) == before
    two_teams.start()
    await two_teams.scan(3)
    assert told(two_teams) == before
    assert not [query for query in two_teams.site.queries[asked:] if "created DESC" in query]
    assert "board 2" in two_teams.health.checks["jira"].detail
    two_teams.site.forbidden_boards = set()
    await two_teams.scan(2)
    assert told(two_teams) == before
    assert not two_teams.kafka.told(PLAN_CHANGES)


async def test_an_issue_that_changes_meanwhile_is_counted_by_the_boards_own_field(two_teams: Stage) -> None:
    await two_teams.scan(2)
    two_teams.site.forbidden_boards = {str(BETA)}
    await two_teams.scan()
    issue = two_teams.site.issue("10101")["fields"]
    issue |= {OWN_POINTS: 21, "updated": two_teams.site.now.isoformat()}
    await two_teams.scan()
    sprint, estimates = told(two_teams)
    assert estimates == {(OWN_POINTS, "21"), (OWN_POINTS, "13")}
    assert sprint.commitment is not None
    assert sprint.commitment.points == 21
