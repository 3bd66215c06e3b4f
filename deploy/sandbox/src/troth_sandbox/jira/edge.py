"""The outermost layer of the API port: journal, planned faults, authentication, and Jira's response headers.

It is plain ASGI, so that it can cut connections and so that a fault strikes before any honest work is done.
"""

import asyncio
import base64
import secrets
import socket
import struct
from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from troth_sandbox.jira.clock import moment
from troth_sandbox.jira.faults import Act
from troth_sandbox.jira.limits import Refusal, endpoint, points_of, refusal_in
from troth_sandbox.jira.records import Json, User
from troth_sandbox.jira.site import Site

Headers = list[tuple[bytes, bytes]]
Sleep = Callable[[float], Awaitable[None]]
UNAUTHENTICATED = {"message": "Client must be authenticated to access this resource.", "status-code": 401}
TOO_MANY = {"errorMessages": ["Rate limit exceeded."], "errors": {}}
_JSON = "application/json;charset=UTF-8"


class Edge:
    """Wraps the API application of a site."""

    def __init__(self, app: ASGIApp, site: Site, sleep: Sleep = asyncio.sleep) -> None:
        self._app = app
        self._site = site
        self._sleep = sleep
        settings = site.store.settings
        self._expected = base64.b64encode(f"{settings.email}:{settings.token}".encode())
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = self._inside(scope)
        target = scope["path"] + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        act = self._site.faults.strike(scope["method"], target)
        name = endpoint(scope["method"], scope["path"])
        entry = self._journal(scope["method"], target, act, name)
        outward = _Outward(send, self._headers(), entry, lambda: self._limit_headers(name))
        scope["page_fault"] = act.page if act else None
        if act and act.delay:
            await self._sleep(act.delay)
        if act and act.reset:
            await _reset(send)
        elif act and act.replaces:
            body, media = act.content()
            if act.status == 429:
                self._refused(name, refusal_in(act.headers, self._site.clock.now()), entry)
            await _respond(outward.send, act.status or 200, body, media, act.headers)
        elif refusal := self._site.limiter.refusal(name, self._site.clock.now()):
            self._refused(name, refusal, entry)
            await _respond(outward.send, 429, msgspec.json.encode(TOO_MANY), _JSON, refusal.headers)
        elif not self._authenticated(scope):
            await _respond(outward.send, 401, msgspec.json.encode(UNAUTHENTICATED), _JSON, _DENIED)
        elif act and act.truncate:
            await _truncated(self._app, scope, receive, outward.send)
        elif self._site.limiter.plan.quota:
            await self._charged(scope, receive, outward.send)
        else:
            await self._app(scope, receive, outward.send)

    async def _charged(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer and take points for what the answer holds; its headers tell what is left after it."""
        messages = await _kept(self._app, scope, receive)
        body = b"".join(message.get("body", b"") for message in messages)
        points = points_of(scope["method"], scope["path"], body)
        self._site.limiter.charge(points, self._site.clock.now())
        for message in messages:
            await send(message)

    def _refused(self, name: str, refusal: Refusal, entry: Json) -> None:
        self._site.limiter.note(name, refusal)
        entry |= {"limit": refusal.reason, "allowed_at": refusal.allowed_at}

    def _limit_headers(self, name: str) -> Headers:
        told = self._site.limiter.headers(name, self._site.clock.now())
        return [(header.lower().encode(), value.encode()) for header, value in told.items()]

    def _inside(self, scope: Scope) -> Scope:
        """Behind the gateway address `/ex/jira/{cloudId}` stands the same site."""
        gateway = f"/ex/jira/{self._site.store.settings.cloud_id}/"
        if not scope["path"].startswith(gateway):
            return scope
        path = scope["path"][len(gateway) - 1 :]
        return {**scope, "path": path, "raw_path": path.encode(), "through_gateway": True}

    def _authenticated(self, scope: Scope) -> bool:
        if scope["path"] == "/oauth/token":
            return True
        header = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, credentials = header.partition(b" ")
        if scheme.lower() == b"bearer":
            return self._bears(credentials.strip(), through_gateway="through_gateway" in scope)
        return scheme.lower() == b"basic" and secrets.compare_digest(credentials.strip(), self._expected)

    def _bears(self, credentials: bytes, *, through_gateway: bool) -> bool:
        """Access tokens of the app; the account's own as Data Center's, a service account's or a played app's."""
        site = self._site
        if site.tokens.lives(credentials.decode("latin-1"), site.clock.now()):
            return True
        known = site.store.data_center or through_gateway or site.switches.app != "none"
        return known and secrets.compare_digest(credentials, site.store.settings.token.encode())

    def _headers(self) -> Headers:
        now = moment(self._site.clock.now())
        return [
            (b"date", format_datetime(now, usegmt=True).encode()),
            *self._own_headers(self._site.store.settings.account),
        ]

    def _own_headers(self, account: User) -> Headers:
        if self._site.store.data_center:
            name = account.name or account.account_id
            return [(b"x-arequestid", f"{self._requests}".encode()), (b"x-ausername", name.encode())]
        return [
            (b"server", b"AtlassianEdge"),
            (b"atl-traceid", f"{self._requests:032x}".encode()),
            (b"x-aaccountid", account.account_id.encode()),
        ]

    def _journal(self, method: str, target: str, act: Act | None, name: str) -> Json:
        """`early_ms` is there when the request came before the time an earlier 429 named for it."""
        self._requests += 1
        early = self._site.limiter.early_by(name, self._site.clock.now())
        entry: Json = {
            "seq": self._requests,
            "at": self._site.clock.now(),
            "method": method,
            "path": target,
            "status": None,
            "fault": act is not None,
        } | ({"early_ms": early} if early else {})
        self._site.journal.append(entry)
        return entry


_DENIED = {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED", "WWW-Authenticate": 'OAuth realm="sandbox"'}


class _Outward:
    """The way out: adds headers and notes the status in the journal."""

    def __init__(self, send: Send, headers: Headers, entry: Json, limits: Callable[[], Headers]) -> None:
        self._send = send
        self._headers = headers
        self._entry = entry
        self._limits = limits

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._entry["status"] = message["status"]
            limits = [] if message["status"] == 429 else self._limits()
            message = {**message, "headers": [*message["headers"], *self._headers, *limits]}
        await self._send(message)


async def _respond(send: Send, status: int, body: bytes, media: str, headers: dict[str, str]) -> None:
    fixed = {"content-type": media, "content-length": str(len(body))} | headers
    raw = [(name.lower().encode(), value.encode()) for name, value in fixed.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _kept(app: ASGIApp, scope: Scope, receive: Receive) -> list[Message]:
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    return messages


async def _truncated(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    messages = await _kept(app, scope, receive)
    body = b"".join(message.get("body", b"") for message in messages[1:])
    headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    media = headers.get("content-type", _JSON)
    await _respond(send, messages[0]["status"], body[: len(body) // 2], media, {})


async def _reset(send: Send) -> None:
    """Cut the connection under the answer; uvicorn keeps its transport on the object whose method `send` is."""
    transport: Any = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("This server gives no way to cut a connection.")
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await asyncio.sleep(0)
