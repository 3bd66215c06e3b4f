"""jira-sync and the simulator in one process under one clock, with a real Kafka behind the publisher.

The clock jumps: whoever sleeps moves it on, and what people do at a certain time happens when it passes. A request takes
``LATENCY`` seconds of it, so a site changes while it is read. Nothing sleeps really.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import inspect
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog
import uvicorn
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope
from tests.integration.jira_truth import Difference, Json, Truth, compared, folded, truth_of
from tests.jira_sync.simulator import settings_of

from jira_sync.app import plan_of
from jira_sync.hints import Hints
from jira_sync.metrics import SyncMetrics
from jira_sync.opening import open_reader
from jira_sync.parse import points
from jira_sync.poll import Poller
from jira_sync.publication import SERVICE, TOPICS, Publication
from jira_sync.reader import JiraReader
from troth_chassis.errors import TransientError
from troth_chassis.health import Health
from troth_chassis.publisher import Publisher
from troth_chassis.topics_admin import ensure_topics
from troth_chassis.writer import ScopeWriter
from troth_contracts.codec import InRecord, decode
from troth_contracts.jira import Issue, Sprint, SprintEvent
from troth_contracts.topics import (
    ISSUE_EVENTS,
    ISSUES,
    JIRA_INBOX,
    SPRINT_EVENTS,
    SPRINTS,
    Topic,
    dead_letter_topic,
)
from troth_sandbox.jira import sample, writes
from troth_sandbox.jira.app import api
from troth_sandbox.jira.clock import SettableClock, moment
from troth_sandbox.jira.faults import Act, Fault, Match
from troth_sandbox.jira.seed import parse
from troth_sandbox.jira.site import Site

START = datetime(2026, 11, 25, 10, 0, 30, tzinfo=UTC)
LATENCY = 0.05
"""Simulated seconds a request takes."""
BACK_OFF = 30.0
HOUR = 3_600.0
DAY = 86_400.0


class PlayClock:
    """The one clock. Nobody passes the horizon until it is moved."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._horizon = 0.0
        self._lifted = asyncio.Event()
        self.parked = asyncio.Event()
        self._acts: list[tuple[float, int, Callable[[], Any]]] = []
        self._count = 0
        self._acting: set[asyncio.Future[None]] = set()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    def at(self, elapsed: float, act: Callable[[], Any]) -> None:
        """``act`` happens when the clock passes ``elapsed`` seconds since the start."""
        self._count += 1
        heapq.heappush(self._acts, (elapsed, self._count, act))

    def lift(self, horizon: float) -> None:
        self._horizon = max(horizon, self._horizon)
        self.parked.clear()
        self._lifted.set()
        self._lifted = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        target = self._elapsed + max(0.0, seconds)
        while True:
            await self._until(min(target, self._horizon))
            if target <= self._horizon:
                break
            self.parked.set()
            await self._lifted.wait()
        await asyncio.sleep(0)

    async def _until(self, target: float) -> None:
        while self._acts and self._acts[0][0] <= target:
            due, _, act = heapq.heappop(self._acts)
            self._elapsed = max(self._elapsed, due)
            await self._act(act)
            for _ in range(3):
                await asyncio.sleep(0)  # who waits for what happened may stop sleeping now
        self._elapsed = max(self._elapsed, target)

    async def _act(self, act: Callable[[], Any]) -> None:
        """A sleeper that is cancelled meanwhile does not stop what happens."""
        found = act()
        if not inspect.isawaitable(found):
            return
        task = asyncio.ensure_future(_settled(found))
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)
        await asyncio.shield(task)


async def _settled(found: Awaitable[Any]) -> None:
    await found


