"""``python -m troth_sandbox.world``: build a world into a folder."""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from troth_sandbox.errors import SeedError
from troth_sandbox.world.build import build_world
from troth_sandbox.world.clock import today_utc
from troth_sandbox.world.scenario import read_scenario


def main(
    out: Annotated[Path, typer.Option(help="Folder for salesforce.json, jira.json and truth.json.")],
    fixtures: Annotated[
        Path | None, typer.Option(help="Public data; without it the world is generated.")
    ] = None,
    scenario: Annotated[Path | None, typer.Option(help="Scenario file with the stories to plant.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same world.")] = 7,
    today: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Default: today in UTC.")
    ] = None,
) -> None:
    """Build a world and say how much is in it."""
    day: date = today.date() if today else today_utc()
    try:
        planted = read_scenario(scenario) if scenario else None
        world = build_world(today=day, seed=seed, scenario=planted, fixtures=fixtures)
    except SeedError as problem:
        print(problem, file=sys.stderr)
        raise typer.Exit(78) from problem
    world.write(out)
    counts = ", ".join(f"{count} {name}" for name, count in world.counts.items())
    print(f"{world.truth['world']} world for {day}: {counts}, {len(world.truth['planted'])} stories planted")


if __name__ == "__main__":
    typer.run(main)
