"""A small made-up site in seed form: two projects, three boards, sprints in every state, any number of issues.

It is what the simulator serves without a seed file, and what its tests start from.
"""

from datetime import UTC, datetime, timedelta

import msgspec

from troth_sandbox.jira.records import Json

EMAIL = "reader@example.com"
TOKEN = "sample-token"
SPRINT_FIELD = "customfield_10020"
POINTS_FIELD = "customfield_10016"
START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
_PER_ISSUE_HISTORIES = 5


def content(issues: int = 40, **changes: object) -> bytes:
    """The bytes of a seed file; `changes` replace whole sections."""
    return msgspec.json.encode(seed(issues) | changes)


def seed(issues: int = 40) -> Json:
    """A seed with this many issues, each with five histories."""
    return {
        "site": {"title": "Sample", "time_zone": "UTC"},
        "account": _user("account-reader", "Reader") | {"emailAddress": EMAIL},
        "auth": {"email": EMAIL, "token": TOKEN},
        "users": [_user("account-ada", "Ada Sample"), _user("account-ben", "Ben Sample")],
        "fields": [_sprint_field(), _points_field()],
        "statuses": [
            {"id": "1", "name": "To Do", "statusCategory": {"key": "new"}},
            {"id": "2", "name": "In Progress", "statusCategory": {"key": "indeterminate"}},
            {"id": "3", "name": "Done", "statusCategory": {"key": "done"}},
        ],
        "issue_types": [
            {"id": "10000", "name": "Epic", "subtask": False},
            {"id": "10001", "name": "Story", "subtask": False},
            {"id": "10002", "name": "Sub-task", "subtask": True},
        ],
        "projects": [
            {"id": "10000", "key": "APA", "name": "Apples"},
            {"id": "10001", "key": "PEA", "name": "Pears"},
        ],
        "boards": [
            _board(1, "Team Apple", ["10000"]),
            _board(2, "Team Pear", ["10001", "10000"]),
            _board(3, "Support", ["10001"]) | {"type": "kanban", "estimation_field_id": None},
        ],
        "sprints": _sprints(),
        "versions": [
            {"id": "500", "projectId": 10000, "name": "1.0", "released": True, "releaseDate": "2026-10-01"},
            {
                "id": "501",
                "projectId": 10000,
                "name": "1.1",
                "releaseDate": "2026-12-15",
                "description": "Next",
            },
        ],
        "issues": [_issue(number) for number in range(1, issues + 1)],
    }


def _user(account_id: str, name: str) -> Json:
    email = f"{account_id}@example.com"
    return {"accountId": account_id, "displayName": name, "emailAddress": email, "timeZone": "UTC"}


def _sprint_field() -> Json:
    kind = "com.pyxis.greenhopper.jira:gh-sprint"
    schema = {"type": "array", "items": "json", "custom": kind, "customId": 10020}
    return {"id": SPRINT_FIELD, "name": "Sprint", "custom": True, "schema": schema}


def _points_field() -> Json:
    kind = "com.atlassian.jira.plugin.system.customfieldtypes:float"
    schema = {"type": "number", "custom": kind, "customId": 10016}
    return {"id": POINTS_FIELD, "name": "Story Points", "custom": True, "schema": schema}


def _board(number: int, name: str, projects: list[str]) -> Json:
    columns = [("To Do", "1"), ("In Progress", "2"), ("Done", "3")]
    return {
        "id": number,
        "name": name,
        "type": "scrum",
        "location_project_id": projects[0],
        "project_ids": projects,
        "columns": [{"name": title, "status_ids": [status]} for title, status in columns],
        "estimation_field_id": POINTS_FIELD,
    }


def _sprints() -> list[Json]:
    """On the first board one active, two closed and one future sprint, not in that order; one on the second."""
    return [
        _sprint(79, "Apple 4", "future", 0),
        _sprint(78, "Apple 3", "active", 14) | {"goal": "Ripe"},
        _sprint(76, "Apple 1", "closed", -14),
        _sprint(77, "Apple 2", "closed", 0),
        _sprint(90, "Pear, one", "active", 14) | {"originBoardId": 2, "board_ids": [1]},
    ]


def _sprint(number: int, name: str, state: str, begins: int) -> Json:
    start, end = START + timedelta(days=begins), START + timedelta(days=begins + 14)
    sprint: Json = {"id": number, "name": name, "state": state, "originBoardId": 1}
    if state != "future":
        activated = start + timedelta(seconds=2)
        sprint |= {"startDate": start.isoformat(), "endDate": end.isoformat()}
        sprint |= {"activatedDate": activated.isoformat()}
    if state == "closed":
        sprint |= {"completeDate": (end + timedelta(minutes=5)).isoformat()}
    return sprint


def _issue(number: int) -> Json:
    """Every fourth issue belongs to the second project; three in a row share one time of change."""
    project = {"id": "10001", "key": "PEA"} if number % 4 == 0 else {"id": "10000", "key": "APA"}
    created = START + timedelta(minutes=number)
    updated = created + timedelta(hours=1, minutes=-(number % 3))
    fields: Json = {
        "summary": f"Sample issue {number}",
        "description": f"First paragraph of {number}.\n\nSecond paragraph.",
        "project": project,
        "issuetype": {"id": "10001", "name": "Story", "subtask": False},
        "status": {"id": "2"},
        "created": created.isoformat(),
        "updated": updated.isoformat(),
        "labels": ["sample"],
        "fixVersions": [{"id": "501"}],
        "issuelinks": [],
        "assignee": {"accountId": "account-ada"},
        "reporter": {"accountId": "account-ben"},
        "creator": {"accountId": "account-ben"},
        "priority": {"id": "3", "name": "Medium"},
        POINTS_FIELD: float(number % 8),
        SPRINT_FIELD: [78],
    }
    return {
        "id": str(10_000 + number),
        "key": f"{project['key']}-{number}",
        "fields": fields,
        "histories": [_history(number, step, created) for step in range(_PER_ISSUE_HISTORIES)],
    }


def _history(number: int, step: int, created: datetime) -> Json:
    item: Json = {
        "field": "Story Points",
        "fieldtype": "custom",
        "fieldId": POINTS_FIELD,
        "from": None,
        "to": None,
    }
    item |= {"fromString": str(step - 1) if step else None, "toString": str(step)}
    return {
        "id": str(20_000 + number * _PER_ISSUE_HISTORIES + step),
        "created": (created + timedelta(minutes=step)).isoformat(),
        "author": {"accountId": "account-ada"},
        "items": [item],
    }
