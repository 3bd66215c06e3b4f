"""In front of the API: faults, the journal, and the headers that every answer carries."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from troth_sandbox.salesforce.clock import http_date, stamp
from troth_sandbox.salesforce.errors import ApiError, api_error, html_page
from troth_sandbox.salesforce.faults import Act
from troth_sandbox.salesforce.simulation import Entry, Site

TRANSPORT = "troth_sandbox.transport"
"""Where the server puts the connection's transport into the scope, so that a fault can cut it."""
MAX_HEAD = 16_384
"""Bytes of request line and headers that the vendor's edge takes [uri]."""
Headers = Iterable[tuple[bytes, bytes]]


class Gateway:
    """An ASGI application around the API; the journal keeps no header, so no token and no secret."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._site.transactions.settle()
        query = unquote_plus(scope["query_string"].decode())
        exchange = _Exchange(self._site, scope, query, send)
        if too_large := _too_large(scope):
            await _respond(exchange, too_large, [], b"")
            return
        if await self._moved(scope, exchange):
            return
        number = self._site.long_calls.enter()
        if number is None:
            await _refuse(exchange, api_error("concurrent_limit"))
            return
        try:
            await self._exchange(scope, query, receive, exchange)
        finally:
            self._site.long_calls.leave(number)

    async def _exchange(self, scope: Scope, query: str, receive: Receive, exchange: "_Exchange") -> None:
        act = self._site.faults.act_on(
            f"{scope['path']}?{query}" if query else scope["path"], scope["method"]
        )
        if act is None:
            await self._app(scope, receive, exchange.send)
        else:
            await self._fail(act, scope, receive, exchange)

    async def _moved(self, scope: Scope, exchange: "_Exchange") -> bool:
        """Answer for the old host of an org that moved; logins work at any host, as My Domain does (U)."""
        host = next((value.decode() for name, value in scope["headers"] if name == b"host"), "")
        location = self._site.location
        if not scope["path"].startswith("/services/data") or not location.gone(host):
            return False
        if location.old_host == 404:
            await _refuse(exchange, api_error("not_found"))
            return True
        query = scope["query_string"].decode()
        url = f"{scope['scheme']}://{location.here(host)}{scope['path']}" + (f"?{query}" if query else "")
        await _refuse(exchange, api_error("moved", url=url), [(b"location", url.encode("ascii", "replace"))])
        return True

    async def _fail(self, act: Act, scope: Scope, receive: Receive, exchange: "_Exchange") -> None:
        if act.hang:
            await _until_gone(receive)
            exchange.cut()
            return
        if act.delay:
            await asyncio.sleep(act.delay)
        if act.reset and not act.truncate:
            exchange.cut()
            return
        if act.answers:
            headers, body = _canned(act)
            await _respond(exchange, act.status or 200, headers, _half(body) if act.truncate else body)
        elif act.truncate:
            await self._truncate(scope, receive, exchange, reset=act.reset)
        else:
            await self._app(scope, receive, exchange.send)

    async def _truncate(self, scope: Scope, receive: Receive, exchange: "_Exchange", *, reset: bool) -> None:
        """Half of the real answer: as a whole HTTP message, or, with `reset`, as one that breaks off."""
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, collect)
        start, body = messages[0], b"".join(message.get("body", b"") for message in messages[1:])
        headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
        if not reset:
            await _respond(exchange, start["status"], headers, _half(body))
            return
        full = [*headers, (b"content-length", str(len(body)).encode())]
        await exchange.send({"type": "http.response.start", "status": start["status"], "headers": full})
        await exchange.send({"type": "http.response.body", "body": _half(body), "more_body": True})
        exchange.cut()


class _Exchange:
    """One request on its way: adds headers to the answer and writes the journal."""

    def __init__(self, site: Site, scope: Scope, query: str, send: Send) -> None:
        self._site = site
        self._scope = scope
        self._query = query
        self._send = send
        self._noted = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._note(message["status"])
            message["headers"] = [*message["headers"], *self._headers()]
        await self._send(message)

    def cut(self) -> None:
        """Close the connection without a farewell."""
        self._note(0)
        transport: asyncio.Transport | None = self._scope.get(TRANSPORT)
        if transport is None:
            raise ConnectionResetError("this server gives no transport to cut")
        transport.abort()

    def _headers(self) -> Headers:
        yield b"date", http_date(self._site.clock.now()).encode()
        if usage := self._scope.get("usage"):
            yield b"sforce-limit-info", usage.encode()

    def _note(self, status: int) -> None:
        if not self._noted:
            self._noted = True
            at = stamp(self._site.clock.now())
            entry = Entry(at, self._scope["method"], self._scope["path"], self._query, status)
            self._site.journal.append(entry)


async def _until_gone(receive: Receive) -> None:
    """Wait until the client gives up."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_large(scope: Scope) -> int | None:
    """414 when the request line alone is too large, 431 when the headers make it so; the body is unknown (U)."""
    frame = len(scope["method"]) + len("  HTTP/1.1\r\n")
    line = frame + len(scope.get("raw_path", b"")) + len("?") + len(scope["query_string"])
    headers = sum(len(name) + len(value) + len(": \r\n") for name, value in scope["headers"])
    if line > MAX_HEAD:
        return 414
    return 431 if line + headers > MAX_HEAD else None


def _canned(act: Act) -> tuple[list[tuple[bytes, bytes]], bytes]:
    if act.html:
        page = act.body if isinstance(act.body, str) else html_page()
        return [(b"content-type", b"text/html;charset=UTF-8")], page.encode()
    body: Any = act.body
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    return [(b"content-type", b"application/json;charset=UTF-8")], text.encode()


def _half(body: bytes) -> bytes:
    return body[: len(body) // 2]


async def _refuse(exchange: _Exchange, error: ApiError, headers: Headers = ()) -> None:
    kind = (b"content-type", b"application/json;charset=UTF-8")
    await _respond(exchange, error.status, [kind, *headers], json.dumps(error.body).encode())


async def _respond(exchange: _Exchange, status: int, headers: Headers, body: bytes) -> None:
    full = [*headers, (b"content-length", str(len(body)).encode())]
    await exchange.send({"type": "http.response.start", "status": status, "headers": full})
    await exchange.send({"type": "http.response.body", "body": body})
