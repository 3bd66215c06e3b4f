"""The service's loop on an org and a bus in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import structlog
from prometheus_client import CollectorRegistry
from tests.crm_sync.fakes import START, MemoryBus, MemoryOrg

from crm_sync.metrics import CrmMetrics
from crm_sync.settings import CrmSettings
from crm_sync.sync import DealSync, Ports
from troth_chassis.clock import AutoClock
from troth_chassis.health import Health
from troth_chassis.settings import load_settings
from troth_contracts.crm import Deal
from troth_contracts.topics import OPPORTUNITIES

ENVIRONMENT = {
    "KAFKA_BOOTSTRAP_SERVERS": "nowhere:9092",
    "TROTH_CRM_SALESFORCE_URL": "https://example.my.salesforce.com",
    "TROTH_CRM_CLIENT_ID": "client",
    "TROTH_CRM_CLIENT_SECRET": "a-secret",
}


@dataclass
class Stage:
    """Everything a test of the loop touches."""

    org: MemoryOrg
    bus: MemoryBus
    clock: AutoClock
    health: Health
    metrics: CrmMetrics
    sync: DealSync

    async def poll(self, seconds: float = 30) -> None:
        """Time passes in the org and here, then one pass."""
        self.org.advance(seconds)
        await self.clock.sleep(seconds)
        await self.sync.once(lambda: None)

    def restart(self, *, rebuild: bool = False, **environ: str) -> None:
        self.metrics = CrmMetrics(CollectorRegistry(), self.clock)
        log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("test")
        ports = Ports(self.org, self.bus, self.clock, self.health, self.metrics, log)
        self.sync = DealSync(ports, load_settings(CrmSettings, {**ENVIRONMENT, **environ}), rebuild=rebuild)

    def deals(self) -> dict[str, Deal]:
        """Live deals by opportunity id."""
        folded = self.bus.fold(OPPORTUNITIES).values()
        return {deal.id: deal for deal in folded if isinstance(deal, Deal)}


@pytest.fixture
def stage() -> Stage:
    return make_stage()


def make_stage(org: MemoryOrg | None = None) -> Stage:
    clock = AutoClock(START)
    blank: Callable[..., Stage] = Stage
    stage = blank(org or MemoryOrg(), MemoryBus(), clock, Health(clock), None, None)
    stage.restart()
    return stage
