"""The webhook way of a play: the simulator's courier, the service's receiver, and the real inbox between them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from tests.integration.jira_play import Life, Play

from jira_sync.asking import inbox_writer
from jira_sync.metrics import WebhookMetrics
from jira_sync.webhooks.follower import InboxFollower
from jira_sync.webhooks.inbox import Inbox, RecordWriter
from jira_sync.webhooks.receiver import WebhookReceiver
from jira_sync.webhooks.registration import EVENTS
from troth_chassis.errors import TransientError
from troth_chassis.web import Front
from troth_contracts.codec import OutRecord
from troth_sandbox.jira.courier import Courier
from troth_sandbox.jira.hooks import Registration

SECRET = "canary-secret-of-the-webhooks"
PATH = "/webhooks/jira"
PUMP_SECONDS = 10.0


class Switched:
    """The inbox's producer, and a switch that makes Kafka unreachable for it."""

    def __init__(self, writer: RecordWriter) -> None:
        self._writer = writer
        self.down = False

    async def publish(self, records: Sequence[OutRecord]) -> None:
        if self.down:
            raise TransientError("Kafka is down")
        await self._writer.publish(records)


class Door:
    """The receiver of a play and everything that goes through it."""

    def __init__(self, play: Play, writer: RecordWriter) -> None:
        self.play = play
        self.registry = CollectorRegistry()
        self.metrics = WebhookMetrics(self.registry)
        self.writer = Switched(writer)
        receiver = WebhookReceiver(Inbox(play.site_id, self.writer), (SECRET.encode(),), self.metrics)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(Front(FastAPI(), {PATH: receiver})), base_url="http://127.0.0.1"
        )
        self.courier = Courier(play.site, self.client)
        self._following: list[asyncio.Future[None]] = []
        self._reads = asyncio.Event()

    def register(self) -> None:
        """An administrator registers the webhook."""
        url = f"http://127.0.0.1{PATH}"
        hook = Registration(1, url, EVENTS, self.play.now_ms(), name="troth", secret=SECRET)
        self.play.site.hooks.admin[1] = hook

    def pump(self, until: float) -> None:
        """What is due is delivered every few seconds."""
        at = self.play.clock.monotonic()
        while (at := at + PUMP_SECONDS) <= until:
            self.play.clock.at(at, self.courier.deliver_due)

    def follow(self, life: Life) -> None:
        """The life's loop over the inbox."""
        life.hints.listening = True
        follower = InboxFollower(self.play.kafka, self.play.site_id, life.hints, self.metrics)
        self._reads.clear()
        self._following.append(asyncio.ensure_future(follower.run(self._reads.set)))

    async def leave(self) -> None:
        """The process that followed is gone; what it had not settled is there for the next."""
        following, self._following = self._following, []
        if following:  # a consumer that is ended while it connects leaves the connection open
            await asyncio.wait_for(self._reads.wait(), 60)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Real moments pass until what is stored has come back out of Kafka."""
        for _ in range(400):
            await asyncio.sleep(0.05)
            await self.play.passes(1)
            if holds():
                return
        raise AssertionError("not within 20 s")

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    async def send(self, event: Any, *, method: str = "POST", **headers: str) -> int:
        """Whatever a stranger may send; signed unless ``headers`` say otherwise."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        given = {"X-Hub-Signature": signed(body), **{k.replace("_", "-"): v for k, v in headers.items()}}
        return (await self.client.request(method, PATH, content=body, headers=given)).status_code

    async def close(self) -> None:
        await self.leave()
        await self.client.aclose()


def signed(body: bytes, secret: str = SECRET) -> str:
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


@contextlib.asynccontextmanager
async def door_of(play: Play) -> AsyncIterator[Door]:
    """Opened inside ``opened``: the play's settings name the topics."""
    writer = inbox_writer(play.settings)
    found = Door(play, writer)
    try:
        yield found
    finally:
        await found.close()
        await writer.stop()
