"""Sprints, boards and versions that are no longer listed: asked for directly before they are deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from jira_sync.absence import Absences
from jira_sync.errors import ForbiddenError, MissingError
from jira_sync.publication import Publication
from jira_sync.reader import EntityKind, JiraReader
from jira_sync.view import SiteView
from troth_contracts.codec import OutRecord
from troth_contracts.topics import BOARDS, SPRINTS, VERSIONS, Topic

_TOPICS: Mapping[EntityKind, Topic] = {"sprint": SPRINTS, "board": BOARDS, "version": VERSIONS}


class StructureCensus:
    """Confirms what vanished from the lists of the last scan."""

    def __init__(
        self, view: SiteView, reader: JiraReader, publication: Publication, absences: Absences
    ) -> None:
        self._view = view
        self._reader = reader
        self._publication = publication
        self._absences = absences

    async def confirm(self, now: datetime) -> None:
        """Asks for what is due; the second 404 deletes. What the configuration leaves out goes at once."""
        for kind in _TOPICS:
            unlisted = self._unlisted(kind)
            excluded = {entity_id for entity_id in unlisted if self._is_left_out(kind, entity_id)}
            await self._remove(kind, excluded)
            self._absences.suspect(kind, unlisted - excluded, now)
            for entity_id in self._absences.due(kind, now):
                await self._ask(kind, entity_id, now)

    async def delete(self, kind: EntityKind, ids: set[str], *, at: datetime | None = None) -> None:
        """These are gone, beyond doubt; ``at`` where it is known when."""
        known = ids & self._publication.ids(_TOPICS[kind])
        ends = [self._view.sprint_gone(sprint_id, at) for sprint_id in sorted(known) if kind == "sprint"]
        await self._remove(kind, ids, [self._publication.change(end) for end in ends])

    async def _remove(self, kind: EntityKind, ids: set[str], news: Sequence[OutRecord | None] = ()) -> None:
        version = self._view.version
        gone = [self._publication.gone(_TOPICS[kind], entity_id, version) for entity_id in sorted(ids)]
        await self._publication.commit([*news, *gone])
        for entity_id in ids:
            self._absences.settled(kind, entity_id)
            if kind == "sprint":
                self._view.planning.drop_sprint(entity_id)
                self._view.memory.published.pop(entity_id, None)

    async def _ask(self, kind: EntityKind, entity_id: str, now: datetime) -> None:
        if entity_id not in self._unlisted(kind) and not self._absences.is_waiting(kind, entity_id):
            self._absences.settled(kind, entity_id)
            return
        try:
            await self._reader.find(kind, entity_id)
        except MissingError:
            if self._absences.missing(kind, entity_id, now):
                await self.delete(kind, {entity_id})
        except ForbiddenError:
            self._absences.present(kind, entity_id, now)
        else:
            self._absences.present(kind, entity_id, now)

    def _unlisted(self, kind: EntityKind) -> frozenset[str]:
        """Published, and not in the lists of the last scan, as far as those can be read."""
        planning = self._view.planning
        published = self._publication.ids(_TOPICS[kind])
        if kind == "sprint":
            return published - planning.sprints.keys() - planning.out_of_sight
        if kind == "board":
            return published - planning.frame.boards.keys()
        return published - planning.version_ids if planning.version_ids is not None else frozenset()

    def _is_left_out(self, kind: EntityKind, entity_id: str) -> bool:
        left_out = self._view.planning.frame.left_out
        if kind == "board":
            return entity_id in left_out
        sprint = self._view.memory.published.get(entity_id) if kind == "sprint" else None
        return sprint is not None and bool(sprint.board_ids) and set(sprint.board_ids) <= left_out.keys()
