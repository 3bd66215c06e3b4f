"""The ledger over HTTP: what is promised, as it stands or stood, and how people declare, change and withdraw."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request, Response
from pydantic import AwareDatetime

from risk_engine.declare.body import Promise, PromiseChange
from risk_engine.declare.desk import LedgerDesk
from risk_engine.declare.importer import Importer
from risk_engine.domain.ledger import Basis, Need, State
from risk_engine.problems import ProblemError
from risk_engine.serve.route import BODY, PROBLEM, PROBLEMS, Asking
from risk_engine.serve.rows import ImportReport, LedgerRow, LedgerStep
from risk_engine.serve.tables import CSV, Page, next_page, page
from risk_engine.store.database import Database
from risk_engine.store.ledger_reads import LATEST, LedgerQuery, read_ledger, read_steps

LONGEST_FILE = 8 * 1024 * 1024
Key = Annotated[
    str,
    Path(
        max_length=300,
        description="A commitment's key: <deal> or <deal>~<part>",
        examples=["00D5g000000001EAA:0065g000000001AAA~1f0c9ad27b3e"],
    ),
]
AsOf = Annotated[
    AwareDatetime | None,
    Query(description="As the ledger stood at this moment", examples=["2026-11-03T09:12:00Z"]),
]


def add_ledger_routes(app: FastAPI, database: Database, desk: LedgerDesk) -> None:
    """Adds ``/commitments``."""
    importer = Importer(desk)
    problems: Any = PROBLEMS

    @app.get("/commitments", response_model=list[LedgerRow], responses=CSV | problems)
    async def commitments(
        request: Request,
        response: Response,
        rows: Annotated[Page, Depends(page)],
        as_of: AsOf = None,
        deal: str | None = None,
        account: Annotated[str | None, Query(description="<org>:<account id>")] = None,
        state: State | None = None,
        basis: Basis | None = None,
        need: Need | None = None,
        due_from: date | None = None,
        due_until: date | None = None,
        below: Annotated[
            float | None, Query(ge=0, le=1, description="Only those with a lower chance")
        ] = None,
    ) -> list[dict[str, Any]]:
        """Everything promised, each deliverable with its three dates, ordered by key."""
        query = LedgerQuery(
            as_of or LATEST,
            deal=deal,
            account=account,
            state=state,
            basis=basis,
            need=need,
            due_from=due_from,
            due_until=due_until,
            below=below,
            after=rows.after,
            limit=rows.limit + 1,
        )
        async with database.transaction() as connection:
            found = await read_ledger(connection, query)
        next_page(request, response, found, rows.limit, lambda row: str(row["key"]))
        return found[: rows.limit]

    @app.post("/commitments", status_code=201, response_model=LedgerRow, responses=problems | {409: PROBLEM})
    async def declare(promise: Promise, response: Response, caller: Asking) -> dict[str, Any]:
        """Declare a promise. It counts once its deal is in force, above what fields, records and lines say."""
        row = await desk.declare(promise, caller.name)
        response.headers["Location"] = f"/commitments/{row['key']}"
        return row

    @app.post(
        "/commitments/import",
        response_model=ImportReport,
        responses=problems,
        openapi_extra={
            BODY: LONGEST_FILE,
            "requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}},
        },
    )
    async def take(
        request: Request,
        caller: Asking,
        dry_run: Annotated[bool, Query(description="Only tell what would be kept")] = False,
    ) -> dict[str, Any]:
        """Import a CSV file in UTF-8: good lines are kept together, every other line is named with its fix."""
        return await importer.take(await request.body(), caller.name, dry_run=dry_run)

    @app.get("/commitments/{key}", response_model=LedgerRow, responses=problems)
    async def commitment(key: Key, as_of: AsOf = None) -> dict[str, Any]:
        """One commitment with its three dates."""
        query = LedgerQuery(as_of or LATEST, deal=key.partition("~")[0], key=key)
        async with database.transaction() as connection:
            found = await read_ledger(connection, query)
        if not found:
            raise _unknown(key)
        return found[0]

    @app.get("/commitments/{key}/history", response_model=list[LedgerStep], responses=CSV | problems)
    async def history(key: Key, as_of: AsOf = None) -> list[dict[str, Any]]:
        """Everything recorded of a commitment, oldest first: dates, forecasts as shown, who declared it."""
        async with database.transaction() as connection:
            found = await read_steps(connection, key, as_of or LATEST)
        if not found:
            raise _unknown(key)
        return found

    @app.patch("/commitments/{key}", response_model=LedgerRow, responses=problems)
    async def change(key: Key, change: PromiseChange, caller: Asking) -> dict[str, Any]:
        """Change what was declared; what is left out stays."""
        return await desk.change(key, change, caller.name)

    @app.delete("/commitments/{key}", response_model=LedgerRow | None, responses=problems)
    async def withdraw(
        key: Key, caller: Asking, reason: Annotated[str, Query(max_length=500)] = ""
    ) -> dict[str, Any] | None:
        """Withdraw a declaration; tells what else speaks of the deliverable now, if anything does."""
        return await desk.withdraw(key, caller.name, reason)


def _unknown(key: str) -> ProblemError:
    return ProblemError(f"no commitment {key} is known", fix="take the key from GET /commitments", status=404)
