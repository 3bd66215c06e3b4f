"""Search as a client meets it: bounded, paged by opaque tokens, id only by default, and behind the store."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth_sandbox.jira import sample
from troth_sandbox.jira.app import admin_api, api
from troth_sandbox.jira.clock import DAY_MS, SettableClock, parse_instant
from troth_sandbox.jira.jql import parse as parse_jql
from troth_sandbox.jira.matching import SortValue
from troth_sandbox.jira.seed import parse
from troth_sandbox.jira.site import Site

NOW = parse_instant("2026-11-25T12:00:00Z")
SEARCH = "/rest/api/3/search/jql"
ALL = "project in (APA, PEA)"
Json = dict[str, Any]


def site_of(issues: int = 40, **changes: object) -> Site:
    clock = SettableClock()
    clock.set(NOW, frozen=True)
    return Site(parse(sample.content(issues, **changes)), clock)


def client_of(site: Site) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=api(site))
    return httpx.AsyncClient(
        transport=transport, base_url="http://jira.test", auth=(sample.EMAIL, sample.TOKEN)
    )


@pytest.fixture
def site() -> Site:
    return site_of()


@pytest.fixture
async def jira(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(site) as client:
        yield client


@pytest.fixture
async def admin(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=admin_api(site))
    async with httpx.AsyncClient(transport=transport, base_url="http://admin.test/admin") as client:
        yield client


async def found(jira: httpx.AsyncClient, jql: str, **more: Any) -> list[str]:
    answer = await jira.get(SEARCH, params={"jql": jql, "maxResults": 5000, **more})
    assert answer.status_code == 200, answer.text
    return [issue["id"] for issue in answer.json()["issues"]]


async def test_the_default_is_fifty_ids_and_nothing_else(jira: httpx.AsyncClient) -> None:
    """Rule: `fields` defaults to id and `maxResults` to 50 (platform OpenAPI, search/jql)."""
    page = (await client_of(site_of(60)).get(SEARCH, params={"jql": ALL})).json()

    assert len(page["issues"]) == 50
    assert all(issue.keys() == {"id"} for issue in page["issues"])
    assert page.keys() == {"issues", "nextPageToken", "isLast"}
    assert page["isLast"] is False


async def test_pages_are_large_for_ids_and_at_most_100_with_fields() -> None:
    async with client_of(site_of(5_100)) as jira:
        ids = (await jira.get(SEARCH, params={"jql": ALL, "maxResults": 9_999})).json()
        with_fields = (
            await jira.get(SEARCH, params={"jql": ALL, "maxResults": 5_000, "fields": "summary"})
        ).json()

    assert len(ids["issues"]) == 5_000
    assert len(with_fields["issues"]) == 100
    assert with_fields["isLast"] is False


async def test_the_last_page_has_no_token_or_a_null_one(jira: httpx.AsyncClient, site: Site) -> None:
    """The spec says both in different sentences; a switch chooses."""
    absent = (await jira.get(SEARCH, params={"jql": ALL})).json()
    site.switches.last_page_token = "null"
    null = (await jira.get(SEARCH, params={"jql": ALL})).json()

    assert "nextPageToken" not in absent
    assert null["nextPageToken"] is None
    assert "total" not in absent


@given(
    size=st.integers(1, 120),
    order=st.sampled_from(
        [
            "",
            "ORDER BY updated ASC, id ASC",
            "ORDER BY updated DESC",
            "ORDER BY project, key DESC",
            "ORDER BY created",
        ]
    ),
)
@settings(max_examples=40, deadline=None)
def test_all_pages_give_each_issue_exactly_once(size: int, order: str) -> None:
    site = SHARED
    query = parse_jql(f"{ALL} {order}")
    seen: list[int] = []
    after: SortValue | None = None
    while True:
        page = site.index.search(query, site.reading(NOW), after, size, {})
        seen += [issue.id for issue in page.issues]
        after = page.resume
        if after is None:
            break

    assert sorted(seen) == sorted(issue.id for issue in site.store.issues())


SHARED = site_of(97)


async def test_issues_that_stay_are_neither_lost_nor_repeated_while_others_change(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    seen, token = [], None
    for step in range(100):
        more: dict[str, str] = {"nextPageToken": token} if token else {}
        page = (
            await jira.get(SEARCH, params={"jql": f"{ALL} ORDER BY updated", "maxResults": 5, **more})
        ).json()
        seen += [issue["id"] for issue in page["issues"]]
        if step < 3:
            await admin.post(f"/issues/{10_001 + step}", json={"fields": {}})
        token = page.get("nextPageToken")
        if token is None:
            break

    still = {str(issue.id) for issue in site.store.issues()} - {"10001", "10002", "10003"}
    assert sorted(i for i in seen if i in still) == sorted(still)


async def test_order_by_sorts_keys_by_number_and_breaks_ties_by_id(
    jira: httpx.AsyncClient, site: Site
) -> None:
    by_key = await found(jira, "project = APA ORDER BY key DESC")
    by_update = await found(jira, f"{ALL} ORDER BY updated ASC, id ASC")

    assert by_key == sorted(by_key, key=int, reverse=True)
    truth = sorted(site.store.issues(), key=lambda issue: (issue.updated, issue.id))
    assert by_update == [str(issue.id) for issue in truth]


@pytest.mark.parametrize("jql", ["", "order by updated", "flavour = sweet", "project = NONE", "project = "])
async def test_unbounded_and_unknown_queries_are_400_with_a_message(
    jira: httpx.AsyncClient, jql: str
) -> None:
    answer = await jira.get(SEARCH, params={"jql": jql})

    assert answer.status_code == 400
    assert answer.json()["errorMessages"]
    assert answer.json()["errors"] == {}


@pytest.mark.parametrize("version", ["2", "3"])
async def test_the_old_search_is_gone(jira: httpx.AsyncClient, version: str) -> None:
    """Rule: 410 that points at CHANGE-2046. https://developer.atlassian.com/changelog/#CHANGE-2046"""
    for answer in (
        await jira.get(f"/rest/api/{version}/search", params={"jql": ALL}),
        await jira.post(f"/rest/api/{version}/search", json={"jql": ALL}),
    ):
        assert answer.status_code == 410
        assert "CHANGE-2046" in answer.json()["errorMessages"][0]


