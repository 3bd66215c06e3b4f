"""The three limiters: which request is refused, what the refusal tells, and whether anybody came too early."""

from typing import Any

import httpx
import pytest

from troth_sandbox.jira import sample
from troth_sandbox.jira.clock import SettableClock, parse_instant
from troth_sandbox.jira.limits import endpoint, points_of
from troth_sandbox.jira.seed import parse
from troth_sandbox.jira.site import Site

Json = dict[str, Any]
NOW = parse_instant("2026-11-25T12:10:00.400Z")
FIELDS = "/rest/api/3/field"
SEARCH = "/rest/api/3/search/jql?jql=project=APA&maxResults=3"


@pytest.fixture
def site() -> Site:
    clock = SettableClock()
    clock.set(NOW, frozen=True)
    return Site(parse(sample.content(8)), clock)


async def limit(admin: httpx.AsyncClient, **plan: object) -> None:
    answer = await admin.post("/limits", json=plan)
    assert answer.status_code == 204, answer.text


async def statuses(jira: httpx.AsyncClient, path: str, times: int) -> list[int]:
    return [(await jira.get(path)).status_code for _ in range(times)]


async def test_a_burst_bucket_belongs_to_one_endpoint_and_method(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    """https://developer.atlassian.com/cloud/jira/platform/rate-limiting"""
    await limit(admin, burst={"capacity": 2, "per_second": 0.5})

    assert await statuses(jira, FIELDS, 4) == [200, 200, 429, 429]
    assert await statuses(jira, "/rest/api/3/status", 2) == [200, 200]
    assert await statuses(jira, "/rest/api/3/issue/APA-1", 1) == [200]
    assert await statuses(jira, "/rest/api/2/issue/10002", 2) == [200, 429]
    site.clock.advance(2_000)
    assert await statuses(jira, FIELDS, 2) == [200, 429]


async def test_a_noisy_neighbour_takes_tokens(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    await limit(admin, burst={"capacity": 1, "per_second": 1, "noise_per_second": 0.9})
    await jira.get(FIELDS)
    site.clock.advance(5_000)
    early = await jira.get(FIELDS)
    site.clock.advance(5_000)

    assert (early.status_code, early.headers["Retry-After"]) == (429, "5")
    assert await statuses(jira, FIELDS, 1) == [200]


@pytest.mark.parametrize(
    ("form", "headers", "allowed"),
    [
        ("seconds", {"Retry-After": "4", "X-RateLimit-Reset": "2026-11-25T12:10:05Z"}, "12:10:04.400"),
        ("date", {"Retry-After": "Wed, 25 Nov 2026 12:10:05 GMT"}, "12:10:05"),
        ("reset_without_seconds", {"X-RateLimit-Reset": "2026-11-25T12:11Z"}, "12:11"),
        ("missing", {}, None),
    ],
)
async def test_a_refusal_tells_its_time_in_four_forms(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, form: str, headers: dict[str, str], allowed: str | None
) -> None:
    await limit(admin, burst={"capacity": 1, "per_second": 0.25}, header=form)
    await jira.get(FIELDS)
    refused = await jira.get(FIELDS)
    told = {name: refused.headers.get(name) for name in ("Retry-After", "X-RateLimit-Reset")}
    journal = (await admin.get("/journal")).json()

    assert refused.headers["RateLimit-Reason"] == "jira-burst-based"
    assert {name: value for name, value in told.items() if value is not None} == headers
    expected = parse_instant(f"2026-11-25T{allowed}+00:00") if allowed else None
    assert (journal[-1]["limit"], journal[-1]["allowed_at"]) == ("jira-burst-based", expected)


async def test_the_journal_shows_who_came_before_the_time_a_429_named(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    await limit(admin, burst={"capacity": 1, "per_second": 0.25})
    await statuses(jira, FIELDS, 2)
    site.clock.advance(3_000)
    await statuses(jira, FIELDS, 1)
    await statuses(jira, "/rest/api/3/status", 1)
    site.clock.advance(5_000)
    await statuses(jira, FIELDS, 1)
    journal = (await admin.get("/journal")).json()

    assert [entry.get("early_ms") for entry in journal] == [None, None, 1_000, None, None]
    assert [entry["at"] - NOW for entry in journal] == [0, 0, 3_000, 3_000, 8_000]


async def test_a_planned_429_names_a_time_too(jira: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    act = {"status": 429, "headers": {"Retry-After": "7"}}
    await admin.post("/faults", json=[{"match": {"path": "/field$"}, "act": act}])
    await statuses(jira, FIELDS, 2)
    journal = (await admin.get("/journal")).json()

    assert journal[0]["allowed_at"] == NOW + 7_000
    assert journal[1]["early_ms"] == 7_000


async def test_the_hourly_quota_is_a_wall_until_the_utc_hour(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    await limit(admin, quota={"points": 9, "reason": "jira-quota-tenant-based"})
    first, second = await jira.get(SEARCH), await jira.get(SEARCH)
    third, refused = await jira.get(SEARCH), await jira.get(FIELDS)
    site.clock.advance(50 * 60_000 - 401)
    before = await jira.get(FIELDS)
    site.clock.advance(1)
    after = await jira.get("/rest/api/3/myself")

    told = [a.headers["X-RateLimit-Remaining"] for a in (first, second, third)]
    assert told == ["5", "1", "0"]
    assert [a.headers["X-RateLimit-NearLimit"] for a in (first, second)] == ["false", "true"]
    assert (refused.status_code, refused.headers["RateLimit-Reason"]) == (429, "jira-quota-tenant-based")
    assert refused.headers["Retry-After"] == "3000"
    assert refused.headers["X-RateLimit-Reset"].startswith("2026-11-25T13:00:0")
    assert (before.status_code, after.status_code) == (429, 200)
    assert after.headers["X-RateLimit-Remaining"] == "6"  # one request and an identity object of two points


async def test_while_in_beta_the_headers_are_there_and_nothing_is_refused(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await limit(admin, quota={"points": 5, "used": 5}, beta=True)
    answer = await jira.get(FIELDS)

    assert answer.status_code == 200
    assert answer.headers["Beta-RateLimit-Policy"] == '"jira-quota-global-based";q=5;w=3600'
    assert "r=0" in answer.headers["Beta-RateLimit"]
    assert "RateLimit" not in answer.headers


async def test_data_center_counts_per_user_and_may_say_retry_after_zero(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient, site: Site
) -> None:
    """https://confluence.atlassian.com/adminjiraserver/983794911.html (rate limiting)"""
    await limit(admin, per_user={"capacity": 2, "fill": 1, "interval_seconds": 2})
    passed = await jira.get(FIELDS)
    await jira.get("/rest/api/2/status")
    refused = await jira.get(FIELDS)
    await limit(admin, per_user={"capacity": 1, "fill": 1, "interval_seconds": 2, "zero": False})
    await jira.get(FIELDS)
    honest = await jira.get(FIELDS)
    site.clock.advance(2_000)

    assert passed.headers["X-RateLimit-FillRate"] == "1"
    assert passed.headers["X-RateLimit-Interval-Seconds"] == "2"
    assert passed.headers["X-RateLimit-Remaining"] == "1"
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "0")
    assert (honest.status_code, honest.headers["Retry-After"]) == (429, "2")
    assert await statuses(jira, FIELDS, 1) == [200]


async def test_a_share_of_requests_can_be_refused_or_struck(
    jira: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await limit(admin, burst={"capacity": 1_000, "refuse_share": 0.1}, seed=3)
    await admin.post(
        "/faults", json=[{"match": {"share": 0.05, "seed": 1, "times": None}, "act": {"status": 502}}]
    )
    seen = await statuses(jira, FIELDS, 200)
    await limit(admin)
    await admin.delete("/faults")

    assert 8 <= seen.count(429) <= 32
    assert 3 <= seen.count(502) <= 20
    assert await statuses(jira, FIELDS, 5) == [200] * 5


def test_endpoints_and_points() -> None:
    assert endpoint("GET", "/rest/api/3/issue/APA-1/changelog") == "GET /issue/{}/changelog"
    assert endpoint("GET", "/rest/api/2/project/APA/versions") == "GET /project/{}/versions"
    assert endpoint("GET", "/rest/api/3/project/search") == "GET /project/search"
    assert endpoint("GET", "/rest/agile/1.0/board/7/sprint") == "GET /rest/agile/1.0/board/{}/sprint"
    assert points_of("GET", "/rest/api/3/search/jql", b'{"issues":[1,2,3]}') == 4
    assert points_of("POST", "/rest/api/3/changelog/bulkfetch", b'{"issueChangeLogs":[1]}') == 2
    assert points_of("DELETE", "/rest/api/3/webhook", b"") == 1
