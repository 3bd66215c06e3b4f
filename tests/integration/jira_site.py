"""A simulated Jira in the test's own process, written to directly and read over HTTP; its write log is the oracle."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import msgspec
import uvicorn
from tests.jira_sync.conftest import Stage
from tests.jira_sync.fakes import MemorySite
from tests.jira_sync.simulator import settings_of

from jira_sync.hints import hints_of
from jira_sync.opening import open_reader
from jira_sync.scope import Scope
from jira_sync.settings import JiraSettings
from troth_chassis.clock import AutoClock, SystemClock
from troth_sandbox.jira import writes
from troth_sandbox.jira.app import api
from troth_sandbox.jira.clock import SettableClock, parse_instant
from troth_sandbox.jira.hooks import Registration
from troth_sandbox.jira.records import Issue, Sprint
from troth_sandbox.jira.seed import parse
from troth_sandbox.jira.site import Site
from troth_sandbox.jira.writes import SprintEdit

Json = dict[str, Any]
LOOPBACK = "127.0.0.1"
MINUTE = 60_000
SPRINT_EVENTS = tuple(f"sprint_{what}" for what in ("created", "updated", "started", "closed", "deleted"))


class LiveSite:
    """A site whose clock only tests move. Nothing is written while something is read."""

    def __init__(self, seed: Json, now: str) -> None:
        clock = SettableClock()
        clock.set(parse_instant(now), frozen=True)
        self.site = Site(parse(msgspec.json.encode(seed)), clock)
        self.url = ""
        self.app = api(self.site)
        """What is served; a test may put something around it."""

    @property
    def now(self) -> int:
        return self.site.settle()

    def later(self, minutes: float) -> None:
        self.site.clock.advance(int(minutes * MINUTE))
        self.site.settle()

    def create_issue(self, **fields: Any) -> Issue:
        return writes.create_issue(self.site, "ann", fields, self.now)

    def edit(self, issue: Issue, **fields: Any) -> None:
        writes.edit_issue(self.site, str(issue.id), "ann", fields, self.now)

    def create_sprint(self, **edit: Any) -> Sprint:
        return writes.create_sprint(self.site, SprintEdit(**edit), self.now)

    def edit_sprint(self, sprint_id: int, **edit: Any) -> Sprint:
        return writes.edit_sprint(self.site, sprint_id, SprintEdit(**edit), self.now)

    def delete_sprint(self, sprint_id: int) -> None:
        writes.delete_sprint(self.site, sprint_id, self.now)

    def listen(self) -> None:
        """From now on sprint webhooks are kept for ``heard``."""
        self.site.hooks.admin[1] = Registration(1, "http://127.0.0.1:1/", SPRINT_EVENTS, self.now)

    def heard(self) -> list[Json]:
        """Bodies of the webhooks since the last call."""
        return [json.loads(delivery.body) for delivery in self.site.outbox.due(self.now)]

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Answers on a free port."""
        listener = socket.socket(
            socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
        )  # else 40 ms an answer
        listener.bind((LOOPBACK, 0))
        self.url = self.site.base = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        server = uvicorn.Server(
            uvicorn.Config(self.app, log_level="warning", lifespan="off", date_header=False)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()
            listener.close()


class Play(Stage):
    """The service on a live site and a Kafka in memory."""

    live: LiveSite

    async def sweep(self, minutes: float = 15) -> None:
        """Time passes, webhooks come in, and everything is read."""
        self.live.later(minutes)
        await self.clock.advance(minutes * 60)
        for body in self.live.heard():
            self.hints.put(hints_of(body) or ())
        if self.hints.take():
            await self.poller._desk.attend()
        await self.scan()


@contextlib.asynccontextmanager
async def playing(
    live: LiveSite, login: Callable[[str], JiraSettings] = settings_of, **settings: Any
) -> AsyncIterator[Play]:
    """Waiting for the budget takes no time."""
    with live.serving():
        found = login(live.url)
        async with open_reader(found, AutoClock(SystemClock().now())) as reader:
            play = Play(site=cast("MemorySite", reader), scope=Scope(), login=found.login_kind, **settings)
            play.live = live
            yield play
