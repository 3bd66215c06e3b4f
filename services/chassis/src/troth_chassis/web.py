"""The plain routes every service answers: /healthz, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Receive, Scope, Send

from troth_chassis.health import Health


def build_app(service: str, health: Health, registry: CollectorRegistry) -> FastAPI:
    """An application that a service may add its own routes to."""
    app = FastAPI(title=service, docs_url=None, redoc_url=None)  # those pages load scripts from elsewhere

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> JSONResponse:
        stuck = health.stuck()
        return JSONResponse({"alive": not stuck, "stuck": stuck}, status_code=503 if stuck else 200)

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> JSONResponse:
        checks = {name: {"ok": check.ok, "detail": check.detail} for name, check in health.checks.items()}
        return JSONResponse(
            {"ready": health.ready, "checks": checks}, status_code=200 if health.ready else 503
        )

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app


class Front:
    """What the server calls: ``direct`` by exact path, ``app`` for everything else."""

    def __init__(self, app: ASGIApp, direct: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self._direct.get(scope.get("path", ""), self._app)(scope, receive, send)
