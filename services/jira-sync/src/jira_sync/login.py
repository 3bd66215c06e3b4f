"""How a request says who asks: a fixed header, or a bearer token that is renewed (``oauth.py``)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Protocol

import httpx
import requests
from requests.auth import AuthBase


class Login(Protocol):
    """The credentials of one account."""

    async def header(self) -> str:
        """The header ``Authorization`` of today. ConsentLostError when there is none to be had any more."""
        ...

    async def renewed(self, refused: str) -> bool:
        """Jira answered 401 to this header: True when there is another one now."""
        ...


@dataclass(frozen=True, slots=True)
class FixedLogin:
    """A header that stays the same."""

    value: str = field(repr=False)

    async def header(self) -> str:
        """The header."""
        return self.value

    async def renewed(self, refused: str) -> bool:  # noqa: ARG002
        """There is no other."""
        return False


def basic(user: str, secret: str) -> FixedLogin:
    """An e-mail with its API token."""
    return FixedLogin(f"Basic {b64encode(f'{user}:{secret}'.encode()).decode()}")


def bearer(token: str) -> FixedLogin:
    """A personal access token of Data Center, or the token of a service account."""
    return FixedLogin(f"Bearer {token}")


class HttpxLogin(httpx.Auth):
    """Asked for at the moment of sending: a request may have waited for an hour."""

    def __init__(self, login: Login) -> None:
        self._login = login

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Adds the header."""
        request.headers["Authorization"] = await self._login.header()
        yield request


class RequestsLogin(AuthBase):
    """One header for the session of a thread; being there it keeps requests from reading ``.netrc``."""

    def __init__(self, header: str) -> None:
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request
