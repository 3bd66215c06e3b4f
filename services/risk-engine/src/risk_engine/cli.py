"""``risk-engine run``: the service as a process; ``risk-engine backtest``: how good its forecast is."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from risk_engine.app import NAME, build
from risk_engine.backtest.command import run_backtest
from risk_engine.settings import EngineSettings
from troth_chassis.errors import EXIT_CONFIGURATION, ConfigurationError
from troth_chassis.service import run_service

cli = typer.Typer(add_completion=False, no_args_is_help=True)


@cli.callback()
def about() -> None:
    """Joins deals with sprints and alerts both sides."""


@cli.command()
def run() -> None:
    """Run until a signal. Exit code 78: a setting must be changed."""
    sys.exit(run_service(NAME, EngineSettings, build, os.environ))


@cli.command()
def backtest(
    folder: Annotated[Path, typer.Argument(help="Holds <project>_iteration_<t>.csv, also in subfolders.")],
    out: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("build/backtest.json"),
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 outside the bands.")] = False,
) -> None:
    """Forecast every past sprint from those before it and report how often the forecast kept its word."""
    try:
        broken = run_backtest(folder, out, typer.echo)
    except ConfigurationError as error:
        typer.echo(error, err=True)
        raise typer.Exit(EXIT_CONFIGURATION) from error
    for sentence in broken:
        typer.echo(f"outside its band: {sentence}", err=True)
    if broken and check:
        raise typer.Exit(1)


def main() -> None:
    """Entry point."""
    cli()
