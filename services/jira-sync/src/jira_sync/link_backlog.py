"""Reads links to places outside Jira that were not read with their issues: after a backfill, and after a link census.

No endpoint gives the links of several issues, so they are read last: between polls, after whatever is announced, newest
issues first. Of 20,000 issues with 400 linked ones a backfill asks about 460 requests and this 448 (25 links, a search,
their changelogs and the time: 1.12 an issue), which at five a second is 90 s; were all of them linked, 75 minutes, in
which polls and webhooks go on. Asked inside the backfill it would have taken so much longer.

What a backfill leaves is marked on the published issue, so that a restart goes on with it. Until it is read the site is
not told complete: a deal would seem to be on nobody's board.
"""

from __future__ import annotations

from collections.abc import Iterable

from jira_sync.budget import Priority, asking_as
from jira_sync.errors import BudgetSpentError, ForbiddenError, ScanFailedError
from jira_sync.intake import IssueIntake
from jira_sync.reader import JiraReader
from jira_sync.scan import issue_pages
from jira_sync.view import SiteView

TOGETHER = 25
"""Issues, with three requests more: five seconds at five a second, which is what a webhook may have to wait."""


class LinkBacklog:
    """Issues whose links are to be read; ``read_some`` is called while there is time."""

    def __init__(self, view: SiteView, intake: IssueIntake, reader: JiraReader) -> None:
        self._view = view
        self._intake = intake
        self._reader = reader
        self._found: set[str] = set()

    def add(self, issue_ids: Iterable[str]) -> None:
        """The links of these have changed; only remembered, as the next census finds them again."""
        self._found.update(issue_ids)

    def sentence(self) -> str:
        """For people: what is still to be read; empty when nothing is."""
        count = len(self._waiting())
        return f"of {count} issues to be read" if count else ""

    async def read_some(self) -> bool:
        """Reads a few; False when there is nothing to do, or no points left to do it with."""
        batch = sorted(self._waiting(), key=int, reverse=True)[:TOGETHER]
        if not batch:
            return False
        try:
            with asking_as(Priority.CENSUS):
                await self._read(batch)
        except BudgetSpentError:
            return False
        self._settled(batch)
        return True

    def _waiting(self) -> set[str]:
        return self._found | self._view.memory.links_pending

    async def _read(self, batch: list[str]) -> None:
        """As of now: their version must be newer than that of the scan which left them."""
        info = await self._reader.server_info()
        self._view.begin(info.now)
        query = f"id in ({', '.join(batch)}) ORDER BY id ASC"
        fields = self._view.planning.frame.fields.requested()
        reconcile = tuple(batch) if self._reader.reconciles else ()
        try:
            async for page in issue_pages(self._reader, query, fields, reconcile):
                await self._intake.publish(page.issues, "census")
        except (
            ForbiddenError,
            ScanFailedError,
        ):  # a search that names one that has gone is refused as a whole
            await self._intake.read(batch, "census")

    def _settled(self, batch: list[str]) -> None:
        """Also those that are not there any more: what became of them is for the census to say."""
        self._found.difference_update(batch)
        self._view.memory.links_pending.difference_update(batch)
