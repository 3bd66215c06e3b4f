"""Tells an issue's life forward in time; what comes out is what jira-sync would publish of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from jira_sync.domain.structure import BoardRules
from jira_sync.domain.timeline import Timeline, build_timeline
from troth_contracts.jira import Issue, IssueEvent

SITE = "site"
POINTS = "customfield_10016"
RULES = BoardRules(mapped=frozenset({"todo", "doing", "done"}), done=frozenset({"done"}))
T0 = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def day(number: float) -> datetime:
    """Days after the first of March."""
    return T0 + timedelta(days=number)


class Story:
    """One issue. Times may be given in any order that does not go back."""

    def __init__(
        self,
        issue_id: str,
        *,
        created: datetime = T0 - timedelta(days=30),
        sprints: frozenset[str] = frozenset(),
        status: str = "todo",
        points: int | None = None,
        subtask: bool = False,
    ) -> None:
        self.id = issue_id
        self.created = created
        self.sprints = sprints
        self.status = status
        self.points = points
        self.subtask = subtask
        self.events: list[IssueEvent] = []

    def put_into(self, sprint: str, at: datetime) -> Story:
        return self._sprints(self.sprints | {sprint}, at)

    def take_out(self, sprint: str, at: datetime) -> Story:
        return self._sprints(self.sprints - {sprint}, at)

    def move(self, old: str, new: str, at: datetime) -> Story:
        return self._sprints(self.sprints - {old} | {new}, at)

    def turn(self, status: str, at: datetime) -> Story:
        self._event("status", at, self.status, status)
        self.status = status
        return self

    def estimate(self, points: int | None, at: datetime) -> Story:
        """As recorded on Cloud sites the numbers stand in the texts only."""
        before = None if self.points is None else str(self.points)
        after = None if points is None else str(points)
        self._event("estimate", at, None, None, before, after)
        self.points = points
        return self

    def issue(self) -> Issue:
        return Issue(
            site_id=SITE,
            id=self.id,
            issue_key=f"APA-{self.id}",
            project_id="1",
            project_key="APA",
            type_name="Story",
            status_id=self.status,
            status_category="new",
            summary="",
            is_subtask=self.subtask,
            estimate=None if self.points is None else Decimal(self.points),
            estimate_field=POINTS,
            sprint_ids=tuple(sorted(self.sprints, key=int)),
            created_at=self.created,
        )

    def timeline(self) -> Timeline:
        return build_timeline(self.issue(), self.events)

    def _sprints(self, sprints: frozenset[str], at: datetime) -> Story:
        self._event("sprint", at, _ids(self.sprints), _ids(sprints))
        self.sprints = sprints
        return self

    def _event(
        self,
        field: str,
        at: datetime,
        before: str | None,
        after: str | None,
        before_text: str | None = None,
        after_text: str | None = None,
    ) -> None:
        self.events.append(
            IssueEvent(
                site_id=SITE,
                issue_id=self.id,
                issue_key=f"APA-{self.id}",
                history_id=str(int(self.id) * 1_000 + len(self.events)),
                item_index=0,
                field=field,
                at=at,
                field_id=POINTS if field == "estimate" else None,
                actor_id="somebody",
                from_value=before,
                to_value=after,
                from_text=before_text,
                to_text=after_text,
            )
        )


def _ids(sprints: frozenset[str]) -> str:
    return ", ".join(sorted(sprints, key=int))
