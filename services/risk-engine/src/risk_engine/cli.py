"""``risk-engine run``: the service; the other commands ask it, feed it, or say how well it forecasts."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from risk_engine.answer.client import HERE, UnansweredError, ask, ask_why, send_file
from risk_engine.app import NAME, build
from risk_engine.backtest.command import backtest_folder, backtest_store
from risk_engine.declare.importer import lines_of
from risk_engine.serve.tokens import add_line, new_token
from risk_engine.settings import EngineSettings
from risk_engine.store.again import forget_at, rederive_at
from troth_chassis.errors import EXIT_CONFIGURATION, ConfigurationError, TransientError
from troth_chassis.service import run_service
from troth_chassis.settings import load_settings

T = TypeVar("T")
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
    folder: Annotated[
        Path | None,
        typer.Argument(help="Holds <project>_iteration_<t>.csv, also in subfolders; none: your own teams."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("build/backtest.json"),
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 outside the bands.")] = False,
) -> None:
    """Forecast every past sprint from those before it and report how often the forecast kept its word."""
    try:
        if folder is None:
            broken = backtest_store(os.environ.get("DATABASE_URL", ""), out, typer.echo)
        else:
            broken = backtest_folder(folder, out, typer.echo)
    except ConfigurationError as error:
        typer.echo(error, err=True)
        raise typer.Exit(EXIT_CONFIGURATION) from error
    for sentence in broken:
        typer.echo(f"outside its band: {sentence}", err=True)
    if broken and check:
        raise typer.Exit(1)


@cli.command("rederive")
def rederive_command() -> None:
    """Find all links anew and evaluate everything again, after a change of how that is done. An engine may run."""
    deals = _over_the_store(rederive_at)
    typer.echo(f"{deals} deals are marked; the risk-engine works them off while it runs")


@cli.command()
def rebuild() -> None:
    """Empty what the topics can fill again; the next start reads them and says nothing. Stop every replica first."""
    _over_the_store(forget_at)
    typer.echo("emptied; start the risk-engine: it reads the topics and is silent until it has caught up")


def _over_the_store(work: Callable[[str], Coroutine[Any, Any, T]]) -> T:
    try:
        settings = load_settings(EngineSettings, os.environ)
        return asyncio.run(work(settings.database_url.get_secret_value()))
    except ConfigurationError as error:
        typer.echo(error, err=True)
        raise typer.Exit(EXIT_CONFIGURATION) from error
    except TransientError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from error


@cli.command("promise-check")
def promise_check(
    date: Annotated[str, typer.Option(help="The day it would be promised for, YYYY-MM-DD.")],
    issue: Annotated[list[str] | None, typer.Option(help="An issue key; may be given again.")] = None,
    team: Annotated[str | None, typer.Option(help="With --points or --size: whose work it is.")] = None,
    points: Annotated[float | None, typer.Option(help="New work that is on no board yet.")] = None,
    size: Annotated[str | None, typer.Option(help="XS, S, M, L or XL, where nobody estimated.")] = None,
    amount: Annotated[str | None, typer.Option(help="What it is worth.")] = None,
    currency: Annotated[str, typer.Option(help="Three letters.")] = "EUR",
    deal: Annotated[str | None, typer.Option(help="<org>:<opportunity id>")] = None,
    store: Annotated[bool, typer.Option("--store", help="Keep the answer with the deal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The whole answer.")] = False,
    url: Annotated[str, typer.Option(envvar="TROTH_RISK_URL", help="Where a risk-engine runs.")] = HERE,
) -> None:
    """Ask a running risk-engine: can we promise this for that day? Exit code 2: the question cannot be answered."""
    work: dict[str, Any] = {"issues": issue}
    if points is not None:
        work["effort"] = {"team": team or "", "points": points}
    if size is not None:
        work["sized"] = {"team": team or "", "size": size}
    question = work | {
        "date": date,
        "amount": {"amount": amount, "currency": currency} if amount else None,
        "deal": deal,
        "store": store or None,
    }
    try:
        answer = ask({name: value for name, value in question.items() if value}, url)
    except UnansweredError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from error
    typer.echo(json.dumps(answer, indent=2) if as_json else "\n".join(answer["explanation"]))


@cli.command()
def slip(
    deal: Annotated[str, typer.Argument(help="<org>:<opportunity id>")],
    as_json: Annotated[bool, typer.Option("--json", help="The whole answer.")] = False,
    url: Annotated[str, typer.Option(envvar="TROTH_RISK_URL", help="Where a risk-engine runs.")] = HERE,
) -> None:
    """Ask a running risk-engine: why does this deal's promise slip? Exit code 2: it promises nothing in force."""
    try:
        answer = ask_why(deal, url)
    except UnansweredError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from error
    typer.echo(json.dumps(answer, indent=2) if as_json else "\n".join(answer["explanation"]))


@cli.command("import")
def import_promises(
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8 with a header; see the README for its columns.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be kept.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report.")] = False,
    url: Annotated[str, typer.Option(envvar="TROTH_RISK_URL", help="Where a risk-engine runs.")] = HERE,
) -> None:
    """Import promises into a running risk-engine. Exit code 1: some lines were left out, 2: the file cannot be read."""
    try:
        report = send_file(file.read_bytes(), url, dry_run=dry_run)
    except (UnansweredError, OSError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        for line in lines_of(report):
            typer.echo(line)
    if report["refused"]:
        raise typer.Exit(1)


@cli.command()
def token(
    name: Annotated[str, typer.Argument(help="Whose token it is: a person or a program, without spaces.")],
    role: Annotated[str, typer.Argument(help="viewer, planner or admin")],
    until: Annotated[str | None, typer.Option(help="The last day it is good for, YYYY-MM-DD.")] = None,
    path: Annotated[
        Path | None, typer.Option(envvar="TROTH_RISK_TOKENS_PATH", help="The file to add it to.")
    ] = None,
) -> None:
    """Make a bearer token. It is shown once; the file keeps its digest only."""
    try:
        made, line = new_token(name, role, until)
        if path is not None:
            add_line(path, line)
    except (ConfigurationError, OSError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(EXIT_CONFIGURATION) from error
    typer.echo(made)
    if path is None:
        typer.echo(f"add this line to the file of TROTH_RISK_TOKENS_PATH: {line}", err=True)


def main() -> None:
    """Entry point."""
    cli()
