"""Lays one closed sprint: writes the lives of its issues so that they add up to the sprint's figures.

Committed: planned before the start. Added and removed: Sprint items inside the sprint. Completed: done before
``completeDate``. What was left open is carried over to the next sprint, or returned to the backlog, always some
seconds after the close. As in Jira, a closed sprint stays in the issue's list of sprints.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from troth_sandbox.world.cadence import Slot
from troth_sandbox.world.figures import IssuePart, SprintFigures, split
from troth_sandbox.world.issue_story import TO_DO, IssueStory, SprintRef
from troth_sandbox.world.jira_site import ClosedSprint, JiraSite, Source, Team
from troth_sandbox.world.site_catalogue import BUG, STORY
from troth_sandbox.world.wording import summary


@dataclass(frozen=True)
class LaidSprint:
    """A sprint as written, and the issues that were open when it was closed at ``completed``."""

    ref: SprintRef
    start: datetime
    completed: datetime
    left_open: tuple[IssueStory, ...]

    def moment(self, rng: Random, earliest: float, latest: float) -> datetime:
        """A moment inside the sprint, between two shares of its duration."""
        share = earliest + (latest - earliest) * rng.random()
        return (self.start + (self.completed - self.start) * share).replace(microsecond=0)


class SprintWriter:
    """Writes the closed sprints of one team, oldest first. ``now`` is the moment the world is built for."""

    def __init__(
        self, site: JiraSite, team: Team, epics: list[IssueStory], rng: Random, now: datetime
    ) -> None:
        self._site = site
        self._team = team
        self._epics = epics
        self._rng = rng
        self._now = now

    def lay(
        self,
        name: str,
        slot: Slot,
        figures: SprintFigures,
        carried: tuple[IssueStory, ...] = (),
        source: Source | None = None,
    ) -> LaidSprint:
        """Write the sprint. ``carried`` issues must be in it already; they count as committed and get done."""
        completed = slot.end + timedelta(seconds=self._rng.randrange(3600))
        ref = self._site.add_sprint(self._team, name, slot, completed=completed, state="closed")
        sprint = LaidSprint(ref, slot.start, completed, ())
        for issue in carried:
            self.carry(issue, ref)
            self._finish(issue, sprint)
        parts = split(_without(figures, carried), self._rng)
        left = tuple(issue for part in parts if self._live(issue := self._plan(part, sprint), part, sprint))
        self._team.closed.append(ClosedSprint(ref, figures, source))
        self._closed_at = completed
        return replace(sprint, left_open=left)

    def carry(self, issue: IssueStory, sprint: SprintRef) -> None:
        """What Jira writes for an open issue when a sprint is completed: the next one, some seconds later."""
        issue.put_into(sprint, self._after_close())

    def return_to_backlog(self, issue: IssueStory) -> None:
        """After the close: ranked lower, perhaps estimated anew, often done later outside any sprint."""
        at = self._after_close()
        issue.rank_lower(at)
        again = at + timedelta(seconds=self._rng.randrange(40_000, 250_000))
        if issue.points is not None and self._rng.random() < 0.2 and again < self._now:
            issue.estimate(issue.points + self._rng.randint(1, 3), again)
        done = at + timedelta(seconds=self._rng.randrange(300_000, 3_500_000))
        if self._rng.random() < 0.7 and done < self._now:
            issue.finish(done)

    def _after_close(self) -> datetime:
        return self._closed_at + timedelta(seconds=self._rng.randint(3, 13))

    def _plan(self, part: IssuePart, sprint: LaidSprint) -> IssueStory:
        """Create the issue and bring it into the sprint the way the part says."""
        rng = self._rng
        created = sprint.start - timedelta(seconds=rng.randrange(5 * 86_400, 40 * 86_400))
        issue = self._site.add_issue(
            self._team,
            summary(rng),
            created,
            type_id=BUG if rng.random() < 0.2 else STORY,
            author=rng.choice(self._team.members),
            parent=rng.choice(self._epics) if rng.random() < 0.8 else None,
        )
        planned = sprint.start - timedelta(seconds=rng.randrange(3_600, 4 * 86_400))
        if part.points is not None and rng.random() < 0.5:
            issue.estimate(part.points, planned - timedelta(seconds=1))
        else:
            issue.points = part.points
        issue.put_into(sprint.ref, planned if part.entry == "start" else sprint.moment(rng, 0.05, 0.4))
        issue.assignee = rng.choice(self._team.members)
        return issue

    def _live(self, issue: IssueStory, part: IssuePart, sprint: LaidSprint) -> bool:
        """What happens to it during the sprint; True when it is open at the close."""
        if part.outcome == "removed":
            issue.take_out(sprint.ref, sprint.moment(self._rng, 0.45, 0.78))
        elif part.outcome == "done":
            self._finish(issue, sprint, part.points_at_close)
        elif self._rng.random() < 0.6:
            issue.start(sprint.moment(self._rng, 0.5, 0.95))
        return part.outcome == "open"

    def _finish(self, issue: IssueStory, sprint: LaidSprint, points: int | None = None) -> None:
        if issue.status == TO_DO:
            issue.start(sprint.moment(self._rng, 0.42, 0.6))
        if points not in {None, issue.points}:
            issue.estimate(points, sprint.moment(self._rng, 0.82, 0.88))
        issue.finish(sprint.moment(self._rng, 0.89, 0.99))


def _without(figures: SprintFigures, carried: tuple[IssueStory, ...]) -> SprintFigures:
    """The figures that fresh issues have to add up to when carried ones are done too."""
    points = sum(issue.points or 0 for issue in carried)
    return replace(
        figures,
        committed=figures.committed - points,
        completed=figures.completed - points,
        issues_at_start=max(figures.issues_at_start - len(carried), 0),
    )
