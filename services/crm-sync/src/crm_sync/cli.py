"""The command line: ``crm-sync run``, ``check`` and ``sweep``."""

from __future__ import annotations

import asyncio
import functools
import os
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry

from crm_sync.app import build, connected
from crm_sync.check import findings
from crm_sync.metrics import CrmMetrics
from crm_sync.settings import CrmSettings
from crm_sync.sweeping import swept
from crm_sync.watermarks import SERVICE
from troth_chassis.clock import SystemClock
from troth_chassis.errors import EXIT_CONFIGURATION, ConfigurationError, TrothError
from troth_chassis.service import run_service
from troth_chassis.settings import load_settings

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
    """Try the login, every object and a query; one line each, with the fix."""
    raise typer.Exit(0 if asyncio.run(_report(_settings())) else EXIT_CONFIGURATION)


@main.command()
def sweep(
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Confirm and repair too. Takes the org over from a running service."),
    ] = False,
) -> None:
    """Compare every deal with what is published; exit code 1 when something differs."""
    try:
        counts = asyncio.run(swept(_settings(), repair=repair))
    except TrothError as error:
        typer.echo(f"FAILED  {error}")
        raise typer.Exit(EXIT_CONFIGURATION) from error
    for kind, count in sorted(counts.items()):
        typer.echo(f"{kind:10} {count:>8,}")
    different = sum(count for kind, count in counts.items() if kind not in {"deals", "left_out"})
    raise typer.Exit(0 if different == 0 else 1)


def _settings() -> CrmSettings:
    try:
        return load_settings(CrmSettings, os.environ)
    except ConfigurationError as error:
        typer.echo(f"FAILED  {error}")
        raise typer.Exit(EXIT_CONFIGURATION) from error


async def _report(settings: CrmSettings) -> bool:
    clock, metrics = SystemClock(), CrmMetrics(CollectorRegistry())
    good = True
    async with connected(settings, clock, metrics) as reader:
        async for finding in findings(reader):
            typer.echo(f"{'ok    ' if finding.ok else 'FAILED'}  {finding.line}")
            good = good and finding.ok
    return good
