"""``risk-engine run``: the service as a process."""

from __future__ import annotations

import os
import sys

import typer

from risk_engine.app import NAME, build
from risk_engine.settings import EngineSettings
from troth_chassis.service import run_service

cli = typer.Typer(add_completion=False, no_args_is_help=True)


@cli.callback()
def about() -> None:
    """Joins deals with sprints and alerts both sides."""


@cli.command()
def run() -> None:
    """Run until a signal. Exit code 78: a setting must be changed."""
    sys.exit(run_service(NAME, EngineSettings, build, os.environ))


def main() -> None:
    """Entry point."""
    cli()
