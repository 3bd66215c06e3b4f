"""The story of the demo, told by the real services: what is planted is found, nothing else is, and it follows change."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.conftest import Settled
from tests.e2e.play import Play

from troth_contracts.topics import ALERTS, ASSESSMENTS
from troth_sandbox.demo.stage import SERVICES


@pytest.fixture
def play(settled: Settled) -> Play:
    return settled.play


def test_found_is_planted_and_nothing_else(settled: Settled) -> None:
    planted = {(story["kind"], story["date"]) for story in settled.play.world.truth["planted"]}
    assert {(finding.kind, finding.date) for finding in settled.snapshot.firing} == planted
    assert len(settled.snapshot.firing) == len(settled.play.world.truth["planted"]) >= 3


def test_teams_that_keep_their_promises_stay_silent(settled: Settled) -> None:
    healthy = set(settled.play.world.truth["healthy_teams"])
    named = {team for finding in settled.snapshot.firing for team in finding.team.split(", ")}
    assert len(healthy) >= 3
    assert not healthy & named


def test_near_misses_stay_silent(settled: Settled) -> None:
    silent = {near["deal"] for near in settled.play.world.truth["silent"]}
    assert silent
    assert not silent & {deal for finding in settled.snapshot.firing for deal in finding.deals}


def test_every_transition_has_one_signed_notice_with_an_id_of_its_own(settled: Settled) -> None:
    ids = [webhook_id for webhook_id, _, _ in settled.snapshot.notices]
    transitions = [(alert, sequence) for _, alert, sequence in settled.snapshot.notices]
    assert len(ids) == len(set(ids)) == len(set(transitions)) == len(transitions)


def test_the_topic_holds_the_same_transitions_counted_without_holes(settled: Settled) -> None:
    notices = {webhook_id for webhook_id, _, _ in settled.snapshot.notices}
    assert set(settled.snapshot.events[ALERTS.name]) == notices
    for alert, sequences in settled.snapshot.alerts.items():
        assert list(sequences) == list(range(1, len(sequences) + 1)), alert


def test_each_commitment_has_its_assessment(settled: Settled) -> None:
    assessments = settled.snapshot.states[ASSESSMENTS.name]
    assert set(assessments) == set(settled.snapshot.commitments)
    assert len(assessments) >= 15


def test_no_event_is_told_twice(settled: Settled) -> None:
    for topic, ids in settled.snapshot.events.items():
        assert [identity for identity, count in Counter(ids).items() if count > 1] == [], topic


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_says_that_it_is_ready_and_alive(play: Play, service: str) -> None:
    ready = play.get(service, "/readyz")
    assert ready.status_code == 200, ready.text
    assert all(check["detail"] for check in ready.json()["checks"].values())
    assert play.get(service, "/healthz").status_code == 200


@pytest.mark.parametrize("service", SERVICES)
def test_a_scraper_can_read_the_metrics(play: Play, service: str) -> None:
    families = list(text_string_to_metric_families(play.get(service, "/metrics").text))
    assert len(families) > 5
    assert all(family.documentation for family in families)
    deals = {deal["Id"] for deal in play.world.salesforce["objects"]["Opportunity"]}
    labels = {value for family in families for sample in family.samples for value in sample.labels.values()}
    assert not labels & deals


def test_naming_an_issue_ends_the_alert_of_an_unlinked_deal_and_taking_it_away_starts_it_again(
    play: Play,
) -> None:
    (deal, *_) = play.planted("unlinked_commitment")[0]["deals"]
    before = play.fires("unlinked_commitment", deal)
    assert before is not None

    play.change_deal(deal, Jira_Key__c=_key_of_a_healthy_team(play))
    play.until(lambda: play.fires("unlinked_commitment", deal) is None, "the alert ends")

    play.change_deal(deal, Jira_Key__c=None)
    play.until(lambda: play.fires("unlinked_commitment", deal) is not None, "the alert starts again")
    again = play.fires("unlinked_commitment", deal)
    assert again is not None
    assert (again.alert_id, again.sequence, again.reason) == (before.alert_id, before.sequence + 2, "first")


def test_a_promise_moved_far_ahead_no_longer_breaks(play: Play) -> None:
    story = play.planted("oversold")[0]
    before = play.fires("oversold", story["deals"][0])
    assert before is not None
    later = date.fromisoformat(story["date"]) + timedelta(days=365)

    for deal in story["deals"]:
        play.change_deal(deal, Promised_Date__c=later.isoformat())
    play.until(lambda: play.fires("oversold", story["deals"][0]) is None, "the alert ends")

    for deal in story["deals"]:
        play.change_deal(deal, Promised_Date__c=story["date"])
    play.until(lambda: play.fires("oversold", story["deals"][0]) is not None, "the alert starts again")
    again = play.fires("oversold", story["deals"][0])
    assert again is not None
    assert (again.alert_id, again.date) == (before.alert_id, before.date)


def test_closed_issues_are_no_longer_owed(play: Play) -> None:
    story = play.planted("oversold")[1]
    keys = sorted({key for deal in story["deals"] for key in play.open_issues_of(deal)})
    assert keys

    for key in keys:
        play.change_issue(key, status={"name": "Done"})
    play.until(lambda: play.fires("oversold", story["deals"][0]) is None, "the alert ends")

    for key in keys:
        play.change_issue(key, status={"name": "To Do"})
    play.until(lambda: play.fires("oversold", story["deals"][0]) is not None, "the alert starts again")


def test_a_forbidden_board_is_named_and_its_neighbours_flow(play: Play) -> None:
    board = max(play.world.jira["boards"], key=lambda board: board["id"])["id"]
    jira = play.stage.services["jira-sync"]
    play.forbid_board(board, 403)
    jira.restart()
    play.until(lambda: f"board {board}" in _detail(play), "the board is named")
    assert play.get("jira-sync", "/readyz").status_code == 200
    assert play.verdict().holds

    play.forbid_board(board, None)
    jira.restart()
    play.until(lambda: "issues" in _detail(play) and "board" not in _detail(play), "the board is read again")


def test_after_all_changes_the_first_story_is_told_again(play: Play) -> None:
    play.until(lambda: play.verdict().holds, "found is planted")
    play.until(play.idle, "nothing is left to do")
    ids = [webhook_id for webhook_id, _ in play.notices()]
    assert len(ids) == len(set(ids))


def _detail(play: Play) -> str:
    """What jira-sync says of its reading."""
    try:
        return str(play.get("jira-sync", "/readyz").json()["checks"]["jira"]["detail"])
    except (httpx.HTTPError, KeyError):
        return ""


def _key_of_a_healthy_team(play: Play) -> str:
    """An issue without work below it, so that the link alone changes."""
    board = next(
        board for board in play.world.jira["boards"] if board["name"] in play.world.truth["healthy_teams"]
    )
    found = (
        issue["key"]
        for issue in play.world.jira["issues"]
        if issue["fields"]["project"]["id"] == board["location_project_id"]
        and issue["fields"]["status"]["id"] == _done_status(play)
    )
    return str(next(found))


def _done_status(play: Play) -> str:
    statuses = play.world.jira["statuses"]
    return str(next(status["id"] for status in statuses if status["statusCategory"]["key"] == "done"))
