"""Who may ask Jira, and when: by priority, within the rate, and never before the time a refusal named.

Order: webhook repair > poll > sprints > backfill > census. Both ways in (httpx, the ``jira`` client) share one budget.
A refusal because of a burst closes one endpoint and method, any other the whole site; jitter is added on top.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum

from jira_sync.errors import BudgetSpentError
from jira_sync.limits import (
    LONGEST_SILENT_WAIT,
    SHORTEST_WAIT,
    endpoint_of,
    quota_of,
    reach_of,
    refill_seconds,
    share_left,
    user_left,
)
from jira_sync.metrics import BudgetMetrics
from jira_sync.points import PointsLedger
from troth_chassis.clock import Clock
from troth_chassis.http import LONGEST_CLOSED, RequestBudget, ServerWait, asked_wait

JITTER = 0.2
SITE = "*"


class Priority(IntEnum):
    """Lower goes first."""

    REPAIR = 0
    POLL = 1
    SPRINTS = 2
    BACKFILL = 3
    CENSUS = 4


_priority: ContextVar[Priority] = ContextVar("priority", default=Priority.POLL)


@contextlib.contextmanager
def asking_as(priority: Priority) -> Iterator[None]:
    """Requests made inside, and by tasks started inside, have this priority."""
    token = _priority.set(priority)
    try:
        yield
    finally:
        _priority.reset(token)


@dataclass(frozen=True, slots=True)
class Pace:
    """A steady rate per second with a burst, and how many requests may be under way."""

    per_second: float
    burst: int
    in_flight: int


class Gates:
    """Until when an endpoint, or the whole site, is closed, and how often it was closed without being told a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._strikes: dict[str, int] = {}

    def close(self, name: str, seconds: float) -> None:
        """A shorter wait never undoes a longer one."""
        self._until[name] = max(self._until.get(name, 0.0), self._clock.monotonic() + seconds)

    def wait(self, endpoint: str) -> float:
        """Seconds until this endpoint may be asked."""
        opens = max(self._until.get(endpoint, 0.0), self._until.get(SITE, 0.0))
        return max(0.0, opens - self._clock.monotonic())

    def strike(self, name: str) -> float:
        """Seconds to wait when the server named none: 1, 2, 4 … 300; refusals of one moment count once."""
        if self._until.get(name, 0.0) <= self._clock.monotonic():
            self._strikes[name] = self._strikes.get(name, 0) + 1
        return float(min(LONGEST_SILENT_WAIT, 2 ** (max(self._strikes.get(name, 0), 1) - 1)))

    def passed(self, endpoint: str) -> None:
        """It answered: earlier refusals of it count no more."""
        for name in (endpoint, SITE):
            self._strikes.pop(name, None)


