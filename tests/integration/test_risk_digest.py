"""The first start over a populated org: silence until everything is read and evaluated, then one digest."""

import asyncio
import json
from collections import Counter

import httpx
from tests.risk_engine.company import LATER, Company, promise, records
from tests.risk_engine.engine import Engine, Outside, open_engine


def bodies(outside: Outside) -> list[dict[str, object]]:
    return [json.loads(request.content) for request in outside.requests]


async def start(engine: Engine) -> None:
    """Both backfills, then the moment in which alerting begins."""
    everything = records(Company())
    await engine.take(record for record in everything if record.topic != "sync.status")
    assert not await engine.evaluator.go_live()
    await engine.take(record for record in everything if record.topic == "sync.status")
    engine.lag = 1
    assert not await engine.evaluator.go_live()
    engine.lag = 0
    assert await engine.evaluator.go_live()


async def test_one_digest_tells_what_is_true_at_the_first_start(postgres: str) -> None:
    async with open_engine(postgres) as engine:
        await start(engine)
        await engine.deliver()
        assert engine.outside.requests == [], "no notice before everything is evaluated"
        await engine.evaluate()
        await engine.deliver()
        (digest,) = bodies(engine.outside)
        data = digest["data"]
        assert digest["type"] == "alerts.digest"
        assert isinstance(data, dict)
        told = {(alert["kind"], alert.get("team") or alert["deals"][0]["id"]) for alert in data["alerts"]}
        assert told == await engine.firing()
        assert len(told) >= 3
        assert data["kinds"] == dict(Counter(kind for kind, _ in told))
        assert (data["firing"], data["not_listed"]) == (len(told), 0)
        on_kafka = [record for record in engine.outside.notices.sent if record.topic == "risk.alerts"]
        assert len(on_kafka) == len(told), "the log has every alert"


async def test_after_the_digest_each_alert_is_told_by_itself(postgres: str) -> None:
    it = Company()
    async with open_engine(postgres) as engine:
        await start(engine)
        await engine.evaluate()
        await engine.take([it.deal("late", custom=promise(LATER, "DEN-1"), minutes=5)])
        await engine.evaluate()
        await engine.deliver()
        first, *rest = bodies(engine.outside)
        assert first["type"] == "alerts.digest"
        assert [notice["type"] for notice in rest] == ["alert.resolved"]
        await engine.evaluate()
        await engine.deliver()
        assert len(engine.outside.requests) == 2


async def test_two_replicas_send_one_digest_and_a_refused_one_comes_again_under_its_id(postgres: str) -> None:
    outside = Outside(answer=lambda _request: httpx.Response(503))
    async with open_engine(postgres, outside) as one:
        two = Engine(one.database, outside)
        await start(one)
        assert await two.evaluator.go_live()
        await asyncio.gather(one.evaluate(), two.evaluate())
        await one.evaluate()
        await one.deliver()
        outside.answer = lambda _request: httpx.Response(204)
        await outside.clock.advance(3_600)
        await one.deliver()
        assert len(outside.webhook_ids) == 2
        assert len(set(outside.webhook_ids)) == 1
        assert outside.webhook_ids[0].startswith("digest-")
        await two.sender.close()


async def test_a_store_that_was_live_before_gets_no_digest(postgres: str) -> None:
    async with open_engine(postgres) as engine:
        await engine.go_live()
        await engine.take(records(Company()))
        await engine.evaluate()
        await engine.deliver()
        assert {body["type"] for body in bodies(engine.outside)} == {"alert.firing"}
