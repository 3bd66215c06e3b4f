"""The third feed: which ids are there. Finds what the poll cannot see (deletions, lost access) or has missed.

Nothing is deleted because a list is short. Missing ids are asked for directly, twice, and their project must be live.
A census that costs more than an app's points of an hour goes on in the next one where it stopped.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jira_sync.absence import AbsenceClass, Absences, Roster, is_suspect, project_class
from jira_sync.budget import Priority, asking_as
from jira_sync.errors import BudgetSpentError, ForbiddenError, ScanFailedError
from jira_sync.intake import DIRECT_READS, IssueIntake
from jira_sync.link_backlog import LinkBacklog
from jira_sync.link_census import LinkCensus
from jira_sync.metrics import SyncMetrics
from jira_sync.paging import token_pages_from
from jira_sync.parse import text
from jira_sync.publication import Publication
from jira_sync.reader import JiraReader, ProjectStatus
from jira_sync.scan import issue_pages
from jira_sync.structure_census import StructureCensus
from jira_sync.view import SiteView
from troth_chassis.service import Beat
from troth_contracts.sync import Watermark

PAGE = 5_000
READ_BATCH = 100
_STATES: tuple[ProjectStatus, ...] = ("live", "archived", "deleted")


@dataclass(frozen=True, slots=True)
class _Round:
    """A census under way. Only what was ``known`` when it began can be missing from what is ``seen``."""

    known: frozenset[str]
    seen: set[str] = field(default_factory=set)
    following: dict[str, str | None] = field(default_factory=dict)
    """The token of a project's next page; None when all its ids are listed."""


