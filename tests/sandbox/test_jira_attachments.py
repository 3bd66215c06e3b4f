"""What hangs on an issue: links to places outside Jira and comments, in both dialects."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.jira_sync.recorded import rows

from troth_sandbox.jira import sample
from troth_sandbox.jira.app import api
from troth_sandbox.jira.clock import SettableClock, parse_instant
from troth_sandbox.jira.seed import parse
from troth_sandbox.jira.site import Site

Json = dict[str, Any]
NOW = parse_instant("2026-11-25T12:00:00Z")
LINKS = "/rest/api/2/issue/APA-1/remotelink"
DEAL = {"url": "https://crm.example.com/0061", "title": "Deal"}


@pytest.fixture(params=["Cloud", "Server"])
def site(request: pytest.FixtureRequest) -> Site:
    clock = SettableClock()
    clock.set(NOW, frozen=True)
    told = {"title": "Sample", "time_zone": "UTC", "deployment": request.param}
    return Site(parse(sample.content(8, site=told)), clock)


@pytest.fixture
async def jira(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=api(site))
    login: Any = {"auth": (sample.EMAIL, sample.TOKEN)}
    if site.store.data_center:
        login = {"headers": {"Authorization": f"Bearer {sample.TOKEN}"}}
    async with httpx.AsyncClient(transport=transport, base_url="http://jira.test", **login) as client:
        yield client


async def issue(jira: httpx.AsyncClient) -> tuple[str, list[Json]]:
    """When it was updated, and the items of its changelog, newest first."""
    found = (await jira.get("/rest/api/2/issue/APA-1?expand=changelog")).json()
    histories = found["changelog"]["histories"]
    return found["fields"]["updated"], [item for history in histories for item in history["items"]]


async def test_a_link_is_listed_one_by_one_and_by_its_global_id(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    app = {"type": "com.example.connector", "name": "CRM"}
    made = await admin.post(
        "/issues/APA-1/remote-links", json=DEAL | {"global_id": "crm=1&id=2", "application": app}
    )
    number = made.json()["id"]
    shown = {
        "id": number,
        "self": f"http://jira.test/rest/api/2/issue/APA-1/remotelink/{number}",
        "object": DEAL,
        "globalId": "crm=1&id=2",
        "application": app,
    }
    assert (await jira.get(LINKS)).json() == [shown]
    assert (await jira.get(f"{LINKS}/{number}")).json() == shown
    assert (await jira.get(LINKS, params={"globalId": "crm=1&id=2"})).json() == shown
    assert (await jira.get(LINKS, params={"globalId": "crm=1&id=3"})).status_code == 404
    assert (await jira.get(f"{LINKS}/{number + 1}")).status_code == 404
    assert (await jira.get("/rest/api/2/issue/APA-2/remotelink")).json() == []


async def test_a_known_global_id_changes_its_link(jira: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    """The platform spec of ``POST remotelink``."""
    for title in ("Deal", "Bigger deal"):
        await admin.post("/issues/APA-1/remote-links", json=DEAL | {"title": title, "global_id": "crm=1"})
    (found,) = (await jira.get(LINKS)).json()
    assert found["object"]["title"] == "Bigger deal"


async def test_making_changing_and_removing_a_link_writes_the_recorded_items_and_leaves_updated(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, fixtures_dir: Path
) -> None:
    before, old = await issue(jira)
    number = (await admin.post("/issues/APA-1/remote-links", json=DEAL | {"global_id": "crm=1"})).json()["id"]
    await admin.post("/issues/APA-1/remote-links", json=DEAL | {"global_id": "crm=1", "title": "Other"})
    await admin.delete(f"/issues/APA-1/remote-links/{number}")
    after, items = await issue(jira)
    told = [(item["from"], item["to"]) for item in items[: len(items) - len(old)]]
    assert told == [(str(number), None), (str(number), str(number)), (None, str(number))]
    assert after == before
    assert items[0].keys() == {"field", "fieldtype", "from", "fromString", "to", "toString"}
    recorded = rows(fixtures_dir, "devlake", "raw_tables", "_raw_jira_api_issue_changelogs.csv")
    assert any(
        '"field": "RemoteIssueLink"' in row["data"] or '"field":"RemoteIssueLink"' in row["data"]
        for row in recorded
    )


async def test_switches_say_how_the_item_is_called_and_whether_updated_moves(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    before, _ = await issue(jira)
    await admin.post("/switches", json={"link_item": "RemoteWorkItemLink", "links_move_updated": True})
    await admin.post("/issues/APA-1/remote-links", json=DEAL)
    after, items = await issue(jira)
    assert items[0]["field"] == "RemoteWorkItemLink"
    assert after != before


async def test_comments_move_updated_and_only_the_first_come_along_with_the_issue(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    before, items = await issue(jira)
    for number in range(25):
        await admin.post("/issues/APA-1/comments", json={"body": f"Comment {number}"})
    inside = (await jira.get("/rest/api/2/issue/APA-1?fields=comment")).json()["fields"]["comment"]
    page = (await jira.get("/rest/api/2/issue/APA-1/comment?startAt=20&maxResults=10")).json()
    assert (inside["total"], len(inside["comments"])) == (25, 20)
    assert (page["total"], page["startAt"], len(page["comments"])) == (25, 20, 5)
    assert page["comments"][0]["body"] == "Comment 20"
    assert page["comments"][0]["created"] == "2026-11-25T12:00:00.000+0000"
    after, same = await issue(jira)
    assert (after != before, same) == (True, items)

    assert (await admin.delete(f"/issues/APA-1/comments/{page['comments'][0]['id']}")).status_code == 204
    assert (await admin.delete("/issues/APA-1/comments/1")).status_code == 404
    assert (await jira.get("/rest/api/2/issue/APA-1/comment")).json()["total"] == 24
    assert "comment" not in (await jira.get("/rest/api/2/issue/APA-1?fields=*navigable")).json()["fields"]


async def test_both_are_written_down_for_the_oracle(admin: httpx.AsyncClient) -> None:
    await admin.post("/issues/APA-1/remote-links", json=DEAL)
    await admin.post("/issues/APA-1/comments", json={"body": "x"})
    log = (await admin.get("/write-log")).json()
    assert [(entry["kind"], bool(entry["history"])) for entry in log] == [
        ("issue_updated", True),
        ("issue_updated", False),
    ]


async def test_a_seed_may_hold_both() -> None:
    made = sample.seed(8)
    made["issues"][0]["remote_links"] = [{"id": 10_500, "object": DEAL}]
    made["issues"][0]["comments"] = [
        {"id": 10_700, "author": "account-ben", "body": "x", "created": "2026-11-01T00:00:00Z"}
    ]
    site = Site(parse(json.dumps(made).encode()), SettableClock())
    assert site.store.remote_links[10_001] == [(10_500, {"object": DEAL})]
    assert (site.last_link, site.last_comment) == (10_500, 10_700)
