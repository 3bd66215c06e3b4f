"""Follows a result page by page, and goes on behind the last row when a page can no longer be had.

A query that runs too long is asked again by two halves of its time (reference: section 7, QUERY_TIMEOUT).
A locator dies with the token that opened it, so a refreshed token alone does not help (reference: 4.3).
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

from crm_sync.errors import LocatorLost, ObjectRefused, QueryRefused, QueryTooLong, SchemaChanged
from crm_sync.fields import Record
from crm_sync.salesforce import Page, SalesforceReader
from crm_sync.soql import Query

PATIENCE = 5


async def pages(reader: SalesforceReader, query: Query, first: Page | None = None) -> AsyncIterator[Page]:
    """Every page of the result, from a ``first`` one that is there already; rows can come twice, none is left out.

    LocatorLost only when the chain breaks several times without a single new row; ObjectRefused where Salesforce does
    not take the query.
    """
    todo = deque([query])
    idle = 0
    while todo:
        current = todo.popleft()
        last: Record | None = None
        page: Page | None
        try:
            page, first = first or await reader.query(current), None
        except QueryTooLong:
            halves = current.halves(reader.server_time)
            if halves is None:
                raise
            todo.extendleft(reversed(halves))
            continue
        except (SchemaChanged, QueryRefused) as error:
            raise ObjectRefused(query.source, query.fields, str(error)) from error
        while page is not None:
            last = page.records[-1] if page.records else last
            yield page
            try:
                page = await reader.more(page.next_url) if page.next_url else None
            except LocatorLost:
                idle = 0 if last else idle + 1
                if idle >= PATIENCE:
                    raise
                todo.extendleft(reversed(current.after(last) if last else (current,)))
                page = None


async def rows(reader: SalesforceReader, query: Query) -> list[Record]:
    """The whole result, each row once."""
    found: dict[object, Record] = {}
    async for page in pages(reader, query):
        for record in page.records:
            found[record.get("Id")] = record
    return list(found.values())
