"""The watermark never passes latestDateCovered: a row whose transaction stays open for an hour is still caught."""

from __future__ import annotations

from datetime import datetime

from tests.crm_sync.conftest import Stage
from tests.crm_sync.fakes import stamp

from crm_sync.soql import parse_time
from crm_sync.watermarks import CHANGES
from troth_contracts.codec import decode
from troth_contracts.sync import Watermark
from troth_contracts.topics import CRM_STATE, OPPORTUNITIES


def position(stage: Stage) -> datetime:
    marks = [
        body
        for record in stage.bus.of(CRM_STATE)
        if isinstance(
            body := decode(record.topic, record.key.encode(), record.value, record.headers).body, Watermark
        )
        and record.key.endswith(CHANGES)
    ]
    return marks[-1].position


def covers(stage: Stage) -> bool:
    return stage.health.checks["coverage"].ok


def late_rows(stage: Stage) -> float:
    return sum(
        sample.value
        for metric in stage.metrics.late_rows.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


async def test_a_commit_3600_seconds_after_its_stamp_is_caught_and_counted(stage: Stage) -> None:
    """latestDateCovered can lag hours behind. https://help.salesforce.com/apex/HTViewSolution?id=000199029"""
    stage.org.deal("seen")
    await stage.poll()
    stage.org.advance(1)
    stage.org.begin("Opportunity", Name="late", CurrencyIsoCode="EUR")
    begun = stage.org.now
    for _ in range(12):
        await stage.poll(300)
    assert position(stage) <= begun

    stage.org.commit_all()
    await stage.poll(30)

    assert "late" in {deal.name for deal in stage.deals().values()}
    assert late_rows(stage) == 1
    await stage.poll(400)
    assert position(stage) > begun


async def test_a_lag_of_more_than_an_hour_is_not_ready_and_named(stage: Stage) -> None:
    stage.org.deal()
    await stage.poll()
    stage.org.begin("Opportunity", Name="never ends", CurrencyIsoCode="EUR")
    for _ in range(3):
        await stage.poll(1_100)
    assert covers(stage)

    await stage.poll(400)

    assert not covers(stage)
    assert "transaction is open" in stage.health.checks["coverage"].detail
    assert stage.metrics.covered_lag._value.get() > 3_600
    stage.org.commit_all()
    await stage.poll(400)
    assert covers(stage)


async def test_a_long_lag_does_not_read_the_same_deals_again_and_again(stage: Stage) -> None:
    for number in range(20):
        stage.org.deal(f"Deal {number}")
    await stage.poll()
    stage.org.begin("Opportunity", Name="open", CurrencyIsoCode="EUR")
    for _ in range(10):
        await stage.poll(300)
    published = len(stage.bus.of(OPPORTUNITIES))
    stage.org.calls.clear()

    await stage.poll(30)

    assert stage.org.calls.count("query Opportunity") == 1
    assert len(stage.bus.of(OPPORTUNITIES)) == published


async def test_a_transaction_open_when_the_full_read_begins_is_caught(stage: Stage) -> None:
    stage.org.begin("Opportunity", Name="open before", CurrencyIsoCode="EUR")
    begun = stage.org.now
    stage.org.advance(2_000)
    stage.org.deal("seen")

    await stage.poll()
    assert position(stage) <= begun
    stage.org.commit_all()
    await stage.poll()

    assert {deal.name for deal in stage.deals().values()} == {"open before", "seen"}


async def test_the_position_survives_a_restart_in_the_middle_of_a_long_transaction(stage: Stage) -> None:
    stage.org.deal("seen")
    await stage.poll()
    stage.org.begin("Opportunity", Name="late", CurrencyIsoCode="EUR")
    for _ in range(8):
        await stage.poll(300)
    stage.restart()
    await stage.poll(30)

    stage.org.commit_all()
    await stage.poll(30)

    assert "late" in {deal.name for deal in stage.deals().values()}
    assert parse_time(stamp(stage.org.now)) >= position(stage)