class Topics:
    """Every topic of jira-sync, each record read once and kept: a restart reads what is new only."""

    def __init__(self, kafka: str, topics: Sequence[Topic] = TOPICS) -> None:
        self._topics = topics
        self._kept: dict[str, list[ConsumerRecord]] = {topic.name: [] for topic in topics}
        self._lock = asyncio.Lock()
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka,
            group_id=None,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=5,  # the broker answers one request of a connection at a time
        )

    async def start(self) -> None:
        await self._consumer.start()
        self._parts = [TopicPartition(t.name, n) for t in self._topics for n in range(t.partitions)]
        self._consumer.assign(self._parts)
        for part, start in (await self._consumer.beginning_offsets(self._parts)).items():
            self._consumer.seek(part, start)

    async def stop(self) -> None:
        await self._consumer.stop()

    async def refresh(self) -> None:
        """Everything committed by now is kept."""
        async with self._lock:
            ends = await self._consumer.end_offsets(self._parts)
            behind = set(self._parts)
            while behind := {part for part in behind if await self._consumer.position(part) < ends[part]}:
                for part, records in (await self._consumer.getmany(*behind, timeout_ms=100)).items():
                    self._kept[part.topic] += records

    async def read(self, _bootstrap: str, topic: Topic) -> AsyncIterator[list[ConsumerRecord]]:
        await self.refresh()
        yield list(self._kept[topic.name])

    async def read_back(self, topic: Topic) -> AsyncIterator[Sequence[ConsumerRecord]]:
        async for page in self.read("", topic):
            yield page

    def kept(self, topic: Topic, site_id: str) -> list[InRecord]:
        """Committed records of one site, oldest first in each partition."""
        prefix = f"{site_id}:".encode()
        return [
            decode(topic.name, record.key, record.value, record.headers)
            for record in self._kept[topic.name]
            if record.key.startswith(prefix)
        ]


class Life:
    """One process of the service, from its start to its end. ``ended`` has the error it died of."""

    def __init__(self, play: Play, reader: JiraReader, writer: ScopeWriter) -> None:
        self.registry = CollectorRegistry()
        self.metrics = SyncMetrics(self.registry)
        self.health = Health(play.clock)
        self.hints = RestingHints(play.clock)
        self.writer = writer
        self.failures: list[TransientError] = []
        publisher = Publisher(play.kafka, writer, f"jira:{play.site_id}", play.topics.read)
        self.publication = Publication(play.site_id, publisher, clock=play.clock, metrics=self.metrics)
        self.poller = Poller(
            plan_of(play.settings),
            reader,
            self.publication,
            play.topics.read_back,
            clock=play.clock,
            health=self.health,
            metrics=self.metrics,
            log=structlog.stdlib.get_logger("jira-sync"),
            hints=self.hints,
        )
        self._clock = play.clock
        self.task = asyncio.ensure_future(self._supervised())

    async def _supervised(self) -> None:
        while True:
            try:
                await self.poller.run(lambda: None)
            except TransientError as error:
                self.failures.append(error)
                await self._clock.sleep(BACK_OFF)

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    async def stop(self) -> None:
        """Ends it as a process ends: in the middle of whatever it does."""
        self.task.cancel()
        await asyncio.wait([self.task])
        if not self.task.cancelled():
            self.task.exception()  # the test has seen it, or is about to fail for another reason
        await self.writer.stop()


class RestingHints(Hints):
    """Knows when the poll waits for its next turn."""

    resting = False

    async def wait(self, seconds: float) -> bool:
        self.resting = True
        try:
            return await super().wait(seconds)
        finally:
            self.resting = False


