"""What happened to a sprint or a board itself, as events: from the trails of its name, dates, goal, close and columns.

Payloads of webhooks are used only for what no reading can show any more: the state that ``oldValue`` names. Start and
close carry their own time in the sprint and stay ``jira.sprint-events``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from jira_sync.domain.structure import closed_at, read_sprint
from jira_sync.domain.trail import Change, Trail
from jira_sync.errors import UnreadableError
from jira_sync.parse import Json, instant, optional_instant, optional_part
from troth_contracts.jira import Board, BoardColumn, PlanChange, Sprint

Entity = Literal["sprint", "board"]
SPRINT_FACTS = ("renamed", "redated", "goal_changed", "reopened")
BOARD_FACTS = ("columns_changed", "estimation_changed")
OPEN = "open"
"""Value of a sprint's close while there is none."""


@dataclass(frozen=True, slots=True)
class SprintNews:
    """A ``sprint_updated`` webhook: the sprint before and after it; both are over, but both were."""

    at: datetime
    before: Sprint
    after: Sprint


def news_in(event: Json) -> SprintNews | None:
    """What the event says beyond "look there"; None when it has no ``oldValue`` or cannot be understood."""
    old = optional_part(event, "oldValue")
    if not old:
        return None
    try:
        before, after = (read_sprint("", document, ()) for document in (old, optional_part(event, "sprint")))
    except UnreadableError:
        return None
    at = time_of(event)
    return None if at is None else SprintNews(at, before, after)


def time_of(event: Json) -> datetime | None:
    """When a webhook's event happened; None when it does not say."""
    try:
        return optional_instant(event.get("timestamp"))
    except UnreadableError:
        return None


def facts_of(entity: Sprint | Board) -> Mapping[str, str | None]:
    """What trails are kept of, by the change that a new value is."""
    if isinstance(entity, Board):
        return {"columns_changed": _columns(entity.columns), "estimation_changed": entity.estimation_field}
    closed = closed_at(entity)
    return {
        "renamed": entity.name,
        "redated": _dates(entity),
        "goal_changed": entity.goal,
        "reopened": _stamp(closed) if closed else OPEN,
    }


class PlanTrails:
    """The trails of every sprint and board of a site, and the changes they tell."""

    def __init__(self) -> None:
        self._trails: dict[tuple[Entity, str], dict[str, Trail]] = {}

    def read(self, entity: Sprint | Board, not_before: datetime, at: datetime) -> None:
        """The entity as the newest reading, between these times, shows it."""
        for fact, value in facts_of(entity).items():
            trail = self._trail(_kind(entity), entity.id, fact)
            if fact == "reopened" and value != OPEN and trail.last and trail.last.value not in (OPEN, value):
                trail.read(OPEN, trail.last.not_before, at)
            trail.read(value, not_before, at)

    def told(self, sprint_id: str, news: SprintNews) -> None:
        """A webhook's change of a sprint; only what it says is different counts."""
        before, after = facts_of(news.before), facts_of(news.after)
        for fact in SPRINT_FACTS:
            if before[fact] != after[fact]:
                self._trail("sprint", sprint_id, fact).told(before[fact], after[fact], news.at)

    def restore(self, changes: Iterable[PlanChange]) -> None:
        """Changes as they were published."""
        for change in sorted(changes, key=lambda change: change.at):
            if change.change in (*SPRINT_FACTS, *BOARD_FACTS):
                self._trail(change.entity, change.entity_id, change.change).restore(_restored(change))

    def saw(self, entity: Sprint | Board, moment: datetime) -> None:
        """The entity as it was published, read at this moment."""
        for fact, value in facts_of(entity).items():
            self._trail(_kind(entity), entity.id, fact).saw(value, moment)

    def changes(self, entity: Sprint | Board) -> Iterator[PlanChange]:
        """Every change there is to tell."""
        for fact, trail in self._trails.get((_kind(entity), entity.id), {}).items():
            for change in trail.changes():
                if fact != "reopened" or change.before != OPEN:
                    yield _event(entity, fact, change)

    def closes(self, sprint_id: str) -> Iterator[datetime]:
        """Every time at which the sprint was closed, as far as it is known."""
        trail = self._trails.get(("sprint", sprint_id), {}).get("reopened", Trail())
        return (instant(value) for value in sorted(trail.values() - {None, OPEN}, key=str))

    def last_seen(self, sprint_id: str) -> datetime | None:
        """When the sprint was last known to be there."""
        trail = self._trails.get(("sprint", sprint_id), {}).get("renamed", Trail())
        return trail.last.not_before if trail.last else None

    def forget(self, sprint_id: str) -> None:
        """The sprint is deleted."""
        self._trails.pop(("sprint", sprint_id), None)

    def _trail(self, entity: Entity, entity_id: str, fact: str) -> Trail:
        return self._trails.setdefault((entity, entity_id), {}).setdefault(fact, Trail())


def _event(entity: Sprint | Board, fact: str, change: Change) -> PlanChange:
    return PlanChange(
        site_id=entity.site_id,
        entity=_kind(entity),
        entity_id=entity.id,
        change=fact,
        at=change.at,
        ordinal=change.ordinal,
        not_before=change.not_before,
        from_value=change.before,
        to_value=change.after,
        from_seen_until=change.before_until,
        to_seen_from=change.after_from,
    )


def _restored(change: PlanChange) -> Change:
    return Change(
        change.from_value,
        change.to_value,
        change.at,
        change.not_before,
        change.ordinal,
        change.from_seen_until,
        change.to_seen_from,
    )


def created(sprint: Sprint) -> Iterator[PlanChange]:
    """When the site says when it was made."""
    if sprint.created_at is not None:
        yield _once(sprint.site_id, sprint.id, "created", sprint.created_at)


def deleted(site_id: str, sprint_id: str, at: datetime, not_before: datetime | None) -> PlanChange:
    """A sprint's end."""
    return _once(site_id, sprint_id, "deleted", at, not_before)


def _once(
    site_id: str, sprint_id: str, change: str, at: datetime, not_before: datetime | None = None
) -> PlanChange:
    return PlanChange(
        site_id=site_id, entity="sprint", entity_id=sprint_id, change=change, at=at, not_before=not_before
    )


def _kind(entity: Sprint | Board) -> Entity:
    return "sprint" if isinstance(entity, Sprint) else "board"


def _columns(columns: tuple[BoardColumn, ...]) -> str:
    return "; ".join(f"{column.name}: {', '.join(column.status_ids)}" for column in columns)


def _dates(sprint: Sprint) -> str | None:
    dates = (sprint.planned_start_at, sprint.planned_end_at)
    return "/".join(_stamp(date) if date else "" for date in dates) if any(dates) else None


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
