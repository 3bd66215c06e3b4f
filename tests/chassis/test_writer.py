"""When a writer connects: once, however many want to write, and never behind the back of whoever stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from troth_chassis.errors import TransientError
from troth_chassis.writer import ScopeWriter
from troth_contracts.codec import OutRecord


class FakeProducer:
    """Takes a moment to connect."""

    def __init__(self, *, refused: bool) -> None:
        self._refused = refused
        self.is_open = False

    async def start(self) -> None:
        self.is_open = True
        await asyncio.sleep(0)
        if self._refused:
            raise KafkaConnectionError("nobody answers")

    async def stop(self) -> None:
        self.is_open = False

    async def send(self, *_args: object, **_named: object) -> asyncio.Future[None]:
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent.set_result(None)
        return sent

    async def flush(self) -> None:
        """Nothing is pending."""


class Writer(ScopeWriter):
    """On producers of our own."""

    def __init__(self, *, refused: bool = False) -> None:
        super().__init__("nowhere", "test", "writer", "plain")
        self._refused = refused
        self.built: list[FakeProducer] = []

    def _build(self) -> AIOKafkaProducer:
        self.built.append(FakeProducer(refused=self._refused))
        return cast("AIOKafkaProducer", self.built[-1])

    async def write(self) -> None:
        records: Sequence[OutRecord] = [OutRecord("topic", "key", b"{}", ())]
        await self.publish(records)


async def test_several_that_write_at_once_share_one_producer() -> None:
    writer = Writer()
    await asyncio.gather(*(writer.write() for _ in range(5)))
    await writer.stop()
    assert [producer.is_open for producer in writer.built] == [False]


async def test_all_are_told_that_nobody_answers_and_the_next_tries_again() -> None:
    writer = Writer(refused=True)
    told = await asyncio.gather(*(writer.write() for _ in range(5)), return_exceptions=True)
    assert [type(error) for error in told] == [TransientError] * 5
    with pytest.raises(TransientError):
        await writer.write()
    assert [producer.is_open for producer in writer.built] == [False, False]


async def test_who_gives_up_waiting_leaves_the_others_their_producer() -> None:
    writer = Writer()
    impatient, patient = asyncio.create_task(writer.write()), asyncio.create_task(writer.write())
    await asyncio.sleep(0)
    impatient.cancel()
    await patient
    await writer.stop()
    assert impatient.cancelled()
    assert len(writer.built) == 1


async def test_stopped_while_it_connects_it_leaves_nothing_open() -> None:
    writer = Writer()
    writing = asyncio.create_task(writer.write())
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait([writing])
    await asyncio.sleep(0)
    await writer.stop()
    assert [producer.is_open for producer in writer.built] == [False]
