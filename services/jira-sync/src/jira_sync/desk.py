"""Follows hints: re-reads what a webhook or a person pointed at, and tells what is found as any feed would.

A payload is never taken for the state: two events with one timestamp may come in either order, hours late or twice.
A deletion is believed once a direct read confirms it; of a changed sprint, that it once was what ``oldValue`` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from jira_sync.backfill import Backfill
from jira_sync.budget import Priority, asking_as
from jira_sync.census import Census
from jira_sync.errors import ForbiddenError, MissingError
from jira_sync.hints import Hint, Hints
from jira_sync.intake import DIRECT_READS, IssueIntake
from jira_sync.publication import Publication
from jira_sync.reader import JiraReader
from jira_sync.view import SiteView


class Desk:
    """One site's pending hints and what is done about them."""

    def __init__(
        self,
        view: SiteView,
        intake: IssueIntake,
        reader: JiraReader,
        publication: Publication,
        hints: Hints,
        census: Census,
        backfill: Backfill,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._view = view
        self._intake = intake
        self._reader = reader
        self._publication = publication
        self._hints = hints
        self._census = census
        self._backfill = backfill
        self._log = log

    async def read_issues(self) -> None:
        """Between two pages of a scan: announced issues first, sprints are told when the scan ends."""
        taken = self._hints.take("issue", "issue_deleted", "repair")
        if taken:
            with asking_as(Priority.REPAIR):
                await self._issues(taken)
            self._hints.settle(taken)

    async def attend(self) -> bool:
        """Follows every pending hint; True when a scan is wanted at once."""
        taken = self._hints.take()
        if not taken:
            return False
        with asking_as(Priority.REPAIR):
            return await self._follow(taken)

    async def _follow(self, taken: Mapping[Hint, int]) -> bool:
        info = await self._reader.server_info()
        self._view.begin(info.now)
        wants_scan = await self._issues(taken)
        for hint in taken:
            if hint.news is not None:
                self._view.hear(hint.id, hint.news)
        for sprint_id in {hint.id: None for hint in taken if hint.kind in ("sprint", "sprint_deleted")}:
            gone = [hint for hint in taken if hint.kind == "sprint_deleted" and hint.id == sprint_id]
            await self._sprint(sprint_id, gone)
        await self._tell_sprints()
        wants_scan |= await self._orders(taken)
        self._hints.settle(taken)
        return wants_scan

    async def _issues(self, taken: Mapping[Hint, int]) -> bool:
        """Reads them one by one; a large wave is left to a scan that reconciles them."""
        hinted = {hint.id for hint in taken if hint.kind == "issue"}
        asked = {self._view.memory.id_of(hint.id) or hint.id for hint in taken if hint.kind == "repair"}
        deleted = {hint.id for hint in taken if hint.kind == "issue_deleted"}
        is_wave = len(hinted) > DIRECT_READS
        await self._read(asked | deleted | (set() if is_wave else hinted), deleted, by_people=bool(asked))
        return is_wave

    async def _read(self, ids: set[str], deleted: set[str], *, by_people: bool) -> None:
        if not ids:
            return
        missing = await self._intake.read(ids, "repair" if by_people else "webhook")
        gone = {issue_id for issue_id in missing if issue_id in self._view.memory}
        for issue_id in gone - deleted:
            self._census.absences.missing("issue", issue_id, self._view.server_now)
        if gone & deleted:
            await self._census.delete(gone & deleted)

    async def _sprint(self, sprint_id: str, gone: Sequence[Hint]) -> None:
        """``gone``: webhooks that call it deleted."""
        view = self._view
        try:
            document = await self._reader.find("sprint", sprint_id)
        except MissingError:
            if gone:
                await self._census.structure.delete("sprint", {sprint_id}, at=gone[0].at)
            else:
                self._census.absences.missing("sprint", sprint_id, view.server_now)
        except ForbiddenError as error:
            self._log.warning("sprint not read", sprint=sprint_id, reason=str(error))
        else:
            view.put_sprint(document)

    async def _tell_sprints(self) -> None:
        view = self._view
        tellings = await view.tell_sprints(self._reader)
        records = [r for telling in tellings for r in self._publication.sprint(telling, view.version)]
        await self._publication.commit(records, "webhook")
        view.settle(tellings)

    async def _orders(self, taken: Mapping[Hint, int]) -> bool:
        """What concerns the whole site is done by the next scan, which begins now."""
        kinds = {hint.kind for hint in taken}
        if "structure" in kinds:
            self._view.planning.expire()
        if "census" in kinds:
            self._census.expire(hint.id for hint in taken if hint.kind == "census" and hint.id)
        if "backfill" in kinds:
            asked = {hint.id for hint in taken if hint.kind == "backfill"}
            await self._backfill.order(() if "" in asked else asked)
        return bool(kinds & {"structure", "census", "backfill"})
