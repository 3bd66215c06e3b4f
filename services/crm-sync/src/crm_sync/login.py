"""How to log in: client credentials or JWT bearer, with a secret or key that is read again when its file changes.

JWT bearer: RS256, ``iss`` the client id, ``sub`` the user, ``aud`` the login host, ``exp`` within three minutes.
https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_jwt_flow.htm
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import jwt
from pydantic import SecretStr

from crm_sync.errors import AccessRefused
from crm_sync.faults import login_error, read_fault
from crm_sync.tokens import PATH, Token, json_of, read_token
from troth_chassis.clock import Clock
from troth_chassis.http import HttpClient
from troth_chassis.logs import redactor

LIFETIME = timedelta(seconds=170)
"""Of an assertion; Salesforce allows three minutes."""
ACCURATE = timedelta(seconds=5)
"""Clocks that differ by less are taken for equal; a Date header has whole seconds."""
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class SecretFile:
    """A secret in a file, read again only when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._value = SecretStr("")

    def read(self) -> SecretStr:
        """The secret of today; AccessRefused names the file, never its content."""
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp != self._stamp:
                self._value = SecretStr(self._path.read_text(encoding="utf-8").strip())
                self._stamp = stamp
                _hide(self._value.get_secret_value())
        except (OSError, UnicodeDecodeError) as error:
            raise AccessRefused(
                f"the secret file {self._path.name} cannot be read ({type(error).__name__}): restore it"
            ) from error
        return self._value


def _hide(secret: str) -> None:
    """No log shows it, nor a line of a key; what was there before a change stays hidden, for it may still work."""
    for part in (secret, *(line for line in secret.splitlines() if not line.startswith("-----"))):
        redactor.remember(part)


@dataclass(frozen=True, slots=True)
class FixedSecret:
    """A secret that came in the environment."""

    value: SecretStr

    def read(self) -> SecretStr:
        """The secret."""
        return self.value


class ClientCredentials:
    """Logs in with a client id and secret; works only on the org's My Domain host."""

    def __init__(self, http: HttpClient, client_id: str, secret: SecretFile | FixedSecret) -> None:
        self._http = http
        self._client_id = client_id
        self._secret = secret

    async def __call__(self) -> Token:
        """A new token; AccessRefused with the next step when Salesforce rejects the client."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": self._secret.read().get_secret_value(),
        }
        return await _token(self._http, form)


@dataclass(frozen=True, slots=True)
class Assertion:
    """Who asks, and for whom."""

    client_id: str
    username: str
    audience: str


class JwtBearer:
    """Logs in with a signed assertion; no secret travels."""

    def __init__(self, http: HttpClient, who: Assertion, key: SecretFile, clock: Clock) -> None:
        self._http = http
        self._who = who
        self._key = key
        self._clock = clock
        self._skew = timedelta()
        """Salesforce's clock minus ours, once an answer has shown that they differ."""

    async def __call__(self) -> Token:
        """A new token; AccessRefused with the next step when Salesforce rejects the assertion.

        Salesforce judges the expiry by its own clock: after a refusal by a clock that differs, its time is used.
        """
        response = await self._ask()
        if response.status_code != 200 and self._learned(response.headers.get("Date")):
            response = await self._ask()
        return _read(response)

    async def _ask(self) -> httpx.Response:
        form = {"grant_type": JWT_BEARER, "assertion": self._signed()}
        return await self._http.request("POST", PATH, data=form)

    def _learned(self, date: str | None) -> bool:
        """Whether the answer's time makes another expiry than before worth a second try."""
        try:
            skew = parsedate_to_datetime(date or "") - self._clock.now()
        except (ValueError, TypeError):
            return False
        news = abs(skew - self._skew) > ACCURATE
        self._skew = skew if news else self._skew
        return news

    def _signed(self) -> str:
        expires = self._clock.now() + self._skew + LIFETIME
        claims = {
            "iss": self._who.client_id,
            "sub": self._who.username,
            "aud": self._who.audience,
            "exp": int(expires.timestamp()),
        }
        try:
            return jwt.encode(claims, self._key.read().get_secret_value(), algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError) as error:
            raise AccessRefused("TROTH_CRM_JWT_KEY_PATH holds no RSA private key in PEM form") from error


async def _token(http: HttpClient, form: Mapping[str, str]) -> Token:
    return _read(await http.request("POST", PATH, data=dict(form)))


def _read(response: httpx.Response) -> Token:
    if response.status_code != 200:
        raise login_error(read_fault(response.status_code, json_of(response.content)))
    return read_token(response.content)
