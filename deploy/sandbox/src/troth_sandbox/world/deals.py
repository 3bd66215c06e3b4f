"""A deal as a seller would tell it, and the Salesforce records it becomes.

``ForecastCategory`` holds the API value (``Forecast``), ``ForecastCategoryName`` what people see (``Commit``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from troth_sandbox.world.issue_story import Record


@dataclass(frozen=True)
class Stage:
    """What a stage name means in this org; ``probability`` is in percent."""

    name: str
    probability: int
    category: str
    category_name: str
    is_closed: bool = False
    is_won: bool = False


STAGES = {
    stage.name: stage
    for stage in (
        Stage("Prospecting", 10, "Pipeline", "Pipeline"),
        Stage("Engaging", 30, "Pipeline", "Pipeline"),
        Stage("Proposal", 50, "BestCase", "Best Case"),
        Stage("Commit", 90, "Forecast", "Commit"),
        Stage("Won", 100, "Closed", "Closed", is_closed=True, is_won=True),
        Stage("Lost", 0, "Omitted", "Omitted", is_closed=True),
    )
}


@dataclass(frozen=True)
class Line:
    """One product on a deal."""

    product_id: str
    quantity: int
    total: float
    description: str | None = None


@dataclass(frozen=True)
class Step:
    """The deal entered a stage at a moment (UTC)."""

    at: datetime
    stage: str


@dataclass(frozen=True)
class DealDraft:
    """A deal before it has ids. ``steps`` is its way through the stages, oldest first; the last is its stage now."""

    name: str
    owner_id: str
    amount: float | None
    close_date: date
    created: datetime
    steps: tuple[Step, ...]
    account_id: str | None = None
    currency: str = "USD"
    probability: int | None = None
    next_step: str | None = None
    description: str | None = None
    promised: date | None = None
    jira_key: str | None = None
    lines: tuple[Line, ...] = ()
    engineer_id: str | None = None
    contact_id: str | None = None
    keeps_history: bool = True

    @property
    def stage(self) -> Stage:
        """The stage it is in now."""
        return STAGES[self.steps[-1].stage]


def opportunity(deal: DealDraft, record_id: str) -> Record:
    """The Opportunity record."""
    stage = deal.stage
    changed = salesforce_time(deal.steps[-1].at)
    return {
        "Id": record_id,
        "IsDeleted": False,
        "AccountId": deal.account_id,
        "Name": deal.name,
        "Description": deal.description,
        "StageName": stage.name,
        "Amount": deal.amount,
        "Probability": stage.probability if deal.probability is None else deal.probability,
        "CloseDate": deal.close_date.isoformat(),
        "NextStep": deal.next_step,
        "IsClosed": stage.is_closed,
        "IsWon": stage.is_won,
        "ForecastCategory": stage.category,
        "ForecastCategoryName": stage.category_name,
        "CurrencyIsoCode": deal.currency,
        "HasOpportunityLineItem": bool(deal.lines),
        "OwnerId": deal.owner_id,
        "CreatedDate": salesforce_time(deal.created),
        "CreatedById": deal.owner_id,
        "LastModifiedDate": changed,
        "SystemModstamp": changed,
        "LastStageChangeDate": changed,
        "Promised_Date__c": deal.promised.isoformat() if deal.promised else None,
        "Jira_Key__c": deal.jira_key,
    }


def line_item(deal: DealDraft, line: Line, order: int) -> Record:
    """The OpportunityLineItem record, without ids."""
    at = salesforce_time(deal.created)
    return {
        "Product2Id": line.product_id,
        "Quantity": float(line.quantity),
        "UnitPrice": round(line.total / line.quantity, 2),
        "TotalPrice": line.total,
        "ServiceDate": None,
        "Description": line.description,
        "SortOrder": order,
        "CurrencyIsoCode": deal.currency,
        "IsDeleted": False,
        "CreatedDate": at,
        "LastModifiedDate": at,
        "SystemModstamp": at,
    }


def history_row(deal: DealDraft, step: Step) -> Record:
    """The OpportunityHistory record of one step, without ids."""
    stage = STAGES[step.stage]
    own = deal.probability is not None and step is deal.steps[-1]
    return {
        "StageName": stage.name,
        "Probability": deal.probability if own else stage.probability,
        "ForecastCategory": stage.category,
        "Amount": deal.amount,
        "CloseDate": deal.close_date.isoformat(),
        "CurrencyIsoCode": deal.currency,
        "CreatedById": deal.owner_id,
        "CreatedDate": salesforce_time(step.at),
        "SystemModstamp": salesforce_time(step.at),
        "IsDeleted": False,
    }


def salesforce_time(moment: datetime) -> str:
    """A UTC time as the REST API writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"
