"""The two listening sockets: the API over TLS with a certificate of its own, the controls in plain HTTP."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from troth_sandbox.salesforce.admin import build_admin
from troth_sandbox.salesforce.api import build_api
from troth_sandbox.salesforce.gateway import TRANSPORT, Gateway
from troth_sandbox.salesforce.simulation import Site

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a running simulator listens on 127.0.0.1."""

    api: int
    admin: int


class CuttableProtocol(H11Protocol):
    """HTTP/1.1 that tells the application which connection a request came on."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wrap the application for this connection."""
        super().connection_made(transport)
        inner: Any = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await inner({**scope, TRANSPORT: transport}, receive, send)

        self.app = app


def certificate(tls_dir: Path) -> ssl.SSLContext:
    """A server context for 127.0.0.1 and localhost; the authority to trust is written to `tls_dir`/ca.pem."""
    authority = trustme.CA(organization_name="Troth sandbox")
    tls_dir.mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(str(tls_dir / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "localhost").configure_cert(context)
    return context


@contextlib.asynccontextmanager
async def serving(site: Site, *, port: int, admin_port: int, tls_dir: Path) -> AsyncIterator[Ports]:
    """Serve until the block ends; port 0 takes a free one. Raises OSError when a port is taken."""
    with _listen(port) as api_socket, _listen(admin_port) as admin_socket:
        context = certificate(tls_dir)
        api = _server(Gateway(build_api(site), site), ssl_context_factory=lambda _config, _default: context)
        admin = _server(build_admin(site))
        async with _running(api, api_socket), _running(admin, admin_socket):
            yield Ports(api_socket.getsockname()[1], admin_socket.getsockname()[1])


def _listen(port: int) -> socket.socket:
    # With the protocol named, asyncio turns Nagle's delay off; without it every small answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    return listener


def _server(app: ASGIApp, **options: Any) -> "_Embedded":
    config = uvicorn.Config(
        app,
        http=CuttableProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        # The date is the org's, see Gateway.
        date_header=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        **options,
    )
    return _Embedded(config)


class _Embedded(uvicorn.Server):
    """A server that leaves signals to whoever runs it, and says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A kept-alive TLS connection would wait for its peer's farewell.
        for connection in list(self.server_state.connections):
            if isinstance(connection, CuttableProtocol):
                connection.transport.abort()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def _running(server: _Embedded, listener: socket.socket) -> AsyncIterator[None]:
    task = asyncio.create_task(server.serve(sockets=[listener]))
    up = asyncio.create_task(server.up.wait())
    await asyncio.wait({task, up}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        server.should_exit = True
        await task
