"""One issue's planning past: where it stood (sprints, status, estimate) between any two changes.

Built from the published issue and its published events alone, so that a restart rebuilds exactly what a scan built.
Values set at creation have no history item: they are found by walking backwards from today.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from jira_sync.domain.changelog import order
from jira_sync.errors import UnreadableError
from jira_sync.parse import id_list, points
from troth_contracts.jira import Issue, IssueEvent


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an issue stands at one moment."""

    sprints: frozenset[str]
    status: str
    estimate: Decimal | None


@dataclass(frozen=True, slots=True)
class Step:
    """One change, with the standing before and after it."""

    at: datetime
    history_id: str
    item_index: int
    actor_id: str | None
    before: Standing
    after: Standing

    def gains(self, sprint_id: str) -> bool:
        """True when this change put the issue into the sprint."""
        return sprint_id not in self.before.sprints and sprint_id in self.after.sprints

    def loses(self, sprint_id: str) -> bool:
        """True when this change took the issue out of the sprint."""
        return sprint_id in self.before.sprints and sprint_id not in self.after.sprints


@dataclass(frozen=True, slots=True)
class Timeline:
    """``first`` holds from creation on; each step from its instant on."""

    issue_id: str
    issue_key: str
    is_subtask: bool
    creator_id: str | None
    created_at: datetime | None
    first: Standing
    steps: tuple[Step, ...]

    @property
    def now(self) -> Standing:
        """After the last change."""
        return self.steps[-1].after if self.steps else self.first

    def standing_at(self, instant: datetime) -> Standing | None:
        """After every change up to and including ``instant``; None before the issue existed."""
        if self.created_at is not None and self.created_at > instant:
            return None
        return next((step.after for step in reversed(self.steps) if step.at <= instant), self.first)

    def within(self, after: datetime, until: datetime | None) -> Iterator[Step]:
        """Changes in (after, until]; without an end when ``until`` is None."""
        return (step for step in self.steps if step.at > after and (until is None or step.at <= until))

    def sprints_ever(self) -> frozenset[str]:
        """Every sprint the issue was in at any time."""
        return self.first.sprints.union(*(step.after.sprints for step in self.steps))


def build_timeline(issue: Issue, events: Iterable[IssueEvent]) -> Timeline:
    """Walks back from today. Where the changelog is ahead of the issue (index lag) its last word counts."""
    changes = sorted((event for event in events if _counts(issue, event)), key=order)
    standing = _today(issue, changes)
    steps: list[Step] = []
    for event in reversed(changes):
        before = _undone(standing, event)
        steps.append(Step(event.at, event.history_id, event.item_index, event.actor_id, before, standing))
        standing = before
    return Timeline(
        issue.id,
        issue.issue_key,
        issue.is_subtask,
        issue.creator_id,
        issue.created_at,
        standing,
        tuple(reversed(steps)),
    )


def _counts(issue: Issue, event: IssueEvent) -> bool:
    """Only usable changes of the three planning fields; a Sprint item with names and no ids tells nothing."""
    if event.field == "sprint":
        return _has_ids(event)
    if event.field == "status":
        return bool(event.from_value and event.to_value)
    return event.field == "estimate" and event.field_id in (None, issue.estimate_field)


def _has_ids(event: IssueEvent) -> bool:
    if (event.from_text and not event.from_value) or (event.to_text and not event.to_value):
        return False
    try:
        id_list(event.from_value), id_list(event.to_value)
    except UnreadableError:
        return False
    return True


def _today(issue: Issue, changes: list[IssueEvent]) -> Standing:
    standing = Standing(frozenset(issue.sprint_ids), issue.status_id, issue.estimate)
    for event in changes:
        standing = _done(standing, event)
    return standing


def _done(standing: Standing, event: IssueEvent) -> Standing:
    return _with(standing, event.field, event.to_value, event.to_text)


def _undone(standing: Standing, event: IssueEvent) -> Standing:
    return _with(standing, event.field, event.from_value, event.from_text)


def _with(standing: Standing, field: str, value: str | None, label: str | None) -> Standing:
    if field == "sprint":
        return replace(standing, sprints=id_list(value))
    if field == "status":
        return replace(standing, status=value or standing.status)
    number = points(value)
    return replace(standing, estimate=points(label) if number is None else number)
