"""Takes webhooks in: size, signature, storage, answer, in this order and nothing else; Jira is never asked here.

401 and 413 are final for Jira, 503 is tried again. A body is never logged, and not parsed before it is verified.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from jira_sync.hints import OWN_PREFIX, Hint, hints_of
from jira_sync.metrics import WebhookMetrics
from jira_sync.parse import Json
from jira_sync.webhooks.inbox import Inbox
from jira_sync.webhooks.signature import is_signed
from troth_chassis.errors import PoisonError, TransientError

LARGEST_BODY = 5 * 1024 * 1024
SIGNATURE = "x-hub-signature"
IDENTIFIER = "x-atlassian-webhook-identifier"
LONGEST_IDENTIFIER = 200


class WebhookReceiver:
    """The door of one site."""

    def __init__(self, inbox: Inbox, secrets: Sequence[bytes], metrics: WebhookMetrics) -> None:
        self._inbox = inbox
        self._secrets = secrets
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI, for signed webhooks; a framework around it would cost a sixth of the time more."""
        is_post = scope["method"] == "POST"
        status = await self.take(Request(scope, receive)) if is_post else 405
        await Response(status_code=status, headers=None if is_post else {"allow": "POST"})(
            scope, receive, send
        )

    def add_unsigned_to(self, app: FastAPI, path: str, place: str) -> None:
        """Adds a route for those who cannot sign: ``place``, the last part of its address, is the secret.

        What comes in here is a hint as everywhere; a forged one costs a read.
        """

        @app.post(path + "/{given}", include_in_schema=False)
        async def receive_unsigned(request: Request, given: str) -> Response:
            is_known = hmac.compare_digest(given.encode(), place.encode())
            return Response(status_code=await self.take(request, is_known=is_known))

    async def take(self, request: Request, *, is_known: bool = False) -> int:
        """The status to answer; counts what was not taken by its reason."""
        body = await _bounded(request.stream())
        if body is None:
            return self._reject("too large", 413)
        if not is_known and not is_signed(body, request.headers.get(SIGNATURE), self._secrets):
            return self._reject("signature", 401)
        event = _object(body)
        hints = None if event is None else _foreign_hints(event)
        if event is None or hints is None:
            return self._reject("unknown event", 200)
        self._metrics.received.inc()
        return await self._store(body, event, hints, _identifier(request, body)) if hints else 200

    async def _store(self, body: bytes, event: Json, hints: Sequence[Hint], identifier: str) -> int:
        try:
            await self._inbox.put(body, event, hints[0], identifier=identifier)
        except TransientError:
            return self._reject("kafka", 503)
        except PoisonError:
            return self._reject("too large", 413)
        return 200

    def _reject(self, reason: str, status: int) -> int:
        self._metrics.rejected.labels(reason).inc()
        return status


async def _bounded(stream: AsyncIterator[bytes]) -> bytes | None:
    """The raw body; None as soon as it is larger than allowed."""
    parts: list[bytes] = []
    size = 0
    async for part in stream:
        size += len(part)
        if size > LARGEST_BODY:
            return None
        parts.append(part)
    return b"".join(parts)


def _object(body: bytes) -> Json | None:
    try:
        event = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _foreign_hints(event: Json) -> Sequence[Hint] | None:
    """Requests of our own never come over HTTP."""
    return None if str(event.get("webhookEvent", "")).startswith(OWN_PREFIX) else hints_of(event)


def _identifier(request: Request, body: bytes) -> str:
    """The sender's, the same over retries; a digest of the body where it is missing."""
    given = request.headers.get(IDENTIFIER, "")[:LONGEST_IDENTIFIER]
    return given or hashlib.sha256(body).hexdigest()
