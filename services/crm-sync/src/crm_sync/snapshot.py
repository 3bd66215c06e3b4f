"""All deals as bulk jobs show them: whole, in the order of their ids, joined without holding the org in memory.

One job per object, each in the order of the deal's id, so that the rows of a deal come one after the other in every
result and two pages of each are all that is ever held. Calls for a full read: two per job (made, found done) and one
per page of 50,000 rows. 200,000 deals with 600,000 lines and 200,000 history rows, no contact roles and no team:
5 x 2 + 4 + 12 + 4 = 30 calls. The least any reader could do with these pages is the same 30.

The order turns Salesforce's chunking by primary key off, so a job that runs too long fails; after three failures of
one object the REST reader takes over.
https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/asynch_api_bulk_query_processing.htm
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from crm_sync.changes import deal_id
from crm_sync.csv_rows import csv_rows
from crm_sync.deal import DealRecords
from crm_sync.describe import ObjectSchema, OrgSchema
from crm_sync.errors import JobLost, ObjectRefused, QueryRefused, SalesforceUnavailable, SchemaChanged
from crm_sync.fields import Record
from crm_sync.salesforce import JobPage, SalesforceReader
from crm_sync.soql import Query
from crm_sync.whole import whole
from troth_chassis.clock import Clock
from troth_chassis.together import together
from troth_contracts.sync import BulkJob, Watermark

PAGE_ROWS = 50_000
TOGETHER = 1_000
"""Deals joined and published together."""
FAILURES = 3
FIRST_WAIT = 1.0
LONGEST_WAIT = 30.0
CUT_PAGES = 3
TURN = 50
"""Rows between two turns of the network."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Some whole deals, and where to go on behind them."""

    deals: dict[str, DealRecords]
    jobs: tuple[BulkJob, ...]
    after: str
    """Id of the last deal."""


def job_query(schema: ObjectSchema) -> Query:
    """Everything of an object, in the order of the deals' ids."""
    order = (schema.parent, "Id") if schema.parent else ("Id",)
    return Query(schema.name, schema.fields, order=order)


class Snapshot:
    """One full read, or the rest of one that was broken off."""

    def __init__(
        self,
        reader: SalesforceReader,
        schema: OrgSchema,
        clock: Clock,
        log: structlog.stdlib.BoundLogger,
        broken_off: Watermark | None = None,
    ) -> None:
        self._clock = clock
        self._log = log
        self._schema = schema
        known = {job.object: job for job in broken_off.jobs} if broken_off else {}
        after = (broken_off.after if broken_off else None) or ""
        self._streams = [
            _Stream(reader, each, known.get(each.name), after) for each in (schema.deal, *schema.children)
        ]

    @property
    def jobs(self) -> tuple[BulkJob, ...]:
        """How far each job is read."""
        return tuple(stream.job for stream in self._streams)

    async def open(self) -> None:
        """Makes the jobs that are not there yet."""
        await together(*(stream.open() for stream in self._streams))

    async def ready(self, beat: Callable[[], None]) -> int:
        """Waits until every job is done, making failed ones anew; how many deals there are."""
        await together(*(self._wait(stream, beat) for stream in self._streams))
        return self._streams[0].rows

    async def aclose(self) -> None:
        """Lets go of the pages."""
        for stream in self._streams:
            await stream.aclose()

    async def deals(self) -> AsyncGenerator[Joined, None]:
        """Whole deals, oldest id first. JobLost when a job is gone: begin again."""
        deals, *parts = self._streams
        while headers := await deals.take(TOGETHER):
            last = str(headers[-1]["Id"])
            children = await together(*(part.through(last) for part in parts))
            rows = {part.schema.name: found for part, found in zip(parts, children, strict=True)}
            yield Joined(whole(self._schema, headers, rows), self.jobs, last)

    async def _wait(self, stream: _Stream, beat: Callable[[], None]) -> None:
        wait, failures = FIRST_WAIT, 0
        while not await self._done(stream):
            if stream.failed:
                failures += 1
                self._log.warning("bulk job failed", object=stream.schema.name, reason=stream.failed)
                if failures == FAILURES:
                    raise QueryRefused(f"bulk job for {stream.schema.name}: {stream.failed}")
                await stream.open(anew=True)
            await self._clock.sleep(wait)
            wait = min(LONGEST_WAIT, wait * 2)
            beat()

    async def _done(self, stream: _Stream) -> bool:
        try:
            return await stream.done()
        except JobLost as error:
            stream.failed = str(error)
            return False


