"""Read-only answers over HTTP: where the engine stands, what fires, and what is known of a promise."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import Depends, FastAPI, Request, Response

from risk_engine.domain.model import AlertKind, Severity
from risk_engine.problems import ProblemError
from risk_engine.serve.gate import Gate
from risk_engine.serve.route import PROBLEMS, add_problems
from risk_engine.serve.tables import CSV, Page, next_page, page
from risk_engine.store.alerts import NoticeQuery, read_assessment, read_notices
from risk_engine.store.commitments import read_inputs, read_outlook, read_verdicts
from risk_engine.store.database import Database
from risk_engine.store.progress import read_counts


def add_routes(app: FastAPI, database: Database, gate: Gate | None = None) -> None:
    """Adds the engine's routes to the service's application, behind the gate."""
    add_problems(app, gate)
    problems: Any = PROBLEMS

    @app.get("/status", responses=problems)
    async def status() -> dict[str, Any]:
        """Counts of what is stored, waiting and firing; ``live`` once alerting has begun."""
        async with database.transaction() as connection:
            return await read_counts(connection)

    @app.get("/alerts", responses=CSV | problems)
    async def alerts(
        request: Request,
        response: Response,
        rows: Annotated[Page, Depends(page)],
        phase: Literal["firing", "resolved"] | None = None,
        kind: AlertKind | None = None,
        severity: Severity | None = None,
        deal: str | None = None,
    ) -> list[dict[str, Any]]:
        """The last notice of every alert, newest first."""
        at, _, alert_id = rows.after.partition("|")
        query = NoticeQuery(
            phase,
            kind,
            severity,
            None if deal is None else [deal],
            (at, alert_id) if alert_id else None,
            rows.limit + 1,
        )
        async with database.transaction() as connection:
            found = await read_notices(connection, query)
        next_page(request, response, found, rows.limit, lambda row: f"{row['at']}|{row['alert_id']}")
        return found[: rows.limit]

    @app.get("/deals/{deal_key}", responses=problems)
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

    @app.get("/deals/{deal_key}/inputs", responses=problems)
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

    @app.get("/teams/{team_key}", responses=problems)
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
