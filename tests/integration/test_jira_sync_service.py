"""The service as a process between the simulator and a real Kafka: what it publishes equals the simulator's truth."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from tests.jira_sync import small_site
from tests.jira_sync.simulator import Simulator, Steering
from tests.jira_sync.small_site import POINTS_FIELD, SPRINT_FIELD

from jira_sync.parse import points
from troth_chassis.publisher import Publisher
from troth_chassis.topic_reader import read_topic
from troth_chassis.writer import ScopeWriter
from troth_contracts.codec import InRecord, decode
from troth_contracts.jira import Board, Issue, Sprint, SprintEvent
from troth_contracts.sync import SyncStatus, Watermark
from troth_contracts.topics import (
    BOARDS,
    ISSUE_EVENTS,
    ISSUES,
    JIRA_STATE,
    SPRINT_EVENTS,
    SPRINTS,
    SYNC_STATUS,
    Topic,
)
from troth_contracts.values import Contract
from troth_sandbox.ports import free_ports
from troth_sandbox.processes import ChildProcess

C = TypeVar("C", bound=Contract)
DEADLINE = 40.0


class Service:
    """A jira-sync process with a site id of its own, so that tests share the topics of one broker."""

    def __init__(self, kafka: str, simulator: Steering, **settings: str) -> None:
        self.site_id = f"site-{uuid.uuid4().hex[:8]}"
        self._kafka = kafka
        self._port = free_ports(1)[0]
        self.environ = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "TROTH_HTTP_PORT": str(self._port),
            "TROTH_LOG_FORMAT": "json",
            "TROTH_JIRA_SITE_ID": self.site_id,
            "TROTH_JIRA_URL": simulator.url,
            "TROTH_JIRA_EMAIL": small_site.AUTH["email"],
            "TROTH_JIRA_API_TOKEN": small_site.AUTH["token"],
            "TROTH_JIRA_REQUESTS_PER_SECOND": "500",
            "TROTH_JIRA_BURST": "100",
            "TROTH_JIRA_POLL_SECONDS": "0.2",
            "TROTH_JIRA_STRUCTURE_SECONDS": "1",
            **settings,
        }
        self.lines: list[str] = []
        self.process = self._new()

    def _new(self, *more: str) -> ChildProcess:
        return ChildProcess(
            "jira-sync",
            "jira_sync",
            ["run", *more],
            environ=self.environ,
            listener=lambda _name, line: self.lines.append(line),
        )

    def start(self, *more: str) -> None:
        self.process = self._new(*more)
        self.process.start()

    def http_url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}{path}"

    def http(self, path: str) -> httpx.Response:
        return httpx.get(self.http_url(path), trust_env=False)

    async def told(self, topic: Topic) -> list[InRecord]:
        """Every committed record of this site."""
        found: list[InRecord] = []
        async for page in read_topic(self._kafka, topic):
            found += [decode(topic.name, record.key, record.value, record.headers) for record in page]
        return [r for r in found if r.key.startswith(f"{self.site_id}:") or r.key.endswith(self.site_id)]

    async def latest(self, topic: Topic, kind: type[C]) -> dict[str, C]:
        """The newest body by id."""
        bodies = {record.key: record.body for record in await self.told(topic)}
        return {key.rpartition(":")[2]: body for key, body in bodies.items() if isinstance(body, kind)}

    async def status(self) -> SyncStatus | None:
        return (await self.latest(SYNC_STATUS, SyncStatus)).get(self.site_id)


async def until(what: str, holds: Callable[[], Awaitable[object]], deadline: float = DEADLINE) -> None:
    """Asks again until the condition holds; fails with its name after the deadline."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + deadline
    while not await holds():
        assert loop.time() < give_up, f"not within {deadline:g} s: {what}"
        await asyncio.sleep(0.1)


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    running = Simulator(tmp_path, small_site.seed())
    yield running
    running.stop()


@pytest.fixture
def service(kafka: str, simulator: Simulator) -> Iterator[Service]:
    found = Service(kafka, simulator)
    yield found
    found.process.stop()


async def complete(service: Service) -> bool:
    status = await service.status()
    return status is not None and status.state == "complete"


