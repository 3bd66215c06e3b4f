"""Runs a service: settings, logs, supervised loops, HTTP, signals, and the order in which they end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from starlette.types import ASGIApp

from troth_chassis.clock import Clock, SystemClock
from troth_chassis.errors import (
    EXIT_CONFIGURATION,
    EXIT_FENCED,
    ConfigurationError,
    FencedError,
    LoopEndedError,
    TransientError,
)
from troth_chassis.health import Health
from troth_chassis.logs import configure_logs, redactor
from troth_chassis.settings import ChassisSettings, load_settings
from troth_chassis.web import Front, build_app

Beat = Callable[[], None]
S = TypeVar("S", bound=ChassisSettings)
LONGEST_BACK_OFF = 30.0


@dataclass(frozen=True, slots=True)
class Loop:
    """A task that runs as long as the service. It must call ``beat`` at least every ``stale_after`` seconds."""

    name: str
    run: Callable[[Beat], Awaitable[None]]
    stale_after: float = 300.0


@dataclass(frozen=True, slots=True)
class Chassis(Generic[S]):
    """What ``build`` gets to wire a service from."""

    name: str
    settings: S
    clock: Clock
    health: Health
    metrics: CollectorRegistry
    app: FastAPI
    log: structlog.stdlib.BoundLogger
    direct: dict[str, ASGIApp] = field(default_factory=dict)
    """Addresses asked thousands of times a second, answered without ``app`` and its middleware."""


Build = Callable[[Chassis[S]], AbstractAsyncContextManager[Sequence[Loop]]]
"""Called again after a TransientError: what can be made only once (metrics, routes) comes after what can fail so."""


def run_service(name: str, settings_class: type[S], build: Build[S], environ: Mapping[str, str]) -> int:
    """Runs until a signal (exit 0), a lasting fault (78, 75) or a defect (1)."""
    try:
        settings = load_settings(settings_class, environ)
    except ConfigurationError as error:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201  (logs are not configured yet)
        return EXIT_CONFIGURATION
    _remember_secrets(settings)
    configure_logs(name, settings.log_level, settings.log_format)
    return uvloop.run(_serve(_chassis(name, settings), build))


def _remember_secrets(settings: ChassisSettings) -> None:
    for value in settings.__dict__.values():
        if isinstance(value, SecretStr):
            redactor.remember(value.get_secret_value())


def _chassis(name: str, settings: S) -> Chassis[S]:
    clock = SystemClock()
    health = Health(clock)
    registry = CollectorRegistry()
    log = structlog.stdlib.get_logger(name)
    return Chassis(name, settings, clock, health, registry, build_app(name, health, registry), log)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the supervisor decides when HTTP ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def _http(chassis: Chassis[Any]) -> AsyncIterator[None]:
    config = uvicorn.Config(
        Front(chassis.app, chassis.direct),
        host=chassis.settings.http_host,
        port=chassis.settings.http_port,
        log_config=None,
        access_log=False,
        lifespan="off",
        http="httptools",
        proxy_headers=False,
    )
    server = _Server(config)
    serving = asyncio.create_task(_serve_http(server), name="http")
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110  (uvicorn has a flag, no event)
            await asyncio.sleep(0.01)
        if serving.done():
            await serving
        sockets = server.servers[0].sockets
        chassis.log.info("listening", port=sockets[0].getsockname()[1])
        yield
    finally:
        server.should_exit = True
        await serving


async def _serve_http(server: uvicorn.Server) -> None:
    try:
        await server.serve()
    except SystemExit as error:
        raise ConfigurationError(
            f"cannot listen on {server.config.host}:{server.config.port}: choose another TROTH_HTTP_PORT"
        ) from error


class _Stop:
    """The signal to end. What is being built when it comes is interrupted; what runs is ended in order."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.starting = asyncio.current_task()

    def ask(self) -> None:
        self.asked.set()
        if self.starting is not None:
            self.starting.cancel()
            self.starting = None


async def _serve(chassis: Chassis[S], build: Build[S]) -> int:
    stop = _Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.ask)
    chassis.health.check("running", ok=False, detail="starting")
    try:
        async with _http(chassis), _built(chassis, build) as loops:
            stop.starting = None
            await _supervise(chassis, loops, stop.asked)
    except asyncio.CancelledError:
        if not stop.asked.is_set():
            raise
    except ConfigurationError as error:
        chassis.log.error("stopped: %s", error)
        return EXIT_CONFIGURATION
    except FencedError as error:
        chassis.log.error("stopped: %s", error)
        return EXIT_FENCED
    except Exception:
        chassis.log.exception("stopped by a defect")
        return 1
    chassis.log.info("stopped")
    return 0


@contextlib.asynccontextmanager
async def _built(chassis: Chassis[S], build: Build[S]) -> AsyncIterator[Sequence[Loop]]:
    """What ``build`` opens. While a server it needs is silent, the service is alive, not ready, and tries again."""
    async with contextlib.AsyncExitStack() as stack:
        loops: Sequence[Loop] | None = None
        failures = 0
        while loops is None:
            try:
                loops = await stack.enter_async_context(build(chassis))
            except TransientError as error:
                wait, failures = _back_off(failures), failures + 1
                chassis.health.check("running", ok=False, detail=f"cannot start yet: {error}")
                chassis.log.warning("cannot start yet", reason=str(error), seconds=round(wait, 1))
                await chassis.clock.sleep(wait)
        yield loops


def _back_off(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return float(min(LONGEST_BACK_OFF, 0.5 * 2 ** min(failures, 10)) * random.uniform(0.8, 1.2))


async def _supervise(chassis: Chassis[Any], loops: Sequence[Loop], stop: asyncio.Event) -> None:
    """Runs every loop until ``stop``; the first lasting fault, or a loop that just ends, ends them all."""
    chassis.health.check("running", ok=True, detail="all loops started")
    tasks = [asyncio.create_task(_keep(chassis, loop), name=loop.name) for loop in loops]
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        chassis.health.check("running", ok=False, detail="shutting down")
        for task in (*tasks, stopping):
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _keep(chassis: Chassis[Any], loop: Loop) -> None:
    """Calls the loop again after a transient fault, waiting longer each time it makes no progress."""
    failures = 0

    def beat() -> None:
        nonlocal failures
        failures = 0
        chassis.health.beat(loop.name, loop.stale_after)
        chassis.health.check(loop.name, ok=True, detail="running")

    chassis.health.beat(loop.name, loop.stale_after)
    chassis.health.check(loop.name, ok=False, detail="has made no progress yet")
    while True:
        try:
            await _run_once(loop, beat)
        except TransientError as error:
            if _is_cancelled():
                raise asyncio.CancelledError from error
            wait, failures = _back_off(failures), failures + 1
            chassis.health.check(loop.name, ok=False, detail=str(error))
            chassis.log.warning("will retry", loop=loop.name, reason=str(error), seconds=round(wait, 1))
            chassis.health.beat(loop.name, loop.stale_after)
            await chassis.clock.sleep(wait)
        else:
            if _is_cancelled():
                return
            raise LoopEndedError(f"the loop {loop.name} ended by itself; it must run as long as the service")


async def _run_once(loop: Loop, beat: Beat) -> None:
    try:
        await loop.run(beat)
    except asyncio.CancelledError as error:
        if _is_cancelled():
            raise
        raise TransientError("a library let the cancellation of a task of its own out") from error


def _is_cancelled() -> bool:
    """A loop that answers its cancellation with another error or a return must not be called again."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
