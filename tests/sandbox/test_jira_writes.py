"""What a change leaves behind: the history items Jira would write, the sprint's life, and the write log."""

from typing import Any

import httpx
import pytest

from troth_sandbox.jira import sample
from troth_sandbox.jira.clock import SettableClock, parse_instant
from troth_sandbox.jira.seed import parse
from troth_sandbox.jira.site import Site

NOW = parse_instant("2026-11-25T12:00:00Z")
ISSUE = "/rest/api/2/issue/10001"
Json = dict[str, Any]


@pytest.fixture
def site() -> Site:
    clock = SettableClock()
    clock.set(NOW, frozen=True)
    return Site(parse(sample.content(8)), clock)


async def items_of(admin: httpx.AsyncClient, fields: Json, issue: str = "10001") -> list[Json]:
    answer = await admin.post(f"/issues/{issue}", json={"actor": "account-ben", "fields": fields})
    assert answer.status_code == 200, answer.text
    history = answer.json()["history"]
    return list(history["items"]) if history else []


async def test_a_status_item_carries_ids_and_names_and_resolution_follows(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """Recorded: resolution and status stand in one history (jirametrics SP-13)."""
    items = await items_of(admin, {"status": {"id": "3"}})
    fields = (await jira.get(ISSUE)).json()["fields"]

    assert items == [
        item("status", "status", "2", "In Progress", "3", "Done"),
        item("resolution", "resolution", None, None, "10000", "Done"),
    ]
    assert fields["resolution"]["name"] == "Done"
    assert fields["resolutiondate"] == fields["updated"] == "2026-11-25T12:00:00.000+0000"
    assert await items_of(admin, {"status": {"name": "To Do"}}) == [
        item("status", "status", "3", "Done", "1", "To Do"),
        item("resolution", "resolution", "10000", "Done", None, None),
    ]


async def test_story_points_leave_the_ids_null(jira: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    """Recorded: from/to are null and only the texts have the values (jirametrics SP-13)."""
    name, field = "Story Points", sample.POINTS_FIELD

    assert await items_of(admin, {field: 8}) == [item(name, field, None, "1", None, "8")]
    assert await items_of(admin, {field: 2.5}) == [item(name, field, None, "8", None, "2.5")]
    assert await items_of(admin, {field: None}) == [item(name, field, None, "2.5", None, None)]
    assert (await jira.get(ISSUE)).json()["fields"][field] is None


async def test_a_sprint_item_lists_ids_with_comma_and_blank(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """Recorded: `"from": ""` when there was none, ids in from/to and names in the texts (DevLake)."""
    field = sample.SPRINT_FIELD

    assert await items_of(admin, {field: [79, 90]}) == [
        item("Sprint", field, "78", "Apple 3", "79, 90", "Apple 4, Pear, one")
    ]
    assert await items_of(admin, {field: None}) == [
        item("Sprint", field, "79, 90", "Apple 4, Pear, one", "", "")
    ]
    assert (await jira.get(ISSUE)).json()["fields"][field] is None


async def test_closed_sprints_stay_in_the_field_for_ever(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """https://agiletechnicalexcellence.com/2026/01/29/jira-api-sprints.html"""
    await admin.post("/sprints/78", json={"state": "closed"})
    items = await items_of(admin, {sample.SPRINT_FIELD: 79})
    sprints = (await jira.get(ISSUE)).json()["fields"][sample.SPRINT_FIELD]

    assert items == [item("Sprint", sample.SPRINT_FIELD, "78", "Apple 3", "78, 79", "Apple 3, Apple 4")]
    assert [(sprint["id"], sprint["state"]) for sprint in sprints] == [(78, "closed"), (79, "future")]


async def test_carry_over_is_written_three_seconds_after_the_close(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    """Recorded: carry-over appends happen 3 to 13 s after `completeDate` (DevLake)."""
    await items_of(admin, {"status": {"id": "3"}}, issue="10002")
    await admin.post("/sprints/78", json={"state": "closed", "move_open_to": 79})
    site.clock.advance(2_999)
    before = (await jira.get(f"{ISSUE}/changelog")).json()["total"]
    site.clock.advance(1)
    values = (await jira.get(f"{ISSUE}/changelog")).json()["values"]
    done = (await jira.get("/rest/api/2/issue/10002")).json()["fields"][sample.SPRINT_FIELD]
    sprint = (await jira.get("/rest/agile/1.0/sprint/78")).json()

    assert (before, len(values)) == (5, 6)
    assert values[-1]["items"] == [
        item("Sprint", sample.SPRINT_FIELD, "78", "Apple 3", "78, 79", "Apple 3, Apple 4")
    ]
    assert sprint["completeDate"] == "2026-11-25T12:00:00.000Z"
    assert values[-1]["created"] == "2026-11-25T12:00:03.000+0000"
    assert [entry["id"] for entry in done] == [78]


async def test_sub_tasks_follow_their_parent_without_history(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """Recorded: a sub-task's field has the sprint, its history never mentions it."""
    made = await admin.post("/issues", json={"fields": subtask_of("10001")})
    key = made.json()["key"]
    born = (await jira.get(f"/rest/api/2/issue/{key}")).json()["fields"]
    await items_of(admin, {sample.SPRINT_FIELD: 79})
    child = (await jira.get(f"/rest/api/2/issue/{key}", params={"expand": "changelog"})).json()
    parent = (await jira.get(ISSUE)).json()["fields"]

    assert [sprint["id"] for sprint in born[sample.SPRINT_FIELD]] == [78]
    assert [sprint["id"] for sprint in child["fields"][sample.SPRINT_FIELD]] == [79]
    assert child["changelog"]["total"] == 0
    assert child["fields"]["parent"]["key"] == "APA-1"
    assert [issue["key"] for issue in parent["subtasks"]] == [key]


async def test_values_set_at_creation_have_no_history(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    fields = {
        "project": {"key": "APA"},
        "issuetype": {"id": "10001"},
        "summary": "Born with everything",
        "status": {"id": "2"},
        sample.POINTS_FIELD: 5,
        sample.SPRINT_FIELD: [78],
    }
    made = (await admin.post("/issues", json={"actor": "account-ada", "fields": fields})).json()
    issue = (await jira.get(f"/rest/api/2/issue/{made['id']}", params={"expand": "changelog"})).json()

    assert made["key"] == issue["key"] == "APA-8"
    assert issue["changelog"] == {"startAt": 0, "maxResults": 0, "total": 0, "histories": []}
    assert issue["fields"]["creator"]["accountId"] == "account-ada"
    assert issue["fields"]["created"] == issue["fields"]["updated"]
    assert issue["fields"][sample.SPRINT_FIELD][0]["boardId"] == 1


async def test_a_move_keeps_the_id_and_the_old_key_resolves(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """Recorded: items project, status, Workflow and Key, the last two without `fieldId`.

    The old key resolves without a redirect (platform OpenAPI, GET issue; on a live site unverified).
    """
    items = await items_of(admin, {"project": {"key": "PEA"}, "status": {"id": "1"}})
    moved = (await jira.get("/rest/api/2/issue/apa-1")).json()
    by_key = await jira.get("/rest/api/2/search/jql", params={"jql": "key = APA-1", "fields": "key"})

    assert [entry["field"] for entry in items] == ["project", "status", "Workflow", "Key"]
    assert [entry.get("fieldId") for entry in items] == ["project", "status", None, None]
    assert (items[-1]["fromString"], items[-1]["toString"]) == ("APA-1", "PEA-9")
    assert (moved["id"], moved["key"], moved["fields"]["project"]["key"]) == ("10001", "PEA-9", "PEA")
    assert [issue["key"] for issue in by_key.json()["issues"]] == ["PEA-9"]


async def test_other_fields_are_told_in_the_vendors_words(admin: httpx.AsyncClient) -> None:
    assert await items_of(admin, {"parent": {"key": "APA-2"}}) == [
        item("IssueParentAssociation", None, None, None, "10002", "APA-2")
    ]
    assert await items_of(admin, {"fixVersions": [{"id": "500"}]}) == [
        item("Fix Version", "fixVersions", "501", "1.1", None, None),
        item("Fix Version", "fixVersions", None, None, "500", "1.0"),
    ]
    assert await items_of(admin, {"assignee": None}) == [
        item("assignee", "assignee", "account-ada", "Ada Sample", None, None)
    ]
    assert await items_of(admin, {"labels": ["a", "b"]}) == [
        item("labels", "labels", "", "sample", "", "a b")
    ]
    assert await items_of(admin, {"duedate": "2026-12-01"}) == [
        item("duedate", "duedate", None, None, "2026-12-01", "2026-12-01 00:00:00.0")
    ]
    assert await items_of(admin, {"summary": "S"}) == [
        item("summary", "summary", None, "Sample issue 1", None, "S")
    ]


async def test_an_edit_without_effect_writes_nothing_and_one_without_fields_only_touches(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    before = (await jira.get(ISSUE)).json()["fields"]["updated"]

    assert await items_of(admin, {sample.POINTS_FIELD: 1}) == []
    assert (await jira.get(ISSUE)).json()["fields"]["updated"] == before
    assert await items_of(admin, {}) == []
    assert (await jira.get(ISSUE)).json()["fields"]["updated"] == "2026-11-25T12:00:00.000+0000"
    assert [entry["kind"] for entry in site.write_log.entries] == ["issue_updated"]


@pytest.mark.parametrize(
    "fields",
    [
        {"status": {"id": "99"}},
        {"fixVersions": [{"id": "99"}]},
        {"assignee": {"accountId": "nobody"}},
        {sample.SPRINT_FIELD: 404},
        {"parent": {"key": "APA-404"}},
    ],
)
async def test_values_that_do_not_exist_are_refused_and_change_nothing(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, fields: Json
) -> None:
    before = (await jira.get(ISSUE)).json()
    answer = await admin.post("/issues/10001", json={"fields": {"summary": "X"} | fields})

    assert answer.status_code == 400
    assert (await jira.get(ISSUE)).json() == before


async def test_a_sprint_lives_from_future_to_closed_and_no_further(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """Rules: starting needs both dates, closing sets `completeDate`, closed ones stand (software OpenAPI)."""
    new = {"name": "Apple 5", "originBoardId": 1}
    number = (await admin.post("/sprints", json=new)).json()["id"]
    path, shown = f"/sprints/{number}", f"/rest/agile/1.0/sprint/{number}"
    future = (await jira.get(shown)).json()
    dates = {"startDate": "2026-11-25T12:00:00Z", "endDate": "2026-12-09T12:00:00Z"}

    assert future["state"] == "future"
    assert not {"startDate", "endDate", "completeDate", "goal"} & future.keys()
    assert (await admin.post(path, json={"state": "active"})).status_code == 400
    assert (await admin.post(path, json={"state": "closed"})).status_code == 400
    assert (await admin.post(path, json={"state": "active"} | dates)).status_code == 200
    active = (await jira.get(shown)).json()
    assert active["activatedDate"] == "2026-11-25T12:00:00.000Z"
    assert "completeDate" not in active
    assert (await admin.post(path, json={"state": "closed"})).status_code == 200
    assert (await admin.post(path, json={"name": "Other"})).status_code == 400
    assert (await admin.post(path, json={"state": "active"})).status_code == 200


async def test_deleting_a_sprint_takes_it_out_of_its_issues(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await admin.delete("/sprints/78")
    changelog = (await jira.get(f"{ISSUE}/changelog")).json()["values"]

    assert changelog[-1]["items"] == [item("Sprint", sample.SPRINT_FIELD, "78", "Apple 3", "", "")]
    assert (await jira.get("/rest/agile/1.0/sprint/78")).status_code == 404


async def test_deleting_an_issue_destroys_its_changelog_and_never_reuses_key_or_id(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await admin.delete("/issues/APA-7")
    fields = {"project": {"key": "APA"}, "issuetype": {"id": "10001"}, "summary": "After"}
    made = (await admin.post("/issues", json={"fields": fields})).json()
    bulk = await jira.post("/rest/api/3/changelog/bulkfetch", json={"issueIdsOrKeys": ["10007"]})

    assert (made["id"], made["key"]) == ("10009", "APA-8")
    assert (await jira.get("/rest/api/2/issue/10007/changelog")).status_code == 404
    assert bulk.json()["issueChangeLogs"] == []


async def test_the_write_log_holds_every_history_that_clients_see(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    await items_of(admin, {"status": {"id": "3"}})
    await items_of(admin, {sample.POINTS_FIELD: 13}, issue="10002")
    log = (await admin.get("/write-log")).json()

    assert [(entry["kind"], entry["issueId"]) for entry in log] == [
        ("issue_updated", 10001),
        ("issue_updated", 10002),
    ]
    shown = (await jira.get(f"{ISSUE}/changelog")).json()["values"][-1]
    assert shown["id"] == str(log[0]["history"]["id"])
    assert shown["items"] == log[0]["history"]["items"]
    assert shown["author"]["accountId"] == "account-ben"


def item(
    field: str,
    field_id: str | None,
    from_id: str | None,
    from_text: str | None,
    to_id: str | None,
    to_text: str | None,
) -> Json:
    kind = "custom" if field_id and field_id.startswith("customfield_") else "jira"
    told: Json = {"field": field, "fieldtype": kind}
    told |= {"fieldId": field_id} if field_id else {}
    return told | {"from": from_id, "fromString": from_text, "to": to_id, "toString": to_text}


def subtask_of(parent: str) -> Json:
    return {
        "project": {"key": "APA"},
        "issuetype": {"id": "10002", "name": "Sub-task", "subtask": True},
        "summary": "Part",
        "parent": {"id": parent},
    }
