"""One issue's planning past: where it stood (sprints, status, estimates) between any two changes.

Built from the published issue and its published events alone, so that a restart rebuilds exactly what a scan built.
Values set at creation have no history item: they are found by walking backwards from today.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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
    estimates: Mapping[str, Decimal]
    """By field id: boards of one project may count in different fields. Null is left out."""


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
    estimate_field: str | None
    """The issue's own, where a board names none."""
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
        before = _undone(issue, standing, event)
        steps.append(Step(event.at, event.history_id, event.item_index, event.actor_id, before, standing))
        standing = before
    return Timeline(
        issue.id,
        issue.issue_key,
        issue.is_subtask,
        issue.creator_id,
        issue.created_at,
        issue.estimate_field,
        standing,
        tuple(reversed(steps)),
    )


def _counts(issue: Issue, event: IssueEvent) -> bool:
    """Only usable changes of the three planning fields; a Sprint item with names and no ids tells nothing."""
    if event.field == "sprint":
        return _has_ids(event)
    if event.field == "status":
        return bool(event.from_value and event.to_value)
    return event.field == "estimate" and _estimate_field(issue, event) is not None


def _has_ids(event: IssueEvent) -> bool:
    if (event.from_text and not event.from_value) or (event.to_text and not event.to_value):
        return False
    try:
        id_list(event.from_value), id_list(event.to_value)
    except UnreadableError:
        return False
    return True


def _today(issue: Issue, changes: list[IssueEvent]) -> Standing:
    estimates = {other.field_id: other.points for other in issue.other_estimates}
    if issue.estimate_field and issue.estimate is not None:
        estimates[issue.estimate_field] = issue.estimate
    standing = Standing(frozenset(issue.sprint_ids), issue.status_id, estimates)
    for event in changes:
        standing = _with(issue, standing, event, event.to_value, event.to_text)
    return standing


def _undone(issue: Issue, standing: Standing, event: IssueEvent) -> Standing:
    return _with(issue, standing, event, event.from_value, event.from_text)


def _with(
    issue: Issue, standing: Standing, event: IssueEvent, value: str | None, label: str | None
) -> Standing:
    if event.field == "sprint":
        return Standing(id_list(value), standing.status, standing.estimates)
    if event.field == "status":
        return Standing(standing.sprints, value or standing.status, standing.estimates)
    number = points(value)
    return _estimated(
        standing, _estimate_field(issue, event) or "", points(label) if number is None else number
    )


def _estimated(standing: Standing, field_id: str, number: Decimal | None) -> Standing:
    others = {name: value for name, value in standing.estimates.items() if name != field_id}
    if number is not None:
        others[field_id] = number
    return Standing(standing.sprints, standing.status, others)


def _estimate_field(issue: Issue, event: IssueEvent) -> str | None:
    """An item without a field id (known by its name) speaks of the issue's own field."""
    return event.field_id or issue.estimate_field
