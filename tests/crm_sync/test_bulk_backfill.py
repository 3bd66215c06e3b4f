"""The first full read of a large org: bulk jobs, joined into whole deals, resumable, never older than a poll."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from typing import Any

import msgspec
import pytest
import structlog
from tests.crm_sync.conftest import Stage, make_stage
from tests.crm_sync.fakes import Fault, kafka_down, record_id

from crm_sync import snapshot
from crm_sync.describe import read_schema
from crm_sync.errors import BudgetExhausted
from crm_sync.snapshot import Snapshot
from troth_chassis.errors import TransientError
from troth_contracts.codec import read_version
from troth_contracts.crm import Deal
from troth_contracts.sync import Watermark
from troth_contracts.topics import CRM_STATE, OPPORTUNITIES

DEALS = 230


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "TOGETHER", 20)
    monkeypatch.setattr(snapshot, "PAGE_ROWS", 70)


@pytest.fixture
def large() -> Stage:
    """An org whose parts are spread unevenly over its deals."""
    stage = make_stage()
    org = stage.org
    account = org.put("Account", Name='Acme "Ltd", Inc.')
    for number in range(1, DEALS + 1):
        deal = org.deal(f"Deal {number}", AccountId=account, Amount=number / 4, Description='a\n"b",\u00e5')
        for _ in range(number % 4):
            org.put("OpportunityLineItem", OpportunityId=deal, Quantity=number, ServiceDate="2026-12-24")
        if number % 50 == 0:
            org.put("OpportunityTeamMember", OpportunityId=deal, UserId=record_id("User", 1))
        org.put("OpportunityHistory", OpportunityId=deal, StageName="Prospecting", Probability=10)
    org.delete("Opportunity", record_id("Opportunity", 7))
    org.advance(5)
    stage.restart(TROTH_CRM_BULK_FROM="200")
    return stage


async def by_rest(stage: Stage) -> dict[str, Deal]:
    """What reading the same org page by page publishes."""
    other = make_stage(stage.org)
    await other.poll(0)
    return other.deals()


def calls(stage: Stage, begins: str) -> list[str]:
    return [call for call in stage.org.calls if call.startswith(begins)]


async def test_bulk_and_rest_publish_the_same_deals(large: Stage) -> None:
    await large.poll()

    assert len(large.deals()) == DEALS - 1
    assert large.deals() == await by_rest(large)


async def test_a_full_read_costs_two_calls_per_job_and_one_per_page(large: Stage) -> None:
    await large.poll()

    lines = len(large.org.tables["OpportunityLineItem"])
    pages = sum(math.ceil(rows / 70) for rows in (DEALS, lines, DEALS, DEALS // 50))
    asked = Counter(call.split()[0] for call in large.org.calls)
    assert (asked["job"], asked["state"]) == (5, 5)
    assert asked["page"] == pages


@pytest.mark.parametrize(
    ("deals", "lines", "history", "expected"), [(200_000, 600_000, 200_000, 30), (20_000, 60_000, 20_000, 14)]
)
def test_worked_numbers(deals: int, lines: int, history: int, expected: int) -> None:
    """As in the docstring of ``snapshot``: no contact roles and no team."""
    assert 5 * 2 + sum(math.ceil(rows / 50_000) for rows in (deals, lines, history)) == expected


async def test_the_next_page_is_fetched_during_the_second_half_of_one(large: Stage) -> None:
    schema = await read_schema(large.org)
    snapshot = Snapshot(large.org, schema, large.clock, structlog.stdlib.get_logger("test"))
    async with contextlib.aclosing(snapshot):
        await snapshot.open()
        await snapshot.ready(lambda: None)
        stream = snapshot._streams[0]
        fetched = []
        for _ in range(140):
            await stream.take(1)
            fetched.append(len(calls(large, "page ")))
    assert fetched[:49] == [1] * 49
    assert fetched[51:69] == [2] * 18
    assert fetched[71:99] == [2] * 28
    assert fetched[-1] == 3


@pytest.mark.parametrize("commit", [3, 4, 5, 8, 14])
async def test_it_goes_on_with_the_same_jobs_after_a_crash(large: Stage, commit: int) -> None:
    large.bus.fault = fails_at(commit)
    with pytest.raises(TransientError):
        await large.poll()
    large.bus.fault = lambda _call: None
    large.restart(TROTH_CRM_BULK_FROM="200")

    await large.poll()

    assert large.deals() == await by_rest(large)
    assert len(calls(large, "job ")) == 5
    fetched = Counter(call for call in large.org.calls if call.startswith("page "))
    assert max(fetched.values()) <= 2
    published = Counter(record.key for record in large.bus.of(OPPORTUNITIES))
    assert max(published.values()) == 1


async def test_position_and_deals_are_one_commit(large: Stage) -> None:
    await large.poll()

    marks = [m for r in large.bus.of(CRM_STATE) if (m := _mark(large, r)) and m.stream.endswith(":bulk")]
    assert [bool(mark.jobs) for mark in marks] == [True] * (len(marks) - 1) + [False]
    afters = [mark.after for mark in marks if mark.after]
    assert afters == sorted(afters)
    assert len(afters) == math.ceil(DEALS / 20)


async def test_a_page_that_was_cut_off_loses_and_doubles_nothing(large: Stage) -> None:
    for cut in (150, 2_000, 4_001):
        stage = make_stage(large.org)
        stage.restart(TROTH_CRM_BULK_FROM="200")
        stage.org.cut_pages = [cut, cut]
        await stage.poll(0)
        assert stage.deals() == await by_rest(large)


async def test_a_job_that_fails_is_made_anew(large: Stage) -> None:
    large.org.failing_jobs = 2
    await large.poll()
    assert large.deals() == await by_rest(large)
    assert len(calls(large, "job ")) == 7


async def test_jobs_that_are_forgotten_are_made_anew(large: Stage) -> None:
    large.bus.fault = fails_at(7)
    with pytest.raises(TransientError):
        await large.poll()
    large.bus.fault = lambda _call: None
    large.org.jobs.clear()
    large.restart(TROTH_CRM_BULK_FROM="200")

    await large.poll()

    assert large.deals() == await by_rest(large)
    assert len(calls(large, "job ")) == 9, "the contact roles were read to their end"


async def test_jobs_that_take_long_are_asked_for_less_and_less_often(large: Stage) -> None:
    large.org.patience = 5 * 6
    await large.poll()
    assert large.deals() == await by_rest(large)
    assert [pause for pause in large.clock.slept if pause == 30.0][:1] == [30.0]


@pytest.mark.parametrize("trouble", ["no jobs", "failing for ever"])
async def test_an_org_without_bulk_jobs_is_read_page_by_page(large: Stage, trouble: str) -> None:
    large.org.no_bulk = trouble == "no jobs"
    large.org.failing_jobs = 10_000 if trouble == "failing for ever" else 0
    await large.poll()
    assert large.deals() == await by_rest(large)


async def test_rows_out_of_order_are_noticed(large: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    start = large.org.start_job

    async def shuffled(query: Any) -> str:
        job = await start(query)
        large.org.jobs[job].reverse()
        return job

    monkeypatch.setattr(large.org, "start_job", shuffled)
    await large.poll()
    assert large.deals() == await by_rest(large)


async def test_a_late_page_neither_resurrects_nor_overwrites(large: Stage) -> None:
    """What changed after the jobs were made is told by the poll that follows, with a newer version."""
    gone, changed = record_id("Opportunity", 200), record_id("Opportunity", 201)
    large.bus.fault = fails_at(7)
    with pytest.raises(TransientError):
        await large.poll()
    large.bus.fault = lambda _call: None
    large.org.advance(100)
    large.org.delete("Opportunity", gone, hard=True)
    large.org.put("Opportunity", changed, Name="after")
    late = large.org.deal("created after the jobs")
    large.restart(TROTH_CRM_BULK_FROM="200")

    await large.poll(400)

    deals = large.deals()
    assert gone not in deals
    assert deals[changed].name == "after"
    assert deals[late].name == "created after the jobs"
    told = [r for r in large.bus.of(OPPORTUNITIES) if r.key.endswith(changed)]
    versions = [read_version(record.headers)[0] for record in told]
    assert versions == sorted(versions)
    assert len(versions) == 2


@pytest.mark.parametrize("bulk_from", ["200", "20000"], ids=["jobs", "pages"])
async def test_what_changes_during_a_long_full_read_is_never_taken_for_read(
    large: Stage, bulk_from: str
) -> None:
    """It is told by its version, never by a comparison with the time at which the read ended."""
    gone, binned, changed = (record_id("Opportunity", number) for number in (3, 4, 5))
    item = record_id("OpportunityLineItem", 1)
    large.org.page_size = 50
    large.org.advance(3_600)  # nothing of before is young, so that nothing else has these deals read again
    large.restart(TROTH_CRM_BULK_FROM=bulk_from)
    commits = 0

    def meanwhile(call: str) -> None:
        nonlocal commits
        commits += call == "publish"
        large.org.advance(600)
        if commits == 4:  # what was read first is published
            commits += 1
            large.org.delete("Opportunity", gone, hard=True)
            large.org.delete("Opportunity", binned)
            large.org.put("Opportunity", changed, Name="during")
            large.org.put("OpportunityLineItem", item, Quantity=99)
            large.org.deal("created during")

    large.bus.fault = meanwhile
    await large.sync.once(lambda: None)
    large.bus.fault = lambda _call: None
    assert commits > 5
    await large.poll(400)

    assert large.deals() == await by_rest(large)
    assert not {gone, binned} & set(large.deals())
    assert large.deals()[changed].name == "during"


async def test_it_stops_at_its_level_of_the_org_s_use_and_goes_on_later(large: Stage) -> None:
    def used(call: str) -> None:
        if call.startswith("page"):
            large.metrics.budget.told("api-usage=51/100")

    large.org.fault = used
    with pytest.raises(BudgetExhausted, match="first full read waits until less than 50 %"):
        await large.poll()
    asked = len(large.org.calls)
    with pytest.raises(BudgetExhausted):
        await large.poll()
    assert not [call for call in large.org.calls[asked:] if not call.startswith("describe")]
    large.org.fault = lambda _call: None
    assert 0 < len(large.deals()) <= 20

    large.metrics.budget.told("api-usage=1/100")
    await large.poll()

    assert large.deals() == await by_rest(large)
    assert not [call for call in large.org.calls[asked:] if call.startswith("job ")]


def _mark(stage: Stage, record: Any) -> Watermark | None:
    return msgspec.json.decode(record.value, type=Watermark) if record.value else None


def fails_at(number: int) -> Fault:
    count = 0

    def strike(call: str) -> None:
        nonlocal count
        count += 1
        if count == number:
            kafka_down(call)

    return strike
