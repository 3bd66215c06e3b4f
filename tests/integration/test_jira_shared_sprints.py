"""Field case G1: one sprint, two team boards whose filters show different issues.

https://brokenbuild.atlassian.net/wiki/spaces/VEL/pages/3321856003
"""

from __future__ import annotations

from typing import Any

from tests.integration.jira_site import LiveSite, Play, playing
from tests.jira_sync import small_site
from tests.jira_sync.conftest import SITE

from troth_contracts.jira import Sprint, SprintFigures
from troth_contracts.topics import SPRINTS
from troth_sandbox.jira.records import Issue

Json = dict[str, Any]
START = "2026-11-02T08:00:00Z"
TEAM_A, TEAM_B = 1, 2
POINTS = {"a": (3, 1), "b": (2, 5), "c": (8,)}
"""Story points by label; no filter selects ``c``."""


def seed(filter_a: str | None = "labels = a", filter_b: str | None = "labels = b") -> Json:
    found = small_site.seed()
    boards = [
        small_site.board(number, f"Team {number}", "scrum", small_site.APA) | {"filter": condition}
        for number, condition in ((TEAM_A, filter_a), (TEAM_B, filter_b))
    ]
    return found | {"boards": boards, "sprints": [], "issues": [], "versions": []}


def fill(live: LiveSite) -> tuple[int, dict[str, list[Issue]]]:
    """A running sprint on both boards, with every issue planned."""
    sprint = live.create_sprint(name="Shared", origin_board_id=TEAM_A, board_ids=(TEAM_A, TEAM_B)).id
    issues = {
        label: [
            live.create_issue(
                project={"id": "10000"},
                issuetype=small_site.STORY,
                summary="As somebody I want something",
                labels=[label],
                **{small_site.POINTS_FIELD: points, small_site.SPRINT_FIELD: [sprint]},
            )
            for points in each
        ]
        for label, each in POINTS.items()
    }
    live.later(1)
    live.edit_sprint(sprint, state="active", start_date=START, end_date="2026-11-16T08:00:00Z")
    return sprint, issues


def told(play: Play, sprint: int) -> Sprint:
    found = play.kafka.latest(SPRINTS)[f"{SITE}:{sprint}"]
    assert isinstance(found, Sprint)
    return found


def points(figures: SprintFigures | None) -> int | None:
    return None if figures is None else int(figures.points)


def commitments(sprint: Sprint) -> tuple[dict[str, int | None], int | None, int | None]:
    shares = {share.board_id: points(share.commitment) for share in sprint.shares}
    return shares, points(sprint.commitment), points(sprint.off_board)


def questions(live: LiveSite, *paths: str) -> list[str]:
    asked = [entry["path"] for entry in live.site.journal]
    return [path for path in asked if any(part in path for part in paths)]


async def test_g1_each_board_has_its_own_part_and_the_sprint_is_their_sum() -> None:
    live = LiveSite(seed(), START)
    sprint, issues = fill(live)
    async with playing(live) as play:
        await play.sweep()
        assert commitments(told(play, sprint)) == ({"1": 4, "2": 7}, 11, 8)
        live.later(60)
        for label in ("a", "b", "c"):
            live.edit(issues[label][0], status={"id": "9"})
        live.later(60)
        live.edit_sprint(sprint, state="closed")
        await play.sweep()
        await play.sweep(120)
        closed = told(play, sprint)
        assert {share.board_id: points(share.result) for share in closed.shares} == {"1": 3, "2": 2}
        assert (points(closed.result), closed.provisional) == (5, False)
        assert not questions(live, "/rest/agile/1.0/board/1/issue", "/rest/agile/1.0/board/2/issue")


async def test_an_issue_that_changes_hands_while_the_sprint_runs_goes_to_the_other_board() -> None:
    live = LiveSite(seed(), START)
    sprint, issues = fill(live)
    async with playing(live) as play:
        await play.sweep()
        live.edit(issues["a"][0], labels=["b"])
        live.edit(issues["c"][0], labels=["a"])
        await play.sweep()
        assert commitments(told(play, sprint)) == ({"1": 9, "2": 10}, 19, None)


async def test_final_parts_stay_when_an_issue_leaves_the_filter_after_the_close() -> None:
    live = LiveSite(seed(), START)
    sprint, issues = fill(live)
    async with playing(live) as play:
        live.edit_sprint(sprint, state="closed")
        await play.sweep(60)
        await play.sweep(120)
        final = told(play, sprint)
        assert not final.provisional
        live.edit(issues["a"][0], labels=["b"])
        live.edit(issues["c"][0], labels=["a"])
        await play.sweep()
        play.start()
        await play.sweep()
        assert told(play, sprint) == final


async def test_what_was_removed_during_the_sprint_still_has_a_board() -> None:
    live = LiveSite(seed(), START)
    sprint, issues = fill(live)
    async with playing(live) as play:
        live.later(60)
        live.edit(issues["b"][1], **{small_site.SPRINT_FIELD: []})
        await play.sweep()
        shares = {share.board_id: share for share in told(play, sprint).shares}
        assert (points(shares["2"].commitment), points(shares["2"].removed)) == (7, 5)


async def test_boards_that_show_the_same_cost_their_filters_and_nothing_more() -> None:
    live = LiveSite(seed(None, None), START)
    sprint, _ = fill(live)
    async with playing(live) as play:
        await play.sweep()
        assert commitments(told(play, sprint)) == ({}, 19, None)
        assert len(questions(live, "/filter/")) == 2
        assert not questions(live, "id+in", "id%20in")


async def test_a_sprint_on_one_board_costs_no_request_at_all() -> None:
    live = LiveSite(small_site.seed(), "2026-11-25T10:00:00Z")
    async with playing(live) as play:
        await play.sweep()
        assert not questions(live, "/filter/", "id+in", "id%20in")


async def test_a_sprint_is_told_as_one_where_a_filter_cannot_be_searched() -> None:
    """The account lacks a field the other team's filter names: Jira answers 400."""
    live = LiveSite(seed(filter_b="secret = yes"), START)
    sprint, _ = fill(live)
    async with playing(live) as play:
        await play.sweep()
        assert commitments(told(play, sprint)) == ({}, 19, None)
        assert "filter of board 2" in str(play.health.checks)
