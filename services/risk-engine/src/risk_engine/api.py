"""Read-only answers over HTTP: where the engine stands, what fires, and what is known of a promise."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from risk_engine.store.alerts import read_notices
from risk_engine.store.database import Database
from risk_engine.store.progress import read_counts
from troth_chassis.errors import TransientError


def add_routes(app: FastAPI, database: Database) -> None:
    """Adds the engine's routes to the service's application."""

    @app.exception_handler(TransientError)
    async def unavailable(_request: Request, error: Exception) -> JSONResponse:
        """The database does not answer; so says the service's readiness too."""
        return JSONResponse({"detail": str(error)}, status_code=503)

    @app.get("/status")
    async def status() -> dict[str, Any]:
        """Counts of what is stored, waiting and firing; ``live`` once alerting has begun."""
        async with database.transaction() as connection:
            return await read_counts(connection)

    @app.get("/alerts")
    async def alerts(phase: Literal["firing", "resolved"] | None = None) -> list[dict[str, Any]]:
        """The last notice of every alert, newest first."""
        async with database.transaction() as connection:
            return await read_notices(connection, phase)

    @app.get("/deals/{deal_key}")
    async def deal(deal_key: str) -> dict[str, Any]:
        """Promised, committed and forecast date of a deal; ``deal_key`` is ``<org>:<opportunity id>``."""
        return await _one(
            database, "SELECT body FROM assessments WHERE deal_key = %s AND body IS NOT NULL", deal_key
        )

    @app.get("/teams/{team_key}")
    async def team(team_key: str) -> dict[str, Any]:
        """Load against capacity of a team, date by date; ``team_key`` is ``<site>:<board id>``."""
        return await _one(database, "SELECT body FROM outlooks WHERE team = %s", team_key)


async def _one(
    database: Database,
    statement: Literal[
        "SELECT body FROM assessments WHERE deal_key = %s AND body IS NOT NULL",
        "SELECT body FROM outlooks WHERE team = %s",
    ],
    key: str,
) -> dict[str, Any]:
    async with database.transaction() as connection:
        row = await (await connection.execute(statement, (key,))).fetchone()
    if row is None:
        raise HTTPException(404, f"nothing is known of {key}: check the key, or it promises nothing in force")
    body: dict[str, Any] = row[0]
    return body
