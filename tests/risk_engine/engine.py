"""The engine's parts in one process over a real database, fed without Kafka, and what it came to."""

import asyncio
import contextlib
import hashlib
import random
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from aiokafka import ConsumerRecord
from prometheus_client import CollectorRegistry
from tests.risk_engine.company import NOW

from risk_engine.alerts import Alerts, Fallbacks
from risk_engine.deliver.courier import Courier
from risk_engine.deliver.webhook import WebhookSender
from risk_engine.domain.calendar import working_days
from risk_engine.domain.finding import fingerprint
from risk_engine.domain.rules.late_forecast import VERSION as LATE_VERSION
from risk_engine.evaluate.evaluator import Evaluator
from risk_engine.ingest import Ingest, Probe, no_probe
from risk_engine.metrics import EngineMetrics
from risk_engine.store.database import Database, open_database
from risk_engine.store.offsets import StoredOffsets
from risk_engine.store.progress import become_live
from troth_chassis.clock import AutoClock, Clock
from troth_chassis.consumer import Batch, Partition
from troth_chassis.writer import ScopeWriter
from troth_contracts.codec import OutRecord

SECRET = "whsec_" + "dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0"
URL = "https://hooks.test/troth"
TRIALS = 200
FROZEN_SECONDS = 3
State = dict[str, list[Any]]
Answer = Callable[[httpx.Request], httpx.Response]


class MemoryWriter(ScopeWriter):
    """Takes records like the real one and keeps them."""

    def __init__(self) -> None:
        super().__init__("nowhere", "risk-engine", "test", "plain")
        self.sent: list[OutRecord] = []

    async def publish(self, records: Sequence[OutRecord]) -> None:
        self.sent += records


@dataclass
class Outside:
    """What survives a crash of the engine: Kafka, the receiver, the time."""

    clock: AutoClock = field(default_factory=lambda: AutoClock(NOW))
    letters: MemoryWriter = field(default_factory=MemoryWriter)
    notices: MemoryWriter = field(default_factory=MemoryWriter)
    requests: list[httpx.Request] = field(default_factory=list)
    answer: Answer = lambda _request: httpx.Response(204)

    def receive(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer(request)

    @property
    def webhook_ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.requests]


class Engine:
    """Ingest, evaluator and courier as `app.py` wires them, with a lag of zero unless told otherwise."""

    def __init__(
        self, database: Database, outside: Outside, *, probe: Probe = no_probe, clock: Clock | None = None
    ) -> None:
        self.database, self.outside = database, outside
        self.clock = clock or outside.clock
        self.lag = 0
        self.woken = asyncio.Event()
        self.metrics = EngineMetrics(CollectorRegistry())
        self.sender = WebhookSender(URL, SECRET, self.clock, httpx.MockTransport(outside.receive))
        self.ingest = Ingest(database, outside.letters, self.metrics, on_change=self.woken.set, probe=probe)
        self.evaluator = Evaluator(
            database,
            Alerts(Fallbacks("Sales operations", "Scrum master"), self.metrics, has_webhook=True),
            lag=self._lag,
            woken=self.woken,
            clock=self.clock,
            zone=UTC,
            is_working_day=working_days(),
            trials=TRIALS,
            metrics=self.metrics,
            probe=probe,
        )
        self.courier = Courier(
            database,
            outside.notices,
            self.sender,
            clock=self.clock,
            metrics=self.metrics,
            rng=random.Random(1),
            probe=probe,
        )

    async def _lag(self) -> int:
        return self.lag

    async def go_live(self) -> None:
        """Without the quiet start and its digest."""
        async with self.database.transaction() as connection:
            await become_live(connection, self.clock.now())
            await connection.execute(
                "INSERT INTO milestones VALUES ('digested', now()) ON CONFLICT DO NOTHING"
            )

    async def take(self, batch: Iterable[OutRecord]) -> None:
        """One batch, at the offsets that follow what the store holds: what a consumer does after a restart, too."""
        chosen = list(batch)
        await self.take_at(chosen, await self.offsets({partition_of(record) for record in chosen}))

    async def take_at(
        self, batch: Iterable[OutRecord], stored: Mapping[Partition, int], *, first_offset: int | None = None
    ) -> None:
        """One batch as a consumer hands it over that believes the store to stand at ``stored``."""
        raws: list[ConsumerRecord] = []
        expected: dict[Partition, int] = {}
        following: dict[Partition, int] = {}
        for record in batch:
            partition = partition_of(record)
            expected.setdefault(partition, stored.get(partition, -1))
            first = max(expected[partition], 0) if first_offset is None else first_offset
            offset = following.get(partition, first)
            raws.append(as_consumed(record, partition, offset))
            following[partition] = offset + 1
        await self.ingest.handle(Batch(raws, expected, following))

    async def move_to(self, positions: Mapping[Partition, int]) -> None:
        """Positions that moved without a record."""
        await self.ingest.handle(Batch((), dict.fromkeys(positions, -1), positions))

    async def offsets(self, partitions: set[Partition]) -> dict[Partition, int]:
        return await StoredOffsets(self.database).read_offsets(partitions)

    async def evaluate(self) -> None:
        await self.evaluator.work_off()

    async def deliver(self) -> None:
        while await self.courier.deliver_once():
            pass

    async def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        async with self.database.transaction() as connection:
            return await (await connection.execute(statement, parameters)).fetchall()

    async def value(self, statement: str, *parameters: object) -> Any:
        return (await self.rows(statement, *parameters))[0][0]

    async def firing(self) -> set[tuple[str, str]]:
        """(kind, deal or team) of every alert that fires."""
        rows = await self.rows("SELECT last_notice FROM alerts WHERE state->>'phase' = 'firing'")
        return {(notice["kind"], notice.get("team") or notice["deals"][0]["id"]) for (notice,) in rows}


