"""A process that dies at its n-th step: before a request, before a commit, in the middle of one, and right after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from jira_sync.reader import JiraReader
from troth_chassis.writer import ScopeWriter
from troth_contracts.codec import OutRecord

PROPERTIES = ("reconciles", "http", "budget")


class Killed(BaseException):
    """The end of a process; nothing catches it and nothing is tidied up."""


class Steps:
    """Counts the steps of one life and ends it at ``fatal`` (never, when it is None)."""

    def __init__(self, fatal: int | None = None) -> None:
        self.fatal = fatal
        self.taken: list[str] = []

    def take(self, name: str) -> None:
        """KILLED when this is the one; every later step of a dead process is one too."""
        self.taken.append(name)
        if self.fatal is not None and len(self.taken) > self.fatal:
            raise Killed(f"{len(self.taken)}: {name}")


class MortalReader:
    """A reader each of whose requests is a step."""

    def __init__(self, reader: JiraReader, steps: Steps) -> None:
        self._reader = reader
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._reader, name)
        return self._step(name, found) if callable(found) and name not in PROPERTIES else found

    def _step(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        async def asked(*given: Any, **named: Any) -> Any:
            self._steps.take(name)
            return await call(*given, **named)

        return asked


class MortalWriter(ScopeWriter):
    """A writer each of whose transactions has three steps."""

    def __init__(self, kafka: str, service: str, scope: str, steps: Steps) -> None:
        super().__init__(kafka, service, scope, "transactional", give_up_after=20)
        self._steps = steps

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[OutRecord]) -> None:
        self._steps.take("commit begins")
        middle = self._steps.fatal == len(self._steps.taken)
        if middle:
            await self._half(producer, records)
        self._steps.take("commit is half sent")
        await super()._send(producer, records)
        self._steps.take("commit is acknowledged")

    async def _half(self, producer: AIOKafkaProducer, records: Sequence[OutRecord]) -> None:
        """The transaction stays open as a killed process leaves it."""
        await producer.begin_transaction()
        for record in records[: max(1, len(records) // 2)]:
            await producer.send_and_wait(
                record.topic, value=record.value, key=record.key.encode(), headers=list(record.headers)
            )
