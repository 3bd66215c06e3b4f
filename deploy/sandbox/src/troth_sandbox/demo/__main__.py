"""``python -m troth_sandbox.demo``: builds a world, runs everything on it, and tells which promises break."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from troth_sandbox.demo.console import DemoConsole
from troth_sandbox.demo.places import REPORT, ROOT, RUNS, SCENARIO, fixtures_folder
from troth_sandbox.demo.stage import Stage
from troth_sandbox.demo.story import Verdict, firing, judge, read_notices, tell
from troth_sandbox.demo.watch import Expected, Watch
from troth_sandbox.errors import SandboxError
from troth_sandbox.world.build import World, build_world
from troth_sandbox.world.clock import today_utc
from troth_sandbox.world.scenario import read_scenario


def main(
    once: Annotated[
        bool, typer.Option("--once", help="Check the stories, write build/demo.json, exit.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show every log line.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same world.")] = 7,
    deadline: Annotated[float, typer.Option(help="Seconds until the stories must be found.")] = 420.0,
    report: Annotated[Path, typer.Option(help="Where the report is written.")] = REPORT,
) -> None:
    """Run the whole product against simulated Salesforce and Jira."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    out = DemoConsole(Console(), verbose=verbose)
    run_dir = RUNS / f"demo-{os.getpid()}"
    try:
        code = _run(out, run_dir, report, once=once, seed=seed, deadline=deadline)
    except SandboxError as error:
        out.console.print(str(error), style="bold red", highlight=False)
        code = 1
    except KeyboardInterrupt:
        code = 0
    shutil.rmtree(run_dir, ignore_errors=True)
    raise typer.Exit(code)


def _run(out: DemoConsole, run_dir: Path, report: Path, *, once: bool, seed: int, deadline: float) -> int:
    world = _build(out, seed)
    world.write(run_dir / "world")
    with Stage(run_dir / "world", run_dir, listener=out.hear, say=out.say) as stage:
        started = time.monotonic()
        last_notice: list[float] = []
        stage.start_services()
        settled = Watch(stage, _expected(world), out.console).until_settled(
            deadline, lambda: _note_time(stage, world, started, last_notice)
        )
        alerts = firing(read_notices(stage.notices))
        verdict = judge(world.truth, alerts)
        _report(report, stage, world, verdict, last_notice)
        out.say(f"report: {_short(report)}")
        _tell_story(out, stage, verdict, settled=settled)
        if once:
            return 0 if settled and verdict.holds else 1
        out.say("running until Ctrl-C; change a record through the simulators' admin ports and watch")
        threading.Event().wait()
    return 0


def _build(out: DemoConsole, seed: int) -> World:
    fixtures = fixtures_folder(os.environ)
    world = build_world(today=today_utc(), seed=seed, scenario=read_scenario(SCENARIO), fixtures=fixtures)
    source = "public data" if fixtures else "generated data"
    counts = ", ".join(f"{count} {name}" for name, count in world.counts.items())
    out.say(f"world from {source}: {counts}, {len(world.truth['planted'])} planted stories")
    return world


def _expected(world: World) -> Expected:
    return Expected(world.counts["deals"], world.counts["issues"], world.counts["sprints"])


def _note_time(stage: Stage, world: World, started: float, last: list[float]) -> bool:
    """Whether all planted stories are found; remembers when the newest notice came."""
    notices = read_notices(stage.notices)
    if len(notices) != (len(last) and int(last[0])):
        last[:] = [float(len(notices)), time.monotonic() - started]
    return judge(world.truth, firing(notices)).holds


def _report(path: Path, stage: Stage, world: World, verdict: Verdict, last: list[float]) -> None:
    report: dict[str, Any] = {
        "deals": world.counts["deals"],
        "sprints": world.counts["sprints"],
        "planted": [item.to_json() for item in verdict.planted],
        "found": [item.to_json() for item in verdict.found],
        "healthy_teams": len(verdict.healthy_teams),
        "unexpected": [item.to_json() for item in verdict.unexpected],
        "missing": [item.to_json() for item in verdict.missing],
        "seconds_to_last_alert": round(last[1], 1) if last else None,
        "kafka": f"{stage.broker.kind} {stage.broker.version}",
        "world": world.truth["world"],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _short(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def _tell_story(out: DemoConsole, stage: Stage, verdict: Verdict, *, settled: bool) -> None:
    out.console.rule("Promises that will break")
    for alert in firing(read_notices(stage.notices)):
        out.console.print(f"\n  {tell(alert)}", highlight=False, markup=False)
    out.console.rule()
    out.say(
        f"{len(verdict.found)} found of {len(verdict.planted)} planted, {len(verdict.unexpected)} unexpected"
    )
    out.say(f"teams that keep their promises and stay silent: {', '.join(verdict.healthy_teams)}")
    for item in verdict.missing:
        out.say(f"MISSING {item}")
    for item in verdict.unexpected:
        out.say(f"UNEXPECTED {item}")
    if not settled:
        out.say("the services did not settle in time")
    out.say(f"look: {stage.addresses.risk_engine}/alerts  {stage.addresses.risk_engine}/openapi.json")


if __name__ == "__main__":
    typer.run(main)
