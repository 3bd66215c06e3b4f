"""Logins: one at a time, few, and never a storm."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import pytest
from pydantic import SecretStr
from tests.crm_sync.fakes import START

from crm_sync.errors import AccessRefused, LoginDelayed, SalesforceUnavailable
from crm_sync.login import ClientCredentials, FixedSecret
from crm_sync.tokens import Token, TokenSource, read_token
from troth_chassis.clock import AutoClock
from troth_chassis.http import HttpClient, RequestBudget

ORG = "00D000000000001AAA"


class Logins:
    """Counts logins; each gives another token, or the error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.count = 0
        self.error = error

    async def __call__(self) -> Token:
        self.count += 1
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return Token(f"token-{self.count}", "https://example.my.salesforce.com", ORG)


async def test_everybody_waiting_shares_one_login() -> None:
    logins = Logins()
    source = TokenSource(logins, AutoClock(START))
    tokens = await asyncio.gather(*(source.current() for _ in range(20)))
    assert len({token.value for token in tokens}) == 1
    assert logins.count == 1


async def test_everybody_who_was_refused_shares_one_refresh() -> None:
    logins = Logins()
    source = TokenSource(logins, AutoClock(START))
    old = await source.current()
    source.accepted(old)
    new = await asyncio.gather(*(source.refused(old) for _ in range(20)))
    assert {token.value for token in new} == {"token-2"}
    assert logins.count == 2


async def test_a_token_is_renewed_before_it_is_45_minutes_old() -> None:
    clock, logins = AutoClock(START), Logins()
    source = TokenSource(logins, clock)
    await source.current()
    await clock.sleep(45 * 60 + 1)
    assert (await source.current()).value == "token-2"


async def test_forced_logins_are_at_least_30_seconds_apart() -> None:
    clock, logins = AutoClock(START), Logins()
    source = TokenSource(logins, clock)
    for _ in range(2):
        token = await source.current()
        source.accepted(token)
        try:
            await source.refused(token)
        except LoginDelayed:
            break
    assert logins.count == 2


async def test_a_lasting_401_makes_at_most_15_logins_in_30_minutes() -> None:
    clock, logins = AutoClock(START), Logins()
    source = TokenSource(logins, clock)
    while clock.monotonic() < 30 * 60:
        try:
            await source.refused(await source.current())
        except LoginDelayed:
            await clock.sleep(5)
    assert 3 <= logins.count <= 15


async def test_a_refused_token_is_tried_again_while_no_login_is_allowed() -> None:
    """It shows within a call, and without a login, that Salesforce has recovered."""
    clock, logins = AutoClock(START), Logins()
    source = TokenSource(logins, clock)
    for _ in range(4):
        with contextlib.suppress(LoginDelayed):
            await source.refused(await source.current())
        await clock.sleep(31)
    before = logins.count
    kept = await source.current()
    source.accepted(kept)
    assert logins.count == before
    assert await source.current() is kept
    assert await source.refused(kept) is not kept  # a new expiry starts from nothing


async def test_refused_logins_back_off_after_three() -> None:
    clock, logins = AutoClock(START), Logins(AccessRefused("wrong secret"))
    source = TokenSource(logins, clock)
    for _ in range(3):
        with pytest.raises(AccessRefused):
            await source.current()
    with pytest.raises(LoginDelayed, match="60 s"):
        await source.current()
    await clock.sleep(61)
    with pytest.raises(AccessRefused):
        await source.current()
    with pytest.raises(LoginDelayed, match="120 s"):
        await source.current()
    assert logins.count == 4


async def test_recovers_with_the_first_login_that_works() -> None:
    clock, logins = AutoClock(START), Logins(AccessRefused("wrong secret"))
    source = TokenSource(logins, clock)
    for _ in range(3):
        with pytest.raises(AccessRefused):
            await source.current()
    logins.error = None
    await clock.sleep(61)
    source.accepted(await source.current())
    assert (await source.refused(await source.current())).value == "token-5"


def test_the_token_never_shows_in_its_text() -> None:
    assert "secret-value" not in repr(Token("secret-value", "https://x", ORG))


def test_the_org_is_read_from_the_identity_url() -> None:
    body = b'{"id":"https://login.salesforce.com/id/00Dx0000000BV7z/005x00000012Q9P","instance_url":"https://na1.salesforce.com/","access_token":"t"}'
    token = read_token(body)
    assert (token.org_id, token.instance_url) == ("00Dx0000000BV7zEAG", "https://na1.salesforce.com")


async def _login(handler: httpx.MockTransport) -> Token:
    clock = AutoClock(START)
    http = HttpClient(
        base_url="https://example.my.salesforce.com", budget=RequestBudget(1, 5, 1, clock), clock=clock,
        transport=handler, tries=1,
    )  # fmt: skip
    try:
        return await ClientCredentials(http, "client", FixedSecret(SecretStr("very-secret")))()
    finally:
        await http.close()


async def test_login_sends_the_client_credentials_form() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        body = {
            "access_token": "t",
            "instance_url": "https://i",
            "id": f"https://x/id/{ORG}/005000000000001AAA",
        }
        return httpx.Response(200, json=body)

    token = await _login(httpx.MockTransport(answer))

    assert token.org_id == ORG
    assert seen[0].url.path == "/services/oauth2/token"
    assert seen[0].content == b"grant_type=client_credentials&client_id=client&client_secret=very-secret"


async def test_a_maintenance_page_instead_of_a_token_is_tried_again_later() -> None:
    with pytest.raises(SalesforceUnavailable):
        await _login(httpx.MockTransport(lambda _: httpx.Response(200, html="<html>maintenance</html>")))


async def test_a_refused_login_never_tells_the_secret() -> None:
    refusal = {"error": "invalid_client", "error_description": "invalid client credentials"}
    with pytest.raises(AccessRefused) as caught:
        await _login(httpx.MockTransport(lambda _: httpx.Response(400, json=refusal)))
    assert "very-secret" not in str(caught.value)
