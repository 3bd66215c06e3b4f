"""What moves no stamp is found all the same: open deals are read again each fifteen minutes, slice by slice."""

from __future__ import annotations

import contextlib

from tests.crm_sync.conftest import Stage
from tests.crm_sync.fakes import Fault

from crm_sync.errors import SalesforceUnavailable
from crm_sync.salesforce import Described

FORMULA = Described("Health__c", "string", custom=True, filterable=True, label="Health")


def health(stage: Stage) -> dict[str, str]:
    return {deal_id: deal.custom.get("Health__c", "") for deal_id, deal in stage.deals().items()}


def recompute(stage: Stage, value: str) -> None:
    """A formula follows its sources without a trace in the row."""
    for row in stage.org.tables["Opportunity"].values():
        row["Health__c"] = value


async def test_a_formula_of_an_open_deal_is_followed_within_sixteen_minutes(stage: Stage) -> None:
    """Formulas move no stamp. https://fivetran.com/docs/connectors/applications/salesforce/troubleshooting/formula-fields-rest-api"""
    stage.org.custom = (FORMULA,)
    still_open, closed = stage.org.deal(Health__c="red"), stage.org.deal(IsClosed=True, Health__c="red")
    for _ in range(30):
        await stage.poll(60)
    recompute(stage, "green")
    stage.org.calls.clear()
    for _ in range(16):
        await stage.poll(60)

    assert health(stage) == {still_open: "green", closed: "red"}
    assert stage.metrics.records.labels("reread", "upsert")._value.get() == 1
    assert (await stage.sync.status())["open_deals"] == 1


async def test_a_deal_that_closes_or_goes_is_not_read_again(stage: Stage) -> None:
    closing, going = stage.org.deal(), stage.org.deal()
    await stage.poll()
    stage.org.put("Opportunity", closing, IsClosed=True)
    stage.org.delete("Opportunity", going)
    await stage.poll()
    assert (await stage.sync.status())["open_deals"] == 0
    for _ in range(40):
        await stage.poll(60)
    assert not stage.metrics.records.labels("reread", "unchanged")._value.get()


async def test_open_deals_are_known_again_after_a_restart(stage: Stage) -> None:
    stage.org.deal()
    stage.org.deal(IsClosed=True)
    await stage.poll()
    stage.restart()
    await stage.poll()
    assert (await stage.sync.status())["open_deals"] == 1


async def test_a_round_through_many_deals_goes_slice_by_slice_beside_the_polls(stage: Stage) -> None:
    for number in range(1_000):
        stage.org.deal(f"Deal {number}")
    for _ in range(30):
        await stage.poll(60)
    read = []
    for _ in range(15):
        before = len(stage.org.calls)
        await stage.poll(60)
        read.append(stage.org.calls[before:].count("query OpportunityHistory") - 1)
    assert max(read) == 1
    assert sum(read) == 3


async def test_a_slice_that_failed_is_read_again(stage: Stage) -> None:
    stage.org.custom = (FORMULA,)
    deal = stage.org.deal(Health__c="red")
    for _ in range(29):
        await stage.poll(60)
    recompute(stage, "green")
    stage.org.fault = _while_rereading(stage)
    for _ in range(5):
        with contextlib.suppress(SalesforceUnavailable):
            await stage.poll(60)
    assert (await stage.sync.status())["waiting_for_reread"] == 1
    assert health(stage) == {deal: "red"}

    stage.org.fault = lambda _call: None
    await stage.poll(30)
    assert health(stage) == {deal: "green"}


def _while_rereading(stage: Stage) -> Fault:
    def strike(_call: str) -> None:
        if stage.sync._scope and stage.sync._scope.source == "reread":
            raise SalesforceUnavailable("503")

    return strike


async def test_a_field_that_came_while_the_service_was_down_is_read_for_all_deals(stage: Stage) -> None:
    deal = stage.org.deal(IsClosed=True, Health__c="red")
    for _ in range(30):
        await stage.poll(60)
    stage.org.custom = (FORMULA,)
    stage.restart()
    await stage.poll()
    assert health(stage) == {deal: "red"}
    stage.org.calls.clear()
    await stage.poll()
    assert stage.org.calls.count("query OpportunityHistory") == 1


async def test_nothing_is_read_again_while_the_org_has_used_sixty_per_cent(stage: Stage) -> None:
    stage.org.custom = (FORMULA,)
    deal = stage.org.deal(Health__c="red")
    for _ in range(14):
        await stage.poll(60)
    stage.metrics.budget.told("api-usage=60000/100000")
    recompute(stage, "green")
    for _ in range(17):
        await stage.poll(60)
    assert health(stage) == {deal: "red"}
    stage.metrics.budget.told("api-usage=10/100000")
    await stage.poll(60)
    assert health(stage) == {deal: "green"}
