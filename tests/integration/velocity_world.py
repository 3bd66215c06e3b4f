"""Sprints as real teams run them, written to a simulated site: how much is planned, added and removed is drawn from
public sprints (``sprints-tse2017``), what happens to each issue from the cases that decide a report.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.jira_site import LiveSite
from tests.jira_sync import small_site

from troth_sandbox.jira.clock import moment
from troth_sandbox.jira.records import Issue

Json = dict[str, Any]
Act = Callable[[], object]
HOUR = 3_600_000
DAY = 24 * HOUR
POINTS, EFFORT = small_site.POINTS_FIELD, "customfield_10026"
MAPPED, PARKED, DONE = ("1", "3"), "5", ("9", "10")
MOST = 6
"""Issues of a kind in one sprint; the largest real ones hold over a hundred."""


@dataclass(frozen=True)
class Rates:
    """Issues planned, added and removed in one real sprint."""

    planned: int
    added: int
    removed: int


def real_sprints(fixtures: Path) -> list[Rates]:
    """Every sprint of the public data at 80 % of its time, as it stood."""
    found = []
    for path in sorted(fixtures.glob("sprints-tse2017/*/*_iteration_80.csv")):
        with path.open(newline="") as lines:
            found += [
                Rates(
                    int(row["no_issue_starttime"]), int(row["no_issue_added"]), int(row["no_issue_removed"])
                )
                for row in csv.DictReader(lines)
            ]
    assert found, "the public sprints are missing"
    return found


def seed(teams: int) -> Json:
    """Teams with a project and a board each; every other one counts in another field and has two done statuses."""
    start = small_site.seed()
    projects = [{"id": str(20_000 + n), "key": f"TM{n}", "name": f"Team {n}"} for n in range(teams)]
    statuses = [*start["statuses"], _status(PARKED, "Parked", "new"), _status("10", "Released", "done")]
    effort = {"id": EFFORT, "name": "Effort", "custom": True, "schema": {"type": "number", "custom": "float"}}
    return start | {
        "projects": projects,
        "boards": [_board(number, project) for number, project in enumerate(projects, start=1)],
        "fields": [*start["fields"], effort],
        "statuses": statuses,
        "sprints": [],
        "issues": [],
        "versions": [],
    }


def _status(status_id: str, name: str, category: str) -> Json:
    return {"id": status_id, "name": name, "statusCategory": {"key": category}}


def _board(number: int, project: Json) -> Json:
    done = ["9"] if number % 2 else ["9", "10"]
    columns = [("To Do", ["1"]), ("Doing", ["3"]), ("Done", done)]
    return small_site.board(number, f"Team {number}", "scrum", project) | {
        "columns": [{"name": name, "status_ids": ids} for name, ids in columns],
        "estimation_field_id": POINTS if number % 2 else EFFORT,
    }


class World:
    """Every team's sprints, one round after the other; rounds of a week or two overlap only in their carry-over."""

    def __init__(self, live: LiveSite, teams: int, rates: list[Rates], rng: random.Random) -> None:
        self._live = live
        self._rng = rng
        self._teams = [Team(live, number, rates, rng) for number in range(1, teams + 1)]
        self._plan: list[tuple[int, Act]] = []

    def begin_round(self) -> None:
        """Everybody plans the next sprint."""
        self._plan = [act for team in self._teams for act in team.plan()]
        self._rng.shuffle(self._plan)  # what falls on one millisecond comes in any order
        self._plan.sort(key=lambda entry: entry[0])

    def play(self, share: float = 1.0) -> None:
        """That share of what is left to do in the round, and time for what follows from the last close."""
        count = round(len(self._plan) * share)
        for at, act in self._plan[:count]:
            self._to(at)
            act()
        self._plan = self._plan[count:]
        if not self._plan:
            self._to(self._live.now + HOUR)

    def _to(self, at: int) -> None:
        self._live.site.clock.set(at, frozen=True)
        self._live.site.settle()


