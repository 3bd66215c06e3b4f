"""Alive: every loop makes progress. Ready: every named check holds."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from troth_chassis.clock import ManualClock
from troth_chassis.health import Health
from troth_chassis.web import build_app


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 10, 1, tzinfo=UTC))


@pytest.fixture
def health(clock: ManualClock) -> Health:
    return Health(clock)


class TestReady:
    def test_not_before_anything_was_checked(self, health: Health) -> None:
        assert not health.ready

    def test_only_when_every_check_holds(self, health: Health) -> None:
        health.check("kafka", ok=True, detail="connected")
        health.check("backfill", ok=False, detail="3 of 9 boards")
        assert not health.ready
        health.check("backfill", ok=True, detail="complete")
        assert health.ready

    def test_the_last_word_of_a_check_counts(self, health: Health) -> None:
        health.check("kafka", ok=True, detail="connected")
        health.check("kafka", ok=False, detail="gone")
        assert not health.ready
        assert health.checks["kafka"].detail == "gone"


class TestAlive:
    async def test_a_loop_is_stuck_after_its_own_silence(self, health: Health, clock: ManualClock) -> None:
        health.beat("poll", stale_after=60)
        health.beat("deliver", stale_after=600)
        await clock.advance(60)
        assert health.stuck() == {}
        await clock.advance(1)
        assert health.stuck() == {"poll": 61}

    async def test_progress_makes_it_alive_again(self, health: Health, clock: ManualClock) -> None:
        health.beat("poll", stale_after=60)
        await clock.advance(61)
        health.beat("poll", stale_after=60)
        assert health.stuck() == {}


class TestRoutes:
    @pytest.fixture
    async def ask(self, health: Health) -> AsyncIterator[httpx.AsyncClient]:
        registry = CollectorRegistry()
        Counter("records", "Records read", registry=registry).inc(3)
        transport = httpx.ASGITransport(build_app("test-service", health, registry))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client

    async def test_healthz_is_200_while_every_loop_moves(self, ask: httpx.AsyncClient) -> None:
        answer = await ask.get("/healthz")
        assert (answer.status_code, answer.json()) == (200, {"alive": True, "stuck": {}})

    async def test_healthz_names_the_stuck_loop(
        self, ask: httpx.AsyncClient, health: Health, clock: ManualClock
    ) -> None:
        health.beat("poll", stale_after=60)
        await clock.advance(90)
        answer = await ask.get("/healthz")
        assert (answer.status_code, answer.json()) == (503, {"alive": False, "stuck": {"poll": 90}})

    async def test_not_being_ready_does_not_ask_for_a_restart(
        self, ask: httpx.AsyncClient, health: Health
    ) -> None:
        health.check("kafka", ok=False, detail="Kafka at kafka:9092 is not reachable")
        assert (await ask.get("/readyz")).status_code == 503
        assert (await ask.get("/healthz")).status_code == 200

    async def test_readyz_tells_every_check_with_its_sentence(
        self, ask: httpx.AsyncClient, health: Health
    ) -> None:
        health.check("kafka", ok=True, detail="connected")
        answer = await ask.get("/readyz")
        assert answer.status_code == 200
        assert answer.json() == {
            "ready": True,
            "checks": {"kafka": {"ok": True, "detail": "connected"}},
        }

    async def test_metrics_are_plain_and_come_from_the_registry_of_the_service(
        self, ask: httpx.AsyncClient
    ) -> None:
        answer = await ask.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        assert "records_total 3.0" in answer.text
        assert "python_info" not in answer.text, "the global registry is not used"


async def test_an_expected_check_fails_by_itself_when_nothing_more_is_heard(
    health: Health, clock: ManualClock
) -> None:
    told = []
    health.expect("feed", 90, "moves", late="stands still")
    told.append(health.ready)
    await clock.advance(90)
    told.append(health.ready)
    assert health.checks["feed"].detail == "stands still"
    health.expect("feed", 90, "moves", late="stands still")
    told.append(health.ready)
    health.check("feed", ok=True, detail="no longer expected")
    await clock.advance(900)
    told.append(health.ready)
    assert told == [True, False, True, True]
