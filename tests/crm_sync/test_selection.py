"""Which deals are wanted: what is left out is withdrawn, counted and shown."""

from __future__ import annotations

from typing import Any

import pytest
from tests.crm_sync.conftest import ENVIRONMENT, Stage
from tests.crm_sync.fakes import record_id

from crm_sync.errors import AccessRefused
from crm_sync.selection import Selection
from crm_sync.settings import CrmSettings
from troth_chassis.errors import ConfigurationError
from troth_chassis.settings import load_settings
from troth_contracts.sync import SyncStatus
from troth_contracts.topics import SYNC_STATUS

RENEWAL, NEW = "012000000000001AAA", "012000000000002AAA"
TEST_ACCOUNT = record_id("Account", 9)


def settings(**environ: str) -> CrmSettings:
    return load_settings(CrmSettings, {**ENVIRONMENT, **environ})


@pytest.mark.parametrize(
    ("environ", "row", "reason"),
    [
        ({"RECORD_TYPES": NEW}, {"RecordTypeId": RENEWAL}, "record_type"),
        ({"RECORD_TYPES": NEW}, {"RecordTypeId": None}, "record_type"),
        ({"RECORD_TYPES": NEW}, {"RecordTypeId": NEW}, None),
        ({"EXCLUDED_RECORD_TYPES": RENEWAL}, {"RecordTypeId": RENEWAL}, "record_type"),
        ({"TEST_ACCOUNTS": TEST_ACCOUNT}, {"AccountId": TEST_ACCOUNT}, "test_account"),
        ({"TEST_ACCOUNTS": TEST_ACCOUNT}, {"AccountId": None}, None),
        ({"CREATED_FROM": "2024-01-01"}, {"CreatedDate": "2023-12-31T23:59:59.000+0000"}, "created_before"),
        ({"CREATED_FROM": "2024-01-01"}, {"CreatedDate": "2024-01-01T00:00:00.000+0000"}, None),
        ({"UNIT_FIELD": "Unit__c", "UNITS": "EMEA, US"}, {"Unit__c": "APAC"}, "business_unit"),
        ({"UNIT_FIELD": "Unit__c", "UNITS": "EMEA, US"}, {"Unit__c": "US"}, None),
    ],
)
def test_each_rule(environ: dict[str, str], row: dict[str, Any], reason: str | None) -> None:
    chosen = settings(**{f"TROTH_CRM_{name}": value for name, value in environ.items()}).selection
    assert chosen.reason(row, published=True) == reason


def test_without_rules_everything_is_wanted() -> None:
    assert settings().selection == Selection()
    assert Selection().fields == ()
    assert Selection().fingerprint is None


def test_a_unit_needs_a_field() -> None:
    with pytest.raises(ConfigurationError, match="TROTH_CRM_UNIT_FIELD"):
        settings(TROTH_CRM_UNITS="EMEA")


async def test_what_is_left_out_is_counted_and_shown(stage: Stage) -> None:
    stage.restart(TROTH_CRM_RECORD_TYPES=NEW, TROTH_CRM_TEST_ACCOUNTS=TEST_ACCOUNT)
    kept = stage.org.deal(RecordTypeId=NEW)
    stage.org.deal(RecordTypeId=RENEWAL)
    stage.org.deal(RecordTypeId=NEW, AccountId=TEST_ACCOUNT)

    await stage.poll()

    assert set(stage.deals()) == {kept}
    assert _status(stage).detail == "left out: 1 by record type, 1 by test account"
    assert stage.metrics.left_out.labels("record_type")._value.get() == 1


async def test_a_narrower_selection_withdraws_and_a_wider_one_brings_back(stage: Stage) -> None:
    new, renewal = stage.org.deal(RecordTypeId=NEW), stage.org.deal(RecordTypeId=RENEWAL)
    await stage.poll(3_600)
    await stage.poll(3_600)

    stage.restart(TROTH_CRM_RECORD_TYPES=NEW)
    await stage.poll()
    assert set(stage.deals()) == {new}

    stage.restart()
    await stage.poll()
    assert set(stage.deals()) == {new, renewal}


async def test_counts_are_known_again_after_a_restart(stage: Stage) -> None:
    stage.org.deal(RecordTypeId=RENEWAL)
    stage.restart(TROTH_CRM_RECORD_TYPES=NEW)
    await stage.poll(3_600)

    stage.restart(TROTH_CRM_RECORD_TYPES=NEW)
    await stage.poll(3_600)
    await stage.poll()

    assert _status(stage).detail == "left out: 1 by record type"


async def test_a_deal_that_changes_its_record_type_leaves(stage: Stage) -> None:
    stage.restart(TROTH_CRM_RECORD_TYPES=NEW)
    deal = stage.org.deal(RecordTypeId=NEW)
    await stage.poll()

    stage.org.put("Opportunity", deal, RecordTypeId=RENEWAL)
    await stage.poll()

    assert stage.deals() == {}


async def test_record_types_can_be_named_and_a_wrong_name_stops_with_the_fix(stage: Stage) -> None:
    stage.org.tables["RecordType"][NEW] = {
        "Id": NEW,
        "DeveloperName": "New_Business",
        "SobjectType": "Opportunity",
    }
    stage.restart(TROTH_CRM_RECORD_TYPES="New_Business")
    kept = stage.org.deal(RecordTypeId=NEW)
    stage.org.deal(RecordTypeId=RENEWAL)
    await stage.poll()
    assert set(stage.deals()) == {kept}

    stage.restart(TROTH_CRM_RECORD_TYPES="Nothing")
    with pytest.raises(AccessRefused, match="TROTH_CRM_RECORD_TYPES"):
        await stage.poll()


async def test_a_rule_whose_field_is_hidden_withdraws_nothing_and_lets_nothing_new_in(stage: Stage) -> None:
    stage.restart(TROTH_CRM_RECORD_TYPES=NEW)
    known, renewal = stage.org.deal(RecordTypeId=NEW), stage.org.deal(RecordTypeId=RENEWAL)
    await stage.poll()
    stage.org.hidden.add("RecordTypeId")
    stage.org.put("Opportunity", known, Name="changed")
    fresh = stage.org.deal(RecordTypeId=NEW)
    await stage.poll()

    assert {deal.name for deal in stage.deals().values()} == {"changed"}
    assert _status(stage).detail == "left out: 2 by field not readable"
    assert any("RecordTypeId" in problem for problem in (await problems(stage)))
    await stage.poll(6 * 3_600 + 60)
    assert set(stage.deals()) == {known}
    assert _status(stage).detail == "left out: 2 by field not readable"

    stage.org.hidden.clear()
    for _ in range(2):
        await stage.poll(601)
    assert set(stage.deals()) == {known, fresh}
    assert _status(stage).detail == "left out: 1 by record type"
    assert stage.metrics.left_out.labels("field_not_readable")._value.get() == 0
    assert renewal not in stage.deals()


async def problems(stage: Stage) -> tuple[str, ...]:
    found = (await stage.sync.status())["problems"]
    assert isinstance(found, tuple)
    return found


def test_a_test_account_that_is_no_id_is_told_before_the_start() -> None:
    with pytest.raises(ConfigurationError, match="TROTH_CRM_TEST_ACCOUNTS"):
        settings(TROTH_CRM_TEST_ACCOUNTS="Test account Ltd")


def _status(stage: Stage) -> SyncStatus:
    (status,) = stage.bus.fold(SYNC_STATUS).values()
    assert isinstance(status, SyncStatus)
    return status
