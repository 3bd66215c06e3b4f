"""The sweep: every difference is found, confirmed, repaired and counted; nothing invisible is called deleted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.crm_sync.conftest import ENVIRONMENT, Stage

from crm_sync.settings import CrmSettings
from crm_sync.sweeping import compared, counted, repaired
from troth_chassis.settings import load_settings
from troth_contracts.topics import OPPORTUNITIES

SIX_HOURS = 6 * 3_600 + 60
ASKED = 301
"""Seconds after which the polls have asked for deletions again."""


async def sweep(stage: Stage) -> None:
    """A regular one: what it finds is confirmed when the polls had their turn."""
    await stage.poll(SIX_HOURS)
    await stage.poll(ASKED)


def differences(stage: Stage) -> dict[str, float]:
    samples = next(iter(stage.metrics.differences.collect())).samples
    return {s.labels["kind"]: s.value for s in samples if s.name.endswith("_total") and s.value}


async def test_an_equal_org_has_no_difference_and_publishes_nothing(stage: Stage) -> None:
    for number in range(30):
        deal = stage.org.deal(f"Deal {number}")
        stage.org.put("OpportunityLineItem", None, OpportunityId=deal, Quantity=1)
        stage.org.put("OpportunityContactRole", None, OpportunityId=deal, ContactId="003000000000001AAA")
        stage.org.put("OpportunityHistory", None, OpportunityId=deal, StageName="Prospecting")
    await stage.poll()
    published = len(stage.bus.of(OPPORTUNITIES))

    await stage.poll(SIX_HOURS)

    assert stage.metrics.swept_at._value.get() == pytest.approx(stage.org.now.timestamp(), abs=1)
    assert differences(stage) == {}
    assert len(stage.bus.of(OPPORTUNITIES)) == published


async def test_a_row_far_older_than_the_overlap_is_missing_until_the_sweep(stage: Stage) -> None:
    stage.org.deal()
    await stage.poll()
    long_ago = stage.org.now - timedelta(days=3)
    late = stage.org.put("Opportunity", None, at=long_ago, Name="late", CurrencyIsoCode="EUR")
    await stage.poll(60)
    assert late not in stage.deals()

    await sweep(stage)

    assert late in stage.deals()
    assert differences(stage) == {"missing": 1}


async def test_a_change_with_an_old_stamp_is_stale_also_in_a_part(stage: Stage) -> None:
    first, second = stage.org.deal("first"), stage.org.deal("second")
    item = stage.org.put("OpportunityLineItem", None, OpportunityId=second, Quantity=1)
    await stage.poll()
    await stage.poll(3_600)
    an_hour_ago = stage.org.now - timedelta(hours=1)

    stage.org.put("Opportunity", first, at=an_hour_ago, Name="renamed")
    stage.org.put("OpportunityLineItem", item, at=an_hour_ago, Quantity=9)
    await sweep(stage)

    assert stage.deals()[first].name == "renamed"
    assert str(stage.deals()[second].line_items[0].quantity) == "9"
    assert differences(stage) == {"stale": 2}


async def test_a_lost_deletion_log_is_answered_by_a_sweep_at_once(stage: Stage) -> None:
    kept, lost, child = stage.org.deal("kept"), stage.org.deal("lost"), stage.org.deal("child")
    item = stage.org.put("OpportunityLineItem", None, OpportunityId=child)
    await stage.poll()
    await stage.poll(700)
    stage.org.advance(9_000)
    stage.org.delete("Opportunity", lost, hard=True)
    stage.org.delete("OpportunityLineItem", item, hard=True)
    stage.org.log_begins = stage.org.now - timedelta(minutes=140)

    await stage.poll(400)

    assert set(stage.deals()) == {kept, child}
    assert stage.deals()[child].line_items == ()
    assert differences(stage) == {"extra": 1, "stale": 1}
    assert stage.health.ready


async def test_invisible_is_not_deleted_and_is_told(stage: Stage) -> None:
    """Sharing cannot be told from deletion by the id alone: the deletion log is asked first."""
    kept, hidden = stage.org.deal("kept"), stage.org.deal("hidden")
    await stage.poll()
    row = stage.org.tables["Opportunity"].pop(hidden)

    await sweep(stage)

    assert set(stage.deals()) == {kept, hidden}
    assert differences(stage) == {"invisible": 1}
    assert stage.metrics.invisible._value.get() == 1
    stage.org.tables["Opportunity"][hidden] = row
    await sweep(stage)
    assert stage.metrics.invisible._value.get() == 0


async def test_undeleted_with_an_old_stamp_comes_back(stage: Stage) -> None:
    deal = stage.org.deal()
    await stage.poll()
    stage.org.delete("Opportunity", deal)
    await stage.poll()
    assert deal not in stage.deals()
    await stage.poll(2_000)

    stage.org.tables["Opportunity"][deal]["IsDeleted"] = False
    await sweep(stage)

    assert deal in stage.deals()
    assert differences(stage) == {"undeleted": 1}


async def test_young_rows_are_left_to_the_polls(stage: Stage) -> None:
    stage.org.deal()
    await stage.poll()
    await stage.poll(SIX_HOURS - 100)
    young = stage.org.deal("young")
    stage.org.put("Opportunity", young, Name="younger")

    await stage.poll(30)

    assert differences(stage) == {}


async def test_what_the_next_poll_finds_was_not_missed(stage: Stage) -> None:
    """Gone without trace between the last question for deletions and the sweep's listing."""
    emptied, gone = stage.org.deal("emptied"), stage.org.deal("gone")
    member = stage.org.put("OpportunityTeamMember", None, OpportunityId=emptied, TeamMemberRole="Expert")
    await stage.poll()
    await stage.poll(SIX_HOURS - 200)
    stage.org.delete("OpportunityTeamMember", member, hard=True)
    stage.org.delete("Opportunity", gone, hard=True)
    swept = stage.metrics.swept_at._value.get()
    await stage.poll(150)
    assert stage.metrics.swept_at._value.get() == swept, "the polls had no turn yet"

    await stage.poll(ASKED)

    assert stage.metrics.swept_at._value.get() > swept
    assert differences(stage) == {}
    assert set(stage.deals()) == {emptied}
    assert stage.deals()[emptied].roles == ()


