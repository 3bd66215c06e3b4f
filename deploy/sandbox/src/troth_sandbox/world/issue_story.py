"""One issue's life, told in the order it happened; at the end it knows its fields and its changelog.

Each method writes the changelog items Jira writes for that act. Values an issue is created with leave no item.
Story point items carry their numbers in the texts only, as recorded on a Jira Cloud site.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

STORY_POINTS = "customfield_10016"
SPRINT = "customfield_10020"
RANK = "customfield_10019"

TO_DO, IN_PROGRESS, DONE = "1", "3", "10002"
STATUS_NAMES = {TO_DO: "To Do", IN_PROGRESS: "In Progress", DONE: "Done"}
RESOLUTION_DONE = {"id": "10000", "name": "Done"}

Record = dict[str, Any]


@dataclass(frozen=True)
class SprintRef:
    """A sprint as changelog items name it."""

    id: int
    name: str


@dataclass
class IssueStory:
    """An issue while its life is being written. Times are UTC and must not go back."""

    id: str
    key: str
    project_id: str
    type_id: str
    summary: str
    created: datetime
    author: str
    assignee: str | None = None
    parent: IssueStory | None = None
    description: str | None = None
    labels: tuple[str, ...] = ()
    points: int | None = None
    status: str = TO_DO
    sprints: tuple[SprintRef, ...] = ()
    resolved: datetime | None = None
    histories: list[Record] = field(default_factory=list)

    def put_into(self, sprint: SprintRef, at: datetime) -> None:
        """Add a sprint to the list; closed ones before it stay, as in Jira."""
        self._set_sprints((*self.sprints, sprint), at)

    def take_out(self, sprint: SprintRef, at: datetime) -> None:
        """Back to the backlog."""
        self._set_sprints(tuple(held for held in self.sprints if held.id != sprint.id), at)

    def estimate(self, points: int | None, at: datetime) -> None:
        """Set or change the story points."""
        self._write(
            at,
            [
                _item(
                    "Story Points",
                    "custom",
                    STORY_POINTS,
                    None,
                    _points_text(self.points),
                    None,
                    _points_text(points),
                )
            ],
        )
        self.points = points

    def start(self, at: datetime) -> None:
        """Somebody begins to work on it."""
        self._write(at, [self._status_item(IN_PROGRESS)])

    def finish(self, at: datetime) -> None:
        """Done and resolved."""
        self._write(
            at,
            [
                _item(
                    "resolution",
                    "jira",
                    "resolution",
                    None,
                    None,
                    RESOLUTION_DONE["id"],
                    RESOLUTION_DONE["name"],
                ),
                self._status_item(DONE),
            ],
        )
        self.resolved = at

    def rank_lower(self, at: datetime) -> None:
        """Moved down in the backlog: a change that planning does not count."""
        self._write(at, [_item("Rank", "custom", RANK, "", "", "", "Ranked lower")])

    def _set_sprints(self, sprints: tuple[SprintRef, ...], at: datetime) -> None:
        item = _item("Sprint", "custom", SPRINT, *_sprint_texts(self.sprints), *_sprint_texts(sprints))
        self._write(at, [item])
        self.sprints = sprints

    def _status_item(self, status: str) -> Record:
        item = _item(
            "status", "jira", "status", self.status, STATUS_NAMES[self.status], status, STATUS_NAMES[status]
        )
        self.status = status
        return item

    def _write(self, at: datetime, items: list[Record]) -> None:
        last = self.histories[-1]["created"] if self.histories else self.created
        if at < last:
            raise ValueError(f"{self.key}: a change at {at} after one at {last}")
        actor = self.assignee or self.author
        self.histories.append({"id": "", "created": at, "author": {"accountId": actor}, "items": items})


def _item(
    name: str,
    kind: str,
    field_id: str,
    old: str | None,
    old_text: str | None,
    new: str | None,
    new_text: str | None,
) -> Record:
    return {
        "field": name,
        "fieldtype": kind,
        "fieldId": field_id,
        "from": old,
        "fromString": old_text,
        "to": new,
        "toString": new_text,
    }


def _sprint_texts(sprints: tuple[SprintRef, ...]) -> tuple[str, str]:
    return ", ".join(str(sprint.id) for sprint in sprints), ", ".join(sprint.name for sprint in sprints)


def _points_text(points: int | None) -> str | None:
    return None if points is None else str(points)
