"""The Data Center dialect: offset search, complete changelogs, users by name, sprints as text, tokens as Bearer."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from troth_sandbox.jira import sample
from troth_sandbox.jira.app import admin_api, api
from troth_sandbox.jira.clock import SettableClock, parse_instant
from troth_sandbox.jira.courier import Courier
from troth_sandbox.jira.seed import parse
from troth_sandbox.jira.site import Site

Json = dict[str, Any]
NOW = parse_instant("2026-11-25T12:00:00Z")
SEARCH = "/rest/api/2/search"
EPIC_LINK = "customfield_10008"
BEARER = {"Authorization": f"Bearer {sample.TOKEN}"}


def seed() -> bytes:
    made = sample.seed(120)
    kind = {"type": "any", "custom": "com.pyxis.greenhopper.jira:gh-epic-link", "customId": 10008}
    fields = [*made["fields"], {"id": EPIC_LINK, "name": "Epic Link", "custom": True, "schema": kind}]
    site = {"title": "Sample", "time_zone": "UTC", "deployment": "Server"}
    return sample.content(120, fields=fields, site=site)


@pytest.fixture
def site() -> Site:
    clock = SettableClock()
    clock.set(NOW, frozen=True)
    return Site(parse(seed()), clock)


@pytest.fixture
async def jira(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=api(site))
    async with httpx.AsyncClient(transport=transport, base_url="http://jira.test", headers=BEARER) as client:
        yield client


@pytest.fixture
async def admin(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=admin_api(site))
    async with httpx.AsyncClient(transport=transport, base_url="http://admin.test/admin") as client:
        yield client


async def test_the_site_says_server_and_takes_a_personal_access_token(jira: httpx.AsyncClient) -> None:
    info = (await jira.get("/rest/api/2/serverInfo")).json()
    wrong = await jira.get("/rest/api/2/myself", headers={"Authorization": "Bearer wrong"})

    assert (info["deploymentType"], info["versionNumbers"][0]) == ("Server", 9)
    assert wrong.status_code == 401


async def test_search_pages_by_offset_with_a_total(jira: httpx.AsyncClient) -> None:
    seen: list[str] = []
    while True:
        params: Json = {"jql": "ORDER BY id ASC", "startAt": len(seen), "maxResults": 50, "fields": "summary"}
        page = (await jira.get(SEARCH, params=params)).json()
        assert (page["total"], page["startAt"]) == (120, len(seen))
        assert page.keys().isdisjoint({"nextPageToken", "isLast"})
        seen += [issue["id"] for issue in page["issues"]]
        if len(seen) >= page["total"]:
            break
    posted = await jira.post(SEARCH, json={"jql": "project = PEA", "fields": ["key"], "maxResults": 1_000})

    assert seen == [str(10_001 + at) for at in range(120)]
    assert len(posted.json()["issues"]) == posted.json()["total"] == 30


async def test_offset_pages_shift_under_writes(jira: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    """https://support.atlassian.com/jira/kb/inconsistent-paginated-api-search-result-while-using-jql"""
    params: Json = {"jql": "project = PEA ORDER BY id ASC", "maxResults": 10}
    first = (await jira.get(SEARCH, params=params)).json()["issues"]
    await admin.delete("/issues/10004")
    second = (await jira.get(SEARCH, params=params | {"startAt": 10})).json()["issues"]

    assert (first[-1]["id"], second[0]["id"]) == ("10040", "10048")


async def test_expanded_changelogs_are_complete_and_items_have_no_field_id(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    for number in range(110):
        await admin.post("/issues/10001", json={"fields": {"summary": f"Version {number}"}})
    params = {"jql": "key = APA-1", "expand": "changelog"}
    (found,) = (await jira.get(SEARCH, params=params)).json()["issues"]
    one = (await jira.get("/rest/api/2/issue/APA-1", params={"expand": "changelog"})).json()

    assert found["changelog"]["total"] == len(found["changelog"]["histories"]) == 115
    assert len(one["changelog"]["histories"]) == 115
    assert "fieldId" not in found["changelog"]["histories"][0]["items"][0]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/rest/api/2/search/jql?jql=project=APA"),
        ("POST", "/rest/api/2/changelog/bulkfetch"),
        ("GET", "/rest/api/2/issue/APA-1/changelog"),
        ("GET", "/rest/api/2/project/search"),
        ("POST", "/rest/api/2/search/approximate-count"),
        ("GET", "/rest/api/2/webhook"),
        ("GET", "/rest/api/3/myself"),
    ],
)
async def test_cloud_operations_do_not_exist(jira: httpx.AsyncClient, method: str, path: str) -> None:
    assert (await jira.request(method, path, json={})).status_code in {404, 405}


