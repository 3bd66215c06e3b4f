"""Keys and event ids: what makes two records the same thing, over orgs, sites and restarts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from troth_contracts import crm, jira, risk, sync

AT = datetime(2026, 10, 1, tzinfo=UTC)


def event(**fields: Any) -> jira.SprintEvent:
    return jira.SprintEvent(**{"site_id": "s", "sprint_id": "5", "effect": "scope_added", "at": AT, **fields})


def test_equal_ids_of_two_orgs_are_two_deals() -> None:
    one, other = (crm.Deal(org_id=org, id="0061", name="Renewal") for org in ("00D1", "00D2"))
    assert (one.key, other.key) == ("00D1:0061", "00D2:0061")


@pytest.mark.parametrize(
    ("reference", "key"),
    [
        (
            crm.Stage(org_id="o", id="1", api_name="Won", label="Won", is_closed=True, is_won=True),
            "o:stage:1",
        ),
        (crm.CurrencyRate(org_id="o", id="1", code="SEK", rate=Decimal(11)), "o:currency:1"),
        (crm.CrmUser(org_id="o", id="1", name="Seller"), "o:user:1"),
        (crm.Product(org_id="o", id="1", name="SSO"), "o:product:1"),
    ],
)
def test_equal_ids_of_two_kinds_of_reference_are_two_records(reference: crm.Reference, key: str) -> None:
    assert crm.reference_key(reference) == key


def test_an_issue_event_is_named_by_history_and_item() -> None:
    moved = jira.IssueEvent(
        site_id="s", issue_id="9", issue_key="APA-9", history_id="7", item_index=2, field="key", at=AT
    )
    assert (moved.key, moved.event_id) == ("s:9", "s:9:7:2")


class TestSprintEvent:
    def test_one_item_that_adds_to_one_sprint_and_removes_from_another_is_two_events(self) -> None:
        """https://support.atlassian.com: one Sprint item lists every sprint before and after."""
        item = {"issue_id": "9", "history_id": "7", "item_index": 0}
        events = {
            event(**item).event_id,
            event(**item, effect="scope_removed").event_id,
            event(**item, sprint_id="6").event_id,
        }
        assert len(events) == 3

    def test_an_issue_created_inside_a_sprint_has_no_history_and_still_a_lasting_name(self) -> None:
        assert event(issue_id="9").event_id == "s:created:9:5"

    def test_a_start_and_a_close_are_named_by_their_time(self) -> None:
        started, closed = event(effect="started").event_id, event(effect="closed").event_id
        assert started == f"s:5:started:{int(AT.timestamp()) * 1_000}"
        assert started != closed

    def test_what_is_known_later_does_not_rename_it(self) -> None:
        bare = event(issue_id="9", history_id="7", item_index=0)
        told = event(
            issue_id="9", history_id="7", item_index=0, points=Decimal(3), issue_key="APA-9", actor_id="a"
        )
        assert bare.event_id == told.event_id


def test_a_plan_change_is_named_by_what_it_came_to_and_how_often_never_by_its_time() -> None:
    seen = jira.PlanChange(
        site_id="s", entity="sprint", entity_id="5", change="renamed", at=AT, from_value="One", to_value="Two"
    )
    later = msgspec.structs.replace(seen, at=AT + timedelta(minutes=15), not_before=AT, from_value=None)
    again = msgspec.structs.replace(seen, ordinal=2)
    assert (seen.key, seen.event_id) == ("s:sprint:5", later.event_id)
    assert seen.event_id != again.event_id


def test_a_notice_is_named_by_alert_and_sequence() -> None:
    owner = risk.Owner(name="Scrum master")
    transition = risk.AlertTransition(
        alert_id="oversold-1",
        sequence=3,
        kind="oversold",
        phase="firing",
        reason="worse",
        severity="critical",
        at=AT,
        title="t",
        sales_owner=owner,
        engineering_owner=owner,
        rule_version="1.0",
        clears_when="c",
        next_step="n",
    )
    assert transition.notice_id == "oversold-1-3"


def test_a_status_is_kept_per_service_and_scope_and_a_watermark_per_stream() -> None:
    status = sync.SyncStatus(service="crm-sync", scope="00D1", state="complete", at=AT)
    mark = sync.Watermark(service="crm-sync", stream="00D1:deals", position=AT)
    assert (status.key, mark.key) == ("crm-sync:00D1", "00D1:deals")


@pytest.mark.parametrize(
    ("columns", "done"),
    [
        ((), ()),
        ((("To do", ("1",)), ("Done", ("3", "4"))), ("3", "4")),
        ((("To do", ("1",)), ("Done", ("3",)), ("Archive", ())), ("3",)),
        ((("Backlog", ()),), ()),
    ],
)
def test_a_board_counts_the_last_mapped_column_as_done(
    columns: tuple[tuple[str, tuple[str, ...]], ...], done: tuple[str, ...]
) -> None:
    mapped = tuple(jira.BoardColumn(name=name, status_ids=ids) for name, ids in columns)
    board = jira.Board(site_id="s", id="1", name="Team", type="scrum", columns=mapped)
    assert board.done_status_ids == done
