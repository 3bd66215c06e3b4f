"""Spoilt pages of token loops, shuffled changelogs, and edits that make no sense."""

from typing import Any

import httpx
import pytest

from troth_sandbox.jira import sample
from troth_sandbox.jira.clock import DAY_MS, SettableClock, parse_instant
from troth_sandbox.jira.seed import parse
from troth_sandbox.jira.site import Site

Json = dict[str, Any]
NOW = parse_instant("2026-11-25T12:00:00Z")
SEARCH = "/rest/api/3/search/jql"
BULK = "/rest/api/3/changelog/bulkfetch"


@pytest.fixture
def site() -> Site:
    clock = SettableClock()
    clock.set(NOW, frozen=True)
    return Site(parse(sample.content(12)), clock)


async def spoil(admin: httpx.AsyncClient, page: str, nth: int = 1, times: int = 1) -> None:
    match = {"path": "search/jql|bulkfetch", "nth": nth, "times": times}
    answer = await admin.post("/faults", json=[{"match": match, "act": {"page": page}}])
    assert answer.status_code == 204, answer.text


async def page(jira: httpx.AsyncClient, token: str | None = None, size: int = 4) -> Json:
    params: Json = {"jql": "project in (APA, PEA) ORDER BY id ASC", "maxResults": size}
    answer = await jira.get(SEARCH, params=params | ({"nextPageToken": token} if token else {}))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_repeated_token_comes_back_with_the_page(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    first = await page(jira)
    await spoil(admin, "repeated_token", times=2)
    second = await page(jira, first["nextPageToken"])
    again = await page(jira, second["nextPageToken"])

    assert second["nextPageToken"] == again["nextPageToken"] == first["nextPageToken"]
    assert second["issues"] == again["issues"]


@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_an_empty_page_with_a_token_loses_nothing(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, nth: int
) -> None:
    await spoil(admin, "empty_page", nth=nth)
    seen, sizes, token = [], [], None
    while True:
        found = await page(jira, token)
        sizes.append(len(found["issues"]))
        seen += [issue["id"] for issue in found["issues"]]
        token = found.get("nextPageToken")
        if token is None:
            break

    assert seen == [str(10_001 + at) for at in range(12)]
    assert (sizes.count(0), sizes[nth - 1]) == (1, 0)


async def test_a_token_expires_when_planned_and_after_seven_days(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    """Rule: `nextPageToken` expires in 7 days (platform OpenAPI, search/jql)."""
    token = (await page(jira))["nextPageToken"]
    params = {"jql": "project in (APA, PEA) ORDER BY id ASC", "maxResults": 4, "nextPageToken": token}
    await spoil(admin, "expired_token")
    planned = await jira.get(SEARCH, params=params)
    site.clock.advance(7 * DAY_MS)
    good = await jira.get(SEARCH, params=params)
    site.clock.advance(1)
    late = await jira.get(SEARCH, params=params)

    assert [answer.status_code for answer in (planned, good, late)] == [400, 200, 400]


async def test_endings_can_contradict_themselves(jira: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await spoil(admin, "token_and_last")
    both = await page(jira)
    await spoil(admin, "no_is_last", times=2)
    middle, last = await page(jira), await page(jira, size=50)
    await spoil(admin, "max_results_ignored")
    ignored = await page(jira)

    assert both["isLast"] is True
    assert both["nextPageToken"]
    assert "isLast" not in middle.keys() | last.keys()
    assert "nextPageToken" not in last
    assert len(ignored["issues"]) == 12


async def test_bulk_changelogs_can_be_spoilt_alike(jira: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    asked: Json = {"issueIdsOrKeys": ["10001", "10002"], "maxResults": 4}
    await spoil(admin, "empty_page")
    empty = (await jira.post(BULK, json=asked)).json()
    first = (await jira.post(BULK, json=asked | {"nextPageToken": empty["nextPageToken"]})).json()
    await spoil(admin, "repeated_token")
    follow = asked | {"nextPageToken": first["nextPageToken"]}
    second = (await jira.post(BULK, json=follow)).json()
    await spoil(admin, "expired_token")
    expired = await jira.post(BULK, json=follow)

    assert empty["issueChangeLogs"] == []
    assert sum(len(group["changeHistories"]) for group in first["issueChangeLogs"]) == 4
    assert second["nextPageToken"] == first["nextPageToken"]
    assert expired.status_code == 400


async def test_expanded_changelogs_can_be_shuffled(jira: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    """https://blog.mikebowler.ca/2024/04/09/jira-issue-history/"""

    async def ids() -> list[int]:
        answer = await jira.get("/rest/api/3/issue/10001", params={"expand": "changelog"})
        return [int(history["id"]) for history in answer.json()["changelog"]["histories"]]

    honest = await ids()
    await admin.post("/switches", json={"shuffled_changelogs": True})
    shuffled = await ids()

    assert honest == sorted(honest, reverse=True)
    assert shuffled != honest
    assert sorted(shuffled) == sorted(honest)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/issues/10001", {"fields": {"status": "Done"}}),
        ("/issues/10001", {"fields": {"fixVersions": [1]}}),
        ("/issues/10001", {"fields": {"parent": {"name": "x"}}}),
        ("/issues/10001", {"fields": {"labels": 7}}),
        ("/issues/10001", {"fields": {"assignee": {"name": "ada"}}}),
        ("/issues", {"fields": {"project": "APA", "issuetype": {"id": "1"}, "summary": "x"}}),
        ("/sprints/79", {"startDate": "tomorrow"}),
        ("/boards", {"name": 7}),
        ("/versions", {"name": "1", "projectId": "x"}),
        ("/limits", {"burst": {"size": 3}}),
        ("/delivery-faults", {"drop": "many"}),
        ("/faults", [{"match": {}, "act": {"page": "torn"}}]),
        ("/webhooks", {"name": "x"}),
        ("/clock", {"now": "noon"}),
    ],
)
async def test_malformed_edits_are_400_and_change_nothing(
    admin: httpx.AsyncClient, site: Site, path: str, body: object
) -> None:
    before = site.store.issue("10001")
    answer = await admin.post(path, json=body)

    assert answer.status_code == 400
    assert answer.json()["errorMessages"]
    assert site.write_log.entries == []
    assert site.store.issue("10001") == before
