"""The reader that the service uses: what is asked at the same moment goes to Salesforce as one call.

Callers only use ``asyncio.gather``: the questions that arrive in one turn of the event loop are packed into
composites (``composite.py``), and each caller gets its own answer or its own error. A question that is alone, and
one that found no usable answer in company, is asked by itself.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlencode

import structlog

from crm_sync.answers import read_deletions, read_page
from crm_sync.bulk import BulkJobs
from crm_sync.composite import (
    NOT_MODIFIED,
    Composite,
    CompositeRefused,
    Subanswer,
    Subrequest,
    packed,
)
from crm_sync.errors import SalesforceUnavailable, SessionExpired
from crm_sync.rest import RestReader
from crm_sync.salesforce import Deletions, Description, JobPage, JobState, Page
from crm_sync.soql import Query
from troth_chassis.errors import TrothError

REFUSALS = 3
"""So many composites refused as a whole, one after the other: this org does not take them."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Question:
    subrequest: Subrequest
    read: Callable[[Any, Mapping[str, str]], Any]
    alone: Callable[[], Awaitable[Any]]
    answer: asyncio.Future[Any]
    unchanged: Callable[[], Any] | None = None


class BundlingReader:
    """The port over the network. Use it from one event loop."""

    def __init__(
        self,
        single: RestReader,
        composite: Composite,
        jobs: BulkJobs,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        """``told`` is called once when this org turns out to take no composites."""
        self._single = single
        self._composite = composite
        self._jobs = jobs
        self._told = told
        self._waiting: list[_Question] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusals = 0

    @property
    def server_time(self) -> datetime:
        """Salesforce's clock in the newest answer; the beginning of time before the first."""
        return self._single.server_time

    async def org_id(self) -> str:
        """The org of the current session."""
        return await self._single.org_id()

    async def renew(self) -> None:
        """A new token, and with it the address where the org lives now."""
        await self._single.renew()

    async def query(self, query: Query) -> Page:
        """First page; soft-deleted rows included."""
        asked = Subrequest(f"queryAll/?q={quote_plus(str(query))}", is_query=True)
        found: Page = await self._ask(asked, read_page, functools.partial(self._single.query, query))
        return found

    async def more(self, next_url: str) -> Page:
        """A further page; always a call of its own."""
        return await self._single.more(next_url)

    async def describe(self, name: str) -> Description:
        """Fields this user may read; the last answer again when Salesforce says nothing changed since."""
        known = self._single.descriptions
        asked = Subrequest(f"sobjects/{name}/describe", headers=known.condition(name))
        told: Description = await self._ask(
            asked,
            functools.partial(known.take, name),
            functools.partial(self._single.describe, name),
            functools.partial(known.known, name),
        )
        return told

    async def deleted(self, name: str, start: datetime, end: datetime) -> Deletions:
        """Deletions in the window, to the minute."""
        window = urlencode({"start": _iso(start), "end": _iso(end)})
        asked = Subrequest(f"sobjects/{name}/deleted/?{window}")
        found: Deletions = await self._ask(
            asked, read_deletions, functools.partial(self._single.deleted, name, start, end)
        )
        return found

    async def start_job(self, query: Query) -> str:
        """Id of a new bulk job."""
        return await self._jobs.start(query)

    async def job(self, job_id: str) -> JobState:
        """How far a job is."""
        return await self._jobs.state(job_id)

    async def job_page(self, job_id: str, locator: str | None, rows: int) -> JobPage:
        """A page of a job's result."""
        return await self._jobs.page(job_id, locator, rows)

    async def _ask(
        self,
        subrequest: Subrequest,
        read: Callable[[Any, Mapping[str, str]], Any],
        alone: Callable[[], Awaitable[Any]],
        unchanged: Callable[[], Any] | None = None,
    ) -> Any:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # Behind everything that is ready to run now, and so behind the questions of the same gather.
            loop.call_soon(self._send)
        question = _Question(subrequest, read, alone, loop.create_future(), unchanged)
        self._waiting.append(question)
        return await question.answer

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        wanted = [each for each in waiting if not each.answer.done()]
        for group in packed([(each.subrequest.is_query, each) for each in wanted]):
            task = asyncio.get_running_loop().create_task(self._answer(group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, group: Sequence[_Question]) -> None:
        """Settles every question of the group, whatever happens."""
        try:
            if len(group) == 1 or self._refusals >= REFUSALS:
                await asyncio.gather(*map(_by_itself, group))
            else:
                await self._together(group)
        except asyncio.CancelledError:
            for each in group:
                each.answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001  (whoever waits must not wait for ever)
            for each in group:
                _fail(each, error)

    async def _together(self, group: Sequence[_Question]) -> None:
        try:
            answers = await self._composite.ask([each.subrequest for each in group])
        except CompositeRefused as error:
            self._refused(str(error))
            await asyncio.gather(*map(_by_itself, group))
            return
        self._refusals = 0
        left = [each for each, answer in zip(group, answers, strict=True) if not _settled(each, answer)]
        await asyncio.gather(*map(_by_itself, left))

    def _refused(self, reason: str) -> None:
        self._refusals += 1
        if self._refusals == REFUSALS:
            log = structlog.stdlib.get_logger("crm-sync")
            log.warning("this org takes no composites: every question is a call of its own", reason=reason)
            self._told()


def _settled(question: _Question, answer: Subanswer) -> bool:
    """Whether that was an answer; False: only asking again, by itself, can tell."""
    if question.answer.done():
        return True
    if answer.status == NOT_MODIFIED and question.unchanged:
        question.answer.set_result(question.unchanged())
        return True
    error = answer.error
    if error is None:
        try:
            question.answer.set_result(question.read(answer.body, answer.headers))
        except SalesforceUnavailable:
            return False
        return True
    if isinstance(error, SalesforceUnavailable | SessionExpired):
        return False
    question.answer.set_exception(error)
    return True


async def _by_itself(question: _Question) -> None:
    try:
        answer = await question.alone()
    except TrothError as error:
        _fail(question, error)
    else:
        if not question.answer.done():
            question.answer.set_result(answer)


def _fail(question: _Question, error: Exception) -> None:
    if not question.answer.done():
        question.answer.set_exception(error)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
