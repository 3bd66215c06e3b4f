"""What others announced: something may have changed, look there. Never what it changed to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Literal

from jira_sync.domain.plan_changes import SprintNews, news_in, time_of
from jira_sync.gap import ANY, CREATED, WebhookGap
from jira_sync.parse import Json, optional_part, optional_text
from jira_sync.reader import MOST_RECONCILED
from troth_chassis.clock import Clock

HintKind = Literal[
    "issue", "issue_deleted", "sprint", "sprint_deleted", "structure", "repair", "census", "backfill"
]
ANNOUNCED_FOR = 600.0
"""Seconds for which an announced issue is reconciled by every poll (reference 7)."""
MOST_BATCHES = 10
"""Reconciled per poll; the deep pass covers what a larger wave leaves."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Where to look. ``id`` is a key where people asked (of an issue, of a project), and empty for the whole site."""

    kind: HintKind
    id: str = ""
    at: datetime | None = None
    """When a deletion happened, by the webhook."""
    news: SprintNews | None = None
    """What a sprint was, where only the webhook can say it."""
    change: str = field(default=ANY, compare=False)
    """Which change of the issue the event is about; the same place is looked at once, whatever changed there."""


def hints_of(event: Json) -> tuple[Hint, ...] | None:
    """Where a webhook or a request of our own points to; None for an event this service does not know."""
    name = str(event.get("webhookEvent") or "")
    found = _READERS.get(name)
    if found is not None:
        return found(event)
    if name.startswith(("board_", "jira:version_", "project_")):
        return (Hint("structure"),)
    return () if name.startswith(("comment_", "worklog_", "user_")) else None


def _issue(event: Json) -> tuple[Hint, ...]:
    change = optional_text(optional_part(event, "changelog"), "id") or ANY
    if event.get("webhookEvent") == "jira:issue_created":
        change = CREATED
    found = _named("issue", optional_text(optional_part(event, "issue"), "id"))
    return tuple(replace(hint, change=change) for hint in found)


def _issue_deleted(event: Json) -> tuple[Hint, ...]:
    return _named("issue_deleted", optional_text(optional_part(event, "issue"), "id"))


def _sprint(event: Json) -> tuple[Hint, ...]:
    hints = _named("sprint", optional_text(optional_part(event, "sprint"), "id"))
    news = news_in(event)
    return tuple(replace(hint, news=news) for hint in hints)


def _sprint_deleted(event: Json) -> tuple[Hint, ...]:
    hints = _named("sprint_deleted", optional_text(optional_part(event, "sprint"), "id"))
    return tuple(replace(hint, at=time_of(event)) for hint in hints)


def _link(event: Json) -> tuple[Hint, ...]:
    link = optional_part(event, "issueLink")
    ends = (optional_text(link, "sourceIssueId"), optional_text(link, "destinationIssueId"))
    return tuple(hint for end in ends for hint in _named("issue", end))


def _repair(event: Json) -> tuple[Hint, ...]:
    asked = optional_text(event, "issue")
    return (Hint("repair", asked),) if asked else ()


def _of_projects(kind: HintKind, event: Json) -> tuple[Hint, ...]:
    asked = str(event.get("projects") or "").split(",")
    return tuple(Hint(kind, key) for key in asked)


def _named(kind: HintKind, entity_id: str | None) -> tuple[Hint, ...]:
    """Only whole numbers are ids; anything else never reaches a path or a query."""
    return (Hint(kind, entity_id),) if entity_id and entity_id.isascii() and entity_id.isdigit() else ()


_READERS: Mapping[str, Callable[[Json], tuple[Hint, ...]]] = {
    "jira:issue_created": _issue,
    "jira:issue_updated": _issue,
    "jira:issue_deleted": _issue_deleted,
    "issuelink_created": _link,
    "issuelink_deleted": _link,
    "sprint_created": _sprint,
    "sprint_updated": _sprint,
    "sprint_started": _sprint,
    "sprint_closed": _sprint,
    "sprint_deleted": _sprint_deleted,
    "troth:repair": _repair,
    "troth:census": partial(_of_projects, "census"),
    "troth:backfill": partial(_of_projects, "backfill"),
}
OWN_PREFIX = "troth:"
"""Requests of the command line; they come through the inbox only, never over HTTP."""


class Hints:
    """Hints that wait to be followed. The same hint twice is one; given again while followed, it stays."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending: dict[Hint, int] = {}
        self._given = 0
        self._changed = asyncio.Event()
        self._announced: dict[str, float] = {}
        self.gap = WebhookGap(clock)
        self.listening = False
        """True once webhooks are expected: only then a change without one is a gap."""

    def put(self, hints: Sequence[Hint]) -> int:
        """Adds hints; the number to wait for with ``followed``."""
        for hint in hints:
            self._given += 1
            self._pending[hint] = self._given
            if hint.kind == "issue":
                self._announced[hint.id] = self._clock.monotonic()
                self.gap.heard(hint.id, hint.change)
        self._tell()
        return self._given

    def take(self, *kinds: HintKind) -> dict[Hint, int]:
        """Pending hints of these kinds (all without any); they stay pending until ``settle``."""
        return {hint: number for hint, number in self._pending.items() if not kinds or hint.kind in kinds}

    def settle(self, taken: Mapping[Hint, int]) -> None:
        """They were followed to the end, and what was found is on Kafka."""
        for hint, number in taken.items():
            if self._pending.get(hint) == number:
                del self._pending[hint]
        self._tell()

    async def followed(self, number: int) -> None:
        """Waits until every hint up to this number is settled."""
        while any(given <= number for given in self._pending.values()):
            await self._changed.wait()

    async def wait(self, seconds: float) -> bool:
        """True as soon as a hint is pending; False when ``seconds`` have passed without one."""
        if self._pending:
            return True
        if seconds <= 0:
            return False
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        hinted = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({sleeping, hinted}, return_when=asyncio.FIRST_COMPLETED)
            if sleeping.done():
                sleeping.result()
            return bool(self._pending) or not sleeping.done()
        finally:
            sleeping.cancel()
            hinted.cancel()
            await asyncio.gather(sleeping, hinted, return_exceptions=True)

    def announced(self) -> Sequence[tuple[str, ...]]:
        """Batches of issues named lately, newest first; one empty batch when there are none."""
        oldest = self._clock.monotonic() - ANNOUNCED_FOR
        self._announced = {issue_id: at for issue_id, at in self._announced.items() if at > oldest}
        ids = sorted(self._announced, key=lambda issue_id: -self._announced[issue_id])
        starts = range(0, min(len(ids), MOST_RECONCILED * MOST_BATCHES), MOST_RECONCILED)
        return [tuple(ids[start : start + MOST_RECONCILED]) for start in starts] or [()]

    def _tell(self) -> None:
        """Wakes every waiter once; each looks for itself."""
        self._changed.set()
        self._changed = asyncio.Event()
