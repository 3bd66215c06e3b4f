"""What is missing is classified before anything is deleted; what no feed has told is found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.fakes import NOW
from tests.jira_sync.small_site import APA, issue

from jira_sync.absence import Absences, is_suspect, project_class
from jira_sync.errors import BudgetSpentError, ForbiddenError, MissingError
from jira_sync.hints import hints_of
from jira_sync.reader import TokenPage
from jira_sync.scope import Scope
from troth_contracts.jira import Sprint
from troth_contracts.topics import BOARDS, ISSUES, SPRINTS, VERSIONS, Topic

MANY = range(10020, 10040)


def live(stage: Stage, topic: Topic) -> set[str]:
    found: dict[str, bool] = {}
    for record in stage.kafka.records:
        if record.topic == topic.name:
            found[record.key.removeprefix(f"{SITE}:")] = record.value is not None
    return {key for key, is_live in found.items() if is_live}


def absent(stage: Stage, name: str) -> float:
    return stage.registry.get_sample_value("jira_sync_absent", {"class": name}) or 0.0


@pytest.fixture
async def large(stage: Stage) -> Stage:
    """Twenty more issues, so that one missing is no fifth of the project."""
    stage.site.seed["issues"] += [issue(number, APA) for number in MANY]
    await stage.scan()
    return stage


async def days_later(stage: Stage, seconds: float = 90_000) -> None:
    await stage.later(seconds)
    await stage.scan()


def delete(stage: Stage, *ids: str) -> None:
    stage.site.seed["issues"] = [row for row in stage.site.seed["issues"] if row["id"] not in ids]


async def test_only_a_second_404_ten_minutes_later_is_a_deletion(large: Stage) -> None:
    delete(large, "10030")
    await days_later(large)
    await days_later(large, 540)
    assert "10030" in live(large, ISSUES)
    await days_later(large, 120)
    assert live(large, ISSUES) == {str(number) for number in MANY} - {"10030"} | {
        "10001", "10002", "10003", "10004", "10005", "10101", "10102",
    }  # fmt: skip
    assert absent(large, "deleted") == 1


async def test_an_issue_that_search_does_not_show_but_jira_has_is_kept(large: Stage) -> None:
    large.site.unlisted.add("10030")
    await days_later(large)
    await days_later(large, 700)
    assert "10030" in live(large, ISSUES)


async def test_a_moved_issue_is_no_deletion(large: Stage) -> None:
    large.site.issue("10030")["fields"]["project"] = {"id": "10100", "key": "BET"}
    await days_later(large)
    await days_later(large, 700)
    assert "10030" in live(large, ISSUES)


async def test_more_than_a_fifth_missing_deletes_nothing_and_alarms(large: Stage) -> None:
    large.site.unlisted.update(str(number) for number in MANY)
    delete(large, "10031")
    await days_later(large)
    await days_later(large, 700)
    assert {str(number) for number in MANY} <= live(large, ISSUES)
    assert absent(large, "suspect") == len(MANY)
    assert "project APA suspect: 20 missing, nothing deleted (if they are gone: jira-sync census APA)" in (
        large.health.checks["jira"].detail
    )


async def test_people_who_know_that_much_is_gone_have_it_looked_for_and_deleted(large: Stage) -> None:
    """Also in a project so small that one issue is more than a fifth; what is still there stays."""
    for number in MANY[1:]:
        delete(large, str(number))
    large.site.unlisted.add(str(MANY[0]))
    delete(large, "10101")
    await days_later(large)
    await days_later(large, 700)
    assert {"10101", *map(str, MANY)} <= live(large, ISSUES)
    assert "project BET suspect: 1 missing" in large.health.checks["jira"].detail
    large.hints.put(hints_of({"webhookEvent": "troth:census", "projects": "APA,BET"}) or ())
    await large.scan(2)
    await days_later(large, 700)
    assert live(large, ISSUES) & {"10101", *map(str, MANY)} == {str(MANY[0])}
    assert "suspect" not in large.health.checks["jira"].detail


@pytest.mark.parametrize(
    ("state", "name"), [("archived", "archived"), ("deleted", "trashed"), ("hidden", "access_lost")]
)
async def test_a_whole_project_that_is_gone_deletes_nothing(large: Stage, state: str, name: str) -> None:
    large.site.seed["projects"][1]["state"] = state
    await days_later(large)
    await days_later(large, 700)
    assert {"10101", "10102"} <= live(large, ISSUES)
    assert absent(large, name) == 2


async def test_a_project_trashed_between_the_two_404s_deletes_nothing(large: Stage) -> None:
    delete(large, "10030")
    await days_later(large)
    large.site.seed["projects"][0]["state"] = "deleted"
    await days_later(large, 700)
    assert "10030" in live(large, ISSUES)


async def test_what_returns_is_published_again(large: Stage) -> None:
    kept = large.site.issue("10030")
    delete(large, "10030")
    await days_later(large)
    await days_later(large, 700)
    large.site.seed["issues"].append(kept)
    await days_later(large)
    assert "10030" in live(large, ISSUES)
    assert absent(large, "restored") == 1


async def test_an_issue_no_poll_has_seen_is_found(large: Stage) -> None:
    large.site.seed["issues"].append(issue(10050, APA, created="2026-01-01T00:00:00.000Z"))
    await days_later(large)
    assert "10050" in live(large, ISSUES)


async def test_figures_of_a_closed_sprint_stand_when_an_issue_is_deleted(large: Stage) -> None:
    before = large.kafka.latest(SPRINTS)[f"{SITE}:1"]
    delete(large, "10001")
    await days_later(large)
    await days_later(large, 700)
    assert "10001" not in live(large, ISSUES)
    large.start()
    await days_later(large, 60)
    after = large.kafka.latest(SPRINTS)[f"{SITE}:1"]
    assert isinstance(after, Sprint)
    assert after == before


async def test_a_restart_takes_no_census_before_its_time(large: Stage) -> None:
    large.start()
    before = len(large.site.queries)
    await days_later(large, 60)
    assert all("updated >=" in query for query in large.site.queries[before:])


@pytest.mark.parametrize(
    ("kind", "topic", "gone"),
    [("sprints", SPRINTS, "3"), ("boards", BOARDS, "3"), ("versions", VERSIONS, "501")],
)
async def test_a_vanished_sprint_board_or_version_goes_after_two_404s(
    stage: Stage, kind: str, topic: Topic, gone: str
) -> None:
    await stage.scan()
    stage.site.seed[kind] = [row for row in stage.site.seed[kind] if str(row["id"]) != gone]
    await days_later(stage, 60)
    assert gone in live(stage, topic)
    await days_later(stage, 700)
    assert gone not in live(stage, topic)


async def test_a_forbidden_board_and_its_sprints_stay(stage: Stage) -> None:
    await stage.scan()
    stage.site.forbidden_boards = {"2"}
    await days_later(stage, 60)
    await days_later(stage, 700)
    assert "2" in live(stage, BOARDS)
    assert "4" in live(stage, SPRINTS)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_board_hidden_as_a_404_takes_no_sprint_along(stage: Stage, restarted: bool) -> None:
    """It is listed, and the direct read of each of its sprints is a 404 as well."""

    def hidden(name: str) -> None:
        if name in ("board/2", "sprint/4"):
            raise MissingError(f"{name}: Jira answered 404")

    await stage.scan()
    stage.site.before = hidden
    if restarted:
        stage.start()
    await days_later(stage, 60)
    await days_later(stage, 700)
    assert "2" in live(stage, BOARDS)
    assert "4" in live(stage, SPRINTS)


async def test_an_account_that_may_not_list_trashed_projects_still_takes_a_census(large: Stage) -> None:
    def refuse(name: str) -> None:
        if name == "project/search deleted":
            raise ForbiddenError("project/search: Jira answered 403")

    large.site.before = refuse
    delete(large, "10030")
    await days_later(large)
    await days_later(large, 700)
    assert "10030" not in live(large, ISSUES)


async def test_a_census_that_is_cut_deletes_nothing_and_says_so(large: Stage) -> None:
    """A repeated page token in one project: its neighbours are compared, the poll goes on."""
    search = large.site.search

    async def cut(
        jql: str, fields: Sequence[str], token: str | None, size: int, reconcile: Sequence[str] = ()
    ) -> TokenPage:
        is_cut = jql.startswith('project in ("APA") ORDER')
        page = await search(jql, fields, None if is_cut else token, size, reconcile)
        if is_cut:
            return TokenPage(page.items[:5], "again", is_last=False)
        return page

    large.site.search = cut  # type: ignore[method-assign]
    delete(large, "10030")
    await days_later(large)
    await days_later(large, 700)
    assert "10030" in live(large, ISSUES)
    assert "project APA not read" in large.health.checks["jira"].detail
    assert large.health.ready


async def test_a_census_dearer_than_an_hours_points_goes_on_in_the_next_hour(large: Stage) -> None:
    """Two pages an hour. Once it is whole, what is missing is looked after; what came meanwhile is not missing."""
    search, listed, left = large.site.search, list[str](), 0
    large.site.page_cap = 5

    async def dear(
        jql: str, fields: Sequence[str], token: str | None, size: int, reconcile: Sequence[str] = ()
    ) -> TokenPage:
        nonlocal left
        if tuple(fields) == ("id",):
            if not left:
                raise BudgetSpentError("the app's points of this hour are kept for the poll")
            left -= 1
            listed.append(f"{jql.split(chr(34))[1]} {token or 0}")
        return await search(jql, fields, token, size, reconcile)

    large.site.search = dear  # type: ignore[method-assign]
    delete(large, "10030")
    await large.later(90_000)
    for hour in range(5):
        left = 2
        large.site.seed["issues"].append(issue(10070 + hour, APA, created=large.site.now.isoformat()))
        await large.scan(2)
        if hour == 1:
            assert "under way, 20 ids listed" in large.health.checks["jira"].detail
        await large.later(3_600)
    pages = [f"APA {start}" for start in range(0, 26, 5)]
    assert listed[:7] == [*pages, "BET 0"]
    assert len(listed) == len(set(listed))
    assert "10030" not in live(large, ISSUES)
    assert {str(10070 + hour) for hour in range(5)} <= live(large, ISSUES)
    assert absent(large, "deleted") == 1


async def test_a_project_no_longer_wanted_leaves_the_topic(large: Stage) -> None:
    large.scope = Scope(projects=("APA",))
    large.start()
    await days_later(large)
    assert not {"10101", "10102"} & live(large, ISSUES)
    assert "10001" in live(large, ISSUES)


def test_the_share_that_is_suspect() -> None:
    ten = [str(number) for number in range(10)]
    assert not is_suspect(ten, ten[:2])
    assert is_suspect(ten, ten[:3])


def test_classes_of_projects() -> None:
    roster = {"live": {"1": "A"}, "archived": {"2": "B"}, "deleted": {"3": "C"}}
    found = [project_class(number, roster) for number in ("1", "2", "3", "4")]  # type: ignore[arg-type]
    assert found == [None, "archived", "trashed", "access_lost"]


def test_an_answer_in_between_starts_the_ten_minutes_anew() -> None:
    absences = Absences()
    assert not absences.missing("issue", "1", NOW)
    absences.present("issue", "1", NOW + timedelta(minutes=5))
    assert not absences.missing("issue", "1", NOW + timedelta(minutes=11))
    assert absences.missing("issue", "1", NOW + timedelta(minutes=21))
