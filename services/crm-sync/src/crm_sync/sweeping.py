"""``crm-sync sweep``: the comparison as a command, beside a running service or in its place."""

from __future__ import annotations

import contextlib
from collections import Counter
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry

from crm_sync.app import connected
from crm_sync.bus import Bus, KafkaBus
from crm_sync.compare import Comparer, Comparison
from crm_sync.describe import read_schema
from crm_sync.metrics import CrmMetrics
from crm_sync.salesforce import SalesforceReader
from crm_sync.scope import open_scope
from crm_sync.selection import resolved
from crm_sync.settings import CrmSettings
from crm_sync.sweep import Sweep
from troth_chassis.clock import SystemClock
from troth_contracts.topics import OPPORTUNITIES


async def swept(settings: CrmSettings, *, repair: bool) -> Counter[str]:
    """How many differences of each kind; without ``repair`` they are not confirmed, and nothing is written."""
    clock = SystemClock()
    metrics = CrmMetrics(CollectorRegistry(), clock)
    bus = KafkaBus(settings.kafka_bootstrap_servers, settings.kafka_producer_mode)
    async with connected(settings, clock, metrics) as reader, contextlib.aclosing(bus):
        if repair:
            return await repaired(settings, reader, bus, metrics)
        return counted(await compared(settings, reader, bus))


async def compared(settings: CrmSettings, reader: SalesforceReader, bus: Bus) -> Comparison:
    """Candidates only; safe beside a running service."""
    selection = await resolved(settings.selection, reader)
    schema = await read_schema(reader, also=selection.fields)
    comparer = Comparer(reader, schema, selection, timedelta(seconds=settings.crm_overlap_seconds))
    async for _rows in comparer.list():
        pass
    return await comparer.against(await reader.org_id(), bus.read(OPPORTUNITIES))


def counted(result: Comparison) -> Counter[str]:
    """How many of each kind."""
    counts = Counter(str(kind) for kind in result.found.values())
    more = {"vanished": len(result.vanished), "left_out": len(result.left_out), "deals": result.listed}
    return counts + Counter(more)


async def repaired(
    settings: CrmSettings, reader: SalesforceReader, bus: Bus, metrics: CrmMetrics
) -> Counter[str]:
    """The whole sweep, as the org's only writer."""
    scope = await open_scope(
        reader,
        bus,
        metrics,
        currency=settings.crm_default_currency,
        rebuild=False,
        selection=settings.selection,
    )
    log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("crm-sync")
    return await Sweep(scope, bus, log, timedelta(seconds=settings.crm_overlap_seconds)).run(lambda: None)
