"""Whatever happens in the org, and however the service is disturbed: the fold of the topic equals the org."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.crm_sync.conftest import Stage, make_stage
from tests.crm_sync.fakes import ORG_ID, MemoryOrg, kafka_down, once, record_id

from crm_sync.deal import DealRecords, Org, to_deal
from crm_sync.errors import LocatorLost, SalesforceUnavailable
from troth_chassis.errors import TransientError
from troth_contracts.codec import encode_body, read_version
from troth_contracts.topics import OPPORTUNITIES

DEALS = 6
CHILDREN = ("OpportunityLineItem", "OpportunityContactRole", "OpportunityTeamMember", "OpportunityHistory")
_deal = st.integers(min_value=1, max_value=DEALS)
_step = st.one_of(
    st.tuples(st.just("change"), _deal, st.integers(0, 3)),
    st.tuples(st.just("child"), _deal, st.sampled_from(CHILDREN), st.integers(0, 2)),
    st.tuples(st.just("delete"), _deal, st.booleans()),
    st.tuples(st.just("undelete"), _deal),
    st.tuples(st.just("drop child"), _deal, st.sampled_from(CHILDREN[:3]), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([0, 1, 29, 400, 700])),
    st.tuples(st.just("poll")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("broken poll"), st.sampled_from(["kafka", "read", "page"])),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_step, max_size=40), st.sampled_from([1, 2, 2_000]))
def test_fold_equals_the_org(steps: list[tuple[Any, ...]], page_size: int) -> None:
    asyncio.run(_play(steps, page_size))


async def _play(steps: list[tuple[Any, ...]], page_size: int) -> None:
    stage = make_stage(MemoryOrg(page_size=page_size))
    for number in range(1, DEALS):
        stage.org.deal(f"Deal {number}")
    for step in steps:
        await _do(stage, step)
    for _ in range(2):
        await stage.poll(700)

    assert {key: encode_body(deal) for key, deal in stage.deals().items()} == _truth(stage.org)
    _versions_never_go_back(stage)


async def _do(stage: Stage, step: tuple[Any, ...]) -> None:
    org = stage.org
    match step:
        case ("change", number, value):
            key = record_id("Opportunity", number)
            deleted = org.tables["Opportunity"].get(key, {}).get("IsDeleted", False)
            org.put("Opportunity", key, Name=f"Deal {value}", CurrencyIsoCode="EUR", IsDeleted=deleted)
        case ("child", number, name, value):
            parent = record_id("Opportunity", number)
            org.put(
                name,
                record_id(name, number),
                OpportunityId=parent,
                Quantity=value,
                Role=str(value),
                IsDeleted=False,
            )
        case ("delete", number, hard):
            _delete(org, "Opportunity", number, hard=hard)
        case ("drop child", number, name, hard):
            _delete(org, name, number, hard=hard)
        case ("undelete", number):
            if record_id("Opportunity", number) in org.tables["Opportunity"]:
                org.undelete("Opportunity", record_id("Opportunity", number))
        case ("wait", seconds):
            org.advance(seconds)
            await stage.clock.sleep(seconds)
        case ("poll",):
            await stage.poll(0)
        case ("restart",):
            stage.restart()
        case ("broken poll", where):
            await _broken_poll(stage, where)


async def _broken_poll(stage: Stage, where: str) -> None:
    if where == "kafka":
        stage.bus.fault = kafka_down
    elif where == "read":
        stage.org.fault = once(SalesforceUnavailable("503"), "query OpportunityHistory")
    else:
        stage.org.fault = once(LocatorLost("invalid query locator"), "more")
    with contextlib.suppress(TransientError):
        await stage.poll(1)
    stage.bus.fault = stage.org.fault = lambda _call: None


def _delete(org: MemoryOrg, name: str, number: int, *, hard: bool) -> None:
    key = record_id(name, number)
    if key in org.tables[name]:
        org.delete(name, key, hard=hard)


def _truth(org: MemoryOrg) -> dict[str, bytes]:
    """What the published deals must be, straight from the tables."""
    truth = {}
    for key, header in org.tables["Opportunity"].items():
        if header["IsDeleted"]:
            continue
        parts = [
            [row for row in org.tables[name].values() if row["OpportunityId"] == key] for name in CHILDREN
        ]
        records = DealRecords({**header, "Account": None}, parts[0], parts[1], parts[2], parts[3])
        truth[key] = encode_body(to_deal(records, Org(ORG_ID, None)))
    return truth


def _versions_never_go_back(stage: Stage) -> None:
    versions: dict[str, int] = {}
    for record in stage.bus.of(OPPORTUNITIES):
        version, _ = read_version(record.headers)
        assert version > versions.get(record.key, 0)
        versions[record.key] = version