@pytest.mark.parametrize("auth", [None, (sample.EMAIL, "wrong"), ("someone@example.com", sample.TOKEN)])
async def test_everything_needs_the_right_credentials(site: Site, auth: tuple[str, str] | None) -> None:
    transport = httpx.ASGITransport(app=api(site))
    async with httpx.AsyncClient(transport=transport, base_url="http://jira.test", auth=auth) as stranger:
        for path in ("/rest/api/3/serverInfo", "/rest/agile/1.0/board", SEARCH):
            answer = await stranger.get(path)
            assert answer.status_code == 401
            assert answer.headers["X-Seraph-LoginReason"] == "AUTHENTICATED_FAILED"


async def test_a_token_of_another_query_a_forged_or_an_old_one_is_refused(
    jira: httpx.AsyncClient, site: Site
) -> None:
    """Rule: tokens expire after seven days (platform OpenAPI, search/jql)."""
    asked: Json = {"jql": ALL, "maxResults": 5}
    token = (await jira.get(SEARCH, params=asked)).json()["nextPageToken"]

    assert (await jira.get(SEARCH, params=asked | {"nextPageToken": token})).status_code == 200
    wrongs: list[Json] = [{"nextPageToken": "abc"}, {"nextPageToken": token, "jql": "project = APA"}]
    for wrong in wrongs:
        assert (await jira.get(SEARCH, params=asked | wrong)).status_code == 400
    site.clock.advance(7 * DAY_MS + 1)
    assert (await jira.get(SEARCH, params=asked | {"nextPageToken": token})).status_code == 400


async def test_get_and_post_agree_and_post_takes_nulls_but_no_unknown_fields(jira: httpx.AsyncClient) -> None:
    query = f"{ALL} ORDER BY id"
    got = (
        await jira.get(SEARCH, params={"jql": query, "fields": ["summary", "status"], "maxResults": 3})
    ).json()
    body = {
        "jql": query,
        "fields": ["summary", "status"],
        "maxResults": 3,
        "expand": None,
        "properties": None,
    }
    posted = (await jira.post(SEARCH, json=body)).json()

    assert posted["issues"] == got["issues"]
    assert (await jira.post(SEARCH, json=body | {"startAt": 0})).status_code == 400


