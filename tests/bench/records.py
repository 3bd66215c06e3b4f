"""Records to measure with: issues and deals of the size and shape the sync services publish."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from troth_contracts.codec import OutRecord, encode_state
from troth_contracts.crm import Deal, DealStep, LineItem
from troth_contracts.jira import Issue
from troth_contracts.topics import ISSUES, OPPORTUNITIES
from troth_contracts.values import Money

DEAL_SHARE = 0.1
CHILDREN = 10
"""Issues per epic."""
_START = datetime(2026, 1, 5, 9, tzinfo=UTC)
_WORDS = ("search", "export", "billing", "driver", "report", "archive", "index", "tenant", "mobile", "audit")


def records(count: int, seed: int) -> Iterator[OutRecord]:
    """``count`` state records with distinct keys; the same seed gives the same records."""
    rng = random.Random(seed)
    deals = int(count * DEAL_SHARE)
    for number in range(deals):
        deal = _deal(number, rng)
        yield encode_state(OPPORTUNITIES, deal.key, deal, version=1_000 + number, source="bench")
    for number in range(count - deals):
        issue = _issue(number, rng)
        yield encode_state(ISSUES, issue.key, issue, version=1_000 + number, source="bench")


def _deal(number: int, rng: random.Random) -> Deal:
    amount = Money(amount=Decimal(rng.randrange(10_000, 300_000)), currency="EUR")
    at = _START + timedelta(minutes=number)
    history = tuple(
        DealStep(at=at + timedelta(days=7 * step), stage=stage, probability=Decimal(20 * step))
        for step, stage in enumerate(("Prospecting", "Engaging", "Proposal", "Commit"))
    )
    return Deal(
        org_id="00D5g0000000001EAA",
        id=f"006{number:015d}",
        name=f"Company {number} - {_title(rng)}",
        owner_id=f"005{number % 40:015d}",
        account_name=f"Company {number}",
        stage_name="Commit",
        probability=Decimal(60),
        forecast_category="Commit",
        amount=amount,
        close_date=date(2026, 12, 1),
        created_at=at,
        source_modified_at=at,
        next_step=f"Deliver TEA-{number} before go-live",
        line_items=(LineItem(id=f"00k{number:015d}", quantity=Decimal(1), total_price=amount),),
        history=history,
        custom={"Promised_Date__c": "2027-02-01", "Jira_Key__c": f"TEA-{number}"},
    )


def _issue(number: int, rng: random.Random) -> Issue:
    at = _START + timedelta(minutes=number)
    return Issue(
        site_id="bench.example",
        id=str(10_000 + number),
        issue_key=f"TEA-{number}",
        project_id="1",
        project_key="TEA",
        type_name="Story" if number % CHILDREN else "Epic",
        status_id="3",
        status_category="indeterminate",
        status_name="In Progress",
        summary=_title(rng),
        estimate=Decimal(rng.choice((1, 2, 3, 5, 8))),
        estimate_field="customfield_10016",
        parent_id=str(10_000 + number - number % CHILDREN) if number % CHILDREN else None,
        sprint_ids=(str(number // 200),),
        rank=f"0|i{number:06d}:",
        labels=("bench",),
        description=" ".join(rng.choices(_WORDS, k=40)),
        creator_id="creator-1",
        assignee_id=f"engineer-{number % 30}",
        created_at=at,
        updated_at=at,
    )


def _title(rng: random.Random) -> str:
    return " ".join(rng.choices(_WORDS, k=5))
