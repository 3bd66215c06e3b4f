"""Every request of jira-sync, and every answer it lives on, against the vendor's own description."""

from __future__ import annotations

from collections import Counter
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from openapi_core import OpenAPI
from openapi_core.testing.requests import MockRequest
from openapi_core.testing.responses import MockResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.integration.jira_site import LiveSite, playing
from tests.jira_sync import small_site
from tests.sandbox.jira_official import FILES, described, served
from werkzeug.datastructures import ImmutableMultiDict

from jira_sync.hints import Hint

NOW = "2026-11-25T12:00:00Z"
OURS = ("/rest/api/2/", "/rest/api/3/")
"""The platform's versions have the same operations; only version 3 is described here."""


@dataclass
class Exchange:
    """One request and its answer, as they went over the wire."""

    method: str
    path: str
    query: str
    body: bytes = b""
    status: int = 0
    answer: bytes = b""

    @property
    def prefix(self) -> str:
        """The description it falls under."""
        return next(name for name in FILES if self.described_path.startswith(name))

    @property
    def described_path(self) -> str:
        """Its path as version 3 has it."""
        return self.path.replace(*OURS, 1)


@dataclass
class Recorder:
    """Stands in front of the site and keeps what passes."""

    app: ASGIApp
    exchanges: list[Exchange] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope["method"], scope["path"], scope["query_string"].decode())
        self.exchanges.append(exchange)

        async def hear() -> Message:
            message: MutableMapping[str, Any] = await receive()
            exchange.body += message.get("body", b"")
            return message

        async def say(message: Message) -> None:
            exchange.status = message.get("status", exchange.status)
            exchange.answer += message.get("body", b"")
            await send(message)

        await self.app(scope, hear, say)


def problems(spec: OpenAPI, exchange: Exchange) -> list[str]:
    """What the description has against the request, and against a good answer to it."""
    asked = MockRequest(
        "http://site",
        exchange.method.lower(),
        exchange.described_path,
        args=ImmutableMultiDict([(k, v) for k, values in parse_qs(exchange.query).items() for v in values]),
        data=exchange.body or None,
        content_type="application/json",
    )
    errors = [*spec.iter_request_errors(asked)]
    if exchange.status < 300:
        answered = MockResponse(exchange.answer, exchange.status, content_type="application/json")
        errors += spec.iter_response_errors(asked, answered)
    return [f"{exchange.method} {exchange.path}?{exchange.query}: {_told(error)}" for error in errors]


def _told(error: Exception) -> str:
    """The whole chain: openapi-core names the rule in the cause."""
    causes = [str(part)[:300] for part in getattr(error.__cause__, "schema_errors", ())]
    return f"{type(error).__name__} {error} {error.__cause__} {causes}"


async def test_all_that_is_asked_and_answered_fits_the_description(fixtures_dir: Path) -> None:
    """A backfill, polls, a census, a repair, webhook hints, a forbidden board and an issue that is gone."""
    live = LiveSite(small_site.seed(), NOW)
    recorder = Recorder(live.app)
    live.app = recorder
    operations = served(live.site)
    async with playing(live) as play:
        await play.scan()
        live.edit(live.site.store.issue("10005"), status={"id": "3"})
        await play.sweep()
        play.hints.put([Hint("repair", "APA-4"), Hint("sprint", "2"), Hint("issue", "424242")])
        await play.sweep()
        await play.sweep(minutes=24 * 60)

    specs = {
        prefix: OpenAPI.from_dict(_host_free(described(fixtures_dir, prefix, operations))) for prefix in FILES
    }
    heard = [exchange for exchange in recorder.exchanges if exchange.path.startswith("/rest/")]
    assert [problem for e in heard for problem in problems(specs[e.prefix], e)] == []
    asked = Counter(exchange.path.partition("/rest/")[2].partition("?")[0] for exchange in heard)
    for part in ("api/2/search/jql", "api/3/changelog/bulkfetch", "agile/1.0/board", "api/2/project/search"):
        assert asked[part] >= 1, asked
    assert any(exchange.status == 404 for exchange in heard)


def _host_free(spec: dict[str, Any]) -> dict[str, Any]:
    """For any host; the logins, of a kind openapi-core does not know, have tests of their own."""
    for item in spec["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict):
                operation.pop("security", None)
    return spec | {"servers": [{"url": "http://site"}], "security": []}
