"""Sessions by signed assertion and refresh token, their end, and the vendor's refusals."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.sandbox.salesforce_org import DATA, EXPIRED, HOST, ROBOT, ControlledOrg, a_site, controlled

KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
APP = {"client_id": "id", "client_secret": "secret"}
BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture
async def org() -> AsyncIterator[ControlledOrg]:
    async with controlled(a_site(auth=APP | {"public_key": PUBLIC})) as running:
        yield running


def assertion(
    now: datetime, seconds: float = 170, key: Any = KEY, algorithm: str = "RS256", **claims: Any
) -> str:
    exp = int((now + timedelta(seconds=seconds)).timestamp())
    known = {"iss": "id", "sub": "robot@example.com", "aud": "https://login.salesforce.com", "exp": exp}
    return jwt.encode(known | claims, key, algorithm)


async def login(org: ControlledOrg, **form: str) -> httpx.Response:
    return await org.client.post("/services/oauth2/token", data=form, headers={"Authorization": ""})


async def works(org: ControlledOrg, token: str) -> bool:
    response = await org.client.get(f"{DATA}/limits", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200 or response.json() == EXPIRED
    return response.status_code == 200


@pytest.mark.parametrize("audience", ["https://login.salesforce.com", HOST])
async def test_a_signed_assertion_opens_a_session_of_its_user_without_a_refresh_token(
    org: ControlledOrg, audience: str
) -> None:
    """OAuth 2.0 JWT bearer flow: no refresh token is issued."""
    answer = (
        await login(org, grant_type=BEARER, assertion=assertion(org.site.clock.now(), aud=audience))
    ).json()
    assert set(answer) == {
        "access_token", "signature", "scope", "instance_url", "id", "token_type", "issued_at",
    }  # fmt: skip
    assert answer["id"].endswith(ROBOT)
    header = {"Authorization": f"Bearer {answer['access_token']}"}
    assert (await org.client.get(answer["id"], headers=header)).json()["username"] == "robot@example.com"


@pytest.mark.parametrize(
    ("claims", "error", "description"),
    [
        ({"iss": "other"}, "invalid_client_id", "client identifier invalid"),
        ({"aud": "https://evil.example"}, "invalid_grant", "Audience validation failed"),
        (
            {"aud": "https://test.salesforce.com"},
            "app_not_found",
            "External client app is not installed in this org",
        ),
        ({"sub": "nobody@example.com"}, "invalid_grant", "user hasn't approved this consumer"),
        ({"seconds": 301}, "invalid_grant", "assertion expired or expires too late"),
        ({"seconds": -1}, "invalid_grant", "assertion expired or expires too late"),
        ({"exp": "soon"}, "invalid_grant", "invalid assertion"),
        ({"key": OTHER_KEY}, "invalid_grant", "invalid assertion"),
        (
            {"key": "a shared secret of enough bytes", "algorithm": "HS256"},
            "invalid_grant",
            "invalid assertion",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_wrong_assertion_is_told_why(
    org: ControlledOrg, claims: dict[str, Any], error: str, description: str
) -> None:
    response = await login(org, grant_type=BEARER, assertion=assertion(org.site.clock.now(), **claims))
    assert (response.status_code, response.json()) == (
        400,
        {"error": error, "error_description": description},
    )


@pytest.mark.parametrize(("strict", "status"), [(False, 200), (True, 400)])
async def test_five_minutes_of_life_are_too_long_only_for_a_strict_org(strict: bool, status: int) -> None:
    """Documented are 3 minutes, real orgs accept 5: github.com/pozil/pub-sub-api-node-client."""
    site = a_site(auth=APP | {"public_key": PUBLIC, "strict_expiry": strict})
    async with controlled(site) as org:
        response = await login(org, grant_type=BEARER, assertion=assertion(site.clock.now(), 300))
    assert response.status_code == status


async def test_an_app_that_was_not_approved_gets_no_session() -> None:
    site = a_site(auth=APP | {"public_key": PUBLIC, "approved": False})
    async with controlled(site) as org:
        response = await login(org, grant_type=BEARER, assertion=assertion(site.clock.now()))
    assert response.json()["error_description"] == "user hasn't approved this consumer"


async def test_a_rotating_refresh_token_is_good_once(org: ControlledOrg) -> None:
    """Store the new one before using it: airbyte issue 80783."""
    body = {"rotating": True}
    first = (await org.admin.post("/admin/refresh-tokens", json=body)).json()["refresh_token"]
    grant = {"grant_type": "refresh_token"} | APP
    answer = (await login(org, **grant, refresh_token=first)).json()
    assert await works(org, answer["access_token"])
    again = await login(org, **grant, refresh_token=first)
    expired = {"error": "invalid_grant", "error_description": "expired access/refresh token"}
    assert (again.status_code, again.json()) == (400, expired)
    assert (await login(org, **grant, refresh_token=answer["refresh_token"])).status_code == 200


async def test_a_plain_refresh_token_is_good_many_times_but_not_for_a_stranger(org: ControlledOrg) -> None:
    token = (await org.admin.post("/admin/refresh-tokens", json={})).json()["refresh_token"]
    grant = {"grant_type": "refresh_token", "refresh_token": token} | APP
    for _ in range(2):
        assert "refresh_token" not in (await login(org, **grant)).json()
    assert (await login(org, **grant | {"client_secret": "x"})).json()["error"] == "invalid_client"


async def test_revoking_ends_a_session_and_a_refresh_token_with_its_sessions(org: ControlledOrg) -> None:
    refresh = (await org.admin.post("/admin/refresh-tokens", json={})).json()["refresh_token"]
    one, two = org.site.sessions.open(), org.site.sessions.open()
    assert (await org.client.post("/services/oauth2/revoke", data={"token": one})).status_code == 200
    assert not await works(org, one)
    assert await works(org, two)
    await org.client.get("/services/oauth2/revoke", params={"token": refresh})
    assert not await works(org, two)
    assert (await org.client.post("/services/oauth2/revoke", data={"token": refresh})).status_code == 400


async def test_more_than_3600_logins_an_hour_are_refused(org: ControlledOrg) -> None:
    """https://help.salesforce.com/s/articleView?id=000381578."""
    for _ in range(3_600):
        org.site.logins.count(ROBOT)
    grant = {"grant_type": "client_credentials"} | APP
    assert (await login(org, **grant)).json()["error_description"] == "LOGIN_RATE_EXCEEDED"
    org.site.clock.advance(timedelta(hours=1))
    assert (await login(org, **grant)).status_code == 200


async def test_sessions_can_be_made_to_end_early(org: ControlledOrg) -> None:
    limits = {"timeout_seconds": 600, "max_age_seconds": 60}
    assert (await org.admin.post("/admin/sessions", json=limits)).json() == limits
    token = org.site.sessions.open()
    for _ in range(2):
        org.site.clock.advance(timedelta(seconds=30))
        assert await works(org, token)
    org.site.clock.advance(timedelta(seconds=1))
    assert not await works(org, token)
    assert (await org.admin.post("/admin/sessions", json={"timeout_seconds": "x"})).status_code == 422


async def test_one_users_sessions_can_be_ended(org: ControlledOrg) -> None:
    other = org.site.sessions.open("005000000000002AAA")
    ended = await org.admin.post("/admin/sessions/expire", params={"user": ROBOT})
    assert ended.json() == {"expired": 1}
    assert await works(org, other)
