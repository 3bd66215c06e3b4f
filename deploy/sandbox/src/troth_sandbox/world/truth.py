"""What the world knows about itself: the planted stories and the sprint figures, for those who check the product.

Everything here is plain arithmetic (mean velocity times sprints until the date); no code of the product is used.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date
from statistics import fmean, pstdev

from troth_sandbox.world.cadence import SPRINT_WORKING_DAYS, working_days
from troth_sandbox.world.issue_story import Record
from troth_sandbox.world.jira_site import Team

_STEADY_MEAN = 10
_RECENT = 12


@dataclass(frozen=True)
class Planted:
    """One story that has to be found."""

    kind: str
    team: str
    date: str
    deals: list[str]


@dataclass(frozen=True)
class Reckoning:
    """Why a story holds: points owed until a date against the team's mean velocity until then."""

    team: str
    date: str
    owed: int
    capacity: float


@dataclass
class Truth:
    """Collects what was planted."""

    planted: list[Planted] = field(default_factory=list)
    healthy_teams: list[str] = field(default_factory=list)
    silent: list[dict[str, str]] = field(default_factory=list)
    reckoning: list[Reckoning] = field(default_factory=list)
    added: dict[str, list[str]] = field(default_factory=dict)


def steady_teams(teams: list[Team]) -> list[Team]:
    """Teams of at least ten points a sprint, the steadiest first."""
    fit = [team for team in teams if len(team.completed) == _RECENT and fmean(team.completed) >= _STEADY_MEAN]
    return sorted(fit, key=lambda team: (pstdev(team.completed) / fmean(team.completed), team.board_id))


def mean_capacity(team: Team, today: date, until: date) -> float:
    """Points the team delivers on average in the working days after today, up to and including ``until``."""
    return fmean(team.completed) * working_days(today, until) / SPRINT_WORKING_DAYS


def render(truth: Truth, *, world: str, today: date, deals: int, teams: list[Team]) -> Record:
    """Content of truth.json. ``sprint_figures`` has one row per closed sprint, by Jira sprint id."""
    figures = [_sprint_row(team, place) for team in teams for place in range(len(team.closed))]
    return {
        "world": world,
        "today": today.isoformat(),
        "deals": deals,
        "sprints": sum(len(team.closed) + len(team.upcoming) for team in teams),
        "real_sprints": sum(row["source"] is not None for row in figures),
        "planted": [asdict(story) for story in truth.planted],
        "healthy_teams": sorted(truth.healthy_teams),
        "silent": truth.silent,
        "reckoning": [asdict(row) for row in truth.reckoning],
        "generated_teams": [team.name for team in teams if team.generated],
        "added": truth.added,
        "sprint_figures": figures,
    }


def _sprint_row(team: Team, place: int) -> Record:
    sprint = team.closed[place]
    return {
        "sprint_id": sprint.ref.id,
        "board": team.name,
        "committed": sprint.figures.committed,
        "added": sprint.figures.added,
        "removed": sprint.figures.removed,
        "completed": sprint.figures.completed,
        "source": sprint.source,
    }
