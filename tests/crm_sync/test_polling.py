"""What a poll sees, publishes and remembers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from tests.crm_sync.conftest import Stage
from tests.crm_sync.fakes import ORG_ID, START, Fault, kafka_down, once, record_id

from crm_sync.errors import AccessRefused, BudgetExhausted, SalesforceUnavailable, StateLost
from crm_sync.watermarks import BACKFILL
from troth_chassis.errors import TransientError
from troth_contracts.codec import encode_state, read_version
from troth_contracts.crm import Deal, Product
from troth_contracts.sync import SyncStatus, Watermark
from troth_contracts.topics import BY_NAME, CRM_STATE, OPPORTUNITIES, REFERENCE, SYNC_STATUS

LETTERS = BY_NAME["crm-sync.dead-letters"]


async def test_first_pass_publishes_every_deal_with_its_parts(stage: Stage) -> None:
    deal = stage.org.deal("Acme", Amount=1200.50)
    stage.org.put(
        "OpportunityLineItem", OpportunityId=deal, Quantity=3, TotalPrice=90, ServiceDate="2026-12-24"
    )
    stage.org.put(
        "OpportunityContactRole", OpportunityId=deal, ContactId="003000000000001AAA", IsPrimary=True
    )
    stage.org.put(
        "OpportunityTeamMember", OpportunityId=deal, UserId=record_id("User", 1), TeamMemberRole="Engineer"
    )
    stage.org.put("OpportunityHistory", OpportunityId=deal, StageName="Prospecting", Probability=10)

    await stage.poll()

    published = stage.deals()[deal]
    assert published.name == "Acme"
    assert len(published.line_items) == 1
    assert [role.role for role in published.roles] == ["Engineer", None]
    assert [step.stage for step in published.history] == ["Prospecting"]


async def test_status_says_complete_only_after_everything_is_published(stage: Stage) -> None:
    stage.org.deal()

    await stage.poll()

    states = [status.state for status in _statuses(stage)]
    assert states[0] == "backfilling"
    assert states[-1] == "complete"
    assert _statuses(stage)[-1].records == 1


async def test_second_poll_of_an_unchanged_org_publishes_no_deal_and_reads_none(stage: Stage) -> None:
    for number in range(20):
        stage.org.deal(f"Deal {number}")
    stage.org.advance(5)
    await stage.poll()
    published = len(stage.bus.of(OPPORTUNITIES))
    stage.org.calls.clear()

    await stage.poll()

    assert len(stage.bus.of(OPPORTUNITIES)) == published
    assert [call for call in stage.org.calls if call == "query Opportunity"] == ["query Opportunity"]


async def test_a_changed_line_item_publishes_the_whole_deal_again(stage: Stage) -> None:
    deal = stage.org.deal()
    item = stage.org.put("OpportunityLineItem", OpportunityId=deal, Quantity=1)
    await stage.poll()
    stage.org.advance(60)

    stage.org.put("OpportunityLineItem", item, Quantity=7)
    await stage.poll()

    assert str(stage.deals()[deal].line_items[0].quantity) == "7"
    versions = [read_version(record.headers)[0] for record in stage.bus.of(OPPORTUNITIES)]
    assert versions == sorted(set(versions))


async def test_a_row_that_becomes_visible_ten_minutes_after_its_stamp_is_found(stage: Stage) -> None:
    """A transaction may commit 600 s after its stamp. https://salesforce.stackexchange.com/questions/18734"""
    stage.org.deal("seen")
    await stage.poll()
    late = stage.org.now
    for _ in range(19):
        await stage.poll(31)

    stage.org.put("Opportunity", None, at=late, Name="late", CurrencyIsoCode="EUR")
    await stage.poll(10)

    assert "late" in {deal.name for deal in stage.deals().values()}


async def test_a_second_change_in_the_second_that_was_read_is_found(stage: Stage) -> None:
    """Stamps show whole seconds. https://salesforce.stackexchange.com/questions/234824"""
    deal = stage.org.deal("before")
    await stage.sync.once(lambda: None)

    stage.org.put("Opportunity", deal, Name="after")
    await stage.sync.once(lambda: None)

    assert stage.deals()[deal].name == "after"


async def test_a_second_transaction_of_one_second_that_commits_late_is_found(stage: Stage) -> None:
    deal = stage.org.deal("first")
    stamped = stage.org.now
    await stage.poll(5)

    stage.org.put("Opportunity", deal, at=stamped, Name="second")
    for _ in range(21):
        await stage.poll(30)

    assert stage.deals()[deal].name == "second"


async def test_a_renamed_account_reads_its_deals_again(stage: Stage) -> None:
    """The deal's own stamp does not move."""
    account = stage.org.put("Account", Name="Acme Ltd")
    deal, other = stage.org.deal(AccountId=account), stage.org.deal()
    await stage.poll()
    await stage.poll(2_000)
    stage.restart()
    await stage.poll()

    stage.org.put("Account", account, Name="Acme Group")
    await stage.poll(400)

    assert stage.deals()[deal].account_name == "Acme Group"
    assert stage.deals()[other].account_name is None


