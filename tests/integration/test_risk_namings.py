"""An issue that names a deal becomes its link, whichever of the two arrives first."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from tests.risk_engine.company import LATER, Company, promise
from tests.risk_engine.engine import Engine, open_engine

from troth_contracts.jira import CrmReference

DEAL = "0065g00000ABCDEAA5"
PROMISED = promise(LATER)
"""Without any issue key."""


def named(value: str, kind: Literal["record_url", "pattern"] = "record_url") -> dict[str, Any]:
    return {"crm_references": (CrmReference(place="remote_link", value=value, kind=kind, text=value),)}


async def links(engine: Engine) -> list[tuple[str, float, list[str]]]:
    await engine.evaluate()
    (found,) = await engine.rows("SELECT links FROM commitments")
    return [(link["issue"], round(link["confidence"], 4), link["basis"]) for link in found[0]]


@pytest.mark.parametrize("issue_first", [True, False])
async def test_a_record_named_on_an_issue_is_a_link(postgres: str, *, issue_first: bool) -> None:
    it = Company()
    issue = it.issue(7, "ATL-7", **named(DEAL))
    other = it.issue(8, "ATL-8", **named("0065g00000ABCDFAA4"))
    stream = [[issue, other], [it.deal(DEAL, custom=PROMISED)]]
    async with open_engine(postgres) as engine:
        await engine.go_live()
        for batch in stream if issue_first else reversed(stream):
            await engine.take(batch)
            await engine.evaluate()
        assert await links(engine) == [(f"{it.site}:7", 0.9, ["issue remote_link"])]


async def test_an_issue_that_names_the_deal_no_more_is_no_link_any_more(postgres: str) -> None:
    it = Company()
    async with open_engine(postgres) as engine:
        await engine.go_live()
        await engine.take([it.deal(DEAL, custom=PROMISED), it.issue(7, "ATL-7", **named(DEAL))])
        assert len(await links(engine)) == 1
        await engine.take([it.issue(7, "ATL-7", minutes=30)])
        assert await links(engine) == []


async def test_a_deals_number_found_by_the_configured_pattern_is_a_link(postgres: str) -> None:
    """The number is a custom field of the deal; what looks like a record id there names another record."""
    it = Company()
    numbers = {"Deal_Number__c": "D-1044", "Parent_Deal__c": "0065g00000ABCDFAA4"}
    async with open_engine(postgres) as engine:
        await engine.go_live()
        await engine.take([it.deal(DEAL, custom=PROMISED | numbers)])
        await engine.evaluate()
        await engine.take([it.issue(7, "ATL-7", **named("D-1044", "pattern"))])
        await engine.take([it.issue(8, "ATL-8", **named("0065g00000ABCDFAA4"))])
        assert await links(engine) == [(f"{it.site}:7", 0.9, ["issue remote_link"])]
