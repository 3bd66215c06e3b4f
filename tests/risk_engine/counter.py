"""The engine's whole API over a settled company, asked in process as `app.py` wires it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from tests.risk_engine.company import Company, records
from tests.risk_engine.engine import TRIALS, Engine, open_engine

from risk_engine.app import add_api
from risk_engine.domain.registry import Registry
from risk_engine.settings import EngineSettings
from troth_chassis.settings import load_settings

SETTINGS = {
    "KAFKA_BOOTSTRAP_SERVERS": "nowhere:1",
    "DATABASE_URL": "postgresql://nobody@nowhere/none",
    "TROTH_RISK_TRIALS": str(TRIALS),
}


def api_of(engine: Engine, **settings: str) -> FastAPI:
    app = FastAPI()
    told = load_settings(EngineSettings, SETTINGS | settings)
    add_api(app, told, engine.database, engine.clock, Registry(), on_change=engine.woken.set)
    return app


def client_of(app: FastAPI, **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)


@asynccontextmanager
async def counter(postgres: str, **settings: str) -> AsyncIterator[tuple[Engine, httpx.AsyncClient]]:
    """The settled company and somebody who asks."""
    async with open_engine(postgres) as engine:
        await engine.take(records(Company()))
        await engine.go_live()
        await engine.evaluate()
        async with client_of(api_of(engine, **settings)) as client:
            yield engine, client