async def test_search_lags_behind_direct_reads(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    """Rule: recent updates might not be visible in search (search-and-reconcile page)."""
    await admin.post("/search-lag", json={"seconds": 60})
    await admin.post("/issues/10001", json={"fields": {"summary": "New"}})
    since = f"project = APA AND updated >= {NOW}"

    assert await found(jira, since) == []
    assert (await jira.get("/rest/api/3/issue/10001")).json()["fields"]["summary"] == "New"
    assert (await jira.get("/rest/api/3/issue/10001/changelog")).json()["total"] == 6
    assert await found(jira, since, reconcileIssues=[10001]) == ["10001"]
    site.clock.advance(60_000)
    assert await found(jira, since) == ["10001"]


async def test_a_deleted_issue_stays_in_search_until_the_index_knows(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    await admin.post("/search-lag", json={"seconds": 60})
    await admin.delete("/issues/10001")

    assert "10001" in await found(jira, ALL)
    assert "10001" not in await found(jira, ALL, reconcileIssues=[10001])
    assert (await jira.get("/rest/api/3/issue/10001")).status_code == 404
    site.clock.advance(60_000)
    assert "10001" not in await found(jira, ALL)


async def test_at_most_fifty_issues_are_reconciled(jira: httpx.AsyncClient) -> None:
    body = {"jql": ALL, "reconcileIssues": list(range(51))}

    assert (await jira.post(SEARCH, json=body)).status_code == 400


async def test_expanded_changelogs_are_newest_first_and_cut_at_100(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """Rule: Cloud cuts `expand=changelog` (DevLake re-fetches above 100 entries)."""
    for points in range(100, 200):
        await admin.post("/issues/10001", json={"fields": {sample.POINTS_FIELD: points}})
    page = (
        await jira.get(SEARCH, params={"jql": "id = 10001", "expand": "changelog", "fields": "id"})
    ).json()
    changelog = page["issues"][0]["changelog"]
    ids = [int(history["id"]) for history in changelog["histories"]]

    assert (len(ids), changelog["total"]) == (100, 105)
    assert ids == sorted(ids, reverse=True)
    assert changelog["histories"][0]["items"][0]["toString"] == "199"


async def test_fields_can_be_all_navigable_listed_or_excluded(jira: httpx.AsyncClient) -> None:
    async def keys(fields: Any) -> set[str]:
        answer = await jira.get(SEARCH, params={"jql": "id = 10001", "fields": fields})
        return set(answer.json()["issues"][0].get("fields", {}))

    everything = await keys("*all")

    assert {"summary", "created", sample.SPRINT_FIELD, sample.POINTS_FIELD, "fixVersions"} <= everything
    assert await keys("*navigable") <= everything
    assert await keys("summary,status") == {"summary", "status"}
    assert await keys(["summary", "status"]) == {"summary", "status"}
    assert await keys("*all,-summary") == everything - {"summary"}
    assert await keys("-description") == await keys("*navigable") - {"description"}
    assert await keys("key") == set()


async def test_approximate_count_counts_what_the_index_holds(jira: httpx.AsyncClient) -> None:
    answer = await jira.post("/rest/api/3/search/approximate-count", json={"jql": ALL})

    assert answer.json() == {"count": 40}


async def test_issues_of_archived_and_deleted_projects_are_out_of_sight(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await admin.post("/projects/PEA", json={"state": "archived"})

    assert len(await found(jira, "id in (10001, 10004)")) == 1
    assert (await jira.get("/rest/api/3/issue/PEA-4")).status_code == 404
    assert (await jira.get(SEARCH, params={"jql": "project = PEA"})).status_code == 400
    roster = (await jira.get("/rest/api/3/project/search", params={"status": "archived"})).json()
    assert [(row["key"], row["archived"]) for row in roster["values"]] == [("PEA", True)]


async def test_quoted_times_use_the_account_and_answers_use_the_site(admin: httpx.AsyncClient) -> None:
    account = {"accountId": "account-reader", "displayName": "R", "timeZone": "Asia/Kolkata"}
    place = site_of(site={"title": "S", "time_zone": "America/Los_Angeles"}, account=account)
    async with client_of(place) as jira:
        shown = (await jira.get("/rest/api/2/issue/10003?fields=updated,created")).json()["fields"]
        me = (await jira.get("/rest/api/2/myself")).json()
        hits = await found(jira, 'id = 10003 AND updated >= "2026-11-02 15:33"')
        misses = await found(jira, 'id = 10003 AND updated >= "2026-11-02 15:34"')

    assert shown["updated"] == "2026-11-02T02:03:00.000-0800"
    assert me["timeZone"] == "Asia/Kolkata"
    assert (hits, misses) == (["10003"], [])
