"""A Jira site to measure with, in the simulator's seed form: large, uneven, the same for the same size.

At full size it is 12 projects, 40 boards (5 kanban, 3 forbidden, 2 of two projects), 260 sprints, 20,000 issues and
240,000 histories, 6,000 of them on one issue; 400 issues are linked to a deal.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jira_sync.domain.record_ids import with_checksum

EMAIL, TOKEN = "bench@example.com", "bench-token"
SPRINT_FIELD, POINTS_FIELD = "customfield_10020", "customfield_10016"
FIRST_ISSUE = 10_000
_START = datetime(2024, 1, 8, 9, tzinfo=UTC)
_SPRINT = timedelta(days=14)
_PEOPLE = 30
_WORDS = ("search", "export", "billing", "driver", "report", "archive", "index", "tenant", "mobile", "audit")
_STATUSES = (("1", "To Do", "new"), ("2", "In Progress", "indeterminate"), ("3", "Done", "done"))
Json = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much there is of everything."""

    issues: int
    histories: int
    sprints: int
    projects: int = 12
    boards: int = 40
    kanban: int = 5
    forbidden: int = 3
    shared: int = 2
    """Boards of two projects."""
    longest: int = 6_000
    """Histories of the issue that has most."""
    linked: int = 400
    """Issues linked to a deal, each by one history more, which planning does not need."""

    @property
    def scrum(self) -> int:
        """Scrum boards the account may open."""
        return self.boards - self.kanban - self.forbidden


FULL = Size(issues=20_000, histories=240_000, sprints=260)
SMALL = Size(
    issues=1_000,
    histories=12_000,
    sprints=26,
    projects=4,
    boards=8,
    kanban=1,
    forbidden=1,
    shared=1,
    longest=300,
    linked=20,
)


def seed(size: Size) -> Json:
    """The seed of a site of this size."""
    rng = random.Random(7)
    return {
        "site": {"title": "Bench", "time_zone": "America/Los_Angeles"},
        "account": _user("bench-reader") | {"timeZone": "Asia/Kolkata"},
        "auth": {"email": EMAIL, "token": TOKEN},
        "users": [_user(_person(number)) for number in range(_PEOPLE)],
        "fields": _fields(),
        "statuses": [
            {"id": key, "name": name, "statusCategory": {"key": category}}
            for key, name, category in _STATUSES
        ],
        "issue_types": [
            {"id": "10000", "name": "Epic", "subtask": False},
            {"id": "10001", "name": "Story", "subtask": False},
        ],
        "projects": [
            {"id": str(10_000 + number), "key": _key(number), "name": f"Project {number}"}
            for number in range(size.projects)
        ],
        "boards": [_board(size, number) for number in range(size.boards)],
        "sprints": [_sprint(size, number) for number in range(size.sprints)],
        "versions": [
            {"id": str(500 + number), "projectId": 10_000 + number, "name": "1.0"}
            for number in range(size.projects)
        ],
        "issues": list(_issues(size, rng)),
    }


def _user(name: str) -> Json:
    return {"accountId": name, "displayName": name.title(), "emailAddress": f"{name}@example.com"}


def _person(number: int) -> str:
    return f"person-{number % _PEOPLE}"


def _key(number: int) -> str:
    return f"P{chr(65 + number)}A"


def _fields() -> list[Json]:
    sprint = {
        "type": "array",
        "items": "json",
        "custom": "com.pyxis.greenhopper.jira:gh-sprint",
        "customId": 10020,
    }
    kind = "com.atlassian.jira.plugin.system.customfieldtypes:float"
    return [
        {"id": SPRINT_FIELD, "name": "Sprint", "custom": True, "schema": sprint},
        {
            "id": POINTS_FIELD,
            "name": "Story Points",
            "custom": True,
            "schema": {"type": "number", "custom": kind, "customId": 10016},
        },
    ]


def _board(size: Size, number: int) -> Json:
    """Scrum boards first, so that sprints belong to boards that can be opened."""
    project = number % size.projects
    shown = [project, (project + 1) % size.projects] if number < size.shared else [project]
    kanban = size.scrum <= number < size.scrum + size.kanban
    forbidden = number >= size.scrum + size.kanban
    return {
        "id": number + 1,
        "name": f"Team {number + 1}",
        "type": "kanban" if kanban else "scrum",
        "location_project_id": str(10_000 + project),
        "project_ids": [str(10_000 + one) for one in shown],
        "columns": [{"name": name, "status_ids": [key]} for key, name, _ in _STATUSES],
        "estimation_field_id": None if kanban else POINTS_FIELD,
        "denied": 403 if forbidden else None,
    }


