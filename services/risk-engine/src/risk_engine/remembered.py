"""Values that are slow to read and change seldom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from troth_chassis.clock import Clock

T = TypeVar("T")


class Remembered(Generic[T]):
    """Something slow to read that changes seldom: read again after ``seconds``."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._kept: tuple[float, T] | None = None

    async def get(self, read: Callable[[], Awaitable[T]]) -> T:
        """What was read last, or read now."""
        if self._kept is None or self._clock.monotonic() - self._kept[0] > self._seconds:
            self._kept = (self._clock.monotonic(), await read())
        return self._kept[1]

    def forget(self) -> None:
        """The next ``get`` reads."""
        self._kept = None
