"""The rows of the API's tables, each field with its meaning; what a role may not see is null."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from risk_engine.domain.ledger import Basis, Need, State


class Row(BaseModel):
    """Base of every row."""

    model_config = ConfigDict(frozen=True)


class LedgerRow(Row):
    """A commitment with its three dates: promised, committed, forecast."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "key": "00D5g000000001EAA:0065g000000001AAA~1f0c9ad27b3e",
                    "deal": "00D5g000000001EAA:0065g000000001AAA",
                    "deal_name": "Elm Insurance - Single sign-on roll-out",
                    "account": "Elm Insurance",
                    "deliverable": "Single sign-on",
                    "state": "in_force",
                    "promised_date": "2027-01-29",
                    "first_promised_date": "2026-12-18",
                    "basis": "declared",
                    "source": "Ada Lovelace",
                    "need": "blocker",
                    "committed_date": "2027-01-22",
                    "forecast_p50": "2027-01-20",
                    "forecast_p85": "2027-02-09",
                    "forecast_p95": "2027-02-23",
                    "p_on_time": 0.71,
                    "declared_by": "Ada Lovelace",
                    "evidence": "Minutes of 3 November, item 4",
                    "issues": ["ATL-7", "BOR-12"],
                    "amount": "120000",
                    "currency": "EUR",
                    "since": "2026-11-03T09:12:00Z",
                }
            ]
        },
    )
    key: str = Field(description="The deal's own for its whole, else <deal>~<part>")
    deal: str
    deal_name: str | None = None
    account: str | None = None
    deliverable: str | None = Field(description="Empty: the whole deal")
    state: State = Field(description="Only what is in force is forecast; a candidate only informs")
    promised_date: date = Field(description="What sales told the customer")
    first_promised_date: date | None = Field(description="The first date on record")
    basis: Basis = Field(description="Where the promised date is from")
    source: str | None
    need: Need
    committed_date: date | None = Field(description="What engineering planned")
    forecast_p50: date | None
    forecast_p85: date | None
    forecast_p95: date | None
    p_on_time: float | None
    declared_by: str | None
    evidence: str | None
    issues: list[str]
    amount: Decimal | None
    currency: str | None
    since: datetime = Field(description="When this was entered into the ledger")


class LedgerStep(Row):
    """One thing that was recorded of a commitment."""

    at: datetime
    what: Literal["promised", "forecast", "declared", "withdrawn"]
    since: datetime = Field(
        description="From when it counts; what a deal promised when it came into force, from then"
    )
    promised_date: date | None
    state: State | None = Field(description="Of a promise; null where it ended")
    basis: Basis | None
    source: str | None
    committed_date: date | None
    forecast_p50: date | None
    forecast_p85: date | None
    p_on_time: float | None
    who: str | None
    withdrawn_because: str | None


class DealRow(Row):
    """A deal in force: what it is worth, its next date, and how it stands."""

    key: str
    deal_name: str | None
    account: str | None
    account_key: str | None = Field(description="<org>:<account id>")
    owner: str | None
    won: bool
    amount: Decimal | None
    currency: str | None
    converted: Decimal | None = Field(description="In the reporting currency, by the rate of its close date")
    reporting_currency: str | None
    rate: str | None = Field(description="same, dated, current or unknown")
    unplaced: Decimal | None = Field(description="What no open issue carries, in the reporting currency")
    fiscal_quarter: str | None = Field(description="Of the first promised date in force")
    commitments: int
    promised_date: date | None = Field(description="The first date in force")
    p_on_time: float | None = Field(description="The lowest chance of its commitments")
    forecast_p85: date | None = Field(description="The last of its commitments")


class TeamRow(Row):
    """A team's outlook in a line; GET /teams/{key} tells it date by date."""

    key: str
    team: str
    verdict: str
    first_breaking_date: date | None
    missing_points: Decimal | None
    overflow_deals: int
    cold: bool = Field(description="Too few closed sprints of its own: others' stand in")
    as_of: datetime


class StakeRow(Row):
    """What is at stake on one open issue, over all deals that need it."""

    key: str = Field(description="<site>:<issue id>")
    issue: str
    summary: str | None
    team: str | None = Field(description="Key of the team that owes it")
    points: float | None
    at_stake: Decimal | None = Field(
        description="In the reporting currency; over a deal's issues it sums to its amount"
    )
    currency: str | None
    deals: list[str]
    promised_date: date | None = Field(description="The first date that waits for it")


class AccountRow(Row):
    """A customer with anything in force."""

    key: str = Field(description="<org>:<account id>")
    account: str | None
    deals: int
    commitments: int
    converted: Decimal | None = Field(description="Its deals in force, in the reporting currency")
    reporting_currency: str | None
    unconverted_deals: int = Field(description="Deals in a currency without a rate, not in the sum")
    promised_date: date | None = Field(description="The first date in force")
    p_on_time: float | None = Field(description="The lowest chance of its commitments")


class Quarter(Row):
    """What is promised for one fiscal quarter."""

    fiscal_quarter: str
    commitments: int
    deals: int
    converted: Decimal | None = Field(
        description="Deals whose first date in force is in this quarter, each once"
    )
    reporting_currency: str | None


class AccountPage(Row):
    """Everything promised to one customer."""

    account_key: str
    account: str | None
    total: AccountRow
    quarters: list[Quarter]
    deals: list[DealRow]
    commitments: list[LedgerRow]
    alerts: list[dict[str, Any]]


class ImportProblem(Row):
    """A line that was left out."""

    line: int
    field: str
    detail: str
    fix: str


class ImportedLine(Row):
    """A line that was kept."""

    line: int
    commitment: str
    outcome: Literal["added", "changed", "unchanged"]


class ImportReport(Row):
    """What came of an import, line by line."""

    dry_run: bool
    lines: int
    added: int
    changed: int
    unchanged: int
    refused: int
    kept: list[ImportedLine]
    problems: list[ImportProblem]


class TokenRow(Row):
    """Who may ask; never the token."""

    name: str
    role: str
    until: date | None
