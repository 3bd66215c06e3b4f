"""What jira-sync remembers between scans: where every issue stood when, and what was last published of sprints.

It holds planning fields only and no more than the published topics tell, so a restart fills it from Kafka.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jira_sync.domain.timeline import Timeline, build_timeline
from troth_contracts.jira import Issue, IssueEvent, Sprint

PLANNING_FIELDS = frozenset({"sprint", "status", "estimate"})


class PlanningMemory:
    """Timelines by issue, issues by sprint, keys, and the sprints as published."""

    def __init__(self) -> None:
        self._timelines: dict[str, Timeline] = {}
        self._members: dict[str, set[str]] = {}
        self._former: dict[str, tuple[str, ...]] = {}
        self.published: dict[str, Sprint] = {}
        """Sprints by id as the topic has them; changed only after a commit."""
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
        touched = timeline.sprints_ever()
        for sprint_id in touched:
            self._members.setdefault(sprint_id, set()).add(issue.id)
        if before == timeline:
            return frozenset()
        return touched if before is None else touched | before.sprints_ever()

    def known_keys(self, issue_id: str) -> tuple[str, ...]:
        """Keys the issue was ever published under; a renamed project leaves no changelog item."""
        return self._former.get(issue_id, ())

    def timelines_of(self, sprint_id: str) -> Iterator[Timeline]:
        """Every issue that was ever in the sprint."""
        return (self._timelines[issue_id] for issue_id in self._members.get(sprint_id, ()))
