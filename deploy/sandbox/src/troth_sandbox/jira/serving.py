"""Two listening ports of one site in one event loop, and the line that says they listen."""

import asyncio
import gc
import signal
import socket
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from troth_sandbox.jira.app import admin_api, api
from troth_sandbox.jira.courier import TIMEOUT_S, Courier
from troth_sandbox.jira.site import Site

LOOPBACK = "127.0.0.1"


async def serve(site: Site, port: int, admin_port: int) -> None:
    """Answer on both ports until SIGINT or SIGTERM; port 0 takes a free one."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    listeners = [_listen(port), _listen(admin_port)]
    site.base = f"http://{LOOPBACK}:{listeners[0].getsockname()[1]}"
    client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
    courier = Courier(site, client)
    servers = [_server(api(site)), _server(admin_api(site, courier))]
    gc.freeze()  # the seed lives as long as the process: keep the collector from walking it
    running = [
        loop.create_task(_run(server, listener)) for server, listener in zip(servers, listeners, strict=True)
    ]
    delivering = loop.create_task(courier.run())
    numbers = [listener.getsockname()[1] for listener in listeners]
    print(f"ready api={numbers[0]} admin={numbers[1]}", flush=True)
    await stop.wait()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*running)
    delivering.cancel()
    await asyncio.wait([delivering])
    await client.aclose()


def _listen(port: int) -> socket.socket:
    """Bound and listening, so that a client may connect as soon as `ready` is printed.

    The protocol is named because asyncio turns off Nagle's algorithm only then: without it each answer waits 40 ms.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((LOOPBACK, port))
    listener.listen(128)
    return listener


def _server(app: ASGIApp) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)


async def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    """`Server.serve` without its signal handlers: the process has its own."""
    runner: Any = server
    await runner._serve([listener])  # noqa: SLF001