async def test_users_have_names_and_keys_and_no_account_id(jira: httpx.AsyncClient) -> None:
    me = (await jira.get("/rest/api/2/myself")).json()
    fields = (await jira.get("/rest/api/2/issue/APA-1")).json()["fields"]

    assert (me["name"], me["key"]) == ("account-reader", "account-reader")
    assert fields["assignee"]["name"] == "account-ada"
    assert "accountId" not in me.keys() | fields["assignee"].keys()


async def test_projects_come_in_one_list_without_archived_and_private_ones(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    assert [p["key"] for p in (await jira.get("/rest/api/2/project")).json()] == ["APA", "PEA"]
    await admin.post("/projects/PEA", json={"state": "archived"})
    assert [p["key"] for p in (await jira.get("/rest/api/2/project")).json()] == ["APA"]


async def test_the_sprint_field_holds_texts_like_recorded_ones(
    fixtures_dir: Path, jira: httpx.AsyncClient, site: Site
) -> None:
    name = "webhook-server-issue-updated-comment-deleted.json"
    text = (fixtures_dir / "jira/webhooks-mattermost" / name).read_text()
    found = re.search(r"com\.atlassian\.greenhopper\.service\.sprint\.Sprint@[^\"]*", text)
    sprints = (await jira.get("/rest/api/2/issue/APA-1")).json()["fields"][sample.SPRINT_FIELD]
    site.switches.sprint_strings = False
    objects = (await jira.get("/rest/api/2/issue/APA-1")).json()["fields"][sample.SPRINT_FIELD]

    begins = "com.atlassian.greenhopper.service.sprint.Sprint@a88a04e[id=78,rapidViewId=1,state=ACTIVE,name=Apple 3,"
    assert sprints[0].startswith(f"{begins}startDate=2026-11-16T09:00:00.000Z,")
    assert sprints[0].endswith("completeDate=<null>,sequence=78,goal=Ripe]")
    assert found is not None
    assert keys_of(sprints[0]) == keys_of(found.group())
    assert objects[0]["boardId"] == 1


def keys_of(text: str) -> list[str]:
    return re.findall(r"[\[,](\w+)=", text)


async def test_the_parent_of_a_story_is_its_epic_link(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await admin.post("/issues/10002", json={"fields": {"parent": {"key": "APA-1"}}})
    issue = (await jira.get("/rest/api/2/issue/10002", params={"expand": "changelog"})).json()
    newest = issue["changelog"]["histories"][0]["items"][0]

    assert issue["fields"][EPIC_LINK] == "APA-1"
    assert "parent" not in issue["fields"]
    assert (newest["field"], newest["to"], newest["toString"]) == ("Epic Link", "10001", "APA-1")


async def test_webhooks_are_unsigned_tried_once_and_may_live_at_another_path(
    fixtures_dir: Path, jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    """Unverified: signing and retries of Data Center, so neither; the path moved on Data Center 10."""
    name = "webhook-server-issue-updated-in-progress.json"
    recorded = json.loads((fixtures_dir / "jira/webhooks-mattermost" / name).read_text())
    site.switches.webhook_path = "jira-webhook"
    hook = {"name": "x", "url": "http://127.0.0.1:9/", "events": ["jira:issue_updated"], "secret": "s"}
    old = await jira.post("/rest/webhooks/1.0/webhook", json=hook)
    new = await jira.post("/rest/jira-webhook/1.0/webhook", json=hook)
    requests: list[httpx.Request] = []

    def receive(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(503)

    await admin.post("/issues/10001", json={"fields": {"status": {"id": "3"}}})
    async with httpx.AsyncClient(transport=httpx.MockTransport(receive)) as client:
        courier = Courier(site, client)
        await courier.deliver_due()
        site.clock.advance(3_600_000)
        await courier.deliver_due()
    body = json.loads(requests[0].content)

    assert (old.status_code, new.status_code) == (404, 201)
    assert len(requests) == 1
    assert "X-Hub-Signature" not in requests[0].headers
    assert body.keys() == recorded.keys()
    assert body["user"].keys() == recorded["user"].keys()
    assert body["changelog"]["items"][0].keys() == recorded["changelog"]["items"][0].keys()