class UserBucket:
    """Data Center's bucket of the account, as its answers tell: who empties it closes the site for one refill."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._refill = 0.0

    def told(self, headers: Mapping[str, str], under_way: int) -> None:
        """What an answer says; ``under_way`` others may have been taken off since, or will be."""
        left = user_left(headers)
        if left is not None:
            self._left, self._refill = left - under_way, refill_seconds(headers)

    def take(self) -> float:
        """One request is sent: seconds until the next one may be."""
        if self._left is None:
            return 0.0
        self._left -= 1
        return self._refill if self._left <= 0 else 0.0


class PriorityBudget(RequestBudget):
    """The budget of one site. ``ledger`` is there for OAuth apps, who pay points by the hour."""

    def __init__(
        self,
        pace: Pace,
        clock: Clock,
        *,
        rng: random.Random | None = None,
        metrics: BudgetMetrics | None = None,
        ledger: PointsLedger | None = None,
    ) -> None:
        super().__init__(pace.per_second, pace.burst, pace.in_flight, clock)
        self._time = clock
        self._rng = rng or random.Random()
        self._metrics = metrics
        self._ledger = ledger
        self._gates = Gates(clock)
        self._bucket = UserBucket()
        self._places = self._free = pace.in_flight
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    @contextlib.asynccontextmanager
    async def slot(self, request: str = "") -> AsyncIterator[None]:
        """Waits until the endpoint is open, then for its turn; holds a place until left.

        BudgetSpentError for a census once the soft stop of the points is reached: it can wait for the next hour.
        """
        endpoint = endpoint_of(request)
        await self._enter(endpoint)
        try:
            self._spend(1)
            yield
        finally:
            self._pass_on()

    def refused(self, request: str, status: int, headers: Mapping[str, str]) -> ServerWait:
        """Closes what the answer concerns; a 429 without a time closes too, longer each time."""
        if status != 429:
            return self._unavailable(headers)
        asked = asked_wait(headers, self._time.now()).seconds
        self._note_limits(headers)
        name = endpoint_of(request) if reach_of(headers) == "endpoint" else SITE
        wait = max(asked or max(self._gates.strike(name), refill_seconds(headers)), SHORTEST_WAIT)
        self._close(name, wait)
        self._note_wait(wait)
        return ServerWait(wait)

    def answered(self, request: str, headers: Mapping[str, str]) -> None:
        """Notes what is left."""
        self._gates.passed(endpoint_of(request))
        self._note_limits(headers)

    def _note_limits(self, headers: Mapping[str, str]) -> None:
        self._bucket.told(headers, self._places - self._free - 1)
        share, quota = share_left(headers), quota_of(headers)
        if share is not None and self._metrics is not None:
            self._metrics.left.labels("server").set(share)
        if quota is not None and self._ledger is not None:
            self._ledger.told(quota)

    def close_for(self, seconds: float) -> None:
        """Nobody asks this site before ``seconds`` have passed."""
        self._gates.close(SITE, seconds)

    def received(self, objects: int) -> None:
        """An answer held so many objects: they cost points too."""
        self._spend(objects)

    def _unavailable(self, headers: Mapping[str, str]) -> ServerWait:
        """A 503 may name a time; when the limits begin anew, which every answer tells, says nothing about it."""
        told = {name: headers[name] for name in ("retry-after", "date") if name in headers}
        wait = asked_wait(told, self._time.now())
        if wait.seconds is not None:
            self._close(SITE, max(wait.seconds, SHORTEST_WAIT))
        return wait

    def _close(self, name: str, seconds: float) -> None:
        self._gates.close(name, min(LONGEST_CLOSED, seconds * (1 + JITTER * self._rng.random())))

    def _spend(self, points: int) -> None:
        if self._ledger is None:
            return
        self._ledger.spend(points)
        if self._metrics is not None:
            self._metrics.points.set(self._ledger.left)

    async def _enter(self, endpoint: str) -> None:
        """A place is given back while its endpoint is closed: others may be open."""
        while True:
            await self._until_open(endpoint)
            await self._turn()
            is_open = False
            try:
                await self._limiter.acquire()
                is_open = self._wait(endpoint) <= 0
            finally:
                if not is_open:
                    self._pass_on()
            if is_open:
                self._gates.close(SITE, self._bucket.take())
                return

    async def _until_open(self, endpoint: str) -> None:
        while (wait := self._wait(endpoint)) > 0:
            began = self._time.monotonic()
            await self._time.sleep(wait)
            self._note_wait(max(0.0, self._time.monotonic() - began))

    def _note_wait(self, seconds: float) -> None:
        if self._metrics is not None:
            self._metrics.throttled.labels(_priority.get().name.lower()).inc(seconds)

    def _wait(self, endpoint: str) -> float:
        if self._ledger is None:
            return self._gates.wait(endpoint)
        if self._ledger.is_soft and _priority.get() is Priority.CENSUS:
            raise BudgetSpentError("the app's points of this hour are kept for the poll")
        return max(self._gates.wait(endpoint), self._ledger.wait())

    async def _turn(self) -> None:
        if self._free > 0:
            self._free -= 1
            return
        self._count += 1
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (_priority.get(), self._count, waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._pass_on()  # the turn had just been given to one who no longer wants it
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            _, _, waiter = heapq.heappop(self._waiting)
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1
