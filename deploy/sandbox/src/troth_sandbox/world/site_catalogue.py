"""What is the same on every built Jira site: its fields, statuses, issue types and credentials (throw-away)."""

from __future__ import annotations

from typing import Any

from troth_sandbox.world.issue_story import DONE, IN_PROGRESS, RANK, SPRINT, STORY_POINTS, TO_DO, Record

EPIC, STORY, BUG = "10000", "10001", "10004"

ISSUE_TYPES: dict[str, Record] = {
    EPIC: {"id": EPIC, "name": "Epic", "subtask": False},
    STORY: {"id": STORY, "name": "Story", "subtask": False},
    BUG: {"id": BUG, "name": "Bug", "subtask": False},
}

SITE: dict[str, Any] = {
    "site": {"title": "Sandbox site", "time_zone": "UTC"},
    "account": {
        "accountId": "integration",
        "displayName": "Integration",
        "emailAddress": "integration@example.com",
        "timeZone": "UTC",
    },
    "auth": {"email": "integration@example.com", "token": "sandbox-jira-token"},
}

_SYSTEM_FIELDS = (
    ("summary", "Summary", "string"),
    ("description", "Description", "string"),
    ("project", "Project", "project"),
    ("issuetype", "Issue Type", "issuetype"),
    ("status", "Status", "status"),
    ("created", "Created", "datetime"),
    ("updated", "Updated", "datetime"),
    ("duedate", "Due date", "date"),
    ("parent", "Parent", "issuelink"),
    ("labels", "Labels", "array"),
    ("fixVersions", "Fix versions", "array"),
    ("issuelinks", "Linked Issues", "array"),
    ("assignee", "Assignee", "user"),
    ("reporter", "Reporter", "user"),
    ("creator", "Creator", "user"),
    ("resolution", "Resolution", "resolution"),
    ("resolutiondate", "Resolved", "datetime"),
)

_CATEGORIES = {
    TO_DO: ("To Do", {"id": 2, "key": "new", "colorName": "blue-gray", "name": "To Do"}),
    IN_PROGRESS: (
        "In Progress",
        {"id": 4, "key": "indeterminate", "colorName": "yellow", "name": "In Progress"},
    ),
    DONE: ("Done", {"id": 3, "key": "done", "colorName": "green", "name": "Done"}),
}


def catalogue() -> Record:
    """Fields, statuses and issue types in the form of the seed file."""
    return {
        "fields": [*(_system_field(*row) for row in _SYSTEM_FIELDS), *_custom_fields()],
        "statuses": [
            {"id": status, "name": name, "statusCategory": category}
            for status, (name, category) in _CATEGORIES.items()
        ],
        "issue_types": list(ISSUE_TYPES.values()),
    }


def _system_field(field_id: str, name: str, kind: str) -> Record:
    return {"id": field_id, "name": name, "custom": False, "schema": {"type": kind, "system": field_id}}


def _custom_fields() -> list[Record]:
    greenhopper = "com.pyxis.greenhopper.jira"
    schemas = (
        (SPRINT, "Sprint", {"type": "array", "items": "json", "custom": f"{greenhopper}:gh-sprint"}),
        (RANK, "Rank", {"type": "any", "custom": f"{greenhopper}:gh-lexo-rank"}),
        (
            STORY_POINTS,
            "Story Points",
            {"type": "number", "custom": "com.atlassian.jira.plugin.system.customfieldtypes:float"},
        ),
    )
    return [
        {
            "id": field_id,
            "name": name,
            "custom": True,
            "schema": schema | {"customId": int(field_id.split("_")[1])},
        }
        for field_id, name, schema in schemas
    ]
