"""A Jira site small enough to read, in the simulator's seed form; the fake and the simulator are made from it."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
SPRINT_FIELD, POINTS_FIELD, EPIC_FIELD = "customfield_10020", "customfield_10016", "customfield_10014"
DEAL_URL = "https://acme.lightning.force.com/lightning/r/Opportunity/0065g00000ABCDEAA5/view"
STATUSES = {"1": ("To Do", "new"), "3": ("In Progress", "indeterminate"), "9": ("Done", "done")}
STORY = {"id": "10001", "name": "Story", "subtask": False}
AUTH = {"email": "reader@example.com", "token": "a-token-for-tests"}


def item(
    field: str,
    field_id: str | None,
    before: tuple[str | None, str | None],
    after: tuple[str | None, str | None],
) -> Json:
    found = {
        "field": field,
        "fieldtype": "jira",
        "fieldId": field_id,
        "from": before[0],
        "fromString": before[1],
        "to": after[0],
        "toString": after[1],
    }
    return {name: value for name, value in found.items() if name != "fieldId" or value is not None}


def sprint_item(before: str, after: str) -> Json:
    return item("Sprint", SPRINT_FIELD, (before, before), (after, after))


def status_item(before: str, after: str) -> Json:
    return item("status", "status", (before, STATUSES[before][0]), (after, STATUSES[after][0]))


def points_item(before: str | None, after: str | None) -> Json:
    return item("Story Points", POINTS_FIELD, (None, before), (None, after))


def history(number: int, created: str, *items: Json) -> Json:
    return {"id": str(number), "created": created, "author": {"accountId": "ann"}, "items": list(items)}


def issue(
    number: int,
    project: Json,
    *,
    status: str = "1",
    points: float | None = None,
    sprints: tuple[int, ...] = (),
    created: str = "2026-10-01T08:00:00.000Z",
    histories: tuple[Json, ...] = (),
    **fields: Any,
) -> Json:
    """Keys count from the last two digits: 10001 is APA-1."""
    return {
        "id": str(number),
        "key": f"{project['key']}-{number % 100}",
        "fields": {
            "summary": f"Story {number}",
            "description": "Plain text",
            "project": {"id": project["id"], "key": project["key"]},
            "issuetype": STORY,
            "status": {"id": status},
            "created": created,
            "updated": histories[-1]["created"] if histories else created,
            "duedate": None,
            "labels": [],
            "fixVersions": [],
            "issuelinks": [],
            "assignee": None,
            "reporter": {"accountId": "ann"},
            "creator": {"accountId": "ann"},
            "resolution": None,
            "resolutiondate": None,
            POINTS_FIELD: points,
            SPRINT_FIELD: list(sprints),
            **fields,
        },
        "histories": list(histories),
    }


APA = {"id": "10000", "key": "APA", "name": "Apollo"}
BET = {"id": "10100", "key": "BET", "name": "Beta"}


def board(number: int, name: str, kind: str, project: Json) -> Json:
    columns = [{"name": name, "status_ids": [status]} for status, (name, _) in STATUSES.items()]
    found = {
        "id": number,
        "name": name,
        "type": kind,
        "location_project_id": project["id"],
        "project_ids": [project["id"]],
        "columns": columns,
    }
    return found if kind == "kanban" else {**found, "estimation_field_id": POINTS_FIELD}


def data_center_seed() -> Json:
    """The same site as Data Center: epics by link, and sprints whose names are hard to read out of texts."""
    made = seed()
    made["site"]["deployment"] = "Server"
    made["fields"].append(
        {
            "id": EPIC_FIELD,
            "name": "Epic Link",
            "custom": True,
            "schema": {"type": "any", "custom": "com.pyxis.greenhopper.jira:gh-epic-link", "customId": 10014},
        }
    )
    for sprint in made["sprints"]:
        sprint["name"] = f"{sprint['name']}, [id=99,state=CLOSED] the best"
    for user in (made["account"], *made["users"]):
        user |= {"name": "ann.login", "key": "JIRAUSER10100"}
    return made


def seed() -> Json:
    """Sprint 1 closed, 2 active, 3 future on board 1; sprint 4 active on board 2; board 3 is kanban.

    Sprint 1: committed 3 + 5, added 2, completed 3 + 2; APA-2 was carried over into sprint 2.
    """
    return {
        "site": {"title": "Small", "time_zone": "America/Los_Angeles"},
        "account": {
            "accountId": "ann",
            "displayName": "Ann",
            "emailAddress": "reader@example.com",
            "timeZone": "Asia/Kolkata",
        },
        "auth": AUTH,
        "users": [
            {"accountId": "ann", "displayName": "Ann", "emailAddress": "ann@example.com", "active": True}
        ],
        "fields": [
            {
                "id": SPRINT_FIELD,
                "name": "Sprint",
                "custom": True,
                "schema": {
                    "type": "array",
                    "items": "json",
                    "custom": "com.pyxis.greenhopper.jira:gh-sprint",
                    "customId": 10020,
                },
            },
            {
                "id": POINTS_FIELD,
                "name": "Story Points",
                "custom": True,
                "schema": {
                    "type": "number",
                    "custom": "com.atlassian.jira.plugin.system.customfieldtypes:float",
                    "customId": 10016,
                },
            },
        ],
        "statuses": [
            {"id": key, "name": name, "statusCategory": {"key": category}}
            for key, (name, category) in STATUSES.items()
        ],
        "issue_types": [STORY],
        "projects": [APA, BET],
        "boards": [
            board(1, "Apollo", "scrum", APA),
            board(2, "Beta", "scrum", BET),
            board(3, "Support", "kanban", BET),
        ],
        "sprints": [
            {
                "id": 1,
                "name": "One",
                "state": "closed",
                "originBoardId": 1,
                "startDate": "2026-10-05T08:00:00.000Z",
                "endDate": "2026-10-16T16:00:00.000Z",
                "activatedDate": "2026-10-05T08:00:00.000Z",
                "completeDate": "2026-10-16T15:00:00.000Z",
            },
            {
                "id": 2,
                "name": "Two",
                "state": "active",
                "originBoardId": 1,
                "startDate": "2026-10-19T08:00:00.000Z",
                "endDate": "2026-12-30T16:00:00.000Z",
                "activatedDate": "2026-10-19T08:00:00.000Z",
            },
            {"id": 3, "name": "Three", "state": "future", "originBoardId": 1},
            {
                "id": 4,
                "name": "Four",
                "state": "active",
                "originBoardId": 2,
                "startDate": "2026-10-19T08:00:00.000Z",
                "endDate": "2026-12-30T16:00:00.000Z",
                "activatedDate": "2026-10-19T08:00:00.000Z",
            },
        ],
        "versions": [
            {
                "id": "501",
                "projectId": 10000,
                "name": "1.0",
                "released": False,
                "archived": False,
                "releaseDate": "2026-12-01",
            }
        ],
        "issues": [
            issue(
                10001,
                APA,
                status="9",
                points=3,
                sprints=(1,),
                histories=(
                    history(1, "2026-10-02T09:00:00.000Z", sprint_item("", "1")),
                    history(2, "2026-10-07T09:00:00.000Z", status_item("1", "9")),
                ),
            ),
            issue(
                10002,
                APA,
                points=5,
                sprints=(1, 2),
                histories=(
                    history(3, "2026-10-02T09:01:00.000Z", sprint_item("", "1")),
                    history(4, "2026-10-16T15:00:04.000Z", sprint_item("1", "1, 2")),
                ),
            ),
            issue(
                10003,
                APA,
                status="9",
                points=2,
                sprints=(1,),
                histories=(
                    history(5, "2026-10-08T09:00:00.000Z", sprint_item("", "1")),
                    history(6, "2026-10-09T09:00:00.000Z", status_item("1", "9")),
                ),
            ),
            issue(10004, APA, points=8, sprints=(2,), created="2026-10-20T08:00:00.000Z"),
            issue(10005, APA, points=None, fixVersions=[{"id": "501"}])
            | {
                "remote_links": [{"id": 7, "object": {"url": DEAL_URL, "title": "Deal"}}],
                "comments": [
                    {"id": n, "author": "ann", "body": f"Comment {n}", "created": "2026-10-21T08:00:00.000Z"}
                    for n in (1, 2)
                ],
            },
            issue(
                10101,
                BET,
                status="3",
                points=1,
                sprints=(4,),
                histories=(
                    history(7, "2026-10-18T09:00:00.000Z", sprint_item("", "4"), points_item(None, "1")),
                    history(8, "2026-10-20T09:00:00.000Z", status_item("1", "3")),
                ),
            ),
            issue(10102, BET),
        ],
    }