class Play:
    """The site, the topics and the present life of the service. ``site_id`` is the test's own."""

    def __init__(self, kafka: str, seed: Json, *, start: datetime = START, latency: float = LATENCY) -> None:
        self.kafka = kafka
        self.site_id = f"play-{uuid.uuid4().hex[:8]}"
        self.clock = PlayClock(start)
        self.seed = seed
        self.site = Site(
            parse(msgspec.json.encode(seed)), SettableClock(lambda: round(self.clock.now().timestamp(), 3))
        )
        self._moments = {
            str(s.id): msgspec.to_builtins(s) for s in self.site.store.catalogue.sprints.values()
        }
        self.latency = latency
        self.topics = Topics(kafka)
        self.lives: list[Life] = []
        self.estimates: dict[str, str] = {}  # by project id, where it is not the sample's

    # The stage

    async def open(self, url: str, **settings: str) -> None:
        """``settings`` are those of the service."""
        auth = self.seed["auth"]
        self.settings = settings_of(url, auth["token"]).model_copy(
            update={
                "kafka_bootstrap_servers": self.kafka,
                "jira_site_id": self.site_id,
                "jira_email": auth["email"],
                **settings,
            }
        )
        await self.topics.start()

    def writer(self) -> ScopeWriter:
        return ScopeWriter(self.kafka, SERVICE, self.site_id, "transactional", give_up_after=20)

    def start(self, reader: JiraReader, writer: ScopeWriter | None = None) -> Life:
        """A new process; whether the former one still runs is the test's business."""
        self.lives.append(Life(self, reader, writer or self.writer()))
        return self.lives[-1]

    async def until(self, elapsed: float, life: Life | None = None, *, resting: bool = True) -> None:
        """Time passes; afterwards the service rests (``resting=False``: waits for whatever it waits for)."""
        found = life or self.lives[-1]
        horizon = elapsed
        while True:
            self.clock.lift(horizon)
            parked = asyncio.ensure_future(self.clock.parked.wait())
            await asyncio.wait({parked, found.task}, return_when=asyncio.FIRST_COMPLETED)
            parked.cancel()
            if found.task.done():
                found.task.result()
                raise AssertionError("the service ended by itself")
            if found.hints.resting or not resting:
                return
            horizon += 10

    async def passes(self, seconds: float, *, resting: bool = True) -> None:
        await self.until(self.clock.monotonic() + seconds, resting=resting)

    # What people do

    def now_ms(self) -> int:
        return self.site.settle()

    def edit(self, issue: int | str, *, bulk: bool = False, **fields: Any) -> None:
        """Someone changes fields of an issue now."""
        writes.edit_issue(self.site, str(issue), "account-ada", fields, self.now_ms(), bulk=bulk)

    def change_project(self, key: str, *, state: str | None = None, browsable: bool | None = None) -> None:
        """Someone archives, trashes or restores a project, or the account's access to it changes."""
        project = self.site.store.project(key)
        changes = {"state": state, "browsable": browsable}
        given = {name: value for name, value in changes.items() if value is not None}
        self.site.store.catalogue.projects[project.id] = msgspec.structs.replace(project, **given)
        self.site.index.forget_results()

    def change_out_of_sight(self, issue: int, **fields: Any) -> None:
        """An issue of a project the account cannot see is changed."""
        project = self.site.store.catalogue.projects[self.site.store.find(issue).project_id]  # type: ignore[union-attr]
        self.site.store.catalogue.projects[project.id] = msgspec.structs.replace(project, browsable=True)
        self.edit(issue, **fields)
        self.site.store.catalogue.projects[project.id] = project

    def fault(
        self,
        path: str,
        *,
        times: int | None = 1,
        share: float | None = None,
        seed: int = 0,
        nth: int | None = None,
        **act: Any,
    ) -> None:
        match = Match(path=path, times=times, share=share, seed=seed, nth=nth)
        self.site.faults.add([Fault(match, Act(**act))])

    def asked(self, part: str = "") -> list[Json]:
        return [entry for entry in self.site.journal if part in entry["path"]]

    # The judge

    def log(self) -> list[Json]:
        """The write log as the admin API gives it."""
        found: list[Json] = msgspec.to_builtins(self.site.write_log.entries)
        return found

    def truth(self) -> Truth:
        return truth_of(self.seed, self.log(), moments=self._moments)

    async def difference(self) -> Difference:
        """What is published against the write log and the store."""
        await self.topics.refresh()
        truth, site_id = self.truth(), self.site_id
        lives = [
            record.id
            for record in self.topics.kept(SPRINT_EVENTS, site_id)
            if isinstance(record.body, SprintEvent) and record.body.effect in ("started", "closed")
        ]
        parts = [
            compared(
                "event", (r.id for r in self.topics.kept(ISSUE_EVENTS, site_id)), truth.event_ids(site_id)
            ),
            compared("life", lives, truth.life_ids(site_id)),
            Difference(
                doubled=compared("", (r.id for r in self.topics.kept(SPRINT_EVENTS, site_id)), ()).doubled
            ),
            folded("issue", self._published(ISSUES), self._stored_issues(truth)),
            folded("sprint", self._published(SPRINTS), _sprint_states(truth)),
        ]
        return Difference(
            *(
                [entry for part in parts for entry in getattr(part, name)]
                for name in ("missing", "extra", "doubled", "stale")
            )
        )

    async def exact(self) -> None:
        """0 missing, 0 extra, 0 doubled, 0 stale. The broker may show the last commit a moment late."""
        for _ in range(50):
            found = await self.difference()
            if not found or found.extra or found.doubled:
                break
            await asyncio.sleep(0.1)
        assert not found, found

    async def published_ids(self, topic: Topic) -> set[str]:
        """Ids that are published and not deleted."""
        await self.topics.refresh()
        return set(self._published(topic))

    def _published(self, topic: Topic) -> dict[str, object]:
        folded_to: dict[str, object] = {}
        for record in self.topics.kept(topic, self.site_id):
            number = record.key.partition(":")[2]
            folded_to.pop(number, None)
            if isinstance(record.body, Issue):
                folded_to[number] = _issue_facts(record.body)
            elif isinstance(record.body, Sprint):
                folded_to[number] = _sprint_facts(record.body)
        return folded_to

    def _stored_issues(self, truth: Truth) -> dict[str, object]:
        store = self.site.store
        return {
            str(issue.id): (
                issue.key,
                issue.project_id,
                issue.status_id,
                str(issue.fields.get("summary") or ""),
                points(issue.fields.get(self.estimates.get(issue.project_id, sample.POINTS_FIELD))),
                tuple(sorted(map(str, issue.sprint_ids), key=int)),
                (issue.fields.get("assignee") or {}).get("accountId"),
                tuple(str(v["id"]) for v in issue.fields.get("fixVersions") or ()),
                issue.updated,
            )
            for issue in store.issues()
        }


