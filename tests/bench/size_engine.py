"""The risk-engine's evaluator and promise desk over a loaded store: what a full evaluation and an answer cost.

``python -m tests.bench.size_engine URL`` does it in a process of its own, so that its memory is the engine's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, timedelta
from functools import partial
from statistics import quantiles
from typing import Any

import httpx
from aiokafka import ConsumerRecord
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from tests.bench.size_world import DELIVERABLES, NOW, Size, company, epic_key, team_key

from risk_engine.alerts import Alerts, Fallbacks
from risk_engine.answer.desk import PromiseDesk
from risk_engine.answer.routes import add_promise_routes
from risk_engine.domain.calendar import working_days
from risk_engine.domain.capacity import DEFAULT_TRIALS
from risk_engine.evaluate.evaluator import Evaluator
from risk_engine.ingest import take_in
from risk_engine.metrics import EngineMetrics
from risk_engine.records import read_batch
from risk_engine.store.database import Database, open_database
from risk_engine.store.marks import add_marks
from risk_engine.store.progress import become_live, fire_timer
from risk_engine.store.states import newest_per_key
from troth_chassis.clock import AutoClock

PER_TRANSACTION = 2_000
CALLERS = 10
Advance = Callable[[int], None]
WORKING_DAYS = working_days()


@dataclass(frozen=True)
class Cost:
    """Seconds, and how many subjects were evaluated."""

    wall: float
    cpu: float
    """Of the engine's process, without the database."""
    evaluations: int


@dataclass(frozen=True)
class Latency:
    """Milliseconds."""

    count: int
    cpu: float
    """Of the engine's process, per call: other load on the machine hardly moves it."""
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class SizeFigures:
    """What one process measured."""

    first: Cost
    """Everything for the first time."""
    again: Cost
    """Everything once more, as every hour."""
    dirty_team: Latency
    """From the mark of one team to its outlook, for teams chosen at random."""
    dirty_team_told: Latency
    """From the mark of one team until every deal it concerns is assessed again."""
    promise_first: Latency
    """Ten callers at a time, about teams nobody asked about before."""
    promise: Latency
    """Ten callers at a time."""
    memory_mib: float


async def load(url: str, size: Size, advance: Advance) -> int:
    """Fills the store as ingest does; returns how many records there are."""
    source, count = company(size), 0
    async with open_database(url) as database:
        while page := list(itertools.islice(source, PER_TRANSACTION)):
            raws = [
                ConsumerRecord(r.topic, 0, 0, 0, 0, (r.key or "").encode(), r.value, None, 0, 0, r.headers)
                for r in page
            ]
            async with database.transaction() as connection:
                await take_in(connection, newest_per_key(read_batch(raws).records))
            count += len(page)
            advance(len(page))
        async with database.transaction() as connection:
            await become_live(connection, NOW)
    return count


class SizedEngine:
    """The evaluator as `app.py` wires it, with nobody to deliver to and a clock that stands still."""

    def __init__(self, database: Database, trials: int = DEFAULT_TRIALS) -> None:
        self.database = database
        self.trials = trials
        self.clock = AutoClock(NOW)
        self.metrics = EngineMetrics(CollectorRegistry())
        self.evaluator = Evaluator(
            database,
            Alerts(Fallbacks("Sales operations", "Scrum master"), self.metrics, has_webhook=True),
            lag=self._no_lag,
            woken=asyncio.Event(),
            clock=self.clock,
            zone=UTC,
            is_working_day=WORKING_DAYS,
            trials=trials,
            metrics=self.metrics,
        )

    async def evaluate(self) -> Cost:
        """Works the queue off."""
        before, began, cpu = self._evaluated(), time.monotonic(), time.process_time()
        await self.evaluator.work_off()
        return Cost(
            round(time.monotonic() - began, 2),
            round(time.process_time() - cpu, 2),
            round(self._evaluated() - before),
        )

    async def mark_everything(self) -> None:
        """As the hour does."""
        async with self.database.transaction() as connection:
            await fire_timer(connection, "bench", self.clock.now() + timedelta(hours=1))

    def client(self) -> httpx.AsyncClient:
        """To ask the promise desk."""
        app = FastAPI()
        desk = PromiseDesk(
            self.database, clock=self.clock, zone=UTC, is_working_day=WORKING_DAYS, trials=self.trials
        )
        add_promise_routes(app, self.database, desk)
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://engine")

    def _evaluated(self) -> float:
        kinds = ("deal", "team", "forecast")
        return sum(float(self.metrics.evaluations.labels(kind)._value.get()) for kind in kinds)

    async def _no_lag(self) -> int:
        return 0


