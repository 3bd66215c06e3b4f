"""The command line: run the service, check the site, ask the running service for something, see how far it is."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as Bar

from jira_sync.app import build
from jira_sync.asking import ask, project_marks, status_lines
from jira_sync.hints import HintKind
from jira_sync.opening import open_reader
from jira_sync.probe import Finding, probe
from jira_sync.progress import share_of
from jira_sync.publication import SERVICE
from jira_sync.settings import JiraSettings
from troth_chassis.clock import SystemClock
from troth_chassis.errors import EXIT_CONFIGURATION, TrothError
from troth_chassis.service import run_service
from troth_chassis.settings import load_settings
from troth_contracts.sync import Watermark

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Streams Jira issues and sprints into Kafka."
)
T = TypeVar("T")
_ISSUE = re.compile(r"[A-Za-z][A-Za-z0-9_]*-[1-9][0-9]*|[1-9][0-9]*")
_PROJECT = re.compile(r"[A-Z][A-Z0-9_]*")
MISSING = (
    "{} missing. Boards and projects that are missing are done without and named in `jira-sync status`;"
    " everything else must be there before the service starts."
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
    findings = _settled(_check)
    for finding in findings:
        mark = "[green]ok     [/]" if finding.ok else "[red]missing[/]"
        _console.print(mark, escape(": ".join(filter(None, (finding.name, finding.detail)))))
    missing = sum(not finding.ok for finding in findings)
    _console.print(MISSING.format(missing) if missing else "Everything the service needs is there.")
    raise typer.Exit(EXIT_CONFIGURATION if missing else 0)


@app.command()
def repair(issue: Annotated[str, typer.Argument(help="Issue key or id, such as APA-17.")]) -> None:
    """Asks the service to read one issue again, past the search index."""
    if not _ISSUE.fullmatch(issue):
        _fail(f"{issue!r} is neither an issue key nor an id")
    _ask("repair", issue=issue.upper())


@app.command()
def census(
    projects: Annotated[
        list[str] | None,
        typer.Argument(help="Keys of projects of which more than a fifth is gone, and people know it."),
    ] = None,
) -> None:
    """Asks the service to compare the ids of every project with what is published, now.

    Of a project that is named, each missing issue is asked for twice and deleted when it is gone, however many are.
    """
    _ask("census", projects=",".join(_keys(projects)))


@app.command()
def backfill(
    projects: Annotated[
        list[str] | None, typer.Argument(help="Project keys; every project without any.")
    ] = None,
    watch: Annotated[bool, typer.Option(help="Show how far it is until it is done.")] = False,
) -> None:
    """Asks the service to read projects again, newest issues first; what is published stays until it differs."""
    keys = _keys(projects)
    before = _settled(project_marks) if watch else {}
    _ask("backfill", projects=",".join(keys))
    if watch:
        _settled(lambda settings: _watch(settings, before))


@app.command()
def status() -> None:
    """Shows what the service last said of itself: how far it is, what is left out, what is set aside."""
    for line in _settled(status_lines):
        _console.print(line, markup=False)


def _keys(projects: list[str] | None) -> list[str]:
    keys = [key.upper() for key in projects or ()]
    for key in keys:
        if not _PROJECT.fullmatch(key):
            _fail(f"{key!r} is not a project key")
    return keys


def _ask(kind: HintKind, **what: str) -> None:
    _settled(lambda settings: ask(settings, kind, **what))
    named = " ".join(filter(None, (kind, *what.values())))
    _console.print(f"asked for {named}", "- followed at once while the service runs", markup=False)


async def _watch(settings: JiraSettings, before: Mapping[str, Watermark]) -> None:
    """A bar until every project is read; the request itself takes a moment to be followed."""
    with Bar(console=_console) as bar:
        task = bar.add_task("backfill", total=1.0)
        while not bar.finished:
            marks = await project_marks(settings)
            bar.update(task, completed=share_of(marks) if marks != before else 0.0)
            await asyncio.sleep(1)


def _settled(act: Callable[[JiraSettings], Coroutine[Any, Any, T]]) -> T:
    """Runs ``act`` with the settings; an error is one sentence and exit 78."""
    try:
        return asyncio.run(act(load_settings(JiraSettings, os.environ)))
    except TrothError as error:
        _fail(str(error))


def _fail(sentence: str) -> NoReturn:
    print(f"{SERVICE}: {sentence}", file=sys.stderr)  # noqa: T201
    raise typer.Exit(EXIT_CONFIGURATION) from None


async def _check(settings: JiraSettings) -> list[Finding]:
    async with open_reader(settings, SystemClock()) as reader:
        return await probe(reader, settings.login_kind, settings.jira_projects)


def main() -> None:
    """Entry point of the script ``jira-sync``."""
    app()
