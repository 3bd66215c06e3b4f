"""Who goes first when Jira may be asked once more: webhook repair > poll > sprints > backfill > census."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from enum import IntEnum

from prometheus_client import Counter

from troth_chassis.clock import Clock
from troth_chassis.http import RequestBudget


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


class PriorityBudget(RequestBudget):
    """A request budget whose waiting callers are served by priority, then in order of arrival."""

    def __init__(
        self, rate_per_second: float, burst: int, max_in_flight: int, clock: Clock, throttled: Counter | None
    ) -> None:
        super().__init__(rate_per_second, burst, max_in_flight, clock)
        self._time = clock
        self._free = max_in_flight
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._count = 0
        self._throttled = throttled
        self._closed_to = 0.0

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Waits for its turn, then for a place; holds both until left."""
        await self._turn()
        try:
            async with super().slot():
                yield
        finally:
            self._pass_on()

    def close_for(self, seconds: float) -> None:
        """Nobody asks before ``seconds`` have passed; the time added is counted as throttled."""
        super().close_for(seconds)
        now = self._time.monotonic()
        added = now + seconds - max(now, self._closed_to)
        self._closed_to = max(self._closed_to, now + seconds)
        if self._throttled is not None and added > 0:
            self._throttled.inc(added)

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
