"""What a search does not send along of an issue: its links to places outside Jira, and its later comments."""

from __future__ import annotations

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
from troth_chassis.together import together

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
        known = [self._without_asking(raw, links_later=links_later) for raw in page]
        missing = (raw for raw, found in zip(page, known, strict=True) if found is None)
        asked = iter(await together(*(self._asked(raw, links_later=links_later) for raw in missing)))
        return [found or next(asked) for found in known]

    def _without_asking(self, raw: RawIssue, *, links_later: bool) -> RawIssue | None:
        """The issue where there is nothing to ask, as with nearly all of them."""
        if self._view.left_out.has("issue", str(raw.document.get("id"))):
            return raw
        return None if self._view.references.comments else self._by_trail(raw, links_later=links_later)

    async def _asked(self, raw: RawIssue, *, links_later: bool) -> RawIssue:
        issue_id = str(raw.document.get("id"))
        if self._view.references.comments:
            raw = replace(raw, document=await self._with_comments(issue_id, raw.document))
        known = self._by_trail(raw, links_later=links_later)
        if known is not None:
            return known
        links = await self._links(issue_id)
        before = self._view.memory.links_as_of(issue_id)
        return replace(
            raw,
            links=links,
            links_as_of=before if links is None else self._as_of(raw, link_trail(raw.histories)),
        )

    def _by_trail(self, raw: RawIssue, *, links_later: bool) -> RawIssue | None:
        """The issue as far as its changelog tells of its links; None where they are to be read now."""
        trail, known = link_trail(raw.histories), self._view.memory.links_as_of(str(raw.document.get("id")))
        as_of = self._as_of(raw, trail)
        if as_of is None or (self._view.references.links == "announced" and not trail.present):
            return replace(raw, links=(), links_as_of=as_of)
        if as_of == known or links_later:
            return replace(raw, links_as_of=known, links_pending=as_of != known)
        return None

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
