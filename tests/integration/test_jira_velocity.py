"""Fault T15: committed and completed of hundreds of sprints against the site's own reports.

The reports are computed forward in time from the simulator's write log by code that shares nothing with the service.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from tests.integration.jira_site import LiveSite, Play, playing
from tests.integration.velocity_world import World, real_sprints, seed
from tests.jira_sync import small_site
from tests.jira_sync.conftest import SITE

from troth_contracts.jira import Sprint, SprintFigures
from troth_contracts.topics import SPRINTS
from troth_sandbox.jira.writes import CARRY_OVER_MS

Json = dict[str, Any]
TEAMS, ROUNDS = 6, 44
READ_EVERY = 11
"""Rounds between two readings: a few sprints are seen while they run, most only long after their close."""
START = "2025-01-06T08:00:00.123Z"


async def test_t15_committed_and_completed_equal_the_oracle_on_every_sprint(fixtures_dir: Path) -> None:
    live = LiveSite(seed(TEAMS), START)
    world = World(live, TEAMS, real_sprints(fixtures_dir), random.Random(2017))
    async with playing(live) as play:
        for number in range(ROUNDS):
            world.begin_round()
            if number % READ_EVERY == READ_EVERY // 2:
                world.play(0.5)
                await play.sweep(0)
            world.play()
        await play.sweep(0)
        await play.sweep(120)
        told, oracle = _told(play), Oracle(live)
    closed = [sprint for sprint in told.values() if sprint.state == "closed"]
    assert len(closed) == TEAMS * ROUNDS >= 250
    wrong = {sprint.id: oracle.differences(sprint) for sprint in closed}
    assert not {sprint_id: found for sprint_id, found in wrong.items() if found}
    assert not any(sprint.provisional for sprint in closed)
    _is_worth_something(live, closed, oracle)


def _told(play: Play) -> Mapping[str, Sprint]:
    latest = play.kafka.latest(SPRINTS)
    return {key.removeprefix(f"{SITE}:"): s for key, s in latest.items() if isinstance(s, Sprint)}


class Oracle:
    """The site's velocity chart and sprint reports."""

    def __init__(self, live: LiveSite) -> None:
        auth = (small_site.AUTH["email"], small_site.AUTH["token"])
        self._client = httpx.Client(base_url=f"{live.url}/rest/greenhopper/1.0/rapid/charts", auth=auth)
        self.velocity: dict[str, Json] = {}
        self.reports: dict[str, Json] = {}
        with self._client:
            for board in range(1, TEAMS + 1):
                chart = self._get("/velocity", rapidViewId=board)
                self.velocity |= chart["velocityStatEntries"]
                for sprint in chart["sprints"]:
                    report = self._get("/sprintreport", rapidViewId=board, sprintId=sprint["id"])
                    self.reports[str(sprint["id"])] = report["contents"]

    def _get(self, path: str, **params: int) -> Json:
        answer = self._client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def differences(self, sprint: Sprint) -> list[str]:
        """Each figure that is not the report's."""
        chart, contents = self.velocity[sprint.id], self.reports[sprint.id]
        planned = _values(contents, lambda issue: issue["key"] not in contents["issueKeysAddedDuringSprint"])
        done = {str(issue["id"]): _current(issue) for issue in contents["completedIssues"]}
        report = sprint.commitment_by_report if sprint.readings_differ else sprint.commitment
        pairs = {
            "committed": (_sum(sprint.commitment), _decimal(chart["estimated"]["value"])),
            "completed": (_sum(sprint.result), _decimal(chart["completed"]["value"])),
            "committed by the report": (_parts(report), planned),
            "completed issues": (_parts(sprint.result), done),
        }
        return [f"{name}: {ours} is not {theirs}" for name, (ours, theirs) in pairs.items() if ours != theirs]


LISTS = (
    "completedIssues",
    "issuesNotCompletedInCurrentSprint",
    "puntedIssues",
    "issuesCompletedInAnotherSprint",
)


def _values(contents: Json, wanted: Any) -> dict[str, Decimal]:
    issues = [issue for name in LISTS for issue in contents[name] if wanted(issue)]
    return {
        str(issue["id"]): _decimal(issue["estimateStatistic"]["statFieldValue"].get("value", 0))
        for issue in issues
    }


def _current(issue: Json) -> Decimal:
    return _decimal(issue["currentEstimateStatistic"]["statFieldValue"].get("value", 0))


def _decimal(number: float) -> Decimal:
    return Decimal(str(number)).normalize()


def _sum(figures: SprintFigures | None) -> Decimal:
    assert figures is not None
    return figures.points.normalize()


def _parts(figures: SprintFigures | None) -> dict[str, Decimal]:
    assert figures is not None
    return {issue.issue_id: issue.points.normalize() for issue in figures.issues}


def _is_worth_something(live: LiveSite, closed: list[Sprint], oracle: Oracle) -> None:
    """Every case that decides a report occurs many times."""
    reports = oracle.reports.values()
    assert sum(sprint.readings_differ for sprint in closed) > 50
    assert sum(bool(report["issueKeysAddedDuringSprint"]) for report in reports) > 100
    for name in LISTS:
        assert sum(len(report[name]) for report in reports) > 100, name
    written = Counter(e["at"] for e in live.site.write_log.entries if e["kind"] == "issue_updated")
    sprints = [sprint for sprint in live.site.store.catalogue.sprints.values() if sprint.completed]
    assert sum(written[sprint.activated] for sprint in sprints) > 50, "at exactly the start"
    assert sum(written[sprint.completed] for sprint in sprints) > 50, "at exactly the close"
    assert sum(written[(sprint.completed or 0) + CARRY_OVER_MS] for sprint in sprints) > 50, "carried over"
