"""Bring the deals of a Salesforce org to Kafka, and keep them there as they are."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
from collections.abc import Iterator
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry

from crm_sync.app import build, connected
from crm_sync.check import Finding, findings, kafka_finding
from crm_sync.filling import filled
from crm_sync.metrics import CrmMetrics
from crm_sync.settings import CrmSettings
from crm_sync.sweeping import swept
from crm_sync.watermarks import SERVICE
from troth_chassis.clock import SystemClock
from troth_chassis.errors import EXIT_CONFIGURATION, TrothError
from troth_chassis.service import run_service
from troth_chassis.settings import load_settings
from troth_chassis.topic_reader import read_bodies
from troth_contracts.sync import SyncStatus
from troth_contracts.topics import SYNC_STATUS

main = typer.Typer(name=SERVICE, help=__doc__, no_args_is_help=True, add_completion=False)


@main.command()
def run(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Read everything again, also when the positions are lost.")
    ] = False,
) -> None:
    """Publish deals and reference data until stopped."""
    raise typer.Exit(run_service(SERVICE, CrmSettings, functools.partial(build, rebuild=rebuild), os.environ))


@main.command()
def check() -> None:
    """Try the login, every object, a query and Kafka; one line each, with the fix. Writes nothing."""
    _quiet_kafka()
    raise typer.Exit(0 if asyncio.run(_report(_settings())) else EXIT_CONFIGURATION)


@main.command()
def backfill(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Read everything again, also when it was read before.")
    ] = False,
) -> None:
    """Read every deal once and end. Takes the org over from a running service."""
    _quiet_kafka()
    with _failing():
        deals = asyncio.run(
            filled(_settings(), rebuild=rebuild, tell=lambda words: typer.echo(words, err=True))
        )
        typer.echo(f"complete: {deals:,} deals are published")


@main.command()
def status() -> None:
    """Say what the service last told of itself on Kafka; exit code 1 unless every org is complete."""
    _quiet_kafka()
    with _failing():
        told = asyncio.run(read_bodies(_settings().kafka_bootstrap_servers, SYNC_STATUS))
    own = [each for each in told.values() if isinstance(each, SyncStatus) and each.service == SERVICE]
    for each in own:
        typer.echo("\n".join(_lines(each)))
    if not own:
        typer.echo("crm-sync has told nothing of itself yet: start it with `crm-sync run`")
    raise typer.Exit(0 if own and all(each.state == "complete" for each in own) else 1)


@main.command()
def sweep(
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Confirm and repair too. Takes the org over from a running service."),
    ] = False,
) -> None:
    """Compare every deal with what is published; exit code 1 when something differs."""
    _quiet_kafka()
    with _failing():
        counts = asyncio.run(swept(_settings(), repair=repair))
    for kind, count in sorted(counts.items()):
        typer.echo(f"{kind:10} {count:>8,}")
    different = sum(count for kind, count in counts.items() if kind not in {"deals", "left_out"})
    raise typer.Exit(0 if different == 0 else 1)


def _settings() -> CrmSettings:
    with _failing():
        return load_settings(CrmSettings, os.environ)


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """One sentence instead of a stack trace."""
    try:
        yield
    except TrothError as error:
        typer.echo(f"FAILED  {error}")
        raise typer.Exit(EXIT_CONFIGURATION) from error


def _quiet_kafka() -> None:
    """The client would log each of its own attempts; the command says once what came of them."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _lines(told: SyncStatus) -> Iterator[str]:
    yield f"{told.scope}  {told.state}, {told.records:,} deals, told {told.at:%Y-%m-%d %H:%M:%S} UTC"
    if told.fresh_at:
        yield f"    everything up to {told.fresh_at:%Y-%m-%d %H:%M:%S} UTC is published"
    yield from (f"    {words}" for words in (told.reason, told.detail) if words)


async def _report(settings: CrmSettings) -> bool:
    clock = SystemClock()
    metrics = CrmMetrics(CollectorRegistry(), clock)
    good = True
    async with connected(settings, clock, metrics) as reader:
        async for finding in findings(reader):
            typer.echo(_told(finding))
            good = good and finding.ok
    kafka = await kafka_finding(settings.kafka_bootstrap_servers)
    typer.echo(_told(kafka))
    return good and kafka.ok


def _told(finding: Finding) -> str:
    return f"{'ok    ' if finding.ok else 'FAILED'}  {finding.line}"
