"""OAuth 2.0 (3LO): access tokens of an hour, and a refresh token that is good once and lives in a file.

The next refresh token is on disk before its access token is used: a crash in between would lose the consent, and only
a person can give another (https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/). One renews at a time,
in this process and beside it (``jira-sync check`` may run next to the service); who was refused for good asks no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec

from jira_sync.errors import ConsentLostError, CredentialsError, JiraUnavailableError
from troth_chassis.clock import Clock
from troth_chassis.errors import ConfigurationError, TransientError
from troth_chassis.http import HttpClient, request_id
from troth_chassis.logs import redactor

EARLY = timedelta(minutes=5)
LOCK_PATIENCE, LOCK_PAUSE = 30.0, 0.1
_LOST = (
    "the OAuth consent is gone (the authorization server answered {status}{trace}): let a person consent again and"
    " start with the new TROTH_JIRA_OAUTH_REFRESH_TOKEN"
)


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """Who renews."""

    client_id: str
    client_secret: str = field(repr=False)


class TokenAnswer(msgspec.Struct, frozen=True):
    """What the authorization server hands out."""

    access_token: str
    refresh_token: str
    expires_in: int = 3_600


class _Kept(msgspec.Struct, frozen=True):
    """The file: the refresh token that is good now, and a digest of the consent it came from."""

    refresh_token: str
    consent: str


class TokenFile:
    """Keeps the refresh token over restarts; mode 0600, replaced in one step. Its calls block: run them in a thread."""

    def __init__(self, path: Path, first_token: str) -> None:
        self._path = path
        self._first = first_token
        self._consent = hashlib.sha256(first_token.encode()).hexdigest()

    def read(self) -> str:
        """The token that is good now; the first one when a person has consented anew since the file was written."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return self._first
        except (OSError, msgspec.MsgspecError) as error:
            raise ConfigurationError(
                f"TROTH_JIRA_OAUTH_TOKEN_PATH: {self._path.name} cannot be read ({type(error).__name__}): remove it and"
                " start with a new consent"
            ) from error
        return kept.refresh_token if kept.consent == self._consent else self._first

    def write(self, refresh_token: str) -> None:
        """Returns when the token is safe on disk. TransientError when it is not."""
        body = msgspec.json.encode(_Kept(refresh_token, self._consent))
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            _sync_folder(self._path.parent)
        except OSError as error:
            raise TransientError(
                f"TROTH_JIRA_OAUTH_TOKEN_PATH: the new refresh token cannot be kept ({type(error).__name__}):"
                " nothing is asked before it is"
            ) from error

    @contextlib.asynccontextmanager
    async def alone(self, clock: Clock) -> AsyncIterator[None]:
        """No other process renews meanwhile."""
        try:
            lock = os.open(self._path.with_name(f".{self._path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"TROTH_JIRA_OAUTH_TOKEN_PATH: its folder cannot be written ({type(error).__name__})"
            ) from error
        try:
            await _locked(lock, clock)
            yield
        finally:
            os.close(lock)


class OAuthLogin:
    """The Login of an app."""

    def __init__(self, app: OAuthApp, url: str, http: HttpClient, file: TokenFile, clock: Clock) -> None:
        self._app = app
        self._url = url
        self._http = http
        self._file = file
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: TokenAnswer | None = None
        self._unsaved: TokenAnswer | None = None
        self._expires = clock.now()
        self._refused: str | None = None
        self._sentence = ""

    async def header(self) -> str:
        """A token renewed five minutes before its end. ConsentLostError, without asking again, once it has ended."""
        async with self._lock:
            now = self._clock.now()
            if self._token is None or now >= self._expires:
                return await self._renew()
            if now >= self._expires - EARLY:
                with contextlib.suppress(TransientError):  # there is time to try again
                    return await self._renew()
            return f"Bearer {self._token.access_token}"

    async def renewed(self, refused: str) -> bool:
        """Whoever comes second gets the token the first one fetched."""
        async with self._lock:
            if self._token is not None and f"Bearer {self._token.access_token}" == refused:
                self._token = None
                await self._renew()
            return True

    async def _renew(self) -> str:
        async with self._file.alone(self._clock):
            answer = self._unsaved or await self._ask(await asyncio.to_thread(self._file.read))
            self._unsaved = answer
            await asyncio.to_thread(self._file.write, answer.refresh_token)
        self._take(answer)
        return f"Bearer {answer.access_token}"

    def _take(self, answer: TokenAnswer) -> None:
        old = self._token
        self._token, self._unsaved = answer, None
        self._expires = self._clock.now() + timedelta(seconds=answer.expires_in)
        for secret in (answer.access_token, answer.refresh_token):
            redactor.remember(secret)
        for secret in (old.access_token, old.refresh_token) if old else ():
            redactor.forget(secret)

    async def _ask(self, refresh_token: str) -> TokenAnswer:
        if refresh_token == self._refused:
            raise ConsentLostError(self._sentence)
        redactor.remember(refresh_token)
        body = {
            "grant_type": "refresh_token",
            "client_id": self._app.client_id,
            "client_secret": self._app.client_secret,
            "refresh_token": refresh_token,
        }
        try:
            response = await self._http.request("POST", self._url, json=body)
        except TransientError as error:
            raise JiraUnavailableError(str(error)) from error
        if response.status_code == 401:
            raise CredentialsError(
                "TROTH_JIRA_OAUTH_CLIENT_ID and TROTH_JIRA_OAUTH_CLIENT_SECRET are not accepted"
                f"{request_id(response)}"
            )
        if response.status_code >= 300:
            self._refused = refresh_token
            self._sentence = _LOST.format(status=response.status_code, trace=request_id(response))
            raise ConsentLostError(self._sentence)
        return _read(response.content)


def _read(body: bytes) -> TokenAnswer:
    try:
        return msgspec.json.decode(body, type=TokenAnswer)
    except msgspec.MsgspecError:
        raise JiraUnavailableError("the authorization server's answer holds no tokens") from None


async def _locked(lock: int, clock: Clock) -> None:
    until = clock.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.monotonic() > until:
                raise TransientError("another process is renewing the OAuth tokens") from None
            await clock.sleep(LOCK_PAUSE)
        else:
            return


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
