"""What lets the simulated org be large: packed rows, indexes on the audit dates, answers in pieces.

None of it may be seen from outside, so each is held against the plain way.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sandbox.salesforce_org import DATA, a_site, controlled, deal_id

from troth_sandbox.salesforce.clock import stamp
from troth_sandbox.salesforce.csv_page import PIECE
from troth_sandbox.salesforce.org import Org
from troth_sandbox.salesforce.packed import Packer
from troth_sandbox.salesforce.soql import parse, run
from troth_sandbox.salesforce.time_index import TimeIndex

START = datetime(2026, 11, 20, 10, tzinfo=UTC)


def at(tenths: int) -> str:
    return stamp(START + timedelta(seconds=tenths / 10))


def ids(org: Org, where: str) -> list[str]:
    query = parse(f"SELECT Id FROM Opportunity WHERE {where} ORDER BY SystemModstamp, Id")
    return list(run(org, query, include_deleted=True, prefix="").ids)


WRITES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), max_size=60)


@given(writes=WRITES, low=st.integers(0, 99), width=st.integers(0, 30), early=st.booleans())
@settings(deadline=None, max_examples=60)
def test_the_index_on_stamps_finds_and_orders_what_a_scan_would(
    writes: list[tuple[int, int]], low: int, width: int, early: bool
) -> None:
    org = a_site(deals=10).org
    if early:
        ids(org, f"SystemModstamp >= {at(0)}".replace("+0000", "Z"))  # the index is there before the writes
    for number, tenths in writes:
        org.write("Opportunity", {"Id": deal_id(number), "NextStep": str(tenths)}, at=at(tenths))
    if writes:
        org.delete("Opportunity", deal_id(writes[0][0]), hard=True)
    first, last = at(low)[:19], at(low + width)[:19]
    rows = [(str(row["SystemModstamp"])[:19], str(row["Id"])) for row in org.table("Opportunity")]
    assert ids(org, f"SystemModstamp >= {first}Z AND SystemModstamp <= {last}Z") == [
        row_id for second, row_id in sorted(rows) if first <= second <= last
    ]
    assert ids(org, f"SystemModstamp < {first}Z") == [
        row_id for second, row_id in sorted(rows) if second < first
    ]
    assert ids(org, f"SystemModstamp = {last}Z AND Id > '{deal_id(4)}'") == [
        row_id for second, row_id in sorted(rows) if second == last and row_id > deal_id(4)
    ]


def test_an_index_forgets_the_places_that_rows_have_left() -> None:
    rows: dict[str, Any] = {"1": {"Id": "1", "SystemModstamp": at(0)}}
    index = TimeIndex("SystemModstamp", rows)
    for tenths in range(0, 20_000, 10):
        before, rows["1"] = rows["1"], {"Id": "1", "SystemModstamp": at(tenths)}
        index.note(rows["1"], before)
    assert [row["Id"] for row in index.between("", None)] == ["1"]
    assert len(index._entries) == 1


@given(
    st.dictionaries(st.text(max_size=4), st.none() | st.booleans() | st.floats(allow_nan=False) | st.text())
)
def test_a_packed_row_is_the_row(row: dict[str, Any]) -> None:
    packed = Packer().pack(row)
    assert packed == row
    assert list(packed) == list(row)
    assert packed.get("no such field", "x") == "x"


async def test_a_bulk_page_of_several_pieces_is_one_csv() -> None:
    count = 2 * PIECE + 1
    async with controlled(a_site(deals=count)) as org:
        job = {"operation": "query", "query": "SELECT Id FROM Opportunity"}
        made = (await org.client.post(f"{DATA}/jobs/query", json=job)).json()
        answer = await org.client.get(f"{DATA}/jobs/query/{made['id']}/results")
        assert answer.headers["Sforce-NumberOfRecords"] == str(count)
        head, *lines = answer.text.splitlines()
        assert (head, len(set(lines)), len(lines)) == ('"Id"', count, count)


@pytest.mark.parametrize("count", [0, 1, 1_001])
async def test_the_truth_is_one_list_however_many_rows_it_has(count: int) -> None:
    async with controlled(a_site(deals=count)) as org:
        told = (await org.admin.get("/admin/truth/Opportunity", params={"fields": "Id,Name"})).json()
        assert told == [{"Id": deal_id(number), "Name": f"Deal {number}"} for number in range(count)]


async def test_only_answers_of_several_pages_are_kept() -> None:
    site = a_site(deals=2_001)
    async with controlled(site) as org:
        await org.rows("SELECT Id FROM User")
        assert not site.cursors._cursors
        await org.rows("SELECT Id FROM Opportunity")
        assert len(site.cursors._cursors) == 1
        site.clock.advance(timedelta(days=3))
        org.client.headers["Authorization"] = f"Bearer {site.sessions.open()}"
        await org.rows("SELECT Id FROM Opportunity")
        assert len(site.cursors._cursors) == 1
