"""Issues on their way from Jira to Kafka, whichever feed found them: read, diff, publish, remember.

One transaction per page and what follows from it. The memory is noted first: whatever fails before it is committed, it
is read back from Kafka.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence

import structlog

from jira_sync.errors import ForbiddenError, MissingError, UnreadableError
from jira_sync.further import FurtherReading
from jira_sync.gap import CREATED
from jira_sync.hints import Hints
from jira_sync.metrics import Feed
from jira_sync.parse import Json
from jira_sync.publication import Publication
from jira_sync.reader import JiraReader
from jira_sync.scan import IssueTelling, RawIssue, tell_issue, with_changelogs
from jira_sync.view import SiteView
from troth_chassis.dead_letters import LetterLimit
from troth_chassis.together import together
from troth_contracts.codec import OutRecord

DIRECT_READS = 50
"""Issues read one by one in a row; more of them are left to a scan that reconciles."""
AT_A_STRETCH = 25
"""Issues that are made ready before others have their turn: webhooks and the health check wait no tenth of a second."""


class IssueIntake:
    """The only way issues of one site are published."""

    def __init__(
        self,
        view: SiteView,
        reader: JiraReader,
        publication: Publication,
        hints: Hints,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._view = view
        self._reader = reader
        self._publication = publication
        self._hints = hints
        self._log = log
        self.further = FurtherReading(view, reader)
        self._letters = LetterLimit()
        self._judged = (0, 0)
        """Good and dead documents of the transaction that is being made."""
        self._followers: set[str] = set()
        self._hidden: set[str] = set()

    async def publish(
        self, page: Sequence[RawIssue], feed: Feed, closing: Iterable[OutRecord | None] = ()
    ) -> None:
        """Tells a page, with what else must be read of its issues, and ``closing`` in one transaction.

        A request for each issue with a link would hold up a backfill: there links wait (``link_backlog.py``).

        Sub-tasks whose parents moved to another sprint are read and go with them: nothing else says so, so that a crash
        in between would lose them.
        """
        whole = await self.further.of(page, links_later=feed == "backfill")
        try:
            records = await self._records(whole, feed)
            while self._followers:
                followers = sorted(self._followers, key=int)[:DIRECT_READS]
                self._followers.difference_update(followers)
                more = await self.further.of(await self._documents(followers))
                records += await self._records(more, feed)
        except BaseException:
            self._publication.doubt()
            raise
        await self._publication.commit([*records, *closing], feed)
        good, dead, self._judged = *self._judged, (0, 0)
        self._letters.note(good=good, dead=dead)

    async def read(self, ids: Collection[str], feed: Feed) -> frozenset[str]:
        """Reads these issues past the index and tells them; returns those that Jira does not know."""
        found = await self._documents(ids)
        there = {str(raw.document.get("id")) for raw in found} | self._hidden
        await self.publish(found, feed)
        return frozenset(ids) - there

    async def remove(self, ids: Iterable[str], feed: Feed) -> None:
        """Deletes these issues from what is published."""
        gone = sorted(ids)
        records = [self._publication.issue_gone(issue_id, self._view.version) for issue_id in gone]
        for issue_id in gone:
            self._view.dirty |= self._view.memory.forget(issue_id)
            self.further.refused.pop(issue_id, None)
        await self._publication.commit(records, feed)

    async def _documents(self, ids: Collection[str]) -> tuple[RawIssue, ...]:
        fields = self._view.planning.frame.fields.requested()
        self._hidden.clear()
        answers = await together(*(self._document(issue_id, fields) for issue_id in sorted(ids)))
        return await with_changelogs(self._reader, [answer for answer in answers if answer is not None])

    async def _document(self, issue_id: str, fields: Sequence[str]) -> Json | None:
        try:
            return await self._reader.find("issue", issue_id, fields)
        except MissingError:
            return None
        except ForbiddenError:
            self._hidden.add(issue_id)
            return None

    async def _records(self, page: Sequence[RawIssue], feed: Feed) -> list[OutRecord | None]:
        records: list[OutRecord | None] = []
        dead = 0
        view = self._view
        for number, raw in enumerate(page, start=1):
            if number % AT_A_STRETCH == 0:
                await asyncio.sleep(0)
            try:
                told = tell_issue(view.site_id, raw, view.planning.frame.fields, view.memory, view.references)
            except UnreadableError as error:
                dead += 1
                self._log.warning("issue set aside", issue=raw.document.get("id"), reason=error.reason)
                records.append(self._publication.letter(raw, error))
                continue
            is_new = told.issue.id not in self._view.memory
            news = list(self._told(told))
            records += news
            if any(record is not None for record in news):
                self._view.issue_changed(told.issue.id)
            if feed != "backfill":
                self._note_gap(told, news, is_new=is_new)
        self._judged = self._judged[0] + len(page) - dead, self._judged[1] + dead
        return records

    def _told(self, told: IssueTelling) -> Iterable[OutRecord | None]:
        view, issue = self._view, told.issue
        rule = view.scope.why_not_issue(issue)
        view.left_out.note("issue", issue.id, rule)
        if rule is not None:
            view.dirty |= view.memory.forget(issue.id)
            return [self._publication.issue_gone(issue.id, view.version)]
        before = view.memory.sprints_now(issue.id)
        view.dirty |= view.memory.note(issue, told.events)
        if before != view.memory.sprints_now(issue.id):
            self._followers |= view.memory.subtasks_of(issue.id)
        return self._publication.issue(told, view.version)

    def _note_gap(self, told: IssueTelling, news: Sequence[OutRecord | None], *, is_new: bool) -> None:
        """Changes that are news here should have been announced, where webhooks are expected."""
        if not self._hints.listening or all(record is None for record in news):
            return
        events = zip(told.events, news[1:], strict=False)
        changes = {event.history_id for event, record in events if record is not None}
        self._hints.gap.found(told.issue.id, changes | ({CREATED} if is_new else set()))