async def test_soft_delete_and_undelete(stage: Stage) -> None:
    deal = stage.org.deal()
    await stage.poll()

    stage.org.delete("Opportunity", deal)
    await stage.poll()
    assert deal not in stage.deals()

    stage.org.undelete("Opportunity", deal)
    await stage.poll()
    assert deal in stage.deals()


async def test_hard_delete_is_found_in_the_deletion_log(stage: Stage) -> None:
    deal = stage.org.deal()
    await stage.poll()

    stage.org.delete("Opportunity", deal, hard=True)
    await stage.poll(400)

    assert deal not in stage.deals()


async def test_team_member_deleted_without_trace_leaves_the_deal(stage: Stage) -> None:
    deal = stage.org.deal()
    member = stage.org.put("OpportunityTeamMember", OpportunityId=deal, UserId=record_id("User", 1))
    await stage.poll()
    await stage.poll(2_000)
    stage.restart()
    await stage.poll()

    stage.org.delete("OpportunityTeamMember", member, hard=True)
    await stage.poll(400)

    assert stage.deals()[deal].roles == ()


async def test_a_deal_that_is_only_invisible_is_not_deleted(stage: Stage) -> None:
    deal = stage.org.deal()
    await stage.poll()

    stage.org.put("OpportunityLineItem", OpportunityId=deal)
    stage.org.tables["Opportunity"].pop(deal)
    await stage.poll(400)

    assert deal in stage.deals()
    assert stage.metrics.unseen._value.get() >= 1


async def test_a_bad_record_goes_to_the_dead_letters_once_and_its_neighbours_flow(stage: Stage) -> None:
    bad = stage.org.deal("bad", CloseDate="someday")
    good = stage.org.deal("good")

    await stage.poll()
    await stage.poll(0)

    assert set(stage.deals()) == {good}
    (letter,) = stage.bus.of(LETTERS)
    assert letter.key == f"{ORG_ID}:{bad}"
    assert dict(letter.headers)["reason"] == b"CloseDate is 'someday', not a date"
    assert b'"CloseDate":"someday"' in (letter.value or b"")


async def test_a_dead_letter_can_carry_what_utf_8_cannot(stage: Stage) -> None:
    stage.org.deal("bad", CloseDate="someday", Description="\ud83d", Amount=Decimal("1.5"))

    await stage.poll()

    (letter,) = stage.bus.of(LETTERS)
    assert b"ud83d" in (letter.value or b"")


async def test_a_mended_record_is_published(stage: Stage) -> None:
    bad = stage.org.deal("bad", CloseDate="someday")
    await stage.poll()

    stage.org.put("Opportunity", bad, CloseDate="2026-12-31")
    await stage.poll()

    assert bad in stage.deals()


async def test_restart_publishes_nothing_twice(stage: Stage) -> None:
    for number in range(10):
        stage.org.deal(f"Deal {number}")
    await stage.poll()
    published = list(stage.bus.of(OPPORTUNITIES))

    stage.restart()
    await stage.poll()

    assert stage.bus.of(OPPORTUNITIES) == published


