"""The command line: ``jira-sync run`` and ``jira-sync check``."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from jira_sync.app import build, open_reader
from jira_sync.probe import Finding, probe
from jira_sync.publication import SERVICE
from jira_sync.settings import JiraSettings
from troth_chassis.clock import SystemClock
from troth_chassis.errors import EXIT_CONFIGURATION, TrothError
from troth_chassis.service import run_service
from troth_chassis.settings import load_settings

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Streams Jira issues and sprints into Kafka."
)
_console = Console(highlight=False, soft_wrap=True)


@app.command()
def run(
    rebuild: Annotated[
        bool, typer.Option(help="Read everything again although the state topic is lost.")
    ] = False,
) -> None:
    """Runs the service until it is told to stop."""
    environ = {**os.environ, "TROTH_JIRA_REBUILD": "true"} if rebuild else dict(os.environ)
    raise typer.Exit(run_service(SERVICE, JiraSettings, build, environ))


@app.command()
def check() -> None:
    """Asks every endpoint the service needs and names what is missing, board by board."""
    try:
        findings = asyncio.run(_check(load_settings(JiraSettings, os.environ)))
    except TrothError as error:
        print(f"{SERVICE}: {error}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(EXIT_CONFIGURATION) from None
    for finding in findings:
        mark = "[green]ok     [/]" if finding.ok else "[red]missing[/]"
        _console.print(mark, finding.name, finding.detail, markup=True)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else EXIT_CONFIGURATION)


async def _check(settings: JiraSettings) -> list[Finding]:
    async with open_reader(settings, SystemClock()) as reader:
        return await probe(reader, settings.jira_projects)


def main() -> None:
    """Entry point of the script ``jira-sync``."""
    app()
