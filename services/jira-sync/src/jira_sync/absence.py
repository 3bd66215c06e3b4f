"""What it means that something is not there: classified before anything is deleted (reference 7).

Issue-level security looks exactly like a deletion: Jira answers 404 to both, so both end as ``deleted``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal

from jira_sync.reader import EntityKind, ProjectStatus

AbsenceClass = Literal["deleted", "archived", "trashed", "access_lost", "suspect", "restored"]
CLASSES: tuple[AbsenceClass, ...] = (
    "deleted",
    "archived",
    "trashed",
    "access_lost",
    "suspect",
    "restored",
)
Roster = Mapping[ProjectStatus, Mapping[str, str]]
"""Key by id of the projects in each state."""
CONFIRM_AFTER = timedelta(minutes=10)
ASK_AGAIN_AFTER = timedelta(days=1)
SUSPECT_SHARE = 0.2


def project_class(project_id: str, roster: Roster) -> Literal["archived", "trashed", "access_lost"] | None:
    """Why a whole project is not there; None when it is live."""
    if project_id in roster["live"]:
        return None
    if project_id in roster["archived"]:
        return "archived"
    return "trashed" if project_id in roster["deleted"] else "access_lost"


def is_suspect(known: Collection[str], missing: Collection[str]) -> bool:
    """More than a fifth of a project gone at once is a fault of the reading until people say otherwise."""
    return len(missing) > SUSPECT_SHARE * len(known)


class Absences:
    """Who answered 404 when. Only a second 404, at least ten minutes after the first, confirms a deletion.

    Another process begins anew: a deletion is told later by a restart, never by mistake.
    """

    def __init__(self) -> None:
        self._first_missing: dict[tuple[EntityKind, str], datetime] = {}
        self._ask_at: dict[tuple[EntityKind, str], datetime] = {}

    def suspect(self, kind: EntityKind, ids: Iterable[str], now: datetime) -> None:
        """These were not in a list they should be in: they are to be asked for directly."""
        for entity_id in ids:
            self._ask_at.setdefault((kind, entity_id), now)

    def due(self, kind: EntityKind, now: datetime) -> list[str]:
        """Who is to be asked for now."""
        return [entity_id for (found, entity_id), at in self._ask_at.items() if found == kind and at <= now]

    def missing(self, kind: EntityKind, entity_id: str, now: datetime) -> bool:
        """Notes a 404; True when it confirms an earlier one."""
        place = (kind, entity_id)
        first = self._first_missing.setdefault(place, now)
        self._ask_at[place] = first + CONFIRM_AFTER
        return now - first >= CONFIRM_AFTER

    def present(self, kind: EntityKind, entity_id: str, now: datetime) -> None:
        """It answered: whatever list it is missing from, it is asked for again in a day only."""
        place = (kind, entity_id)
        self._first_missing.pop(place, None)
        self._ask_at[place] = now + ASK_AGAIN_AFTER

    def settled(self, kind: EntityKind, entity_id: str) -> None:
        """Nothing is left to ask."""
        self._first_missing.pop((kind, entity_id), None)
        self._ask_at.pop((kind, entity_id), None)

    def is_waiting(self, kind: EntityKind, entity_id: str) -> bool:
        """True while a first 404 waits for its confirmation."""
        return (kind, entity_id) in self._first_missing
