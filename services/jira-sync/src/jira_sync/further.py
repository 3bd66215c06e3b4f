"""What a search does not send along of an issue: its links to places outside Jira, and its later comments."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jira_sync.domain.places import comments_of
from jira_sync.domain.remote_links import LinkTrail, link_trail
from jira_sync.errors import ForbiddenError, MissingError, ScanFailedError
from jira_sync.paging import all_offset_items
from jira_sync.parse import Json, optional_part, optional_text
from jira_sync.reader import JiraReader, OffsetPage
from jira_sync.scan import RawIssue
from jira_sync.view import SiteView

_REFUSALS = (ForbiddenError, MissingError, ScanFailedError)


class FurtherReading:
    """Asks as seldom as the rules allow. An issue whose links cannot be read keeps what was found on them."""

    def __init__(self, view: SiteView, reader: JiraReader) -> None:
        self._view = view
        self._reader = reader
        self.refused: dict[str, str] = {}
        """The reason by issue id."""

    def sentence(self) -> str:
        """For people; empty when all could be read."""
        if not self.refused:
            return ""
        return f"links or comments of {len(self.refused)} issues ({next(iter(self.refused.values()))})"

    async def of(self, page: Sequence[RawIssue], *, links_later: bool = False) -> list[RawIssue]:
        """The same issues with what else is to be read of them; their links may be left to ``link_backlog.py``."""
        return list(await asyncio.gather(*(self._of(raw, links_later=links_later) for raw in page)))

    async def _of(self, raw: RawIssue, *, links_later: bool) -> RawIssue:
        issue_id, rules = str(raw.document.get("id")), self._view.references
        if self._view.left_out.has("issue", issue_id):
            return raw
        if rules.comments:
            raw = replace(raw, document=await self._with_comments(issue_id, raw.document))
        trail, known = link_trail(raw.histories), self._view.memory.links_as_of(issue_id)
        as_of = self._as_of(raw, trail)
        if as_of is None or (rules.links == "announced" and not trail.present):
            return replace(raw, links=(), links_as_of=as_of)
        if as_of == known or links_later:
            return replace(raw, links_as_of=known, links_pending=as_of != known)
        links = await self._links(issue_id)
        return replace(raw, links=links, links_as_of=known if links is None else as_of)

    def _as_of(self, raw: RawIssue, trail: LinkTrail) -> str | None:
        """What must have changed before the links are read again; None where there is nothing to read."""
        match self._view.references.links:
            case "announced":
                return trail.last or None
            case "every":
                newest = max((str(h.get("id")) for h in raw.histories), key=_number, default="0")
                return f"{newest} {optional_text(optional_part(raw.document, 'fields'), 'updated')}"
            case "none":
                return None

    async def _links(self, issue_id: str) -> Sequence[Json] | None:
        try:
            links = await self._reader.remote_links(issue_id)
        except _REFUSALS as error:
            self.refused[issue_id] = str(error)
            return None
        self.refused.pop(issue_id, None)
        return links

    async def _with_comments(self, issue_id: str, document: Json) -> Json:
        """Few come along with an issue."""
        fields = optional_part(document, "fields")
        listed = optional_part(fields, "comment")
        first = list(comments_of(fields))
        if int(listed.get("total") or 0) <= len(first):
            return document

        async def page(start: int) -> OffsetPage:
            return await self._reader.comments(issue_id, start)

        try:
            every: list[Any] = list(await all_offset_items(page))
        except _REFUSALS as error:
            self.refused[issue_id] = str(error)
            every = first
        return {**document, "fields": {**fields, "comment": {"comments": every}}}


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