@contextlib.asynccontextmanager
async def open_engine(
    url: str, outside: Outside | None = None, *, probe: Probe = no_probe, clock: Clock | None = None
) -> AsyncIterator[Engine]:
    async with open_database(url, frozen_seconds=FROZEN_SECONDS) as database:
        engine = Engine(database, outside or Outside(), probe=probe, clock=clock)
        try:
            yield engine
        finally:
            await engine.sender.close()


def partition_of(record: OutRecord, count: int = 3) -> Partition:
    return record.topic, zlib.crc32(record.key.encode()) % count


def as_consumed(record: OutRecord, partition: Partition, offset: int) -> ConsumerRecord:
    """As the consumer would hand it over."""
    return ConsumerRecord(
        topic=partition[0],
        partition=partition[1],
        offset=offset,
        timestamp=0,
        timestamp_type=0,
        key=record.key.encode() if record.key is not None else None,
        value=record.value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=record.headers,
    )


_STATES = ("deals", "crm_references", "issues", "sprints", "boards", "versions", "sync_status")


async def final_state(engine: Engine) -> State:
    """Everything that must not depend on the way it was reached: without moments, ids and order."""
    found: State = {
        table: await engine.rows(f"SELECT key, version, digest, deleted, body FROM {table} ORDER BY key")
        for table in _STATES
    }
    for name, statement in _DERIVED.items():
        found[name] = await engine.rows(statement)
    vectors = await engine.rows("SELECT team, commitment, days FROM finish_vectors ORDER BY 1, 2")
    found["finish_vectors"] = [(team, deal, hashlib.md5(days).hexdigest()) for team, deal, days in vectors]  # noqa: S324
    found["firing"] = await _firing_unless_spoken_for(engine)
    return found


_DERIVED = {
    "journal": "SELECT id, topic, key, body FROM journal ORDER BY id",
    "commitments": """
        SELECT commitment, title, basis, need, promised_date, won, probability, teams, links, entered_at, boardless, blockers
        FROM commitments ORDER BY commitment
    """,
    "mentions": "SELECT * FROM mentions ORDER BY 1, 2",
    "signs": "SELECT * FROM signs ORDER BY 1, 2, 3, 4, 5",
    "faces": "SELECT * FROM faces ORDER BY 1",
    "field_scores": "SELECT * FROM field_scores ORDER BY 1, 2",
    "links": "SELECT * FROM links ORDER BY 1, 2",
    "deal_issues": """
        SELECT deal_key, commitment, issue, team, points, assumed, above, stake FROM deal_issues ORDER BY 1, 2, 3
    """,
    "deal_worth": "SELECT * FROM deal_worth ORDER BY 1",
    "outlooks": "SELECT team, body, cover, inputs, inputs_digest FROM outlooks WHERE body <> '{}' ORDER BY team",
    "assessments": """
        SELECT deal_key, digest, body - 'as_of', inputs FROM assessments WHERE body IS NOT NULL ORDER BY deal_key
    """,
    "marks": "SELECT kind, subject FROM marks",
}


async def _firing_unless_spoken_for(engine: Engine) -> list[str]:
    """Firing alerts, but for late forecasts that an oversold alert covers: what was told before it stays told."""
    firing = {
        row[0] for row in await engine.rows("SELECT alert_id FROM alerts WHERE state->>'phase' = 'firing'")
    }
    covered = await engine.rows(
        "SELECT DISTINCT deal FROM outlooks, jsonb_array_elements_text(cover->'deals') AS deal"
    )
    return sorted(firing - {fingerprint("late_forecast", (deal,), LATE_VERSION) for (deal,) in covered})


def differences(one: State, other: State) -> dict[str, tuple[list[Any], list[Any]]]:
    """Only what differs, so that a failing test is readable."""
    found = {}
    for name in one:
        only_one = [row for row in one[name] if row not in other[name]]
        only_other = [row for row in other[name] if row not in one[name]]
        if only_one or only_other:
            found[name] = (only_one, only_other)
    return found


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
