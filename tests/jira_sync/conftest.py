"""The poll on a site and a Kafka in memory."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import structlog
from prometheus_client import CollectorRegistry
from tests.jira_sync.fakes import NOW, MemoryKafka, MemoryPublisher, MemorySite

from jira_sync.domain.places import ReferenceRules
from jira_sync.hints import Hints
from jira_sync.login_choice import LoginKind
from jira_sync.metrics import SyncMetrics
from jira_sync.poll import Poller, PollPlan
from jira_sync.publication import Publication
from jira_sync.scope import Scope
from troth_chassis.clock import AutoClock
from troth_chassis.health import Health

SITE = "small"


class _Enough(Exception):
    """Ends the endless loop after the scans a test asked for."""


class CountingClock(AutoClock):
    """Sleeping between scans counts them; the last one ends the loop."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self.left = 0

    async def sleep(self, seconds: float) -> None:
        self.left -= 1
        if self.left <= 0:
            raise _Enough
        await super().sleep(seconds)


@dataclass
class Stage:
    """Everything a test of the poll touches. ``start`` is a fresh process on the same site and topics."""

    site: MemorySite = field(default_factory=MemorySite)
    kafka: MemoryKafka = field(default_factory=MemoryKafka)
    clock: CountingClock = field(default_factory=CountingClock)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    rebuild: bool = False
    structure_seconds: float = 0.0
    deep_seconds: float = 3_600.0
    scope: Scope = field(default_factory=lambda: Scope(projects=("APA", "BET")))
    references: ReferenceRules = field(default_factory=ReferenceRules)
    login: LoginKind = LoginKind.API_TOKEN

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.registry = CollectorRegistry()
        self.health = Health(self.clock)
        self.hints = Hints(self.clock)
        metrics = SyncMetrics(self.registry)
        publication = Publication(SITE, MemoryPublisher(self.kafka), clock=self.clock, metrics=metrics)
        plan = PollPlan(
            SITE,
            self.scope,
            60.0,
            self.structure_seconds,
            timedelta(minutes=5),
            deep_seconds=self.deep_seconds,
            rebuild=self.rebuild,
            references=self.references,
            login=self.login,
        )
        self.poller = Poller(
            plan,
            self.site,
            publication,
            self.kafka.read,
            clock=self.clock,
            health=self.health,
            metrics=metrics,
            log=structlog.stdlib.get_logger("test"),
            hints=self.hints,
        )

    async def scan(self, times: int = 1) -> None:
        """Runs complete scans; errors come through."""
        self.clock.left = times
        with contextlib.suppress(_Enough):
            await self.poller.run(lambda: None)

    async def later(self, seconds: float) -> None:
        """Time passes at Jira and here."""
        self.site.now += timedelta(seconds=seconds)
        await self.clock.advance(seconds)


@pytest.fixture
def stage() -> Stage:
    return Stage()