def truth(simulator: Simulator) -> dict[str, tuple[object, ...]]:
    """What the simulator says of every issue, through an API the service does not use."""
    found: dict[str, tuple[object, ...]] = {}
    for number in (10001, 10002, 10003, 10004, 10005, 10101, 10102):
        url = f"{simulator.url}/rest/api/2/issue/{number}"
        document: dict[str, Any] = httpx.get(
            url, auth=(small_site.AUTH["email"], small_site.AUTH["token"]), trust_env=False
        ).json()
        fields = document["fields"]
        sprints = tuple(sorted(str(sprint["id"]) for sprint in fields.get(SPRINT_FIELD) or ()))
        found[str(number)] = (
            document["key"],
            fields["status"]["id"],
            points(fields.get(POINTS_FIELD)),
            sprints,
        )
    return found


async def published(service: Service) -> dict[str, tuple[object, ...]]:
    issues = await service.latest(ISSUES, Issue)
    return {key: (i.issue_key, i.status_id, i.estimate, i.sprint_ids) for key, i in issues.items()}


async def ids(service: Service, topic: Topic) -> Counter[str]:
    return Counter(record.id for record in await service.told(topic))


def history_ids(simulator: Simulator) -> set[str]:
    log = httpx.get(f"{simulator.admin_url}/write-log", trust_env=False).json()
    return {str(entry["history"]["id"]) for entry in log if entry.get("history")}


async def test_the_story_of_a_sprint_from_backfill_over_kill_to_carry_over(
    service: Service, simulator: Simulator
) -> None:
    service.start()
    await until("backfill", lambda: complete(service))
    assert await published(service) == truth(simulator)
    first = await service.latest(SPRINTS, Sprint)
    assert first["1"].result is not None
    assert (first["1"].result.points, first["1"].provisional) == (Decimal(5), False)

    # People work: status, estimate, scope; the service is killed in the middle and started again.
    simulator.tell("/issues/10004", {"actor": "ann", "fields": {"status": {"id": "9"}, POINTS_FIELD: 5}})
    simulator.tell("/issues/10005", {"actor": "ann", "fields": {SPRINT_FIELD: [2], POINTS_FIELD: 2}})
    service.process.kill()
    simulator.tell("/issues/10002", {"actor": "ann", "fields": {"status": {"id": "3"}}})
    service.start()

    async def caught_up() -> bool:
        return await published(service) == truth(simulator)

    await until("the changes are told", caught_up)

    # The sprint closes; three seconds later what is open is carried over.
    simulator.tell("/sprints/2", {"state": "closed", "move_open_to": 3})
    simulator.tell("/clock", {"advance_seconds": 5})
    await until("carry-over is told", caught_up)

    async def has_result() -> bool:
        return (await service.latest(SPRINTS, Sprint))["2"].result is not None

    await until("the result is told", has_result)
    closed = (await service.latest(SPRINTS, Sprint))["2"]
    assert closed.commitment is not None
    assert closed.added is not None
    assert closed.removed is not None
    assert closed.result is not None
    assert closed.commitment.points == Decimal(5)
    assert closed.added.points == Decimal(8)
    assert closed.result.points == Decimal(5)
    assert not closed.removed.issues
    assert closed.provisional

    # After the next deep pass the figures are final; a restart tells nothing twice.
    simulator.tell("/clock", {"advance_seconds": 3_700})

    async def is_final() -> bool:
        return not (await service.latest(SPRINTS, Sprint))["2"].provisional

    await until("the figures are final", is_final)
    before = await ids(service, ISSUE_EVENTS), await ids(service, SPRINT_EVENTS), await ids(service, SPRINTS)
    assert {count for counter in before[:2] for count in counter.values()} == {1}
    assert {key.split(":")[2] for key in before[0]} >= history_ids(simulator)
    told = [record.body for record in await service.told(SPRINT_EVENTS)]
    effects = Counter(body.effect for body in told if isinstance(body, SprintEvent) and body.sprint_id == "2")
    assert effects == Counter(started=1, closed=1, scope_added=2, issue_done=1, estimate_changed=2)
    assert service.process.stop() == 0
    heartbeat = (await ids(service, SYNC_STATUS)).total()
    service.start()

    async def beats() -> bool:
        return (await ids(service, SYNC_STATUS)).total() > heartbeat + 2

    await until("it runs again", beats)
    after = await ids(service, ISSUE_EVENTS), await ids(service, SPRINT_EVENTS), await ids(service, SPRINTS)
    assert after == before