async def measure(url: str, size: Size, teams: int, questions: int) -> SizeFigures:
    """Everything, one after the other; the store must be loaded and never evaluated."""
    rng = random.Random(5)
    async with open_database(url) as database:
        engine = SizedEngine(database)
        first = await engine.evaluate()
        await engine.mark_everything()
        again = await engine.evaluate()
        marked = [team_key(rng.randrange(size.teams)) for _ in range(teams)]
        alone = await _timed([partial(_team_alone, engine, team) for team in marked], 1)
        told = await _timed([partial(_team_told, engine, team) for team in marked], 1)
        asked = [_question(size, rng) for _ in range(questions)]
        async with engine.client() as client:
            questions_asked = [partial(_ask, client, question) for question in asked]
            unknown = await _timed(questions_asked, CALLERS)
            known = await _timed(questions_asked, CALLERS)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return SizeFigures(
        first,
        again,
        alone,
        told,
        unknown,
        known,
        round(memory, 1),
    )


async def _timed(calls: Sequence[Callable[[], Awaitable[None]]], at_a_time: int) -> Latency:
    waiting, seconds, cpu = iter(calls), [], time.process_time()

    async def caller() -> None:
        for call in waiting:
            began = time.monotonic()
            await call()
            seconds.append(time.monotonic() - began)

    await asyncio.gather(*(caller() for _ in range(at_a_time)))
    each = (time.process_time() - cpu) / len(seconds)
    cuts = quantiles(seconds, n=100, method="inclusive")
    p50, p95, p99 = (round(1000 * cuts[place], 1) for place in (49, 94, 98))
    return Latency(len(seconds), round(1000 * each, 1), p50, p95, p99)


async def _team_alone(engine: SizedEngine, team: str) -> None:
    async with engine.database.transaction() as connection:
        await add_marks(connection, "team", [team])
    await engine.evaluator.round()


async def _team_told(engine: SizedEngine, team: str) -> None:
    async with engine.database.transaction() as connection:
        await add_marks(connection, "team", [team])
    await engine.evaluator.work_off()


def _question(size: Size, rng: random.Random) -> dict[str, Any]:
    day = (NOW.date() + timedelta(days=rng.randrange(20, 280))).isoformat()
    if rng.random() < 0.5:
        team = team_key(rng.randrange(size.teams))
        return {"date": day, "effort": {"team": team, "points": rng.randrange(5, 60)}}
    deal = rng.randrange(size.deals)
    parts = rng.sample(range(DELIVERABLES), rng.randrange(1, DELIVERABLES + 1))
    amount = {"amount": "50000", "currency": "EUR"}
    return {"date": day, "issues": [epic_key(deal, part, size) for part in parts], "amount": amount}


async def _ask(client: httpx.AsyncClient, question: dict[str, Any]) -> None:
    answer = await client.post("/promise-check", json=question)
    answer.raise_for_status()


def main(url: str, deals: str, teams: str, issues: str, marked: str, questions: str) -> None:
    """Prints the figures as JSON."""
    size = Size(int(deals), int(teams), int(issues))
    figures = asyncio.run(measure(url, size, int(marked), int(questions)))
    print(json.dumps(asdict(figures)))  # noqa: T201  (the parent reads it)


if __name__ == "__main__":
    main(*sys.argv[1:])
