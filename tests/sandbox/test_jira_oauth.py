"""An app's tokens: one hour of access, refresh tokens good once, and the gateway address."""

from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from troth_sandbox.jira import sample
from troth_sandbox.jira.app import admin_api, api
from troth_sandbox.jira.clock import SettableClock, parse_instant
from troth_sandbox.jira.seed import parse
from troth_sandbox.jira.site import Site

APP = {"client_id": "app", "client_secret": "app-secret", "refresh_token": "first"}
MYSELF = "/rest/api/3/myself"


@pytest.fixture
def site() -> Site:
    seed = sample.seed(4)
    seed["auth"]["app"] = APP
    seed["site"]["cloud_id"] = "cloud-1"
    clock = SettableClock()
    clock.set(parse_instant("2026-11-25T12:00:00Z"), frozen=True)
    return Site(parse(msgspec.json.encode(seed)), clock)


@pytest.fixture
async def jira(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=api(site))
    async with httpx.AsyncClient(transport=transport, base_url="http://jira.test") as client:
        yield client


async def refresh(jira: httpx.AsyncClient, token: str, **changes: str) -> httpx.Response:
    body = APP | {"grant_type": "refresh_token", "refresh_token": token} | changes
    return await jira.post("/oauth/token", json=body)


async def status(jira: httpx.AsyncClient, token: str, path: str = MYSELF) -> int:
    return (await jira.get(path, headers={"Authorization": f"Bearer {token}"})).status_code


async def test_a_refresh_token_is_good_once(jira: httpx.AsyncClient) -> None:
    first = await refresh(jira, "first")
    again = await refresh(jira, "first")
    second = await refresh(jira, first.json()["refresh_token"])

    assert (first.status_code, again.status_code, second.status_code) == (200, 403, 200)
    assert first.json()["expires_in"] == 3_600
    assert second.json()["access_token"] != first.json()["access_token"]
    assert (await refresh(jira, "x", client_secret="wrong")).status_code == 401
    assert (await refresh(jira, "x", grant_type="password")).status_code == 400


async def test_access_lasts_one_hour(jira: httpx.AsyncClient, site: Site) -> None:
    token = (await refresh(jira, "first")).json()["access_token"]
    before = await status(jira, token)
    site.clock.advance(3_599_999)
    at_last = await status(jira, token)
    site.clock.advance(1)

    assert (before, at_last, await status(jira, token)) == (200, 200, 401)
    assert await status(jira, "sandbox-access-9") == 401
    assert await status(jira, sample.TOKEN) == 401  # an API token is no bearer token on Cloud


async def test_a_revoked_consent_ends_everything(jira: httpx.AsyncClient, site: Site) -> None:
    pair = (await refresh(jira, "first")).json()
    transport = httpx.ASGITransport(app=admin_api(site))
    async with httpx.AsyncClient(transport=transport, base_url="http://admin.test/admin") as admin:
        assert (await admin.post("/tokens/revoke")).status_code == 204

    assert await status(jira, pair["access_token"]) == 401
    assert (await refresh(jira, pair["refresh_token"])).status_code == 403


async def test_the_gateway_address_leads_to_the_site(jira: httpx.AsyncClient) -> None:
    token = (await refresh(jira, "first")).json()["access_token"]

    assert await status(jira, token, f"/ex/jira/cloud-1{MYSELF}") == 200
    assert await status(jira, token, "/ex/jira/cloud-1/rest/agile/1.0/board") == 200
    assert await status(jira, token, f"/ex/jira/cloud-2{MYSELF}") == 404