async def test_index_lag_loses_nothing_and_doubles_nothing(service: Service, simulator: Simulator) -> None:
    service.start()
    await until("backfill", lambda: complete(service))
    simulator.tell("/search-lag", {"seconds": 120})
    simulator.tell("/issues/10005", {"actor": "ann", "fields": {"status": {"id": "3"}}})
    simulator.tell("/clock", {"advance_seconds": 60})
    simulator.tell("/issues/10102", {"actor": "ann", "fields": {"status": {"id": "3"}}})
    simulator.tell("/clock", {"advance_seconds": 130})

    async def caught_up() -> bool:
        return await published(service) == truth(simulator)

    await until("late entries of the index are told", caught_up)
    assert set((await ids(service, ISSUE_EVENTS)).values()) == {1}


async def test_a_429_pauses_the_scan_and_loses_nothing(service: Service, simulator: Simulator) -> None:
    simulator.fault(
        "search/jql", status=429, headers={"Retry-After": "2", "RateLimit-Reason": "jira-burst-based"}
    )
    service.start()
    await until("backfill", lambda: complete(service))
    asked = simulator.asked("")
    refused = next(index for index, entry in enumerate(asked) if entry["status"] == 429)
    assert asked[refused + 1]["at"] - asked[refused]["at"] >= 2_000
    assert await published(service) == truth(simulator)


async def test_a_forbidden_board_is_shown_and_its_neighbours_flow(
    service: Service, simulator: Simulator
) -> None:
    simulator.tell("/boards/2/forbid", {"status": 403})
    service.start()
    await until("backfill", lambda: complete(service))
    ready = service.http("/readyz")
    assert ready.status_code == 200
    assert "board 2" in ready.json()["checks"]["jira"]["detail"]
    assert 'jira_sync_quarantined{kind="board"} 1.0' in service.http("/metrics").text
    assert set(await service.latest(BOARDS, Board)) == {"1", "3"}
    assert await published(service) == truth(simulator)
    simulator.tell("/boards/2/forbid", {"status": None})

    async def is_back() -> bool:
        return "4" in await service.latest(SPRINTS, Sprint)

    await until("the board is read when it is allowed", is_back)


async def test_an_unreachable_jira_leaves_the_service_alive_and_not_ready(
    kafka: str, simulator: Simulator
) -> None:
    service = Service(kafka, simulator, TROTH_JIRA_REQUEST_TIMEOUT_SECONDS="1")
    simulator.fault("serverInfo", times=None, status=503)
    service.start()
    try:

        async def listens() -> bool:
            try:
                return service.http("/healthz").status_code == 200
            except httpx.TransportError:
                return False

        await until("it listens", listens)
        assert service.http("/readyz").status_code == 503
        assert service.process.running
    finally:
        service.process.stop()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"TROTH_JIRA_API_TOKEN": "wrong-token"}, "TROTH_JIRA_EMAIL and TROTH_JIRA_API_TOKEN"),
        ({"TROTH_JIRA_PROJECT": "APA"}, "TROTH_JIRA_PROJECT is not a setting"),
    ],
)
async def test_a_wrong_setting_is_one_sentence_and_exit_78(
    kafka: str, simulator: Simulator, settings: Mapping[str, str], sentence: str
) -> None:
    service = Service(kafka, simulator, **settings)
    service.start()
    assert await asyncio.to_thread(service.process.wait, 30) == 78
    service.process.stop()
    text = "\n".join(service.lines)
    assert sentence in text
    assert "Traceback" not in text
    assert "wrong-token" not in text


async def test_a_lost_state_topic_is_refused_and_rebuilt_on_request(service: Service, kafka: str) -> None:
    """The state is keyed by site; a tombstone stands for the lost topic."""
    service.start()
    await until("backfill", lambda: complete(service))
    service.process.stop()
    writer = ScopeWriter(kafka, "jira-sync", service.site_id, "transactional")
    publisher = Publisher(kafka, writer, source="test")
    await publisher.load([JIRA_STATE])
    version = (await service.told(JIRA_STATE))[-1].version + 1
    tombstone = publisher.tombstone(JIRA_STATE, service.site_id, version)
    assert tombstone is not None
    await publisher.commit([tombstone])
    await writer.stop()
    service.start()
    assert await asyncio.to_thread(service.process.wait, 30) == 78
    assert any("--rebuild" in line for line in service.lines)
    before = await ids(service, ISSUE_EVENTS)
    service.start("--rebuild")

    async def has_watermark() -> bool:
        records = await service.told(JIRA_STATE)
        return isinstance(records[-1].body, Watermark) and records[-1].body.backfill_complete

    await until("everything is read again", has_watermark)
    assert await ids(service, ISSUE_EVENTS) == before
