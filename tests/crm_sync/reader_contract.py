"""What every reader of an org must do, in memory or over the network. Subclasses give a reader on the same small org."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

import pytest

from crm_sync.changes import changed_rows, stamp_of
from crm_sync.csv_rows import csv_rows
from crm_sync.deal import DealRecords, Org, to_deal
from crm_sync.describe import OPPORTUNITY, object_schema, read_schema
from crm_sync.errors import JobLost, LocatorLost, SchemaChanged
from crm_sync.fields import Record
from crm_sync.paging import rows
from crm_sync.salesforce import SalesforceReader
from crm_sync.soql import Condition, Query
from troth_chassis.together import together

DEALS = 2_100
PAGE_HINT = 200


class OrgUnderTest(Protocol):
    """An org with more opportunities than fit into one page, the means to change it, and a reader on it."""

    reader: SalesforceReader
    put: Callable[..., Awaitable[str]]
    """put(object, id or None, **fields) -> id"""
    delete: Callable[..., Awaitable[None]]
    """delete(object, id, hard=bool)"""
    undelete: Callable[..., Awaitable[None]]
    lose_locators: Callable[[], Awaitable[None]]
    advance: Callable[[float], Awaitable[None]]


class ReaderContract:
    """The fixture ``org`` gives an OrgUnderTest; tests may share one org, so none counts on an untouched one."""

    @pytest.fixture
    async def org(self) -> Any:
        raise NotImplementedError

    async def _all(self, org: OrgUnderTest) -> Query:
        schema = object_schema(OPPORTUNITY, await org.reader.describe("Opportunity"))
        return changed_rows(schema, None)

    async def test_org_has_a_long_id(self, org: OrgUnderTest) -> None:
        org_id = await org.reader.org_id()
        assert len(org_id) == 18
        assert org_id.startswith("00D")

    async def test_first_page_tells_total_and_server_time(self, org: OrgUnderTest) -> None:
        page = await org.reader.query(await self._all(org))
        assert page.total >= DEALS
        assert page.server_time.utcoffset() == timedelta(0)

    async def test_pages_hold_every_row_once_in_order(self, org: OrgUnderTest) -> None:
        query = await self._all(org)
        found = await rows(org.reader, query)
        assert len(found) == (await org.reader.query(query)).total
        keys = [(str(row["SystemModstamp"]), str(row["Id"])) for row in found]
        assert keys == sorted(keys)

    async def test_a_lost_locator_is_told_apart(self, org: OrgUnderTest) -> None:
        page = await org.reader.query(await self._all(org))
        assert page.next_url is not None
        await org.lose_locators()
        with pytest.raises(LocatorLost):
            await org.reader.more(page.next_url)

    async def test_a_lost_locator_loses_no_row(self, org: OrgUnderTest) -> None:
        query = await self._all(org)
        page = await org.reader.query(query)
        await org.lose_locators()
        rest = [row for later in query.after(page.records[-1]) for row in await rows(org.reader, later)]
        assert len({str(row["Id"]) for row in (*page.records, *rest)}) == page.total

    async def test_lower_bound_is_inclusive_by_the_second(self, org: OrgUnderTest) -> None:
        changed = await org.put(
            "Opportunity", None, Name="now", StageName="Prospecting", CloseDate="2026-12-24"
        )
        query = Query("Opportunity", ("Id", "SystemModstamp"), (Condition("Id", "=", changed),))
        (row,) = await rows(org.reader, query)
        schema = object_schema(OPPORTUNITY, await org.reader.describe("Opportunity"))
        found = await rows(org.reader, changed_rows(schema, stamp_of(schema, row)))
        assert changed in {item["Id"] for item in found}

    async def test_soft_deleted_rows_are_shown_and_hard_deleted_ones_are_not(self, org: OrgUnderTest) -> None:
        query = Query("Opportunity", ("Id", "IsDeleted"))
        alive = [str(row["Id"]) for row in await rows(org.reader, query) if not row["IsDeleted"]]
        soft, hard = alive[:2]
        await org.delete("Opportunity", soft, hard=False)
        await org.delete("Opportunity", hard, hard=True)
        found = {str(row["Id"]): row["IsDeleted"] for row in await rows(org.reader, query)}
        assert found[soft] is True
        assert hard not in found

    async def test_soft_deleted_rows_are_shown_to_questions_of_one_moment_too(
        self, org: OrgUnderTest
    ) -> None:
        """They travel as one composite, which has an address of its own for each."""
        query = Query("Opportunity", ("Id", "IsDeleted"))
        soft = next(str(row["Id"]) for row in await rows(org.reader, query) if not row["IsDeleted"])
        await org.delete("Opportunity", soft, hard=False)
        asked = Query("Opportunity", ("Id", "IsDeleted"), (Condition("Id", "=", soft),))
        found = await together(rows(org.reader, asked), rows(org.reader, asked))
        assert [[row["IsDeleted"] for row in each] for each in found] == [[True], [True]]

    async def test_undeleted_rows_are_alive_with_a_new_stamp(self, org: OrgUnderTest) -> None:
        query = Query("Opportunity", ("Id", "IsDeleted", "SystemModstamp"))
        before = next(row for row in await rows(org.reader, query) if not row["IsDeleted"])
        key = str(before["Id"])
        await org.advance(5)
        await org.delete("Opportunity", key, hard=False)
        await org.undelete("Opportunity", key)
        after = next(row for row in await rows(org.reader, query) if row["Id"] == key)
        assert after["IsDeleted"] is False
        assert str(after["SystemModstamp"]) > str(before["SystemModstamp"])

    async def test_hard_deletion_is_in_the_log(self, org: OrgUnderTest) -> None:
        page = await org.reader.query(await self._all(org))
        key = str(page.records[0]["Id"])
        await org.delete("Opportunity", key, hard=True)
        await org.advance(120)
        now = page.server_time + timedelta(seconds=120)
        answer = await org.reader.deleted("Opportunity", page.server_time - timedelta(minutes=2), now)
        assert key in answer.ids
        assert answer.covered_until <= now

    async def test_ids_are_asked_for_in_bulk(self, org: OrgUnderTest) -> None:
        page = await org.reader.query(await self._all(org))
        wanted = tuple(str(row["Id"]) for row in page.records[:50])
        found = await rows(org.reader, Query("Opportunity", ("Id", "Name"), (Condition("Id", "IN", wanted),)))
        assert {row["Id"] for row in found} == set(wanted)

    async def test_a_bulk_job_shows_the_rows_that_a_query_shows(self, org: OrgUnderTest) -> None:
        text = 'a "quoted", comma\nand a new line \u00e5\U0001f600'
        account = await org.put("Account", None, Name="Acme, Ltd")
        key = await org.put(
            "Opportunity", None, Name="bulk", Amount=0.1, Description=text, AccountId=account,
            StageName="Prospecting", CloseDate="2026-12-24",
        )  # fmt: skip
        schema = object_schema(OPPORTUNITY, await org.reader.describe("Opportunity"))
        asked = Query("Opportunity", schema.fields, (Condition("Id", "=", key),))
        (by_query,) = await rows(org.reader, asked)
        (by_job,) = await _job_rows(org, asked, schema.types, 10)
        one = to_deal(DealRecords(by_query), Org("00D", "EUR"))
        assert to_deal(DealRecords(by_job), Org("00D", "EUR")) == one
        assert one.description == text
        assert one.account_name == "Acme, Ltd"

    async def test_a_bulk_result_is_read_page_by_page_and_again(self, org: OrgUnderTest) -> None:
        query = Query("Opportunity", ("Id", "IsDeleted"))
        found = await _job_rows(org, query, {"IsDeleted": "boolean"}, 700)
        assert found == [{k: row[k] for k in ("Id", "IsDeleted")} for row in await rows(org.reader, query)]

    async def test_a_bulk_job_that_nobody_knows_is_told_apart(self, org: OrgUnderTest) -> None:
        with pytest.raises(JobLost):
            await org.reader.job("750000000009999AAA")
        with pytest.raises(JobLost):
            await org.reader.job_page("750000000009999AAA", None, 10)

    async def test_numbers_are_exact(self, org: OrgUnderTest) -> None:
        key = await org.put(
            "Opportunity", None, Name="exact", Amount=0.1, StageName="Prospecting", CloseDate="2026-12-24"
        )
        (row,) = await rows(org.reader, Query("Opportunity", ("Id", "Amount"), (Condition("Id", "=", key),)))
        assert Decimal(str(row["Amount"])) == Decimal("0.1")

    async def test_text_that_looks_like_soql_is_only_text(self, org: OrgUnderTest) -> None:
        name = 'O\'Neil \\ "Co" %_ ; --'
        key = await org.put("Opportunity", None, Name=name, StageName="Prospecting", CloseDate="2026-12-24")
        found = await rows(org.reader, Query("Opportunity", ("Id",), (Condition("Name", "=", name),)))
        assert key in {row["Id"] for row in found}

    async def test_schema_names_what_is_there(self, org: OrgUnderTest) -> None:
        schema = await read_schema(org.reader)
        assert schema.problems() == ()
        assert schema.deal.stamp == "SystemModstamp"

    async def test_an_unknown_object_is_told_apart(self, org: OrgUnderTest) -> None:
        with pytest.raises(SchemaChanged):
            await org.reader.describe("Nothing__c")


async def _job_rows(
    org: OrgUnderTest, query: Query, types: Mapping[str, str], page_rows: int
) -> list[Record]:
    """Everything of a job, each page fetched twice."""
    job, locator, found = await org.reader.start_job(query), None, list[Record]()
    while not (await org.reader.job(job)).done:
        await org.advance(1)
    while True:
        first = await org.reader.job_page(job, locator, page_rows)
        page = await org.reader.job_page(job, locator, page_rows)
        with first.file, page.file:
            assert first.file.read() == page.file.read()
            page.file.seek(0)
            found += csv_rows(page.file, types, page.rows)
        if page.next is None:
            return found
        locator = page.next
