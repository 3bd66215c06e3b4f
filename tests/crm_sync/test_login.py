"""Both ways to log in, and secrets that are replaced while the service runs."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.crm_sync.conftest import ENVIRONMENT
from tests.crm_sync.fakes import START

from crm_sync.errors import AccessRefused
from crm_sync.login import Assertion, ClientCredentials, JwtBearer, SecretFile
from crm_sync.settings import CrmSettings
from troth_chassis.clock import AutoClock
from troth_chassis.errors import ConfigurationError
from troth_chassis.http import HttpClient, RequestBudget
from troth_chassis.logs import redactor
from troth_chassis.settings import load_settings

URL = "https://example.my.salesforce.com"
TOKEN = {"access_token": "t", "instance_url": URL, "id": f"{URL}/id/00D000000000001AAA/005000000000001AAA"}


class TokenEndpoint:
    """Remembers the forms it was sent."""

    def __init__(self, status: int = 200, body: object = TOKEN) -> None:
        self.forms: list[dict[str, list[str]]] = []
        self._answer = status, body

    def client(self, clock: AutoClock) -> HttpClient:
        def answer(request: httpx.Request) -> httpx.Response:
            self.forms.append(parse_qs(request.content.decode()))
            return httpx.Response(self._answer[0], json=self._answer[1])

        budget = RequestBudget(10.0, 10, 1, clock)
        transport = httpx.MockTransport(answer)
        return HttpClient(base_url=URL, timeout=5.0, budget=budget, clock=clock, transport=transport, tries=1)


def write(path: Path, content: str, at: int) -> None:
    path.write_text(content)
    os.utime(path, ns=(at, at))


async def test_a_replaced_secret_is_used_by_the_next_login(tmp_path: Path) -> None:
    clock, endpoint, path = AutoClock(START), TokenEndpoint(), tmp_path / "secret"
    write(path, "old\n", 1)
    login = ClientCredentials(endpoint.client(clock), "client", SecretFile(path))
    await login()
    write(path, "new\n", 2)
    await login()
    assert [form["client_secret"] for form in endpoint.forms] == [["old"], ["new"]]


async def test_a_missing_secret_file_is_named_without_its_content(tmp_path: Path) -> None:
    login = ClientCredentials(
        TokenEndpoint().client(AutoClock(START)), "client", SecretFile(tmp_path / "gone")
    )
    with pytest.raises(AccessRefused, match="gone"):
        await login()


async def test_a_jwt_names_client_user_and_host_and_ends_within_three_minutes(tmp_path: Path) -> None:
    """https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_jwt_flow.htm"""
    clock, endpoint, path = AutoClock(START), TokenEndpoint(), tmp_path / "key.pem"
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem)
    who = Assertion("client", "sync@example.com", "https://login.salesforce.com")

    token = await JwtBearer(endpoint.client(clock), who, SecretFile(path), clock)()

    assert token.org_id == "00D000000000001AAA"
    (form,) = endpoint.forms
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = jwt.decode(
        form["assertion"][0],
        key.public_key(),
        algorithms=["RS256"],
        audience=who.audience,
        options={"verify_exp": False},
    )
    assert (claims["iss"], claims["sub"]) == ("client", "sync@example.com")
    assert 0 < claims["exp"] - START.timestamp() <= 180


async def test_a_key_that_is_none_is_a_configuration_error(tmp_path: Path) -> None:
    clock, path = AutoClock(START), tmp_path / "key.pem"
    path.write_text("no key")
    login = JwtBearer(TokenEndpoint().client(clock), Assertion("c", "u", URL), SecretFile(path), clock)
    with pytest.raises(AccessRefused, match="RSA private key"):
        await login()


def test_one_way_to_log_in_is_needed(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("key")
    bare = {name: value for name, value in ENVIRONMENT.items() if name != "TROTH_CRM_CLIENT_SECRET"}
    with pytest.raises(ConfigurationError, match="TROTH_CRM_CLIENT_SECRET"):
        load_settings(CrmSettings, bare)
    with pytest.raises(ConfigurationError, match="TROTH_CRM_USERNAME"):
        load_settings(CrmSettings, {**bare, "TROTH_CRM_JWT_KEY_PATH": str(key)})
    jwt_only = {**bare, "TROTH_CRM_JWT_KEY_PATH": str(key), "TROTH_CRM_USERNAME": "sync@example.com"}
    assert load_settings(CrmSettings, jwt_only).crm_client_secret is None


async def test_no_log_shows_a_secret_from_a_file_also_after_it_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("first-of-two-secrets\n")
    secret = SecretFile(path)
    first = secret.read().get_secret_value()
    path.write_text("the second secret, which is longer")
    second = secret.read().get_secret_value()

    assert first not in redactor.clean(f"refused with {first}")
    assert second not in redactor.clean(f"refused with {second}")


async def test_no_log_shows_a_line_of_a_key_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text(
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEA\n-----END PRIVATE KEY-----\n"
    )
    SecretFile(path).read()

    assert "AQEFAASC" not in redactor.clean("cannot load AQEFAASCBKcwggSjAgEA")
    assert "BEGIN PRIVATE KEY" in redactor.clean("no -----BEGIN PRIVATE KEY----- found")