def _sprint(size: Size, number: int) -> Json:
    """Round after round: each board's last sprint is active, all before it are closed."""
    board, round_ = number % size.scrum, number // size.scrum
    begins = _START + round_ * _SPRINT
    closed = number + size.scrum < size.sprints
    sprint: Json = {
        "id": number + 1,
        "name": f"Team {board + 1} Sprint {round_ + 1}",
        "state": "closed" if closed else "active",
        "originBoardId": board + 1,
        "startDate": begins.isoformat(),
        "activatedDate": (begins + timedelta(minutes=3)).isoformat(),
        "endDate": (begins + _SPRINT).isoformat(),
        "goal": "Deliver",
    }
    return sprint | ({"completeDate": (begins + _SPRINT).isoformat()} if closed else {})


def _issues(size: Size, rng: random.Random) -> Iterator[Json]:
    history = 100_000
    left, numbers = size.histories - size.longest, [0] * size.projects
    for number in range(size.issues):
        if number == 0:
            count = size.longest
        else:
            count = left // (size.issues - number)
            left -= count
        sprint = number % size.sprints
        project = (sprint % size.scrum) % size.projects
        numbers[project] += 1
        issue = _issue(
            number,
            f"{_key(project)}-{numbers[project]}",
            project,
            sprint,
            range(history, history + count),
            rng,
        )
        history += count
        if number % (size.issues // size.linked) == 1:
            issue = _linked(issue, history, number)
            history += 1
        yield issue


def _linked(issue: Json, history_id: int, number: int) -> Json:
    """With a link to a deal; ``updated`` stays."""
    deal = with_checksum(f"0065g0000{number:06}")
    url = f"https://acme.lightning.force.com/lightning/r/Opportunity/{deal}/view"
    words = f'This issue links to "Deal {number} (Web Link)"'
    item = {"field": "RemoteIssueLink", "fieldtype": "jira", "from": None, "fromString": None}
    made = {
        "items": [item | {"to": str(number), "toString": words}],
        "author": {"accountId": _person(number)},
    }
    past = [*issue["histories"], {"id": str(history_id), "created": issue["fields"]["updated"]} | made]
    links = [{"id": number, "object": {"url": url, "title": f"Deal {number}"}}]
    return issue | {"histories": past, "remote_links": links}


def _issue(number: int, key: str, project: int, sprint: int, histories: range, rng: random.Random) -> Json:
    created = _START + timedelta(minutes=30 * number)
    points = rng.choice((1, 2, 3, 5, 8))
    past = [_history(at, step, len(histories), created, sprint, points) for step, at in enumerate(histories)]
    return {
        "id": str(FIRST_ISSUE + number),
        "key": key,
        "fields": {
            "summary": " ".join(rng.choices(_WORDS, k=6)),
            "description": " ".join(rng.choices(_WORDS, k=60)),
            "project": {"id": str(10_000 + project)},
            "issuetype": {"id": "10001", "name": "Story", "subtask": False},
            "status": {"id": "3"},
            "created": created.isoformat(),
            "updated": past[-1]["created"] if past else created.isoformat(),
            "labels": ["bench"],
            "fixVersions": [{"id": str(500 + project)}],
            "issuelinks": [],
            "assignee": {"accountId": _person(number)},
            "reporter": {"accountId": _person(number + 1)},
            "creator": {"accountId": _person(number + 2)},
            "priority": {"id": "3", "name": "Medium"},
            POINTS_FIELD: float(points),
            SPRINT_FIELD: [sprint + 1],
        },
        "histories": past,
    }


def _history(history_id: int, step: int, count: int, created: datetime, sprint: int, points: int) -> Json:
    """Into the sprint, estimated, begun, and then one thing or another until it is done."""
    if step == 0:
        item = _item("Sprint", SPRINT_FIELD, None, str(sprint + 1))
    elif step == 1:
        item = _item("Story Points", POINTS_FIELD, None, None) | {
            "fromString": None,
            "toString": f"{points:g}",
        }
    elif step == count - 1:
        item = _item("status", "status", "2", "3")
    elif step == 2:
        item = _item("status", "status", "1", "2")
    else:
        item = _item("assignee", "assignee", _person(step), _person(step + 1))
    return {
        "id": str(history_id),
        "created": (created + timedelta(minutes=7 * step + 1)).isoformat(),
        "author": {"accountId": _person(step)},
        "items": [item],
    }


def _item(field: str, field_id: str, before: str | None, after: str | None) -> Json:
    kind = "custom" if field_id.startswith("customfield") else "jira"
    texts = {"fromString": before, "toString": after}
    return {"field": field, "fieldtype": kind, "fieldId": field_id, "from": before, "to": after} | texts
