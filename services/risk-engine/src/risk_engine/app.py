"""All wiring of the risk-engine in one place: ingest → store → evaluate → alerts → deliver."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from fastapi import FastAPI

from risk_engine.alerts import Alerts, Fallbacks
from risk_engine.answer.desk import PromiseDesk
from risk_engine.answer.links import LinkDesk
from risk_engine.answer.routes import add_link_routes, add_promise_routes, add_slip_routes
from risk_engine.answer.slip import SlipDesk
from risk_engine.api import add_routes
from risk_engine.backtest.job import BacktestJob
from risk_engine.declare.desk import LedgerDesk
from risk_engine.declare.routes import add_ledger_routes
from risk_engine.deliver.courier import Courier
from risk_engine.deliver.webhook import WebhookSender
from risk_engine.domain.registry import Registry
from risk_engine.evaluate.evaluator import Evaluator
from risk_engine.ingest import Ingest
from risk_engine.metrics import EngineMetrics
from risk_engine.records import read_batch
from risk_engine.registry_file import read_registry
from risk_engine.serve.gate import Gate
from risk_engine.serve.table_routes import add_table_routes
from risk_engine.serve.tokens import TokenFile
from risk_engine.settings import EngineSettings
from risk_engine.store.database import Database, open_database
from risk_engine.store.offsets import StoredOffsets
from risk_engine.store.seats import take_seat
from risk_engine.store.states import INGESTED
from troth_chassis.clock import Clock
from troth_chassis.consumer import PartitionConsumer
from troth_chassis.guard import guarded_transport
from troth_chassis.service import Chassis, Loop
from troth_chassis.topics_admin import ensure_topics
from troth_chassis.writer import Mode, ScopeWriter
from troth_contracts.topics import TOPICS

NAME = "risk-engine"


@contextlib.asynccontextmanager
async def build(chassis: Chassis[EngineSettings]) -> AsyncIterator[Sequence[Loop]]:
    """Opens what the loops need, yields them, closes it again."""
    settings, clock = chassis.settings, chassis.clock
    bootstrap = settings.kafka_bootstrap_servers
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings.database_url.get_secret_value()))
        await ensure_topics(bootstrap, TOPICS)
        metrics = EngineMetrics(chassis.metrics)
        letters = _writer(chassis, "dead-letters")
        notices = _writer(chassis, "outbox")
        stack.push_async_callback(letters.stop)
        stack.push_async_callback(notices.stop)
        sender = _sender(chassis)
        if sender is not None:
            stack.push_async_callback(sender.close)
        fallbacks = Fallbacks(settings.risk_sales_fallback, settings.risk_engineering_fallback)
        alerts = Alerts(fallbacks, metrics, has_webhook=sender is not None)
        registry = read_registry(settings.risk_teams)
        woken = asyncio.Event()
        consumer = PartitionConsumer(
            bootstrap,
            group=settings.risk_consumer_group,
            topics=INGESTED,
            offsets=StoredOffsets(database),
            handler=Ingest(database, letters, metrics, on_change=woken.set),
            read=read_batch,
            take_seat=partial(
                take_seat, settings.database_url.get_secret_value(), settings.risk_consumer_group
            ),
        )
        evaluator = Evaluator(
            database,
            alerts,
            lag=consumer.lag,
            woken=woken,
            clock=clock,
            zone=settings.zone,
            is_working_day=settings.is_working_day,
            trials=settings.risk_trials,
            metrics=metrics,
            registry=registry,
            deal_share=settings.risk_deal_share,
            policy=settings.commit_policy,
            currency=settings.risk_currency,
        )
        courier = Courier(database, notices, sender, clock=clock, metrics=metrics, rng=random.Random())
        add_api(chassis.app, settings, database, clock, registry, on_change=woken.set)
        yield (
            Loop("ingest", consumer.run),
            Loop("evaluate", evaluator.run),
            Loop("deliver", courier.run),
            Loop("backtest", BacktestJob(database, metrics, clock).run),
        )


def add_api(
    app: FastAPI,
    settings: EngineSettings,
    database: Database,
    clock: Clock,
    registry: Registry,
    *,
    on_change: Callable[[], None],
) -> None:
    """Adds every route of the engine, behind the gate. ``on_change`` is called after one marked something."""
    calendar, zone, trials = settings.is_working_day, settings.zone, settings.risk_trials
    desk = PromiseDesk(
        database,
        clock=clock,
        zone=zone,
        is_working_day=calendar,
        trials=trials,
        currency=settings.risk_currency,
        registry=registry,
        deal_share=settings.risk_deal_share,
    )
    ledger = LedgerDesk(
        database,
        clock=clock,
        zone=zone,
        is_working_day=calendar,
        trials=trials,
        policy=settings.commit_policy,
        currency=settings.risk_currency,
        on_change=on_change,
    )
    path = settings.risk_tokens_path
    gate = Gate(None if path is None else TokenFile(path, clock), settings.sight)
    add_routes(app, database, gate)
    add_table_routes(app, database, settings.fiscal_year)
    add_ledger_routes(app, database, ledger)
    add_promise_routes(app, database, desk)
    slips = SlipDesk(database, clock=clock, zone=zone, trials=trials, registry=registry)
    add_slip_routes(app, slips)
    add_link_routes(app, LinkDesk(database, clock=clock, on_answer=on_change))


def _writer(chassis: Chassis[EngineSettings], scope: str) -> ScopeWriter:
    """Several replicas may write these, so nobody is fenced; ids make repeats visible."""
    mode: Mode = "plain" if chassis.settings.kafka_producer_mode == "plain" else "idempotent"
    return ScopeWriter(chassis.settings.kafka_bootstrap_servers, NAME, scope, mode)


def _sender(chassis: Chassis[EngineSettings]) -> WebhookSender | None:
    settings = chassis.settings
    if settings.risk_webhook_url is None or settings.risk_webhook_secret is None:
        return None
    transport = guarded_transport(settings.allowed_networks, settings.risk_webhook_ca_bundle)
    return WebhookSender(
        settings.risk_webhook_url, settings.risk_webhook_secret.get_secret_value(), chassis.clock, transport
    )
