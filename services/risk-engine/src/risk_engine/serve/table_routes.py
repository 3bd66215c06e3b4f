"""The API's tables: deals, teams, money at stake by issue, customers, assessments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request, Response

from risk_engine.domain.calendar import FiscalYear
from risk_engine.problems import ProblemError
from risk_engine.serve.gate import Gate
from risk_engine.serve.route import PROBLEMS, ROLE, hidden_of
from risk_engine.serve.rows import AccountPage, AccountRow, DealRow, StakeRow, TeamRow, TokenRow
from risk_engine.serve.tables import CSV, Page, next_page, page
from risk_engine.store.alerts import NoticeQuery, read_notices
from risk_engine.store.database import Connection, Database
from risk_engine.store.ledger_reads import LedgerQuery, read_ledger
from risk_engine.store.tables import (
    read_account_name,
    read_account_rows,
    read_assessments,
    read_deal_rows,
    read_stakes,
    read_team_rows,
)

Rows = Annotated[Page, Depends(page)]
AccountKey = Annotated[
    str,
    Path(max_length=200, description="<org>:<account id>", examples=["00D5g000000001EAA:0015g000000001AAA"]),
]
_WHOLE = 10_000
"""So many deals and commitments of one customer are told on its page."""


def add_table_routes(app: FastAPI, database: Database, fiscal_year: FiscalYear) -> None:
    """Adds ``/deals``, ``/teams``, ``/issues``, ``/accounts``, ``/assessments`` and ``/tokens``."""
    problems: Any = PROBLEMS

    @app.get("/deals", response_model=list[DealRow], responses=CSV | problems)
    async def deals(
        request: Request,
        response: Response,
        rows: Rows,
        account: Annotated[str | None, Query(description="<org>:<account id>")] = None,
        below: Annotated[
            float | None, Query(ge=0, le=1, description="Only those with a lower chance")
        ] = None,
    ) -> list[dict[str, Any]]:
        """Deals in force, ordered by key: what they are worth, their next date, and how they stand."""
        async with database.transaction() as connection:
            found = await read_deal_rows(
                connection, after=rows.after, limit=rows.limit + 1, account=account, below=below
            )
        next_page(request, response, found, rows.limit, _by_key)
        return [_with_quarter(row, fiscal_year) for row in found[: rows.limit]]

    @app.get("/teams", response_model=list[TeamRow], responses=CSV | problems)
    async def teams(request: Request, response: Response, rows: Rows) -> list[dict[str, Any]]:
        """Teams that owe anything, ordered by key."""
        async with database.transaction() as connection:
            found = await read_team_rows(connection, after=rows.after, limit=rows.limit + 1)
        next_page(request, response, found, rows.limit, _by_key)
        return found[: rows.limit]

    @app.get("/issues", response_model=list[StakeRow], responses=CSV | problems)
    async def issues(
        request: Request,
        response: Response,
        rows: Rows,
        deal: Annotated[str | None, Query(description="Only this deal's money")] = None,
        team: Annotated[str | None, Query(description="<site>:<board id>")] = None,
        issue: Annotated[str | None, Query(description="<site>:<issue id>")] = None,
    ) -> list[dict[str, Any]]:
        """Money at stake on each open issue, the most first; a deal's amount is split over its issues.

        Who may not see amounts gets them by key: the order would tell.
        """
        ranked = "at_stake" not in hidden_of(request)
        async with database.transaction() as connection:
            found = await read_stakes(
                connection,
                after=_stake_cursor(rows.after) if ranked else (Decimal(), rows.after),
                limit=rows.limit + 1,
                ranked=ranked,
                deal=deal,
                team=team,
                issue=issue,
            )
        next_page(request, response, found, rows.limit, _by_stake if ranked else _by_key)
        return found[: rows.limit]

    @app.get("/accounts", response_model=list[AccountRow], responses=CSV | problems)
    async def accounts(request: Request, response: Response, rows: Rows) -> list[dict[str, Any]]:
        """Customers with anything in force, ordered by key."""
        async with database.transaction() as connection:
            found = await read_account_rows(connection, after=rows.after, limit=rows.limit + 1)
        next_page(request, response, found, rows.limit, _by_key)
        return found[: rows.limit]

    @app.get("/accounts/{account_key}", response_model=AccountPage, responses=problems)
    async def account(account_key: AccountKey) -> dict[str, Any]:
        """Everything promised to one customer, on one page."""
        async with database.transaction() as connection:
            return await _account_page(connection, account_key, fiscal_year)

    @app.get("/assessments", responses=CSV | problems)
    async def assessments(request: Request, response: Response, rows: Rows) -> list[dict[str, Any]]:
        """Assessments as published last, ordered by deal; GET /deals/{key}/inputs tells what one rests on."""
        async with database.transaction() as connection:
            found = await read_assessments(connection, after=rows.after, limit=rows.limit + 1)
        next_page(request, response, found, rows.limit, lambda row: str(row["deal_key"]))
        return found[: rows.limit]

    @app.get(
        "/tokens", response_model=list[TokenRow], responses=CSV | problems, openapi_extra={ROLE: "admin"}
    )
    async def tokens(request: Request) -> list[dict[str, Any]]:
        """Who may ask, in which role, until when; never a token."""
        gate: Gate | None = request.app.state.gate
        lines = gate.tokens.lines() if gate and gate.tokens else ()
        return [{"name": line.name, "role": line.role, "until": line.until} for line in lines]


async def _account_page(connection: Connection, key: str, fiscal_year: FiscalYear) -> dict[str, Any]:
    name = await read_account_name(connection, key)
    if name is None:
        raise ProblemError(
            f"no account {key} is known", fix="write it as <org>:<account id>, or see /accounts", status=404
        )
    total = await read_account_rows(connection, after="", limit=1, account=key)
    found = await read_deal_rows(connection, after="", limit=_WHOLE, account=key)
    deals = [_with_quarter(row, fiscal_year) for row in found]
    query = LedgerQuery(account=key, limit=_WHOLE)
    alerts = NoticeQuery("firing", deals=[row["key"] for row in deals])
    commitments = await read_ledger(connection, query)
    return {
        "account_key": key,
        "account": name,
        "total": total[0] if total else _nothing(key, name),
        "quarters": _quarters(commitments, deals, fiscal_year),
        "deals": deals,
        "commitments": sorted(commitments, key=lambda row: (row["promised_date"], row["key"])),
        "alerts": await read_notices(connection, alerts),
    }


def _nothing(key: str, name: str) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(AccountRow.model_fields)
    return empty | {"key": key, "account": name, "deals": 0, "commitments": 0, "unconverted_deals": 0}


def _quarters(
    commitments: Sequence[Mapping[str, Any]], deals: Sequence[Mapping[str, Any]], fiscal_year: FiscalYear
) -> list[dict[str, Any]]:
    """By quarter, what is in force for it; a deal's money counts once, in the quarter of its first date."""
    promised: dict[str, int] = defaultdict(int)
    for row in commitments:
        if row["state"] == "in_force":
            promised[fiscal_year.quarter_of(row["promised_date"])] += 1
    first: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in deals:
        first[row["fiscal_quarter"]].append(row)
    return [
        {
            "fiscal_quarter": quarter,
            "commitments": promised.get(quarter, 0),
            "deals": len(first.get(quarter, ())),
            "converted": sum((row["converted"] or Decimal(0) for row in first.get(quarter, ())), Decimal(0)),
            "reporting_currency": next(
                (row["reporting_currency"] for row in deals if row["reporting_currency"]), None
            ),
        }
        for quarter in sorted(promised.keys() | first.keys())
    ]


def _with_quarter(row: dict[str, Any], fiscal_year: FiscalYear) -> dict[str, Any]:
    day = row["promised_date"]
    return row | {"fiscal_quarter": fiscal_year.quarter_of(day) if day else None}


def _by_key(row: Mapping[str, Any]) -> str:
    return str(row["key"])


def _by_stake(row: Mapping[str, Any]) -> str:
    return f"{row['at_stake']}|{row['key']}"


def _stake_cursor(after: str) -> tuple[Decimal, str] | None:
    if not after:
        return None
    amount, _, key = after.partition("|")
    try:
        number = Decimal(amount)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ProblemError(f"{after} ends no page", field="after", fix="take it from the header Link")
    return number, key
