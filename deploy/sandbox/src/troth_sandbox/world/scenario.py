"""The scenario file: which stories to plant. Its keys are explained by the comments of ``scenarios/demo.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from troth_sandbox.world.errors import ScenarioError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TeamChoice(_Part):
    """A team by steadiness; 1 is the steadiest."""

    rank: int = Field(ge=1)


class PlantedDeal(_Part):
    """What the seller knows of a deal. ``days_in_force`` days ago it entered its stage."""

    title: str
    stage: Literal["Won", "Commit", "Lost", "Proposal"]
    days_in_force: int = Field(ge=1)
    amount: float
    share: int = 1
    key_in: Literal["field", "next_step", "description"] = "field"
    probability: int | None = None
    next_step: str | None = None
    description: str | None = None


class Promise(_Part):
    """One deal promised for the end of a sprint, with the team's cumulative load until then."""

    sprint_end: int
    load: float
    deal: PlantedDeal


class Break(_Part):
    """The date that cannot be kept."""

    sprint_end: int
    load: float


class SharedIssue(_Part):
    """One epic that two of the story's deals (by position) wait for."""

    between: tuple[int, int]
    share: int = 1


class Oversold(_Part):
    """A team that promised more by one date than it can deliver, after an earlier promise that is safe."""

    team: TeamChoice
    safe: Promise
    breaks: Break
    deals: tuple[PlantedDeal, ...]
    shared_issue: SharedIssue | None = None


class UnevenTeam(_Part):
    """A generated team with exactly these delivered points, oldest first."""

    name: str
    key: str
    completed: tuple[int, ...]


class LateForecast(_Part):
    """A deal that needs several teams, each of which owes ``points`` by the end of a sprint."""

    teams: tuple[str, ...]
    sprint_end: int
    points: int
    deal: PlantedDeal


class Unlinked(_Part):
    """A deal in force that promised a date and names no issue."""

    deal: PlantedDeal
    promise_in_days: int


class Healthy(_Part):
    """A team that promised less than it will probably deliver."""

    team: TeamChoice
    promises: tuple[Promise, ...]


class Silent(_Part):
    """A near miss. Without a team it has no link; ``adds_to_team`` says that its work counts for the team."""

    why: str
    sprint_end: int
    deal: PlantedDeal
    team: TeamChoice | None = None
    load: float = 0.0
    resolved: bool = False
    adds_to_team: bool = False


class Scenario(_Part):
    """Everything that is planted."""

    oversold: tuple[Oversold, ...] = ()
    uneven_teams: tuple[UnevenTeam, ...] = ()
    late_forecast: tuple[LateForecast, ...] = ()
    unlinked_commitment: tuple[Unlinked, ...] = ()
    healthy: tuple[Healthy, ...] = ()
    silent: tuple[Silent, ...] = ()


def read_scenario(path: Path) -> Scenario:
    """Read a scenario file. Raises ScenarioError with the place of the mistake."""
    try:
        return Scenario.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, yaml.YAMLError, ValidationError) as problem:
        raise ScenarioError(f"{path}: {problem}") from problem
