"""Epics of everyday work, and the active and future sprints that every team of every world has."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from troth_sandbox.world.issue_story import IssueStory
from troth_sandbox.world.jira_site import JiraSite, Team
from troth_sandbox.world.wording import summary, theme


def add_epics(site: JiraSite, team: Team, begun: datetime, count: int, rng: Random) -> list[IssueStory]:
    """Epics of everyday work; no deal links to them."""
    return [site.add_epic(team, theme(rng), begun + timedelta(days=n)) for n in range(count)]


def open_upcoming(site: JiraSite, team: Team, first_number: int, rng: Random) -> None:
    """One active sprint and two or three future ones."""
    for slot in range(rng.choice((3, 4))):
        name = f"{team.project_key} Sprint {first_number + slot}"
        state = "future" if slot else "active"
        team.upcoming[slot] = site.add_sprint(
            team, name, team.cadence.slot(slot), completed=None, state=state
        )


def fill_active(site: JiraSite, team: Team, epics: list[IssueStory], rng: Random) -> None:
    """Everyday work in the active sprint: planned before its start, some of it begun."""
    start = team.cadence.slot(0).start
    for _ in range(rng.randint(3, 5)):
        created = start - timedelta(days=rng.randint(5, 20))
        issue = site.add_issue(team, summary(rng), created, parent=rng.choice(epics))
        issue.points = rng.choice((1, 2, 3, 5))
        issue.put_into(team.upcoming[0], start - timedelta(seconds=rng.randrange(3_600, 90_000)))
