"""Real sprints of three public Jiras (fixtures ``sprints-tse2017``), read and laid as sprints of team boards.

Each real sprint becomes one Jira sprint whose issues add up exactly to its points: ``vel_starttime`` committed,
``vel_added`` and ``vel_removed`` as of 80 % of its duration, and delivered =
``vel_starttime + vel_added - vel_removed + vel_diff``. A surplus (``vel_diff`` above 0) is laid as estimates raised
in the last fifth of the sprint, so that what was added stays what the source says; see ``figures``. Issue counts are
the source's unless the sums need one issue more.

The source has no dates: the sprints of a board lie in the order of their ids as consecutive two-week sprints, Monday
09:00 to the Friday of the second week, completed within the hour after 16:00 UTC, the last of them just before the
active sprint. Dates, team and project names, issues, people, and the active and future sprints are added.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random

from troth_sandbox.world.cadence import monday_cadence
from troth_sandbox.world.errors import FixtureError
from troth_sandbox.world.figures import SprintFigures
from troth_sandbox.world.jira_site import JiraSite, Source
from troth_sandbox.world.sprint_story import SprintWriter
from troth_sandbox.world.upcoming import add_epics, fill_active, open_upcoming

SITES = {"apache": ("Apache", "AP"), "jboss": ("JBoss", "JB"), "mongodb": ("MongoDB", "MG")}
"""Public Jiras: folder, name, and project key prefix of their boards."""

ADDED = {
    "sprint": ["startDate", "endDate", "activatedDate", "completeDate", "goal", "active and future sprints"],
    "board": ["name", "project", "columns"],
    "issue": ["every field; only the sums per sprint are real"],
}

_MIN_SPRINTS = 12
_MAX_ISSUES = 8_500
_COLUMNS_AFTER_NAME = 16


@dataclass(frozen=True)
class RealSprint:
    """One row of the source, at 80 % of the sprint's planned duration."""

    site: str
    board: int
    sprint: int
    name: str
    figures: SprintFigures

    @property
    def issues(self) -> int:
        """Issues that were ever in it."""
        return self.figures.issues_at_start + self.figures.issues_added


def add_public_teams(site: JiraSite, fixtures: Path, today: date, seed: int) -> None:
    """A team per chosen board, with all its sprints."""
    now = datetime.combine(today, time(), UTC)
    for sprints in choose_boards(read_sprints(fixtures / "sprints-tse2017")):
        _add_team(site, sprints, today, Random(f"{seed}:{sprints[0].site}:{sprints[0].board}"), now)


def read_sprints(folder: Path) -> list[RealSprint]:
    """All sprints of the three Jiras. Raises FixtureError when a file is missing or a row has another shape."""
    sprints: list[RealSprint] = []
    for name in SITES:
        file = folder / name / f"{name}_iteration_80.csv"
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
            sprints += [_row(name, line) for line in lines[1:]]
        except (OSError, ValueError) as problem:
            raise FixtureError(f"{file}: {problem}") from problem
    return sprints


def choose_boards(sprints: list[RealSprint]) -> list[list[RealSprint]]:
    """Boards with enough history, the longest first, until there are enough issues.

    Boards of one Jira share sprints; each real sprint is used once, by the first board that is chosen. Boards that
    never delivered a point are left out.
    """
    boards: dict[tuple[str, int], list[RealSprint]] = {}
    for sprint in sorted(sprints, key=lambda sprint: (sprint.site, sprint.board, sprint.sprint)):
        boards.setdefault((sprint.site, sprint.board), []).append(sprint)
    chosen: list[list[RealSprint]] = []
    taken: set[tuple[str, int]] = set()
    issues = 0
    for _, rows in sorted(boards.items(), key=lambda item: (-len(item[1]), item[0])):
        own = [row for row in rows if (row.site, row.sprint) not in taken]
        size = sum(row.issues for row in own)
        if (
            len(own) < _MIN_SPRINTS
            or issues + size > _MAX_ISSUES
            or not any(row.figures.completed for row in own)
        ):
            continue
        chosen.append(own)
        taken |= {(row.site, row.sprint) for row in own}
        issues += size
    return chosen


def _row(site: str, line: str) -> RealSprint:
    """Some names have commas and no quotes, so columns are counted from the right."""
    columns = line.split(",")
    numbers = [int(column) for column in columns[-_COLUMNS_AFTER_NAME:]]
    difference, _, issues_start, start, issues_added, added, issues_removed, removed = numbers[:8]
    return RealSprint(
        site=site,
        board=int(columns[0]),
        sprint=int(columns[1]),
        name=",".join(columns[2:-_COLUMNS_AFTER_NAME]).strip(),
        figures=SprintFigures(
            committed=start,
            added=added,
            removed=removed,
            completed=start + added - removed + difference,
            issues_at_start=issues_start,
            issues_added=issues_added,
            issues_removed=issues_removed,
        ),
    )


def _add_team(site: JiraSite, sprints: list[RealSprint], today: date, rng: Random, now: datetime) -> None:
    first, cadence = sprints[0], monday_cadence(today)
    name, prefix = SITES[first.site]
    key = f"{prefix}{first.board}"
    team = site.add_team(f"{name} {first.board}", key, cadence, members=5, generated=False)
    epics = add_epics(site, team, cadence.slot(-len(sprints)).start - timedelta(days=60), 4, rng)
    writer = SprintWriter(site, team, epics, rng, now)
    for number, real in enumerate(sprints):
        source: Source = {"site": real.site, "board": real.board, "sprint": real.sprint}
        laid = writer.lay(real.name, cadence.slot(number - len(sprints)), real.figures, source=source)
        for issue in laid.left_open:
            writer.return_to_backlog(issue)
    open_upcoming(site, team, len(sprints) + 1, rng)
    fill_active(site, team, epics, rng)