async def test_backfill_goes_on_where_the_last_commit_was(stage: Stage) -> None:
    for number in range(1_200):
        stage.org.put(
            "Opportunity",
            None,
            at=stage.org.now.replace(year=2020, day=1 + number // 100),
            Name=f"Deal {number}",
        )
    stage.org.page_size = 600
    stage.bus.fault = _fails_at(4)
    with pytest.raises(TransientError):
        await stage.poll()
    stage.bus.fault = lambda _call: None
    stage.restart()
    stage.org.calls.clear()

    await stage.poll()

    assert len(stage.deals()) == 1_200
    assert len(stage.bus.of(OPPORTUNITIES)) == 1_200
    assert stage.org.calls.count("query Opportunity") < 10


async def test_nothing_counts_as_published_when_kafka_did_not_acknowledge(stage: Stage) -> None:
    deal = stage.org.deal("before")
    await stage.poll()
    stage.org.put("Opportunity", deal, Name="after")
    stage.bus.fault = kafka_down
    with pytest.raises(TransientError):
        await stage.poll()

    stage.bus.fault = lambda _call: None
    await stage.poll()

    assert stage.deals()[deal].name == "after"


async def test_a_failed_read_is_repeated_whole(stage: Stage) -> None:
    deal = stage.org.deal("before")
    await stage.poll()
    stage.org.put("Opportunity", deal, Name="after")
    stage.org.fault = once(SalesforceUnavailable("503"), "query OpportunityHistory")
    with pytest.raises(SalesforceUnavailable):
        await stage.poll()

    await stage.poll()

    assert stage.deals()[deal].name == "after"


async def test_lost_state_refuses_to_start(stage: Stage) -> None:
    stage.org.deal()
    await stage.poll()
    stage.bus.log = [record for record in stage.bus.log if record.topic != CRM_STATE.name]
    stage.restart()

    with pytest.raises(StateLost, match="--rebuild"):
        await stage.poll()


async def test_rebuild_reads_everything_again_and_finds_what_was_deleted_meanwhile(stage: Stage) -> None:
    kept, lost = stage.org.deal("kept"), stage.org.deal("lost")
    await stage.poll()
    stage.bus.log = [record for record in stage.bus.log if record.topic != CRM_STATE.name]
    stage.org.delete("Opportunity", lost, hard=True)
    stage.org.advance(3_600)
    stage.restart(rebuild=True)

    await stage.poll()

    assert set(stage.deals()) == {kept}


async def test_an_object_that_is_not_there_is_no_reason_to_stop(stage: Stage) -> None:
    stage.org.hidden.add("OpportunityTeamMember")
    deal = stage.org.deal()

    await stage.poll()

    assert deal in stage.deals()


async def test_removed_product_is_deleted_from_reference(stage: Stage) -> None:
    product = stage.org.put("Product2", Name="SSO", IsActive=True)
    await stage.poll()
    (published,) = stage.bus.fold(REFERENCE).values()
    assert published == Product(org_id=ORG_ID, id=product, name="SSO")

    stage.org.delete("Product2", product)
    await stage.poll(400)

    assert stage.bus.fold(REFERENCE) == {}


async def test_a_hidden_reference_table_deletes_nothing(stage: Stage) -> None:
    stage.org.put("Product2", Name="SSO")
    await stage.poll()
    stage.org.hidden.add("Product2")
    stage.restart()

    await stage.poll(400)

    assert len(stage.bus.fold(REFERENCE)) == 1


async def test_refused_credentials_stop_a_fresh_service_and_only_pause_a_running_one(stage: Stage) -> None:
    stage.org.deal()
    stage.org.fault = once(AccessRefused("wrong secret"), "describe")
    with pytest.raises(AccessRefused):
        await stage.poll()
    await stage.poll()

    stage.org.fault = once(AccessRefused("wrong secret"), "query")
    with pytest.raises(SalesforceUnavailable, match="wrong secret"):
        await stage.poll()


async def test_used_up_api_calls_pause_for_fifteen_minutes_not_ready(stage: Stage) -> None:
    stage.org.deal()
    await stage.poll()
    stage.org.fault = _budget_gone_then_stop(stage)
    with pytest.raises(_Stopped):
        await stage.sync.run(lambda: None)

    assert sum(stage.clock.slept[-30:]) >= 900
    assert not stage.health.checks["budget"].ok
    assert _statuses(stage)[-1].state == "paused"


async def test_versions_grow_even_when_the_server_clock_stands_still(stage: Stage) -> None:
    deal = stage.org.deal("0")
    await stage.sync.once(lambda: None)
    for number in range(1, 4):
        stage.org.put("Opportunity", deal, Name=str(number))
        stage.restart()
        await stage.sync.once(lambda: None)

    assert stage.deals()[deal].name == "3"
    versions = [read_version(record.headers)[0] for record in stage.bus.of(OPPORTUNITIES)]
    assert versions == sorted(set(versions))
    assert len(versions) == 4


async def test_watermark_is_in_the_same_commit_as_the_last_data(stage: Stage) -> None:
    stage.org.deal()

    await stage.poll()

    streams = [record.key.split(":")[1] for record in stage.bus.of(CRM_STATE)]
    assert streams[0] == "changes"
    assert BACKFILL in streams


async def test_another_org_on_the_same_topics_changes_nothing(stage: Stage) -> None:
    other = "00D000000000002AAA"
    later = Watermark(
        service="crm-sync",
        stream=f"{other}:changes",
        position=START + timedelta(days=9),
        backfill_complete=True,
    )
    deal = Deal(org_id=other, id=record_id("Opportunity", 9), name="foreign")
    version = int(later.position.timestamp() * 1000)
    stage.bus.log = [
        encode_state(CRM_STATE, later.key, later, version=version, source="other"),
        encode_state(OPPORTUNITIES, deal.key, deal, version=version, source="other"),
    ]
    own = stage.org.deal("own")

    await stage.poll()

    assert stage.deals()[own].name == "own"
    assert stage.deals()[deal.id].name == "foreign"
    assert _statuses(stage)[-1].records == 1
    fresh_at = _statuses(stage)[-1].fresh_at
    assert fresh_at is not None
    assert fresh_at < later.position


class _Stopped(Exception):
    pass


def _budget_gone_then_stop(stage: Stage) -> Fault:
    began = stage.clock.monotonic()

    def strike(_call: str) -> None:
        paused = stage.clock.monotonic() > began
        raise _Stopped if paused else BudgetExhausted("TotalRequests Limit exceeded.")

    return strike


def _fails_at(number: int) -> Fault:
    count = 0

    def strike(call: str) -> None:
        nonlocal count
        count += 1
        if count == number:
            kafka_down(call)

    return strike


def _statuses(stage: Stage) -> list[SyncStatus]:
    return [msgspec.json.decode(record.value or b"", type=SyncStatus) for record in stage.bus.of(SYNC_STATUS)]
