"""What jira-sync remembers between scans: where every issue stood when, and what was last published of sprints.

It holds planning fields only and no more than the published topics tell, so a restart fills it from Kafka.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from jira_sync.domain.places import of_links
from jira_sync.domain.plan_changes import PlanTrails
from jira_sync.domain.timeline import Timeline, build_timeline
from troth_contracts.jira import Board, CrmReference, Issue, IssueEvent, Sprint

PLANNING_FIELDS = frozenset({"sprint", "status", "estimate"})


class PlanningMemory:
    """Timelines by issue, issues by sprint, keys, and the sprints as published."""

    def __init__(self) -> None:
        self._timelines: dict[str, Timeline] = {}
        self._members: dict[str, set[str]] = {}
        self._former: dict[str, tuple[str, ...]] = {}
        self._projects: dict[str, str] = {}
        self._links: dict[str, tuple[str | None, tuple[CrmReference, ...]]] = {}
        self.links_pending: set[str] = set()
        """Issues published without what their links to places outside Jira say."""
        self._children: dict[str, set[str]] = {}
        self._parents: dict[str, str] = {}
        self.published: dict[str, Sprint] = {}
        """Sprints by id as the topic has them; changed only after a commit."""
        self.boards: dict[str, Board] = {}
        """Boards by id as the topic has them."""
        self.trails = PlanTrails()
        """What happened to sprints and boards themselves."""
        self.project_keys: dict[str, str] = {}
        """Key by project id, from the issues."""

    def __len__(self) -> int:
        return len(self._timelines)

    def note(self, issue: Issue, events: Iterable[IssueEvent]) -> frozenset[str]:
        """Takes the issue's present and past; the sprints whose figures may change by it."""
        timeline = build_timeline(issue, events)
        before = self._timelines.get(issue.id)
        self._timelines[issue.id] = timeline
        self._former[issue.id] = (*issue.former_keys, issue.issue_key)
        self.project_keys[issue.project_id] = issue.project_key
        self._projects[issue.id] = issue.project_id
        self._note_parent(issue)
        self._note_links(issue)
        touched = timeline.sprints_ever()
        for sprint_id in touched:
            self._members.setdefault(sprint_id, set()).add(issue.id)
        if before == timeline:
            return frozenset()
        return touched if before is None else touched | before.sprints_ever()

    def forget(self, issue_id: str) -> frozenset[str]:
        """The issue is gone or left out; the sprints whose figures may change by it."""
        timeline = self._timelines.pop(issue_id, None)
        self._former.pop(issue_id, None)
        self._projects.pop(issue_id, None)
        self._links.pop(issue_id, None)
        self.links_pending.discard(issue_id)
        touched = timeline.sprints_ever() if timeline else frozenset()
        for sprint_id in touched:
            self._members[sprint_id].discard(issue_id)
        return touched

    def __contains__(self, issue_id: str) -> bool:
        return issue_id in self._timelines

    def ids(self) -> frozenset[str]:
        """Every issue that is known."""
        return frozenset(self._projects)

    def ids_of(self, project_id: str) -> frozenset[str]:
        """Issues that were in the project when last seen."""
        return frozenset(issue_id for issue_id, found in self._projects.items() if found == project_id)

    def id_of(self, key: str) -> str | None:
        """The issue that has or had this key."""
        return next((issue_id for issue_id, keys in self._former.items() if key in keys), None)

    def subtasks_of(self, issue_id: str) -> frozenset[str]:
        """Sub-tasks of the issue that are still known."""
        return frozenset(child for child in self._children.get(issue_id, ()) if child in self._timelines)

    def subtasks_until(self, issue_id: str, moment: datetime | None) -> frozenset[str]:
        """Its sub-tasks that existed at that moment (now, when it is None)."""
        return frozenset(
            child
            for child in self.subtasks_of(issue_id)
            if moment is None or (self._timelines[child].created_at or moment) <= moment
        )

    def _note_parent(self, issue: Issue) -> None:
        """A sub-task has one parent; it may get another one, or become a story."""
        before = self._parents.pop(issue.id, None)
        if before is not None:
            self._children[before].discard(issue.id)
        if issue.is_subtask and issue.parent_id:
            self._parents[issue.id] = issue.parent_id
            self._children.setdefault(issue.parent_id, set()).add(issue.id)

    def _note_links(self, issue: Issue) -> None:
        (self.links_pending.add if issue.remote_links_pending else self.links_pending.discard)(issue.id)
        found = (issue.remote_links_as_of, of_links(issue.crm_references))
        if any(found):
            self._links[issue.id] = found
        else:
            self._links.pop(issue.id, None)

    def links_as_of(self, issue_id: str) -> str | None:
        """As of which change the issue's links to places outside Jira were last read."""
        return self._links.get(issue_id, (None, ()))[0]

    def link_references(self, issue_id: str) -> tuple[CrmReference, ...]:
        """What was found on them."""
        return self._links.get(issue_id, (None, ()))[1]

    def sprints_now(self, issue_id: str) -> frozenset[str]:
        """Every sprint the issue is or was in, by its field; none when it is unknown."""
        timeline = self._timelines.get(issue_id)
        return timeline.now.sprints if timeline else frozenset()

    def lost_a_part_of(self, sprint: Sprint | None) -> bool:
        """True for final figures that count an issue which is no longer known."""
        if sprint is None or sprint.provisional:
            return False
        figures = (sprint.commitment, sprint.added, sprint.removed, sprint.result)
        parts = (part.issue_id for figure in figures if figure for part in figure.issues)
        return any(issue_id not in self._timelines for issue_id in parts)

    def known_keys(self, issue_id: str) -> tuple[str, ...]:
        """Keys the issue was ever published under; a renamed project leaves no changelog item."""
        return self._former.get(issue_id, ())

    def members_of(self, sprint_id: str) -> frozenset[str]:
        """Ids of the issues that were ever in the sprint; sub-tasks follow their stories and are left out."""
        return frozenset(
            issue_id
            for issue_id in self._members.get(sprint_id, ())
            if not self._timelines[issue_id].is_subtask
        )

    def timelines_of(self, sprint_id: str) -> Iterator[Timeline]:
        """Every issue that was ever in the sprint."""
        return (self._timelines[issue_id] for issue_id in self._members.get(sprint_id, ()))
