"""Between crm-sync and its two ports: count every step, break at one of them, or take Kafka away."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from tests.integration.crm_world import WorldTime

from crm_sync.bus import Bus
from crm_sync.salesforce import JobPage, Page
from troth_chassis.errors import TransientError
from troth_chassis.publisher import Publisher
from troth_contracts.codec import InRecord, OutRecord
from troth_contracts.topics import Topic

Step = Callable[[str], None]


class Crash(Exception):
    """The process ends here."""


class Fuse:
    """Counts steps over all lives of a service; at the `at`-th it crashes, once."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        self.steps.append(name)
        if len(self.steps) == self.at:
            raise Crash(name)

    @property
    def blown(self) -> bool:
        return self.at is not None and len(self.steps) >= self.at


class SteppingReader:
    """Any reader; each call is a step, and so is each answer. Pages are counted by what they begin with."""

    def __init__(self, reader: Any, step: Step) -> None:
        self._reader = reader
        self._step = step
        self.pages: Counter[tuple[str, str]] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._reader, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def stepping(*args: Any, **more: Any) -> Any:
            self._step(f"{name} {args[0] if args else ''}")
            answer = await found(*args, **more)
            try:
                self._step(f"{name} answered")
            except Crash:
                if isinstance(answer, JobPage):
                    answer.file.close()  # as the end of a real process would
                raise
            if isinstance(answer, Page) and answer.records:
                first = answer.records[0]
                self.pages[str(first.get("attributes")), str(first.get("Id"))] += 1
            return answer

        return stepping


class SteppingBus:
    """Any bus; a step before and after whatever it does."""

    def __init__(self, bus: Bus, step: Step) -> None:
        self._bus = bus
        self._step = step

    async def open(self, org_id: str) -> Publisher:
        self._step("open")
        publisher = await self._bus.open(org_id)
        commit = publisher.commit

        async def stepping(records: Sequence[OutRecord]) -> None:
            self._step("commit")
            await commit(records)
            self._step("committed")

        setattr(publisher, "commit", stepping)  # noqa: B010  (a method of one object)
        return publisher

    async def read(self, topic: Topic) -> AsyncIterator[InRecord]:
        self._step(f"read {topic.name}")
        async for record in self._bus.read(topic):
            yield record

    async def aclose(self) -> None:
        await self._bus.aclose()


class Outage:
    """Kafka from time to time not there; what was sent last may have arrived all the same."""

    def __init__(self, time: WorldTime) -> None:
        self._time = time
        self.until = 0.0
        self.refused = 0

    def begin(self, seconds: float) -> None:
        self.until = self._time.elapsed + seconds

    def step(self, name: str) -> None:
        if self._time.elapsed < self.until and not name.startswith("read"):
            self.refused += 1
            raise TransientError(f"Kafka did not acknowledge: {name}")
