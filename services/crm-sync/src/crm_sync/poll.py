"""One poll: list what changed in the overlap, re-read those deals whole, publish, and only then move on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from crm_sync.changes import changed_rows, deal_id, stamp_at
from crm_sync.describe import ACCOUNT, HISTORY, OPPORTUNITY, ObjectSchema, OrgSchema
from crm_sync.errors import ReplicationLogLost
from crm_sync.fields import Record
from crm_sync.paging import pages, rows
from crm_sync.reference import ReferenceTable
from crm_sync.scope import Scope, batches
from crm_sync.soql import Condition, Query
from crm_sync.watermarks import ACCOUNTS, CHANGES, deletions_of, time_of
from troth_chassis.together import together
from troth_contracts.sync import Watermark


def deletable(schema: OrgSchema) -> tuple[str, ...]:
    """Objects whose hard deletions are asked for; history rows go with their deal."""
    parts = (schema.deal, *schema.children)
    return tuple(each.name for each in parts if each.name != HISTORY.name and each.replicateable)


OVERLAP = timedelta(minutes=2)
"""The deletion log ignores seconds and wants a start more than a minute before the end.
https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_getdeleted.htm"""
LONGEST_LAG = timedelta(hours=1)
Beat = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What this poll does beside looking for changes."""

    deletions: bool
    references: bool


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll has reached."""

    at: datetime
    """Server time up to which everything visible is published."""
    covered: datetime
    """Server time before which no open transaction can still show a row."""
    log_lost: bool = False
    """Deletions are unknown: only a sweep can tell."""


@dataclass(slots=True)
class _Found:
    ids: dict[str, None] = field(default_factory=dict)
    """Deals to be read again, in the order they were found."""
    gone: set[str] = field(default_factory=set)
    marks: list[Watermark] = field(default_factory=list)
    tables: list[ReferenceTable] = field(default_factory=list)
    """Published after the deals they lead to, so that a crash in between forgets neither."""
    log_lost: bool = False


@dataclass(slots=True)
class _Listing:
    """Ids and stamps of one object, or of what it shows of another."""

    schema: ObjectSchema
    trail: str
    path: str
    at: datetime | None = None
    """Server time of the first page."""
    rows: list[Record] = field(default_factory=list)


class Poll:
    """One poll of an org whose first full read is complete."""

    def __init__(self, scope: Scope, log: structlog.stdlib.BoundLogger, overlap: timedelta) -> None:
        self._scope = scope
        self._log = log
        self._overlap = overlap
        self._version = 0

    async def run(self, asked: Asked, beat: Beat) -> Polled:
        """Publishes what changed; the watermark never passes what Salesforce says is covered."""
        self._scope.source = "poll"
        found = await self._changes(asked, beat)
        if asked.references:
            await together(self._restaged(found), self._renamed(found))
        await self._publish(found, beat)
        return await self._finish(found)

    @property
    def _at(self) -> datetime:
        return time_of(self._version)

    async def _changes(self, asked: Asked, beat: Beat) -> _Found:
        """Everything is asked for at once, which makes it one call; judged when all of it is there."""
        found = _Found()
        scope = self._scope
        since = scope.marks.position(CHANGES)
        start = since - self._overlap if since else None
        scope.recent.reach(start)
        schemas = (scope.schema.deal, *scope.schema.children)
        names = deletable(scope.schema) if asked.deletions else ()
        until = scope.reader.server_time
        lists = [_Listing(schema, *trail) for schema in schemas for trail in schema.trails]
        await together(
            *(self._list(listing, start, beat) for listing in lists),
            *(self._deletions(name, until, found) for name in names),
        )
        self._version = scope.marks.next_version(min(listing.at or until for listing in lists))
        for listing in lists:
            for row in listing.rows:
                self._judge(listing, row, found)
        return found

    async def _list(self, listing: _Listing, start: datetime | None, beat: Beat) -> None:
        async for page in pages(self._scope.reader, changed_rows(listing.schema, start, listing.path)):
            listing.at = listing.at or page.server_time
            listing.rows += page.records
            beat()

    def _judge(self, listing: _Listing, row: Record, found: _Found) -> None:
        recent, trail, row_id = self._scope.recent, listing.trail, str(row["Id"])
        stamp = stamp_at(row, listing.path)
        if not recent.is_news(trail, row_id, stamp, self._at):
            return
        deal = deal_id(listing.schema, row)
        former = self._scope.parents.deals_of([row_id])  # a part that was moved leaves another deal
        found.ids.update(dict.fromkeys(sorted({*former, *([deal] if deal else [])})))
        if deal is None:
            recent.note(trail, row_id, stamp, self._at)  # no deal that is read will do so
            return
        last = self._scope.last_poll
        if last and stamp and stamp < last - self._overlap and not recent.knows(trail, row_id):
            self._scope.metrics.late_rows.labels(listing.schema.name).inc()
            self._log.warning("a row became visible late", object=trail, stamp=stamp.isoformat())

    async def _restaged(self, found: _Found) -> None:
        """Editing what a stage means changes all its deals without moving a stamp (reference: 6.1)."""
        scope = self._scope
        found.tables = await scope.read_references()
        names = scope.outbox.stages_changed(found.tables, self._version)
        if not names or "StageName" not in scope.schema.deal.fields:
            return
        query = Query(scope.schema.deal.name, ("Id",), (Condition("StageName", "IN", names),))
        found.ids.update(dict.fromkeys([str(row["Id"]) for row in await rows(scope.reader, query)]))

    async def _renamed(self, found: _Found) -> None:
        """Deals of accounts that changed are read again: they show the account's name."""
        scope = self._scope
        schema = scope.schema.objects.get(ACCOUNT.name)
        if schema is None:
            return
        since = scope.marks.position(ACCOUNTS) or scope.marks.position(CHANGES) or self._at
        changed: list[str] = []
        async for page in pages(scope.reader, changed_rows(schema, since - self._overlap)):
            changed += [str(row["Id"]) for row in page.records]
        found.ids.update(dict.fromkeys(sorted(scope.parents.deals_of_accounts(changed))))
        found.marks.append(scope.marks.moved(ACCOUNTS, self._at))

    async def _deletions(self, name: str, until: datetime, found: _Found) -> None:
        """Hard deletions never show in a query, and team members go without a trace.

        ``until`` is a time that the server has told before, so that nothing has to be waited for.
        """
        stream = deletions_of(name)
        start = min(self._scope.marks.position(stream) or until, until) - OVERLAP
        try:
            answer = await self._scope.reader.deleted(name, start, until)
        except ReplicationLogLost as error:
            found.log_lost = True
            self._log.error("deletion log lost", object=name, since=start.isoformat(), reason=str(error))
            found.marks.append(self._scope.marks.moved(stream, until))
            return
        is_deal = name == OPPORTUNITY.name
        deals = set(answer.ids) if is_deal else self._scope.parents.deals_of(answer.ids)
        found.gone |= deals if is_deal else set()
        found.ids.update(dict.fromkeys(sorted(deals)))
        found.marks.append(self._scope.marks.moved(stream, answer.covered_until))

    async def _publish(self, found: _Found, beat: Beat) -> None:
        gone = frozenset(found.gone)
        for batch in batches(list(found.ids)):
            if len(self._scope.outbox):
                await self._scope.outbox.commit()
            await self._scope.publish(batch, self._version, gone)
            beat()

    async def _finish(self, found: _Found) -> Polled:
        scope = self._scope
        scope.put_references(found.tables, self._version)
        done = Polled(self._at, self._covered(found), found.log_lost)
        marks = [scope.marks.moved(CHANGES, done.covered, complete=True), *found.marks]
        status = scope.outbox.status(
            "complete", self._at, fresh_at=self._at, reason=behind(done), detail=scope.detail()
        )
        await scope.outbox.commit(marks, status)
        self._remember(done)
        if found.ids:
            self._log.info("polled", deals=len(found.ids))
        return done

    def _covered(self, found: _Found) -> datetime:
        """The least of what was covered for each object; a long transaction can hold it back for hours."""
        told = {mark.stream: mark.position for mark in found.marks}
        known = [self._at]
        for name in deletable(self._scope.schema):
            stream, marks = deletions_of(name), self._scope.marks
            known.append(told.get(marks.stream(stream)) or marks.position(stream) or self._at)
        return min(known)

    def _remember(self, done: Polled) -> None:
        scope = self._scope
        scope.last_poll = done.at
        scope.recent.prune(done.at)
        scope.metrics.fresh_at.set(done.at.timestamp())
        scope.metrics.covered_lag.set((done.at - done.covered).total_seconds())


def behind(done: Polled) -> str | None:
    """A sentence when Salesforce covers much less than its own time, which one long transaction can cause."""
    lag = done.at - done.covered
    if lag <= LONGEST_LAG:
        return None
    return (
        f"Salesforce has covered changes only up to {done.covered:%Y-%m-%d %H:%M} UTC: a transaction is open"
    )
