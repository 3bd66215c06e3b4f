"""Finds links outside Jira that were made while nothing else of the issue changed.

A link moves neither ``updated``, so that no poll shows the issue, nor does a webhook tell it; the changelog has it. The
changelogs of a thousand issues are one request on Cloud, so once a census asks for all of them. Data Center gives one
changelog a request: there such a link is found with the next change of its issue, or by a backfill.
"""

from __future__ import annotations

from collections import defaultdict

from jira_sync.domain.remote_links import link_trail, speaks_of_links
from jira_sync.paging import token_pages
from jira_sync.parse import Json, parts, text
from jira_sync.reader import JiraReader
from jira_sync.view import SiteView
from troth_chassis.service import Beat

TOGETHER = 1_000


class LinkCensus:
    """Compares what the changelogs say of links with what was last read of them."""

    def __init__(self, view: SiteView, reader: JiraReader) -> None:
        self._view = view
        self._reader = reader

    async def take(self, beat: Beat) -> list[str]:
        """Ids of the issues whose links changed since they were read."""
        if self._view.references.links != "announced" or not self._reader.bulk_changelogs:
            return []
        known = sorted(self._view.memory.ids(), key=int)
        changed: list[str] = []
        for start in range(0, len(known), TOGETHER):
            batch = known[start : start + TOGETHER]
            entries = await self._entries(batch, beat)
            memory = self._view.memory
            changed += [i for i in batch if (link_trail(entries[i]).last or None) != memory.links_as_of(i)]
        return changed

    async def _entries(self, issue_ids: list[str], beat: Beat) -> defaultdict[str, list[Json]]:
        """The entries about links by issue: all that is kept of the changelogs."""
        found: defaultdict[str, list[Json]] = defaultdict(list)
        async for page in token_pages(lambda token: self._reader.changelogs(issue_ids, token)):
            for entry in page:
                about = filter(speaks_of_links, parts(entry, "changeHistories"))
                found[text(entry, "issueId")].extend(about)
            beat()
        return found
