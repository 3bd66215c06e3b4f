"""Pass condition Z over the network: what is on the topic is what the simulated org shows, deal by deal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tests.crm_sync.simulated import SimulatedOrg
from tests.integration.crm_truth import comparable, expected

from troth_chassis.topic_reader import read_topic
from troth_contracts.topics import OPPORTUNITIES
from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.org import Org, open_org
from troth_sandbox.salesforce.seed import parse_seed

TOLD = {
    "Account": ("Id", "Name"),
    "Opportunity": (),
    "OpportunityLineItem": (
        "Id", "IsDeleted", "OpportunityId", "Product2Id", "Quantity", "TotalPrice", "CurrencyIsoCode", "ServiceDate",
        "Description", "SystemModstamp",
    ),
    "OpportunityHistory": (
        "Id", "IsDeleted", "OpportunityId", "CreatedDate", "StageName", "Probability", "ForecastCategory", "Amount",
        "CloseDate",
    ),
}  # fmt: skip
"""Objects, and the fields of them that a deal is made of (none named: all)."""


def differences(org: SimulatedOrg, contents: dict[str, Any], kafka: str) -> Iterator[str]:
    """One sentence per deal that is missing, extra or stale."""
    published = asyncio.run(_fold(kafka, contents["org_id"]))
    for deal_id, true in expected(_mirror(org, contents)):
        told = published.pop(deal_id, None)
        if told is None:
            yield f"missing: {deal_id}"
            continue
        shown = comparable(json.loads(told, parse_float=Decimal))
        wrong = {
            name for name in (true.keys() | shown.keys()) - {"org_id"} if true.get(name) != shown.get(name)
        }
        if wrong:
            yield f"stale: {deal_id} in {', '.join(sorted(wrong))}"
    yield from (f"extra: {deal_id}" for deal_id in published)


def _mirror(org: SimulatedOrg, contents: dict[str, Any]) -> Org:
    """The org's rows in this process."""
    mirror = open_org(parse_seed(contents | {"objects": {}}), SettableClock())
    for name, fields in TOLD.items():
        table = mirror.table(name)
        for row in org.truth(name, fields):
            table.put(row["Id"], row)
    return mirror


async def _fold(kafka: str, org_id: str) -> dict[str, bytes]:
    """The last state of every live deal of the org."""
    live: dict[str, bytes] = {}
    async for page in read_topic(kafka, OPPORTUNITIES):
        for record in page:
            org, _, deal_id = record.key.decode().partition(":")
            if org != org_id:
                continue
            if record.value is None:
                live.pop(deal_id, None)
            else:
                live[deal_id] = record.value
    return live