def _issue_facts(issue: Issue) -> tuple[object, ...]:
    assert issue.updated_at is not None
    return (
        issue.issue_key,
        issue.project_id,
        issue.status_id,
        issue.summary,
        issue.estimate,
        issue.sprint_ids,
        issue.assignee_id,
        issue.fix_version_ids,
        round(issue.updated_at.timestamp() * 1_000),
    )


def _sprint_states(truth: Truth) -> dict[str, object]:
    return {
        number: (sprint["state"], sprint["name"], _moment(sprint["activated"]), _moment(sprint["completed"]))
        for number, sprint in truth.sprints.items()
    }


def _sprint_facts(sprint: Sprint) -> tuple[object, ...]:
    return (sprint.state, sprint.name, sprint.activated_at, sprint.completed_at)


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else moment(milliseconds)


class _Slow:
    """Every request takes simulated time before it is answered."""

    def __init__(self, app: ASGIApp, play: Play) -> None:
        self._app, self._play = app, play

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        await self._play.clock.sleep(self._play.latency)
        await self._app(scope, receive, send)


@contextlib.asynccontextmanager
async def opened(play: Play, **settings: Any) -> AsyncIterator[JiraReader]:
    """The site listens on loopback in this event loop; gives the real reader of it."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    config = uvicorn.Config(
        _Slow(api(play.site), play),
        log_level="critical",
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(_serve(server, listener))
    play.site.base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    await ensure_topics(play.kafka, [*TOPICS, JIRA_INBOX, dead_letter_topic(SERVICE)])
    try:
        await play.open(play.site.base, **settings)
        async with open_reader(play.settings, play.clock) as reader:
            try:
                yield reader
            finally:
                for life in play.lives:
                    await life.stop()
    finally:
        play.clock.lift(float("inf"))
        await play.topics.stop()
        server.should_exit = True
        await serving


async def _serve(server: Any, listener: socket.socket) -> None:
    await server._serve([listener])
