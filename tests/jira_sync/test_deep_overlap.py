"""The index may be hours late: a pass over 26 hours comes first after a start, then every hour."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.fakes import NOW
from tests.jira_sync.small_site import SPRINT_FIELD, points_item, sprint_item, status_item

from jira_sync.hints import Hint
from jira_sync.scan import milliseconds
from troth_contracts.jira import Issue, Sprint
from troth_contracts.topics import ISSUES, SPRINTS


def sprint(stage: Stage, sprint_id: str) -> Sprint:
    body = stage.kafka.latest(SPRINTS)[f"{SITE}:{sprint_id}"]
    assert isinstance(body, Sprint)
    return body


def reaches(stage: Stage) -> list[int]:
    """Hours every scan looked back from now, rounded down; the probe at the start looks back for ever."""
    bounds = [int(q.split(">= ")[1].split()[0]) for q in stage.site.queries if "updated >=" in q]
    bounds = [bound for bound in bounds if bound > milliseconds(NOW - timedelta(days=1_000))]
    return [(milliseconds(stage.site.now) - bound) // 3_600_000 for bound in bounds]


async def minutes(stage: Stage, number: int, scans: int = 1) -> None:
    await stage.later(60 * number)
    await stage.scan(scans)


async def test_the_first_pass_after_a_backfill_is_deep_then_one_each_hour(stage: Stage) -> None:
    await stage.scan(3)
    assert reaches(stage) == [26, 0]
    stage.site.queries.clear()
    await minutes(stage, 30)
    await minutes(stage, 31)
    await minutes(stage, 1)
    assert [hours >= 26 for hours in reaches(stage)] == [False, True, False]


async def test_a_restart_begins_with_a_deep_pass(stage: Stage) -> None:
    await stage.scan(3)
    stage.site.queries.clear()
    stage.start()
    await minutes(stage, 1)
    assert reaches(stage) == [26]


async def test_what_was_indexed_hours_late_is_told_by_the_next_deep_pass(stage: Stage) -> None:
    await stage.scan(2)
    stage.site.unlisted.add("10005")
    stage.site.change("10005", NOW, status_item("1", "3"), status={"id": "3"})
    for _ in range(3):
        await minutes(stage, 10)
    stage.site.unlisted.clear()
    await minutes(stage, 10)
    before = stage.kafka.latest(ISSUES)[f"{SITE}:10005"]
    assert isinstance(before, Issue)
    assert before.status_id == "1", "too late for the usual overlap"
    await minutes(stage, 25)
    after = stage.kafka.latest(ISSUES)[f"{SITE}:10005"]
    assert isinstance(after, Issue)
    assert after.status_id == "3"


async def test_figures_are_provisional_until_a_deep_pass_and_a_correction_keeps_the_first(
    stage: Stage,
) -> None:
    await stage.scan(2)
    close = NOW + timedelta(minutes=1)
    stage.site.change("10004", NOW + timedelta(seconds=30), status_item("1", "9"), status={"id": "9"})
    stage.site.sprint(2).update(state="closed", completeDate=close.isoformat())
    await minutes(stage, 20)
    assert sprint(stage, "2").provisional
    await minutes(stage, 45)
    final = sprint(stage, "2")
    assert not final.provisional
    assert final.first_result is None
    # Somebody corrects the past: the estimate of then turns out to be another one.
    stage.site.change("10004", NOW + timedelta(seconds=20), points_item("8", "3"), customfield_10016=3)
    stage.site.issue("10004")["fields"]["updated"] = stage.site.now.isoformat()
    await minutes(stage, 1)
    corrected = sprint(stage, "2")
    assert not corrected.provisional
    assert corrected.result is not None
    assert corrected.first_result is not None
    assert (corrected.result.points, corrected.first_result.points) == (Decimal(3), Decimal(8))
    assert corrected.first_commitment == final.commitment
    await minutes(stage, 70)
    stage.start()
    await minutes(stage, 1)
    assert sprint(stage, "2") == corrected


async def test_announced_issues_are_reconciled_in_batches_of_fifty_the_same_on_every_page(
    stage: Stage,
) -> None:
    stage.site.page_cap = 2
    await stage.scan(2)
    hints = [Hint("issue", str(number)) for number in range(20_000, 20_120)]
    stage.hints.settle({hint: stage.hints.put([hint]) for hint in hints})
    stage.site.reconciled.clear()
    await minutes(stage, 1)
    batches = [batch for batch in stage.site.reconciled if batch]
    assert [len(batch) for batch in dict.fromkeys(batches)] == [50, 50, 20]
    await minutes(stage, 11)
    assert not any(stage.site.reconciled[len(batches) + 1 :])


async def test_both_readings_of_a_commitment_stand_beside_each_other(stage: Stage) -> None:
    """Taken out and put back during the sprint: committed by the text, added by the report (field case G2)."""
    at = NOW - timedelta(days=1)
    stage.site.change("10002", at, sprint_item("1, 2", "1"))
    stage.site.change("10002", at + timedelta(hours=1), sprint_item("1", "1, 2"), **{SPRINT_FIELD: [1, 2]})
    await stage.scan()
    found = sprint(stage, "2")
    assert found.readings_differ
    assert found.commitment is not None
    assert found.commitment_by_report is not None
    assert (found.commitment.points, found.commitment_by_report.points) == (Decimal(5), Decimal(0))