class Team:
    """One board's people."""

    def __init__(self, live: LiveSite, number: int, rates: list[Rates], rng: random.Random) -> None:
        self._live = live
        self._number = number
        self._project = {"id": str(20_000 + number - 1)}
        self._field = POINTS if number % 2 else EFFORT
        self._rates = rates
        self._rng = rng
        self._round = 1
        self._next = self._planned_sprint()

    def plan(self) -> Iterator[tuple[int, Act]]:
        """What happens to the next sprint and its issues, in no order."""
        sprint, rates = self._next, self._rng.choice(self._rates)
        self._round += 1
        following = self._next = self._planned_sprint()
        start = self._live.now + 2 * DAY + self._rng.randrange(DAY)
        close = start + self._rng.choice([7, 14]) * DAY + self._rng.randrange(HOUR)
        yield start, self._start(sprint, start, close)
        yield close, lambda: self._live.edit_sprint(sprint, state="closed", move_open_to=following)
        yield from self._issues(sprint, rates, start, close)

    def _planned_sprint(self) -> int:
        name = f"Team {self._number}, {self._round}"
        return self._live.create_sprint(name=name, origin_board_id=self._number).id

    def _start(self, sprint: int, start: int, close: int) -> Act:
        dates = {"start_date": _iso(start), "end_date": _iso(close)}
        return lambda: self._live.edit_sprint(sprint, state="active", **dates)

    def _issues(self, sprint: int, rates: Rates, start: int, close: int) -> Iterator[tuple[int, Act]]:
        for issue in self._carried(sprint):
            if self._rng.random() < 0.7:
                yield self._moment(start - DAY, close), self._turning(issue, self._rng.choice(DONE))
            elif self._rng.random() < 0.5:
                yield self._moment(start - DAY, close), self._taking(issue, sprint)
        for _ in range(min(MOST, rates.planned)):
            issue, joins = self._story(), self._around(start, before=True)
            yield joins, self._putting(issue, sprint)
            yield from self._life(issue, joins, close)
            if self._rng.random() < 0.1:  # taken out and put back
                out = self._rng.randrange(joins + 1, close - HOUR)
                yield out, self._taking(issue, sprint)
                yield self._rng.choice([out + HOUR, close]), self._putting(issue, sprint)
        for _ in range(min(MOST, rates.added)):
            joins = (
                self._around(start, before=False) if self._rng.random() < 0.3 else self._inside(start, close)
            )
            if self._rng.random() < 0.4:
                yield joins, lambda: self._story(created_in=sprint)
            else:
                issue = self._story()
                yield joins, self._putting(issue, sprint)
                yield from self._life(issue, joins, close)
        for _ in range(min(MOST, rates.removed)):
            issue, out = self._story(), self._inside(start, close)
            yield self._around(start, before=True), self._putting(issue, sprint)
            yield out, self._taking(issue, sprint)
            yield from self._life(issue, start, close)

    def _life(self, issue: Issue, since: int, close: int) -> Iterator[tuple[int, Act]]:
        """Some are done, some before the start, some reopened, some estimated anew, also after the close."""
        if self._rng.random() < 0.7:
            done = self._moment(since, close)
            yield done, self._turning(issue, self._rng.choice(DONE))
            if self._rng.random() < 0.15:
                yield min(close, done + HOUR), self._turning(issue, self._rng.choice(MAPPED))
        if self._rng.random() < 0.1:
            yield since - HOUR // 2, self._turning(issue, self._rng.choice([*DONE, PARKED]))
        if self._rng.random() < 0.4:
            yield (
                self._rng.choice([self._moment(since, close), close + 1, close + HOUR]),
                self._estimating(issue),
            )

    def _carried(self, sprint: int) -> list[Issue]:
        return [issue for issue in self._live.site.store.issues() if sprint in issue.sprint_ids]

    def _around(self, start: int, *, before: bool) -> int:
        """Close to the start, now and then at exactly the start."""
        if before and self._rng.random() < 0.15:
            return start
        return start - self._rng.randrange(1, DAY) if before else start + self._rng.choice([1, HOUR])

    def _moment(self, since: int, close: int) -> int:
        """Now and then at exactly the close."""
        return close if self._rng.random() < 0.15 else self._rng.randrange(since, close + 1)

    def _inside(self, start: int, close: int) -> int:
        return close if self._rng.random() < 0.1 else self._rng.randrange(start + 1, close)

    def _story(self, created_in: int | None = None) -> Issue:
        status = self._rng.choice([*MAPPED, *MAPPED, PARKED])
        fields = {
            "project": self._project,
            "issuetype": small_site.STORY,
            "summary": "As somebody I want something",
            "status": {"id": status},
            self._field: self._points(),
        }
        sprints = {} if created_in is None else {small_site.SPRINT_FIELD: [created_in]}
        return self._live.create_issue(**fields, **sprints)

    def _points(self) -> float | None:
        return self._rng.choice([None, 0, 0.5, 1, 2, 3, 5, 8])

    def _putting(self, issue: Issue, sprint: int) -> Act:
        return lambda: self._live.edit(issue, **{small_site.SPRINT_FIELD: [*self._open(issue), sprint]})

    def _taking(self, issue: Issue, sprint: int) -> Act:
        return lambda: self._live.edit(
            issue, **{small_site.SPRINT_FIELD: [i for i in self._open(issue) if i != sprint]}
        )

    def _open(self, issue: Issue) -> list[int]:
        found = self._live.site.store.find(issue.id)
        known = self._live.site.store.catalogue.sprints
        return [i for i in found.sprint_ids if known[i].state != "closed"] if found else []

    def _turning(self, issue: Issue, status: str) -> Act:
        return lambda: self._live.edit(issue, status={"id": status})

    def _estimating(self, issue: Issue) -> Act:
        return lambda: self._live.edit(issue, **{self._field: self._points()})


def _iso(milliseconds: int) -> str:
    return moment(milliseconds).isoformat()
