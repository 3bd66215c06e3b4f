"""A Jira site being built: people, teams (one project and one scrum board each), sprints and issues.

``render`` writes the seed file of the Jira simulator. History ids are given out in the order of time over the whole
site, as a real site does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from troth_sandbox.world.cadence import Cadence, Slot
from troth_sandbox.world.figures import SprintFigures
from troth_sandbox.world.issue_story import (
    DONE,
    IN_PROGRESS,
    RANK,
    RESOLUTION_DONE,
    SPRINT,
    STORY_POINTS,
    TO_DO,
    IssueStory,
    Record,
    SprintRef,
)
from troth_sandbox.world.site_catalogue import EPIC, ISSUE_TYPES, SITE, STORY, catalogue

Source = dict[str, str | int]
"""Where a real sprint comes from: site, board and sprint id there."""

_FIRST_ISSUE_ID = 10_000
_FIRST_HISTORY_ID = 100_000


@dataclass(frozen=True)
class ClosedSprint:
    """A closed sprint with the figures its issues add up to."""

    ref: SprintRef
    figures: SprintFigures
    source: Source | None


@dataclass
class Team:
    """A team: its project, its board and its sprints. ``generated`` tells it from a team of the public data."""

    name: str
    board_id: int
    project_id: str
    project_key: str
    members: tuple[str, ...]
    cadence: Cadence
    generated: bool
    closed: list[ClosedSprint] = field(default_factory=list)
    upcoming: dict[int, SprintRef] = field(default_factory=dict)
    """Active (0) and future (1, 2, …) sprints by slot."""
    issue_count: int = 0

    @property
    def completed(self) -> list[int]:
        """Delivered points of the last twelve closed sprints, oldest first."""
        return [sprint.figures.completed for sprint in self.closed[-12:]]


class JiraSite:
    """Collects what the simulator will serve."""

    def __init__(self) -> None:
        self.teams: list[Team] = []
        self._sprints: list[Record] = []
        self._issues: list[IssueStory] = []
        self._people: list[Record] = []

    def add_team(self, name: str, key: str, cadence: Cadence, *, members: int, generated: bool) -> Team:
        """A scrum board over one project, with its own engineers."""
        number = len(self.teams) + 1
        people = tuple(self._add_person(f"Engineer {name} {n}", key, n) for n in range(1, members + 1))
        team = Team(name, number, str(10_000 + number), key, people, cadence, generated)
        self.teams.append(team)
        return team

    def add_sprint(
        self, team: Team, name: str, slot: Slot, *, completed: datetime | None, state: str
    ) -> SprintRef:
        """A sprint of a team's board; ``state`` is closed, active or future."""
        ref = SprintRef(len(self._sprints) + 1, name)
        record: Record = {
            "id": ref.id,
            "name": name,
            "state": state,
            "originBoardId": team.board_id,
            "goal": "",
            "startDate": slot.start,
            "endDate": slot.end,
        }
        if state != "future":
            record["activatedDate"] = slot.start
        if completed:
            record["completeDate"] = completed
        self._sprints.append(record)
        return ref

    def add_issue(
        self,
        team: Team,
        summary: str,
        created: datetime,
        *,
        type_id: str = STORY,
        author: str | None = None,
        parent: IssueStory | None = None,
    ) -> IssueStory:
        """An issue in a team's project, created by the team's first member unless told otherwise."""
        team.issue_count += 1
        issue = IssueStory(
            id=str(_FIRST_ISSUE_ID + len(self._issues) + 1),
            key=f"{team.project_key}-{team.issue_count}",
            project_id=team.project_id,
            type_id=type_id,
            summary=summary,
            created=created,
            author=author or team.members[0],
            parent=parent,
        )
        self._issues.append(issue)
        return issue

    def add_epic(self, team: Team, summary: str, created: datetime) -> IssueStory:
        """An epic without estimate."""
        return self.add_issue(team, summary, created, type_id=EPIC)

    def render(self) -> Record:
        """The seed file's content; times are ISO 8601 text in UTC."""
        _number_histories(self._issues)
        return {
            **SITE,
            "users": [SITE["account"] | {"active": True}, *self._people],
            **catalogue(),
            "projects": [{"id": t.project_id, "key": t.project_key, "name": t.name} for t in self.teams],
            "boards": [_board(team) for team in self.teams],
            "sprints": [_with_texts(sprint) for sprint in self._sprints],
            "versions": [],
            "issues": [_issue(issue, rank) for rank, issue in enumerate(self._issues)],
        }

    def counts(self) -> dict[str, int]:
        """How much there is of what."""
        histories = sum(len(issue.histories) for issue in self._issues)
        return {"sprints": len(self._sprints), "issues": len(self._issues), "histories": histories}

    def _add_person(self, name: str, key: str, number: int) -> str:
        account = f"{key.lower()}-engineer-{number}"
        self._people.append(
            {
                "accountId": account,
                "displayName": name,
                "emailAddress": f"{account}@example.com",
                "active": True,
            }
        )
        return account


def _number_histories(issues: list[IssueStory]) -> None:
    everything = [history for issue in issues for history in issue.histories]
    everything.sort(key=lambda history: history["created"])
    for number, history in enumerate(everything, start=_FIRST_HISTORY_ID + 1):
        history["id"] = str(number)


def _board(team: Team) -> Record:
    columns = (("To Do", TO_DO), ("In Progress", IN_PROGRESS), ("Done", DONE))
    return {
        "id": team.board_id,
        "name": team.name,
        "type": "scrum",
        "location_project_id": team.project_id,
        "project_ids": [team.project_id],
        "columns": [{"name": name, "status_ids": [status]} for name, status in columns],
        "estimation_field_id": STORY_POINTS,
    }


def _issue(issue: IssueStory, rank: int) -> Record:
    updated = issue.histories[-1]["created"] if issue.histories else issue.created
    fields: Record = {
        "summary": issue.summary,
        "description": issue.description,
        "project": {"id": issue.project_id, "key": issue.key.rsplit("-", 1)[0]},
        "issuetype": ISSUE_TYPES[issue.type_id],
        "status": {"id": issue.status},
        "created": _text(issue.created),
        "updated": _text(updated),
        "duedate": None,
        "labels": list(issue.labels),
        "fixVersions": [],
        "issuelinks": [],
        "assignee": {"accountId": issue.assignee} if issue.assignee else None,
        "reporter": {"accountId": issue.author},
        "creator": {"accountId": issue.author},
        "resolution": RESOLUTION_DONE if issue.resolved else None,
        "resolutiondate": _text(issue.resolved) if issue.resolved else None,
        STORY_POINTS: None if issue.points is None else float(issue.points),
        SPRINT: [sprint.id for sprint in issue.sprints],
        RANK: f"0|i{rank:06d}:",
    }
    if issue.parent:
        fields["parent"] = {"id": issue.parent.id, "key": issue.parent.key}
    return {
        "id": issue.id,
        "key": issue.key,
        "fields": fields,
        "histories": [_with_texts(history) for history in issue.histories],
    }


def _with_texts(record: Record) -> Record:
    return {name: _text(value) if isinstance(value, datetime) else value for name, value in record.items()}


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
