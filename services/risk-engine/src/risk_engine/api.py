"""Read-only answers over HTTP: where the engine stands, what fires, and what is known of a promise."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from fastapi import FastAPI

from risk_engine.problems import ProblemError, add_problems
from risk_engine.store.alerts import read_assessment, read_notices
from risk_engine.store.commitments import read_inputs, read_outlook, read_verdicts
from risk_engine.store.database import Database
from risk_engine.store.progress import read_counts


def add_routes(app: FastAPI, database: Database) -> None:
    """Adds the engine's routes to the service's application."""
    add_problems(app)

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
        """Promised, committed and forecast date of a deal, and the verdict of each team it needs.

        ``deal_key`` is ``<org>:<opportunity id>``.
        """
        async with database.transaction() as connection:
            found = await read_assessment(connection, deal_key)
            if found is None:
                raise _unknown(deal_key)
            verdicts = await read_verdicts(connection, deal_key, found.inputs)
        return found.body | {"verdicts": verdicts}

    @app.get("/deals/{deal_key}/inputs")
    async def inputs(deal_key: str) -> dict[str, Any]:
        """Everything the deal's assessment was computed from, team by team; the draws follow from the seed."""
        async with database.transaction() as connection:
            found = await read_assessment(connection, deal_key)
            if found is None:
                raise _unknown(deal_key)
            teams = await read_inputs(connection, found.inputs)
        return {
            "deal": deal_key,
            "seed": found.body.get("seed"),
            "teams": {
                team: msgspec.to_builtins(told, order="deterministic")
                for team, (digest, told) in teams.items()
                if digest == found.inputs[team]
            },
            "being_evaluated": sorted(
                team for team, digest in found.inputs.items() if teams.get(team, ("",))[0] != digest
            ),
        }

    @app.get("/teams/{team_key}")
    async def team(team_key: str) -> dict[str, Any]:
        """Load against capacity of a team, date by date; ``team_key`` is ``<site>:<board id>``."""
        async with database.transaction() as connection:
            body = await read_outlook(connection, team_key)
        if body is None:
            raise _unknown(team_key)
        return body


def _unknown(key: str) -> ProblemError:
    return ProblemError(
        f"nothing is known of {key}", fix="check the key, or it promises nothing in force", status=404
    )
