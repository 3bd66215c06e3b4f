"""Deals of the public CRM set (fixtures ``crm/opportunities``) as Salesforce opportunities.

All dates are moved by the same number of whole days, so that the newest close date is yesterday. Kept from the
source: who sells, product, customer, stage, engage and close date, close value. Added, because the source has none:
ids, currency, probability and forecast category (both from the stage), for open deals an expected close date and the
list price as amount, for deals not yet engaged a creation date. No public deal has a promised date or a Jira key.
"""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random

from troth_sandbox.world.crm_org import CrmOrg, Named
from troth_sandbox.world.deals import STAGES, DealDraft, Line, Step
from troth_sandbox.world.errors import FixtureError

ADDED = {
    "Opportunity": [
        "Id",
        "Probability",
        "ForecastCategory",
        "ForecastCategoryName",
        "CurrencyIsoCode",
        "CloseDate (open deals)",
        "Amount (open deals)",
        "CreatedDate (Prospecting)",
        "LastStageChangeDate",
        "Promised_Date__c (planted deals)",
        "Jira_Key__c (planted deals)",
    ],
    "OpportunityLineItem": ["every field but product and total price"],
    "User": ["Id", "Title", "Username", "Email"],
    "Account": ["Id"],
    "Product2": ["Id", "ProductCode"],
    "OpportunityHistory": ["every row; only planted deals have any"],
    "OpportunityTeamMember": ["every row; only planted deals have any"],
    "OpportunityContactRole": ["every row; only planted deals have any"],
    "OpportunityStage": ["Proposal", "Commit", "every field but the name"],
    "CurrencyType": ["every row"],
}

_OTHER_SPELLING = {"GTXPro": "GTX Pro"}
"""Product names of the pipeline that are spelt differently in the product list."""


def add_public_deals(org: CrmOrg, fixtures: Path, today: date, seed: int) -> None:
    """Sellers, customers, products and all deals. Raises FixtureError."""
    folder = fixtures / "crm" / "opportunities"
    rows = _table(folder, "sales_pipeline")
    try:
        reader = _PipelineReader(org, folder, rows, today, Random(f"{seed}:public-deals"))
        for row in rows:
            org.add_deal(reader.deal(row))
    except (KeyError, ValueError) as problem:
        raise FixtureError(f"{folder}: {problem!r}") from problem


class _PipelineReader:
    def __init__(
        self, org: CrmOrg, folder: Path, rows: list[dict[str, str]], today: date, rng: Random
    ) -> None:
        self._today = today
        self._rng = rng
        newest = max(date.fromisoformat(row["close_date"]) for row in rows if row["close_date"])
        self._shift = today - timedelta(days=1) - newest
        products = _table(folder, "products")
        self._prices = {row["product"]: float(row["sales_price"]) for row in products}
        self._products = {row["product"]: org.add_product(row["product"], row["series"]) for row in products}
        self._accounts: dict[str, Named] = {
            row["account"]: org.add_account(row["account"], row["sector"])
            for row in _table(folder, "accounts")
        }
        self._sellers = {
            row["sales_agent"]: org.add_seller(row["sales_agent"]) for row in _table(folder, "sales_teams")
        }

    def deal(self, row: dict[str, str]) -> DealDraft:
        """One row of the pipeline as a deal."""
        product = self._products[_OTHER_SPELLING.get(row["product"], row["product"])]
        account = self._accounts[row["account"]] if row["account"] else None
        created = self._moved(row["engage_date"]) or self._today - timedelta(days=self._rng.randint(1, 60))
        closed = self._moved(row["close_date"])
        amount = float(row["close_value"]) if row["close_value"] else self._prices[product.name]
        return DealDraft(
            name=f"{account.name if account else 'New customer'} - {product.name} ({row['opportunity_id']})",
            owner_id=self._sellers[row["sales_agent"]],
            amount=amount,
            close_date=closed or self._today + timedelta(days=self._rng.randint(7, 120)),
            created=_morning(created),
            steps=(Step(_morning(closed or created), STAGES[row["deal_stage"]].name),),
            account_id=account.id if account else None,
            lines=(Line(product.id, 1, amount),),
            keeps_history=False,
        )

    def _moved(self, text: str) -> date | None:
        return date.fromisoformat(text) + self._shift if text else None


def _morning(day: date) -> datetime:
    return datetime.combine(day, time(9), UTC)


def _table(folder: Path, name: str) -> list[dict[str, str]]:
    file = folder / f"{name}.csv"
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    except OSError as problem:
        raise FixtureError(f"{file}: {problem}") from problem
