"""What disappears and how: deleted, moved, archived, trashed, forbidden, hidden by security; and what comes back."""

from typing import Any

import httpx
import msgspec
import pytest

from troth_sandbox.jira import sample
from troth_sandbox.jira.app import api
from troth_sandbox.jira.clock import SettableClock, parse_instant
from troth_sandbox.jira.seed import parse
from troth_sandbox.jira.site import Site

Json = dict[str, Any]
NOW = parse_instant("2026-11-25T12:00:00Z")
SEARCH = "/rest/api/3/search/jql"


@pytest.fixture
def site() -> Site:
    clock = SettableClock()
    clock.set(NOW, frozen=True)
    return Site(parse(sample.content(8)), clock)


async def census(jira: httpx.AsyncClient, project: str) -> list[int] | int:
    """Ids of a project in a complete id-only search, or the status of a refusal."""
    answer = await jira.get(SEARCH, params={"jql": f"project = {project}", "maxResults": 5000})
    if answer.status_code != 200:
        return answer.status_code
    return sorted(int(issue["id"]) for issue in answer.json()["issues"])


async def roster(jira: httpx.AsyncClient, status: str) -> list[str]:
    answer = await jira.get("/rest/api/3/project/search", params={"status": status})
    return [project["key"] for project in answer.json()["values"]]


async def issue_status(jira: httpx.AsyncClient, name: str) -> int:
    return (await jira.get(f"/rest/api/3/issue/{name}")).status_code


async def test_deleted_and_moved_issues_leave_the_census_and_only_one_answers(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await admin.delete("/issues/APA-1")
    await admin.post("/issues/APA-2", json={"fields": {"project": {"key": "PEA"}}})

    assert await census(jira, "APA") == [10003, 10005, 10006, 10007]
    assert await census(jira, "PEA") == [10002, 10004, 10008]
    assert [await issue_status(jira, name) for name in ("10001", "10002", "APA-2")] == [404, 200, 200]


@pytest.mark.parametrize("state", ["archived", "deleted"])
async def test_a_project_that_leaves_stands_in_the_roster_under_its_status_and_returns(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, state: str
) -> None:
    """https://github.com/constructorfabric/insight (deletion and visibility): the roster by status tells why."""
    await admin.post("/projects/PEA", json={"state": state})

    assert await census(jira, "PEA") == 400
    assert await issue_status(jira, "10004") == 404
    assert (await roster(jira, "live"), await roster(jira, state)) == (["APA"], ["PEA"])
    await admin.post("/projects/PEA", json={"state": "live"})
    assert await census(jira, "PEA") == [10004, 10008]
    assert await roster(jira, "live,archived,deleted") == ["APA", "PEA"]


async def test_revoked_access_looks_like_a_project_that_never_was(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await admin.post("/projects/PEA", json={"browsable": False})
    board = (await jira.get("/rest/agile/1.0/board/2/project")).json()["values"]

    assert await roster(jira, "live,archived,deleted") == ["APA"]
    assert (await jira.get("/rest/api/3/project/PEA")).status_code == 404
    assert (await jira.get("/rest/api/3/project/PEA/versions")).status_code == 404
    assert (await census(jira, "PEA"), await issue_status(jira, "PEA-4")) == (400, 404)
    assert [project["key"] for project in board] == ["APA"]
    await admin.post("/projects/PEA", json={"browsable": True})
    assert await census(jira, "PEA") == [10004, 10008]


async def test_issue_security_is_a_404_that_writes_nothing_and_can_be_lifted(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    assert (await admin.post("/issues/APA-1/hide", json={})).status_code == 204
    body = {"issueIdsOrKeys": ["10001", "10002"]}
    bulk = (await jira.post("/rest/api/3/changelog/bulkfetch", json=body)).json()
    reconciled = {"jql": "project = APA", "reconcileIssues": "10001"}

    assert await issue_status(jira, "10001") == 404
    assert (await jira.get("/rest/api/3/issue/10001/changelog")).status_code == 404
    assert await census(jira, "APA") == [10002, 10003, 10005, 10006, 10007]
    assert [group["issueId"] for group in bulk["issueChangeLogs"]] == ["10002"]
    found = (await jira.get(SEARCH, params=reconciled)).json()["issues"]
    assert "10001" not in [issue["id"] for issue in found]
    await admin.post("/issues/10001/hide", json={"hidden": False})
    assert await issue_status(jira, "10001") == 200
    assert [entry["kind"] for entry in site.write_log.entries] == ["issue_hidden", "issue_shown"]
    assert (await admin.post("/issues/10999/hide", json={})).status_code == 404


async def test_a_purged_project_is_gone_without_an_event(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    hook = {"name": "ours", "url": "http://127.0.0.1:9/", "events": ["jira:issue_deleted"]}
    await admin.post("/webhooks", json=hook)
    await admin.delete("/projects/PEA")

    assert await roster(jira, "live,archived,deleted") == ["APA"]
    assert await issue_status(jira, "10004") == 404
    assert site.outbox.log == []


async def test_two_boards_share_a_sprint_and_each_shows_its_own_issues() -> None:
    """https://brokenbuild.atlassian.net/wiki/spaces/VEL/pages/3321856003: boards that filter by label."""
    seed = sample.seed(5)
    for issue, label in zip(seed["issues"], ["team-a", "team-a", "team-b", "team-b", "nobody"], strict=True):
        issue["fields"]["labels"] = [label]
    for board, label in zip(seed["boards"], ["team-a", "team-b", "team-b"], strict=True):
        board |= {"filter": f"labels = {label}", "project_ids": ["10000", "10001"]}
    seed["sprints"][1]["board_ids"] = [2]
    seed["versions"][1]["released"] = True
    site = Site(parse(msgspec.json.encode(seed)), SettableClock())
    transport = httpx.ASGITransport(app=api(site))
    auth = (sample.EMAIL, sample.TOKEN)
    async with httpx.AsyncClient(transport=transport, base_url="http://jira.test", auth=auth) as jira:

        async def ids(path: str, **params: str) -> list[int]:
            answer = (await jira.get(f"/rest/agile/1.0{path}", params=params)).json()
            return sorted(int(issue["id"]) for issue in answer["issues"])

        configuration = (await jira.get("/rest/agile/1.0/board/1/configuration")).json()
        saved = (await jira.get(f"/rest/api/3/filter/{configuration['filter']['id']}")).json()

        assert saved["jql"] == "project in (APA, PEA) AND (labels = team-a) ORDER BY Rank ASC"
        assert await ids("/board/1/sprint/78/issue") == [10001, 10002]
        assert await ids("/board/2/sprint/78/issue") == [10003, 10004]
        assert await ids("/sprint/78/issue") == [10001, 10002, 10003, 10004, 10005]
        assert await ids("/board/2/issue", jql="project = PEA") == [10004]
        assert await ids("/board/3/issue") == []  # kanban: everything of the team is released
        assert (await jira.get("/rest/api/3/filter/19999")).status_code == 404
