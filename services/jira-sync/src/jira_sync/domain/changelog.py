"""Changelog histories to issue events: only what planning cares about, under ids that never change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from jira_sync.domain.fields import SiteFields
from jira_sync.errors import UnreadableError
from jira_sync.parse import Json, instant, optional_part, optional_text, parts, text
from troth_contracts.jira import Issue, IssueEvent

_BY_FIELD_ID = {
    "status": "status",
    "fixVersions": "version",
    "duedate": "due_date",
    "assignee": "assignee",
    "summary": "summary",
    "description": "description",
    "parent": "parent",
}
_BY_NAME = {
    "sprint": "sprint",
    "status": "status",
    "fix version": "version",
    "duedate": "due_date",
    "assignee": "assignee",
    "summary": "summary",
    "description": "description",
    "parent": "parent",
    "issueparentassociation": "parent",
    "epic link": "parent",
    "key": "key",
    "story points": "estimate",
    "story point estimate": "estimate",
}


def issue_events(issue: Issue, histories: Iterable[Json], fields: SiteFields) -> tuple[IssueEvent, ...]:
    """Every planning-relevant item, oldest first by time, then by history id compared as a number."""
    found = [event for history in histories for event in _of_history(issue, history, fields)]
    return tuple(sorted(found, key=order))


def order(event: IssueEvent) -> tuple[datetime, int, int]:
    """The order in which changes took effect."""
    return event.at, int(event.history_id), event.item_index


def former_keys(current: str, events: Iterable[IssueEvent], known: Iterable[str] = ()) -> tuple[str, ...]:
    """Keys the issue had before, oldest first: from its moves, and from what was once published (``known``)."""
    moved = [key for event in events if event.field == "key" for key in (event.from_text, event.to_text)]
    return tuple(dict.fromkeys(key for key in (*moved, *known) if key and key != current))


def _of_history(issue: Issue, history: Json, fields: SiteFields) -> Iterator[IssueEvent]:
    history_id, at = text(history, "id"), instant(history.get("created"))
    if not history_id.isdigit():
        raise UnreadableError(f"history id {history_id!r} is not a number")
    actor = optional_text(optional_part(history, "author"), "accountId") or None
    for index, item in enumerate(parts(history, "items")):
        kind = _kind(item, fields)
        if kind is not None:
            yield IssueEvent(
                site_id=issue.site_id,
                issue_id=issue.id,
                issue_key=issue.issue_key,
                history_id=history_id,
                item_index=index,
                field=kind,
                at=at,
                field_id=optional_text(item, "fieldId"),
                actor_id=actor,
                from_value=optional_text(item, "from"),
                from_text=optional_text(item, "fromString"),
                to_value=optional_text(item, "to"),
                to_text=optional_text(item, "toString"),
            )


def _kind(item: Json, fields: SiteFields) -> str | None:
    """By ``fieldId``; where the vendor leaves it out, by ``field`` in any spelling (reference 3.2)."""
    field_id = item.get("fieldId")
    if field_id is None:
        return _BY_NAME.get(str(item.get("field", "")).lower())
    if field_id == fields.sprint:
        return "sprint"
    if field_id == fields.epic:
        return "parent"
    if field_id in fields.estimates:
        return "estimate"
    return _BY_FIELD_ID.get(str(field_id))
