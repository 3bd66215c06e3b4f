"""The engineering side of a planted deal: an epic with estimated stories in the team's project."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from troth_sandbox.world.issue_story import IssueStory
from troth_sandbox.world.jira_site import JiraSite, Team
from troth_sandbox.world.wording import summary

_SIZES = (8, 5, 3, 2, 1)


@dataclass(frozen=True)
class Order:
    """What a team is asked for: stories of ``points`` in sum, written down at ``created`` (UTC)."""

    team: Team
    title: str
    points: int
    created: datetime


class WorkPlanter:
    """Writes ordered work into a site."""

    def __init__(self, site: JiraSite, rng: Random) -> None:
        self._site = site
        self._rng = rng

    def plan(self, order: Order) -> IssueStory:
        """Unresolved work; of every four stories one is in the active and one in the next sprint."""
        epic, stories = self._write(order)
        team, planned = order.team, order.created + timedelta(days=3)
        for place, story in enumerate(stories):
            if place % 4 == 1:
                story.put_into(
                    team.upcoming[0], max(team.cadence.slot(0).start - timedelta(hours=5), planned)
                )
                story.assignee = self._rng.choice(team.members)
            elif place % 4 == 2:
                story.put_into(team.upcoming[1], planned)
        return epic

    def deliver(self, order: Order, done: datetime) -> IssueStory:
        """The same work, all of it finished at ``done``."""
        epic, stories = self._write(order)
        for issue in (*stories, epic):
            issue.finish(done)
        return epic

    def _write(self, order: Order) -> tuple[IssueStory, list[IssueStory]]:
        epic = self._site.add_epic(order.team, order.title, order.created)
        stories = []
        for size in sizes(order.points, self._rng):
            created = order.created + timedelta(hours=2)
            story = self._site.add_issue(
                order.team, summary(self._rng), created, author=epic.author, parent=epic
            )
            story.estimate(size, order.created + timedelta(days=2))
            stories.append(story)
        return epic, stories


def sizes(points: int, rng: Random) -> list[int]:
    """Story estimates that add up to ``points``."""
    parts: list[int] = []
    while points:
        part = rng.choice([size for size in _SIZES if size <= points])
        parts.append(part)
        points -= part
    return parts