class _Stream:
    """The rows of one job in order; the next page is fetched while the second half of one is worked through."""

    def __init__(
        self, reader: SalesforceReader, schema: ObjectSchema, known: BulkJob | None, after: str
    ) -> None:
        self._reader = reader
        self.schema = schema
        self.job = known or BulkJob(object=schema.name, id="")
        """With the locator of the page that holds the next row."""
        self.rows = 0
        self.failed: str | None = None
        self._after = after
        self._last = ""
        self._rows: list[Record] = []
        self._keys: list[str] = []
        self._at = 0
        self._following: str | None = None
        """Locator of the next page."""
        self._ahead: asyncio.Task[JobPage] | None = None
        self._source = self._read()

    async def open(self, *, anew: bool = False) -> None:
        """Makes the job unless it is there."""
        if anew or not self.job.id:
            query = job_query(self.schema)
            try:
                made = await self._reader.start_job(query)
            except SchemaChanged as error:
                raise ObjectRefused(query.source, query.fields, str(error)) from error
            self.job, self.failed = BulkJob(object=self.schema.name, id=made), None

    async def done(self) -> bool:
        """Whether the result is there."""
        if self.job.finished:
            return True
        state = await self._reader.job(self.job.id)
        self.rows, self.failed = state.rows or 0, state.failed
        if state.done and state.rows == 0:
            self.job = msgspec.structs.replace(self.job, finished=True)
        return state.done

    async def take(self, count: int) -> list[Record]:
        """The next rows, at most so many."""
        found: list[Record] = []
        while len(found) < count and await self._more():
            found += self._held(self._at + count - len(found))
        return found

    async def through(self, last: str) -> list[Record]:
        """The rows up to the deal ``last``."""
        found: list[Record] = []
        while await self._more():
            end = bisect_right(self._keys, last, self._at)
            found += self._held(end)
            if end < len(self._rows):
                break
        return found

    async def aclose(self) -> None:
        """Lets go of the pages."""
        await self._source.aclose()
        if self._ahead is not None:
            self._ahead.cancel()
            (page,) = await asyncio.gather(self._ahead, return_exceptions=True)
            if isinstance(page, JobPage):
                page.file.close()

    async def _more(self) -> bool:
        """Whether there is a next row, which is held then."""
        while self._at == len(self._rows):
            rows = await anext(self._source, None)
            if rows is None:
                return False
            self._rows, self._keys, self._at = rows, self._keys_of(rows), 0
            self._at = bisect_right(self._keys, self._after)
        return True

    def _held(self, end: int) -> list[Record]:
        """The held rows from the next one on, to this place; they are given."""
        rows = self._rows[self._at : end]
        self._at += len(rows)
        return rows

    def _keys_of(self, rows: Sequence[Record]) -> list[str]:
        """The deals they belong to, ascending; a custom lookup that is empty belongs to none."""
        keys = [deal_id(self.schema, row) or "" for row in rows]
        if keys[0] < self._last or keys != sorted(keys):
            raise QueryRefused(f"bulk rows of {self.schema.name} are not in the order of ids")
        self._last = keys[-1]
        return keys

    async def _read(self) -> AsyncGenerator[list[Record], None]:
        """Every row, a handful at a time; behind the last of a page the job is at the next one."""
        while not self.job.finished:
            async with contextlib.aclosing(self._page()) as page:
                async for rows in page:
                    yield rows
            following = self._following
            self.job = msgspec.structs.replace(self.job, locator=following, finished=following is None)

    async def _page(self) -> AsyncGenerator[list[Record], None]:
        """Rows of the page at the job's locator; one that was cut off is fetched again and gone on with."""
        taken = 0
        ahead, self._ahead = self._ahead, None
        for tries_left in reversed(range(CUT_PAGES)):
            page = await (ahead or self._fetch(self.job.locator))
            ahead, self._following = None, page.next
            try:
                with page.file:
                    rows = itertools.islice(csv_rows(page.file, self.schema.types, page.rows), taken, None)
                    while some := list(itertools.islice(rows, TURN)):
                        yield some
                        taken += len(some)
                        await self._turn(page, taken)
            except SalesforceUnavailable:
                if not tries_left:
                    raise
            else:
                return

    def _fetch(self, locator: str | None) -> Coroutine[None, None, JobPage]:
        return self._reader.job_page(self.job.id, locator, PAGE_ROWS)

    async def _turn(self, page: JobPage, taken: int) -> None:
        """Lets the network have its turn, too; not before half of a page, so that a crash wastes few calls."""
        if page.next and self._ahead is None and 2 * taken >= page.rows:
            self._ahead = asyncio.create_task(self._fetch(page.next))
        await asyncio.sleep(0)