async def test_the_next_sweep_is_due_six_hours_later_also_after_a_restart(stage: Stage) -> None:
    stage.org.deal()
    await stage.poll()
    await stage.poll(SIX_HOURS)
    swept = stage.metrics.swept_at._value.get()
    stage.restart()

    await stage.poll(3_600)
    assert stage.metrics.swept_at._value.get() == 0
    await stage.poll(SIX_HOURS)
    assert stage.metrics.swept_at._value.get() > swept


async def test_a_dead_letter_is_no_difference(stage: Stage) -> None:
    stage.org.deal("bad", CloseDate="someday")
    await stage.poll()

    await stage.poll(SIX_HOURS)

    assert differences(stage) == {}


async def test_the_command_beside_a_running_service_only_counts(stage: Stage) -> None:
    kept, vanished = stage.org.deal("kept"), stage.org.deal("vanished")
    await stage.poll()
    await stage.poll(3_600)
    stage.org.put("Opportunity", None, at=stage.org.now - timedelta(days=3), Name="m", CurrencyIsoCode="EUR")
    stage.org.tables["Opportunity"].pop(vanished)
    stage.org.put("OpportunityLineItem", None, OpportunityId=kept, Quantity=1)  # young: left to the service
    written = len(stage.bus.log)
    settings = load_settings(CrmSettings, ENVIRONMENT)

    counts = counted(await compared(settings, stage.org, stage.bus))

    assert counts == {"missing": 1, "vanished": 1, "deals": 2}
    assert len(stage.bus.log) == written
    assert await repaired(settings, stage.org, stage.bus, stage.metrics) == {"missing": 1, "invisible": 1}
    assert len(stage.deals()) == 3