class Census:
    """Compares ids once a day, and looks after what is missing in between."""

    def __init__(
        self,
        view: SiteView,
        intake: IssueIntake,
        reader: JiraReader,
        publication: Publication,
        backlog: LinkBacklog,
        every_seconds: float,
        metrics: SyncMetrics,
    ) -> None:
        self._view = view
        self._intake = intake
        self._reader = reader
        self._publication = publication
        self._every = timedelta(seconds=every_seconds)
        self._metrics = metrics
        self._taken_at: datetime | None = None
        self._is_first = True
        self._round: _Round | None = None
        self._found: dict[AbsenceClass, int] = {}
        self._suspects: dict[str, int] = {}
        self._unread: dict[str, str] = {}
        """Projects whose list of ids could not be read to its end: nothing follows from it."""
        self._deleted: set[str] = set()
        self._trusted: set[str] = set()
        """Keys of the projects of which people said that much is gone."""
        self.absences = Absences()
        self._links = LinkCensus(view, reader)
        self._backlog = backlog
        self.structure = StructureCensus(view, reader, publication, self.absences)

    def restore(self, mark: Watermark | None) -> None:
        """After a start: when the last census was."""
        self._taken_at = mark.position if mark else None
        self._is_first = mark is None

    def expire(self, trusted: Iterable[str] = ()) -> None:
        """Somebody asked for one now, and believes what is missing from these projects to be gone."""
        self._taken_at = self._round = None
        self._trusted.update(trusted)

    async def look_after(self, beat: Beat) -> None:
        """Takes a census when due; asks again for what was missing. Both wait while an app's points are scarce."""
        with asking_as(Priority.CENSUS), contextlib.suppress(BudgetSpentError):
            await self._look_after(beat)

    async def _look_after(self, beat: Beat) -> None:
        now = self._view.server_now
        if self._taken_at is None or now - self._taken_at >= self._every:
            await self._take(now, beat)
        await self.confirm(now)
        await self.structure.confirm(now)
        beat()

    async def confirm(self, now: datetime) -> None:
        """Asks directly for issues that are due. Each second 404 in a live project is a deletion."""
        due = self.absences.due("issue", now)
        gone: set[str] = set()
        for start in range(0, len(due), DIRECT_READS):
            batch = due[start : start + DIRECT_READS]
            missing = await self._intake.read(batch, "census")
            for issue_id in batch:
                if issue_id not in missing:
                    self.absences.present("issue", issue_id, now)
                elif self.absences.missing("issue", issue_id, now):
                    gone.add(issue_id)
        if gone:
            await self.delete(await self._of_live_projects(gone))

    async def delete(self, ids: set[str]) -> None:
        """These are deleted, beyond doubt."""
        await self._intake.remove(ids, "census")
        for issue_id in ids:
            self.absences.settled("issue", issue_id)
        self._deleted |= ids
        self._count("deleted", len(ids))

    def sentence(self) -> str:
        """For people: what is missing and why; empty when nothing is."""
        told = [f"{count} {name}" for name, count in self._found.items() if count and name != "deleted"]
        told += [
            f"project {key} suspect: {count} missing, nothing deleted (if they are gone: jira-sync census {key})"
            for key, count in self._suspects.items()
        ]
        if self._round is not None:
            told.append(f"under way, {len(self._round.seen)} ids listed")
        told += [f"project {key} not read: {reason}" for key, reason in self._unread.items()]
        return ", ".join(told)

    async def _take(self, now: datetime, beat: Beat) -> None:
        roster, memory = await self._roster(), self._view.memory
        under_way = self._round = self._round or _Round(memory.ids())
        unread: dict[str, str] = {}
        for project_id, key in self._projects(roster).items():
            try:
                await self._list(project_id, key, under_way)
            except (ForbiddenError, ScanFailedError) as error:
                under_way.following.pop(project_id, None)
                unread[key] = str(error)
            beat()
        restored = await self._read_unknown(under_way.seen, beat)
        if not self._is_first:  # the backfill before the first has just read every changelog
            self._backlog.add(await self._links.take(beat))
        self._found, self._suspects, self._unread = {"restored": restored}, {}, unread
        for project_id, key in memory.project_keys.items():
            self._compare(project_id, key, under_way, roster, now)
        self._trusted.clear()
        self._metrics.show_absent(self._found)
        await self._publication.commit([self._publication.census_taken(now, self._view.version)])
        self._taken_at, self._round, self._is_first = now, None, False

    def _compare(self, project_id: str, key: str, under_way: _Round, roster: Roster, now: datetime) -> None:
        present = self._view.memory.ids_of(project_id)
        whole = project_class(project_id, roster) if present else None
        if whole is not None:
            self._count(whole, len(present))
            return
        if key in self._unread:
            return
        known = present & under_way.known
        missing = known - under_way.seen
        if not self._view.scope.wants_project(key):
            self.absences.suspect("issue", present, now)  # asked for directly, then left out by rule
        elif is_suspect(known, missing) and key not in self._trusted:
            self._suspects[key] = len(missing)
            self._count("suspect", len(missing))
        else:
            self.absences.suspect("issue", missing, now)

    async def _read_unknown(self, here: Collection[str], beat: Beat) -> int:
        """What no feed has told yet. Returns how many of it had been deleted."""
        known, left_out = self._view.memory, self._view.left_out
        unknown = sorted((i for i in here if i not in known and not left_out.has("issue", i)), key=int)
        fields = self._view.planning.frame.fields.requested()
        for start in range(0, len(unknown), READ_BATCH):
            batch = unknown[start : start + READ_BATCH]
            query = f"id in ({', '.join(batch)}) ORDER BY id ASC"
            async for page in issue_pages(self._reader, query, fields):
                await self._intake.publish(page.issues, "census")
                beat()
        restored = self._deleted.intersection(unknown)
        self._deleted -= restored
        return len(restored)

    async def _of_live_projects(self, ids: set[str]) -> set[str]:
        """The project may have gone since the first 404: then nothing of it is deleted."""
        roster, memory = await self._roster(), self._view.memory
        live = {
            issue_id
            for project_id in memory.project_keys
            if project_class(project_id, roster) is None
            for issue_id in memory.ids_of(project_id)
        }
        return ids & live

    def _projects(self, roster: Roster) -> Mapping[str, str]:
        """Live projects that anything is published of, or that the configuration names."""
        scope, known = self._view.scope, self._view.memory.project_keys
        return {
            project_id: key
            for project_id, key in roster["live"].items()
            if scope.wants_project(key) and (scope.projects or project_id in known)
        }

    async def _list(self, project_id: str, key: str, under_way: _Round) -> None:
        """Goes on after the last page that was listed; what is listed stays when it fails."""
        token = under_way.following.setdefault(project_id, "")
        if token is None:
            return
        query = f'project in ("{key}") ORDER BY id ASC'
        pages = token_pages_from(
            lambda token: self._reader.search(query, ("id",), token, PAGE), token or None
        )
        async for items, following in pages:
            under_way.seen.update(text(issue, "id") for issue in items)
            under_way.following[project_id] = following
        under_way.following[project_id] = None

    async def _roster(self) -> Roster:
        """An account that may not list trashed or archived projects sees them as lost."""
        roster: dict[ProjectStatus, Mapping[str, str]] = {}
        for status in _STATES:
            try:
                rows = await self._reader.projects(status)
            except ForbiddenError:
                rows = ()
            roster[status] = {text(row, "id"): text(row, "key") for row in rows}
        return roster

    def _count(self, name: AbsenceClass, number: int) -> None:
        self._found[name] = self._found.get(name, 0) + number
        self._metrics.show_absent(self._found)
