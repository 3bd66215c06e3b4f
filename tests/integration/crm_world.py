"""One org, one crm-sync and one time for both, in one process; Kafka is real.

Nothing waits: whoever sleeps moves the time of all, and what is due on the way happens. Each request that the simulator
answers takes `per_request` seconds of that time, so that the org changes between two pages as well.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import json
import math
import os
import uuid
from collections.abc import AsyncIterator, Callable, MutableMapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import structlog
from prometheus_client import CollectorRegistry
from tests.crm_sync.simulated import CLIENT, seed

from crm_sync.app import connected
from crm_sync.bus import Bus, KafkaBus
from crm_sync.metrics import CrmMetrics
from crm_sync.salesforce import SalesforceReader
from crm_sync.settings import CrmSettings
from crm_sync.sync import DealSync, Ports
from troth_chassis.errors import TransientError
from troth_chassis.health import Health
from troth_chassis.settings import load_settings
from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.seed import parse_seed
from troth_sandbox.salesforce.server import serving
from troth_sandbox.salesforce.simulation import Entry, Site, open_site

START = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
LONG_AGO = "2026-01-05T09:00:00.000+0000"
LONGEST_BACK_OFF = 30.0
FULL = os.environ.get("TROTH_FULL") == "1"
"""Full size, as `make faults FULL=1` asks; else scaled for every run."""


class WorldTime:
    """The time of the org and of the service."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self.elapsed = 0.0
        self._plan: list[tuple[float, int, Callable[[], object]]] = []
        self._planned = 0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something so many seconds from now."""
        self._planned += 1
        heapq.heappush(self._plan, (self.elapsed + seconds, self._planned, action))

    def advance(self, seconds: float) -> None:
        target = self.elapsed + max(0.0, seconds)
        while self._plan and self._plan[0][0] <= target:
            due, _, action = heapq.heappop(self._plan)
            self.elapsed = max(self.elapsed, due)
            action()
        self.elapsed = max(self.elapsed, target)


class SkewedTime:
    """What a machine with a wrong clock reads; its stop-watch is right."""

    def __init__(self, time: WorldTime) -> None:
        self._time = time
        self.skew = 0.0

    def now(self) -> datetime:
        return self._time.now() + timedelta(seconds=self.skew)

    def monotonic(self) -> float:
        return self._time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._time.sleep(seconds)


class _Journal(list[Entry]):
    """Time passes with every answer."""

    def __init__(self, time: WorldTime, per_request: float) -> None:
        super().__init__()
        self._time = time
        self._per_request = per_request

    def append(self, entry: Entry) -> None:
        super().append(entry)
        self._time.advance(self._per_request)


@dataclasses.dataclass
class Service:
    """One life of crm-sync."""

    sync: DealSync
    reader: SalesforceReader
    bus: Bus
    health: Health
    metrics: CrmMetrics
    registry: CollectorRegistry
    failures: list[str] = dataclasses.field(default_factory=list)


Wrap = Callable[[Any], Any]


def _as_it_is(port: Any) -> Any:
    return port


class World:
    """Everything a test touches."""

    def __init__(self, site: Site, time: WorldTime, settings: CrmSettings) -> None:
        self.site = site
        self.org = site.org
        self.time = time
        self.clock = SkewedTime(time)
        self.settings = settings
        self._connections = contextlib.AsyncExitStack()
        self.told: list[MutableMapping[str, Any]] = []
        """Every line that was logged, before anything is redacted."""
        self.lives: list[Service] = []
        self.ready_at: float | None = None
        """When the service was first ready since this was emptied."""
        self.wrap_reader: Wrap = _as_it_is
        self.wrap_bus: Wrap = _as_it_is

    @property
    def kafka(self) -> str:
        return self.settings.kafka_bootstrap_servers

    @property
    def service(self) -> Service:
        return self.lives[-1]

    async def start(self, *, rebuild: bool = False, **environ: Any) -> Service:
        """A new instance; an older one is left where it stands, as a kill would."""
        settings = self.settings.model_copy(update=environ)
        registry = CollectorRegistry()
        metrics, health = CrmMetrics(registry, self.clock), Health(self.clock)
        connection = connected(settings, self.clock, metrics)
        reader = self.wrap_reader(await self._connections.enter_async_context(connection))
        bus = self.wrap_bus(KafkaBus(settings.kafka_bootstrap_servers, settings.kafka_producer_mode))
        ports = Ports(reader, bus, self.clock, health, metrics, self._logger())
        self.lives.append(
            Service(DealSync(ports, settings, rebuild=rebuild), reader, bus, health, metrics, registry)
        )
        return self.service

    def skew(self, seconds: float) -> None:
        """The clock of the service's machine goes wrong by so much."""
        self.clock.skew = seconds

    async def kill(self) -> None:
        """The instance is gone; what it had in flight is settled by the next writer."""
        await self.service.bus.aclose()

    async def run(self, seconds: float, *, until: Callable[[], bool] = lambda: False) -> None:
        """Lets the service work as its supervisor would, until so much time has passed."""
        end, failures = self.time.elapsed + seconds, 0
        while self.time.elapsed < end and not until():
            try:
                await self.service.sync.cycle(self._beat)
                failures = 0
            except TransientError as error:
                self.service.failures.append(str(error))
                await self.time.sleep(min(LONGEST_BACK_OFF, 0.5 * 2 ** min(failures, 10)))
                failures += 1

    def forget_ready(self) -> float:
        """From now on the next moment of readiness is looked for; returns now."""
        self.ready_at = None
        return self.time.elapsed

    def ready_since(self, moment: float) -> float:
        """How many seconds after `moment` it was ready; infinitely many when it was not."""
        return math.inf if self.ready_at is None else self.ready_at - moment

    def _beat(self) -> None:
        if self.ready_at is None and self.service.health.ready:
            self.ready_at = self.time.elapsed

    def ready(self) -> tuple[bool, str]:
        """Readiness, and every sentence that speaks against it."""
        checks = self.service.health.checks
        return self.service.health.ready, "; ".join(c.detail for c in checks.values() if not c.ok)

    def requests(self, part: str, *, since: int = 0) -> list[Entry]:
        """What was asked, by a part of the path."""
        return [entry for entry in self.site.journal[since:] if part in entry.path]

    @property
    def logins(self) -> int:
        return len(self.requests("oauth2/token"))

    async def close(self) -> None:
        for life in self.lives:
            with contextlib.suppress(TransientError):
                await life.bus.aclose()
        await self._connections.aclose()

    def _logger(self) -> structlog.stdlib.BoundLogger:
        def keep(_logger: Any, method: str, event: MutableMapping[str, Any]) -> NoReturn:
            self.told.append({**event, "level": method})
            raise structlog.DropEvent

        logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
            None, processors=[keep], wrapper_class=structlog.stdlib.BoundLogger
        )
        return logger


