"""What leaves the engine: signed, in order, again and again until it is taken or given up, by one courier at a time."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook
from tests.risk_engine.engine import SECRET, Engine, open_engine

from risk_engine.deliver.schedule import DELAYS, JITTER, next_delay
from risk_engine.store.outbox import Parcel, enqueue, lease, settle_failed
from troth_chassis.errors import PoisonError, TransientError
from troth_contracts.codec import OutRecord

FAILURES = {
    "server error": httpx.Response(500, text="no"),
    "gone": httpx.Response(410),
    "redirect": httpx.Response(307, headers={"location": "https://elsewhere.test"}),
    "not modified": httpx.Response(304),
    "binary answer": httpx.Response(400, content=b"\x00\x01\xff"),
}


@pytest.fixture
async def engine(postgres: str) -> AsyncIterator[Engine]:
    async with open_engine(postgres) as opened:
        yield opened


async def put(engine: Engine, stream: str, sequence: int, endpoint: str = "webhook") -> None:
    async with engine.database.transaction() as connection:
        body = {"type": "alert.firing", "data": {"title": "Östra Aros – 3 poäng"}}
        parcel = Parcel(f"{stream}-{sequence}", endpoint, stream, body)  # type: ignore[arg-type]
        await enqueue(connection, [parcel], engine.clock.now())


async def test_a_request_is_signed_by_standard_webhooks(engine: Engine) -> None:
    await put(engine, "alert", 1)
    await engine.deliver()
    (request,) = engine.outside.requests
    signature = Webhook(SECRET).sign("alert-1", engine.clock.now(), request.content.decode())
    assert request.headers["webhook-signature"] == signature
    assert request.headers["webhook-id"] == "alert-1"
    assert int(request.headers["webhook-timestamp"]) == int(engine.clock.now().timestamp())
    assert await engine.value("SELECT last_answer FROM outbox") == "204 "


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_refused_notice_goes_out_again_under_the_same_id(engine: Engine, failure: str) -> None:
    answers = iter([FAILURES[failure], httpx.Response(204)])
    engine.outside.answer = lambda _request: next(answers)
    await put(engine, "alert", 1)
    await engine.deliver()
    assert len(engine.outside.requests) == 1, "tried again without waiting"
    await engine.clock.sleep(DELAYS[1] * (1 + JITTER))
    await engine.deliver()
    assert engine.outside.webhook_ids == ["alert-1", "alert-1"]
    stamps = [request.headers["webhook-timestamp"] for request in engine.outside.requests]
    assert stamps[0] < stamps[1]
    assert await engine.value("SELECT delivered_at IS NOT NULL FROM outbox")


async def test_a_receiver_that_asks_for_more_time_gets_it(engine: Engine) -> None:
    engine.outside.answer = lambda _request: httpx.Response(429, headers={"retry-after": "1000"})
    await put(engine, "alert", 1)
    await engine.deliver()
    wait = await engine.value("SELECT extract(epoch FROM eligible_at - %s) FROM outbox", engine.clock.now())
    assert wait == 1000


async def test_an_unreachable_receiver_is_a_failed_attempt(engine: Engine) -> None:
    def refuse(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    engine.outside.answer = refuse
    await put(engine, "alert", 1)
    await engine.deliver()
    assert await engine.value("SELECT last_answer FROM outbox") == "ConnectError: refused"


async def test_the_schedule_is_kept_and_given_up_at_its_end_without_holding_up_others(engine: Engine) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500 if request.headers["webhook-id"].startswith("bad-1") else 204)

    engine.outside.answer = answer
    await put(engine, "bad", 1)
    await put(engine, "bad", 2)
    await put(engine, "good", 1)
    await engine.deliver()
    assert engine.outside.webhook_ids == ["bad-1", "good-1"], "an alert's notices never overtake each other"
    for delay in DELAYS[1:]:
        await engine.clock.sleep(delay * (1 + JITTER))
        await engine.deliver()
    assert engine.outside.webhook_ids.count("bad-1") == len(DELAYS)
    assert engine.outside.webhook_ids[-1] == "bad-2", "a dead notice does not block the next one"
    assert await engine.rows("SELECT notice_id FROM outbox WHERE dead_at IS NOT NULL") == [("bad-1",)]


def test_delays_are_those_recommended_with_jitter_and_an_end() -> None:
    rng = random.Random(7)
    for attempts in range(1, len(DELAYS)):
        drawn = [next_delay(attempts, None, rng) or 0.0 for _ in range(200)]
        assert DELAYS[attempts] * (1 - JITTER) <= min(drawn) < max(drawn) <= DELAYS[attempts] * (1 + JITTER)
    assert next_delay(len(DELAYS), None, rng) is None
    assert next_delay(1, 3_600.0, rng) == 3_600.0


async def test_couriers_never_hold_the_same_row(engine: Engine) -> None:
    for number in range(60):
        await put(engine, f"alert{number % 20}", number)

    async def one_lease() -> list[int]:
        async with engine.database.transaction() as connection:
            rows = await lease(
                connection, "webhook", now=engine.clock.now(), held_for=timedelta(seconds=60), limit=7
            )
        return [row.id for row in rows]

    held = [row for rows in await asyncio.gather(*(one_lease() for _ in range(8))) for row in rows]
    assert len(held) == len(set(held)) == 20, "the oldest of each alert, each once"


async def test_a_lease_that_ran_out_has_no_say_any_more(engine: Engine) -> None:
    await put(engine, "alert", 1)
    held = []
    for _ in range(2):
        async with engine.database.transaction() as connection:
            now = engine.clock.now()
            held += await lease(connection, "webhook", now=now, held_for=timedelta(seconds=60), limit=1)
        await engine.clock.sleep(61)
    async with engine.database.transaction() as connection:
        now = engine.clock.now()
        await settle_failed(connection, held[0], "late", again_at=now, now=now)
    assert await engine.rows("SELECT attempts, last_answer FROM outbox") == [(2, None)]


async def test_one_record_too_large_does_not_stop_the_others(engine: Engine) -> None:
    class Picky:
        def __init__(self) -> None:
            self.sent: list[str] = []

        async def publish(self, records: list[OutRecord]) -> None:
            if any(record.key == "00Dtest:large" for record in records):
                raise PoisonError("a record is larger than the broker accepts")
            self.sent += [record.key for record in records]

    picky = Picky()
    engine.courier._writer = picky  # type: ignore[assignment]
    for key in ("one", "large", "two"):
        await withdraw(engine, f"00Dtest:{key}")
    await engine.deliver()
    assert picky.sent == ["00Dtest:one", "00Dtest:two"]
    assert await engine.rows("SELECT stream FROM outbox WHERE dead_at IS NOT NULL") == [("00Dtest:large",)]


async def test_kafka_is_tried_until_it_answers(engine: Engine) -> None:
    class Down:
        async def publish(self, _records: list[OutRecord]) -> None:
            raise TransientError("Kafka is down")

    writer, engine.courier._writer = engine.courier._writer, Down()  # type: ignore[assignment]
    await withdraw(engine, "00Dtest:one")
    for _ in range(len(DELAYS) + 5):
        with pytest.raises(TransientError):
            await engine.courier.deliver_once()
        await engine.clock.sleep(2)
    engine.courier._writer = writer
    await engine.deliver()
    assert [record.key for record in engine.outside.notices.sent] == ["00Dtest:one"]


async def withdraw(engine: Engine, deal: str) -> None:
    body: dict[str, Any] = {"topic": "risk.assessments", "version": 1, "key": deal, "value": None}
    async with engine.database.transaction() as connection:
        await enqueue(connection, [Parcel(deal, "kafka", deal, body)], engine.clock.now())
