"""``crm-sync backfill``: the full read as a command, in the place of a running service."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry

from crm_sync.app import connected
from crm_sync.backfill import Backfill
from crm_sync.bus import KafkaBus
from crm_sync.metrics import CrmMetrics
from crm_sync.scope import open_scope
from crm_sync.settings import CrmSettings
from troth_chassis.clock import SystemClock


async def filled(settings: CrmSettings, *, rebuild: bool, tell: Callable[[str], None]) -> int:
    """Deals that are published afterwards; goes on where a read was broken off, or reads all again (``rebuild``).

    ``tell`` hears how far it is. A service that runs for the same org is fenced and stops.
    """
    clock = SystemClock()
    metrics = CrmMetrics(CollectorRegistry(), clock)
    bus = KafkaBus(settings.kafka_bootstrap_servers, settings.kafka_producer_mode)
    async with connected(settings, clock, metrics) as reader, contextlib.aclosing(bus):
        scope = await open_scope(
            reader,
            bus,
            metrics,
            currency=settings.crm_default_currency,
            rebuild=rebuild,
            selection=settings.selection,
        )
        if not scope.marks.backfill_complete:
            log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("crm-sync")
            overlap = timedelta(seconds=settings.crm_overlap_seconds)
            backfill = Backfill(scope, clock, log, overlap, settings.crm_bulk_from)
            await backfill.run(lambda: tell(backfill.progress))
        return scope.outbox.live_deals()
