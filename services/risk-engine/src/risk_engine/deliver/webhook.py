"""One signed webhook by Standard Webhooks 1.0: the id is constant over retries, the timestamp is the attempt's.

Specification: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import msgspec
from standardwebhooks.webhooks import Webhook

from troth_chassis.clock import Clock
from troth_chassis.http import asked_wait

TIMEOUT_SECONDS = 15.0
"""For the whole attempt: a receiver that answers by the drop must not outlast the lease of the row."""
LONGEST_ANSWER = 2_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt. ``wait`` is what the receiver asked for, in seconds."""

    delivered: bool
    text: str
    wait: float | None = None


class WebhookSender:
    """Posts notices to one receiver. Redirects count as failures."""

    def __init__(self, url: str, secret: str, clock: Clock, transport: httpx.AsyncBaseTransport) -> None:
        self._url = url
        self._signer = Webhook(secret)
        self._clock = clock
        self._client = httpx.AsyncClient(
            transport=transport, timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def send(self, notice_id: str, body: Mapping[str, Any]) -> Answer:
        """One attempt; never raises for what the network or the receiver does."""
        at = self._clock.now()
        payload = msgspec.json.encode(body).decode()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._attempt(payload, self._headers(notice_id, at, payload), at)
        except TimeoutError:
            return Answer(delivered=False, text=f"no whole answer within {TIMEOUT_SECONDS:g} s")
        except httpx.HTTPError as error:
            return Answer(delivered=False, text=f"{type(error).__name__}: {error}")

    async def _attempt(self, payload: str, headers: Mapping[str, str], at: datetime) -> Answer:
        async with self._client.stream("POST", self._url, content=payload, headers=headers) as response:
            text = f"{response.status_code} {await _beginning(response)}"
        wait = asked_wait(response.headers, at).seconds
        return Answer(delivered=response.is_success, text=text, wait=wait)

    def _headers(self, notice_id: str, at: datetime, payload: str) -> dict[str, str]:
        return {
            "content-type": "application/json",
            "webhook-id": notice_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._signer.sign(notice_id, at, payload),
        }


async def _beginning(response: httpx.Response) -> str:
    """As much of the answer as is worth keeping; the rest is not read."""
    text = ""
    async for part in response.aiter_text():
        text += part
        if len(text) >= LONGEST_ANSWER:
            break
    return text[:LONGEST_ANSWER]
