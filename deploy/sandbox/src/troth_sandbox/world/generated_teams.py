"""Teams of the generated world: steady, noisy and declining ones, each with its own velocity and habits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Literal

from troth_sandbox.world.cadence import Cadence
from troth_sandbox.world.figures import SprintFigures
from troth_sandbox.world.issue_story import IssueStory
from troth_sandbox.world.jira_site import JiraSite, Team
from troth_sandbox.world.sprint_story import SprintWriter
from troth_sandbox.world.upcoming import add_epics, fill_active, open_upcoming

Habit = Literal["steady", "noisy", "declining"]


@dataclass(frozen=True)
class TeamProfile:
    """How a team delivers: about ``velocity`` points a sprint, over ``sprints`` closed sprints."""

    name: str
    key: str
    velocity: int
    habit: Habit
    sprints: int
    members: int


PROFILES = (
    TeamProfile("Team Atlas", "ATL", 32, "steady", 16, 7),
    TeamProfile("Team Birch", "BIR", 24, "steady", 14, 5),
    TeamProfile("Team Cedar", "CED", 28, "steady", 13, 6),
    TeamProfile("Team Delta", "DEL", 21, "steady", 15, 5),
    TeamProfile("Team Ember", "EMB", 36, "steady", 12, 8),
    TeamProfile("Team Fjord", "FJO", 26, "steady", 14, 6),
    TeamProfile("Team Grove", "GRO", 18, "steady", 16, 4),
    TeamProfile("Team Harbor", "HAR", 23, "noisy", 15, 5),
    TeamProfile("Team Iris", "IRI", 30, "noisy", 13, 6),
    TeamProfile("Team Juniper", "JUN", 34, "declining", 16, 6),
    TeamProfile("Team Kestrel", "KES", 22, "declining", 14, 4),
)


class GeneratedTeams:
    """Adds teams with their closed, active and future sprints; ``today`` is the UTC day the world is built for."""

    def __init__(self, site: JiraSite, cadence: Cadence, today: date, seed: int) -> None:
        self._site = site
        self._cadence = cadence
        self._now = datetime.combine(today, time(), UTC)
        self._seed = seed

    def add_all(self) -> None:
        """All teams of the generated world."""
        for profile in PROFILES:
            rng = Random(f"{self._seed}:velocity:{profile.key}")
            self.add(profile, [_delivered(profile, age, rng) for age in reversed(range(profile.sprints))])

    def add(self, profile: TeamProfile, completed: list[int]) -> Team:
        """One team that delivered exactly ``completed`` points in its closed sprints, oldest first."""
        rng = Random(f"{self._seed}:team:{profile.key}")
        team = self._site.add_team(
            profile.name, profile.key, self._cadence, members=profile.members, generated=True
        )
        begun = self._cadence.slot(-len(completed)).start - timedelta(days=60)
        epics = add_epics(self._site, team, begun, 3, rng)
        writer = SprintWriter(self._site, team, epics, rng, self._now)
        carried = _lay_all(team, completed, writer, rng)
        open_upcoming(self._site, team, len(completed) + 1, rng)
        for issue in carried:
            writer.carry(issue, team.upcoming[0])
        fill_active(self._site, team, epics, rng)
        return team


def _lay_all(team: Team, completed: list[int], writer: SprintWriter, rng: Random) -> tuple[IssueStory, ...]:
    """Lay the closed sprints; returns what the last one carries over."""
    carried: tuple[IssueStory, ...] = ()
    for number, points in enumerate(completed, start=1):
        slot = team.cadence.slot(number - 1 - len(completed))
        figures = _figures(points, sum(issue.points or 0 for issue in carried), len(carried), rng)
        sprint = writer.lay(f"{team.project_key} Sprint {number}", slot, figures, carried)
        room = completed[number] if number < len(completed) else points
        carried = _carry_some(sprint.left_open, room, writer, rng)
    return carried


def _delivered(profile: TeamProfile, age: int, rng: Random) -> int:
    """Points delivered ``age`` sprints ago (0 = last)."""
    spread = 0.32 if profile.habit == "noisy" else 0.1
    level = profile.velocity * (1 + 0.05 * age if profile.habit == "declining" else 1.0)
    return max(round(level * rng.gauss(1, spread)), 2)


def _figures(completed: int, carried: int, carried_issues: int, rng: Random) -> SprintFigures:
    """Plausible sums around what was delivered; what was carried in is part of the commitment and gets done."""
    fresh = max(completed - carried, 0)
    added = min(rng.choice((0, 0, 2, 3, 5)), fresh)
    raised = min(rng.choice((0, 0, 0, 1, 3)), max(fresh - added, 0)) if rng.random() < 0.4 else 0
    open_points = 0 if raised else min(rng.choice((0, 2, 3, 5, 8)), completed // 3)
    removed = rng.choice((0, 0, 2, 3))
    committed = completed - raised - added + removed + open_points
    return SprintFigures(
        committed=committed,
        added=added,
        removed=removed,
        completed=completed,
        issues_at_start=max(round(committed / 4), 1) + carried_issues,
        issues_added=1 if added else 0,
        issues_removed=1 if removed else 0,
    )


def _carry_some(
    left: tuple[IssueStory, ...], room: int, writer: SprintWriter, rng: Random
) -> tuple[IssueStory, ...]:
    """Most open issues go to the next sprint while it can finish them (``room`` points), others to the backlog."""
    carried: list[IssueStory] = []
    for issue in left:
        if rng.random() < 0.7 and (issue.points or 0) <= room:
            carried.append(issue)
            room -= issue.points or 0
        else:
            writer.return_to_backlog(issue)
    return tuple(carried)
