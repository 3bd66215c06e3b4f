"""All wiring of crm-sync: which concrete thing stands behind each port."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence

from pydantic import SecretStr

from crm_sync.bulk import BulkJobs
from crm_sync.bundle import BundlingReader
from crm_sync.bus import KafkaBus
from crm_sync.composite import Composite
from crm_sync.direct import Connection, DirectClient
from crm_sync.login import Assertion, ClientCredentials, FixedSecret, JwtBearer, SecretFile
from crm_sync.metrics import CrmMetrics
from crm_sync.patience import Patience, ServerClock
from crm_sync.rest import RestReader, worker_threads
from crm_sync.settings import CrmSettings
from crm_sync.sync import DealSync, Ports
from crm_sync.tokens import Login, TokenSource
from troth_chassis.clock import Clock
from troth_chassis.http import HttpClient, RequestBudget
from troth_chassis.service import Chassis, Loop

STALE_AFTER = 600.0


@contextlib.asynccontextmanager
async def build(chassis: Chassis[CrmSettings], *, rebuild: bool = False) -> AsyncIterator[Sequence[Loop]]:
    """The service's one loop and what it works with."""
    settings, clock = chassis.settings, chassis.clock
    metrics = CrmMetrics(chassis.metrics, clock)
    bus = KafkaBus(settings.kafka_bootstrap_servers, settings.kafka_producer_mode)
    async with connected(settings, clock, metrics) as reader, contextlib.aclosing(bus):
        ports = Ports(reader, bus, clock, chassis.health, metrics, chassis.log)
        sync = DealSync(ports, settings, rebuild=rebuild)
        chassis.app.add_api_route("/status", sync.status, methods=["GET"])
        yield [Loop("salesforce", sync.run, stale_after=STALE_AFTER)]


@contextlib.asynccontextmanager
async def login_client(settings: CrmSettings, clock: Clock) -> AsyncIterator[HttpClient]:
    """Httpx for the token endpoint: one try per login, so that logins stay counted."""
    http = HttpClient(
        base_url=settings.crm_salesforce_url,
        budget=RequestBudget(1.0, 5, 1, clock),
        clock=clock,
        timeout=settings.crm_request_timeout_seconds,
        verify=_trust(settings),
        tries=1,
    )
    try:
        yield http
    finally:
        await http.close()


@contextlib.asynccontextmanager
async def connected(
    settings: CrmSettings, clock: Clock, metrics: CrmMetrics
) -> AsyncIterator[BundlingReader]:
    """The reader of the configured org."""
    connection = Connection(
        api_version=settings.crm_api_version,
        timeout=settings.crm_request_timeout_seconds,
        verify=str(settings.crm_ca_bundle) if settings.crm_ca_bundle else True,
    )
    server_clock = ServerClock()
    async with (
        login_client(settings, clock) as http,
        worker_threads(settings.crm_max_threads) as pool,
        contextlib.aclosing(DirectClient(connection, metrics, server_clock)) as direct,
    ):
        patience = Patience(
            TokenSource(login_of(settings, http, clock), clock, told=metrics.logged_in), clock
        )
        single = RestReader(patience, connection, pool, metrics, server_clock)
        composite, jobs = Composite(direct, patience), BulkJobs(direct, patience)
        yield BundlingReader(single, composite, jobs, metrics.budget.unbundle)


def login_of(settings: CrmSettings, http: HttpClient, clock: Clock) -> Login:
    """The configured way to log in."""
    if settings.crm_jwt_key_path:
        who = Assertion(settings.crm_client_id, settings.crm_username or "", settings.crm_login_url)
        return JwtBearer(http, who, SecretFile(settings.crm_jwt_key_path), clock)
    fixed = settings.crm_client_secret
    path = settings.crm_client_secret_path
    secret = SecretFile(path) if path else FixedSecret(fixed or SecretStr(""))
    return ClientCredentials(http, settings.crm_client_id, secret)


def _trust(settings: CrmSettings) -> ssl.SSLContext:
    """The configured certificates, or else the system's."""
    return ssl.create_default_context(cafile=settings.crm_ca_bundle)