def spread(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def _signing(key: Path) -> dict[str, str]:
    return {"TROTH_CRM_JWT_KEY_PATH": str(key), "TROTH_CRM_USERNAME": "integration@example.com"}


@contextlib.asynccontextmanager
async def a_world(
    folder: Path,
    kafka: str,
    contents: dict[str, Any] | None = None,
    *,
    per_request: float = 0.2,
    jwt_key: Path | None = None,
    **environ: str,
) -> AsyncIterator[World]:
    """A world whose org id is its own, so that tests share a broker; the service is not started yet."""
    time = WorldTime()
    org_id = f"00D{uuid.uuid4().hex[:15]}"
    document = {**(contents or seed(20, items_each=2, stamp=LONG_AGO)), "org_id": org_id}
    for account in document["objects"]["Account"]:
        account.setdefault("SystemModstamp", LONG_AGO)  # a young one has its deals read again and again
    made = open_site(
        parse_seed(json.loads(json.dumps(document))), SettableClock(lambda: time.now().timestamp())
    )
    site = dataclasses.replace(made, journal=_Journal(time, per_request))
    async with serving(site, port=0, admin_port=0, tls_dir=folder) as ports:
        settings = load_settings(
            CrmSettings,
            {
                "KAFKA_BOOTSTRAP_SERVERS": kafka,
                "TROTH_CRM_SALESFORCE_URL": f"https://127.0.0.1:{ports.api}",
                "TROTH_CRM_CLIENT_ID": CLIENT["client_id"],
                **(_signing(jwt_key) if jwt_key else {"TROTH_CRM_CLIENT_SECRET": CLIENT["client_secret"]}),
                "TROTH_CRM_CA_BUNDLE": str(folder / "ca.pem"),
                "TROTH_CRM_POLL_SECONDS": "60",
                **environ,
            },
        )
        world = World(site, time, settings)
        try:
            yield world
        finally:
            await world.close()
