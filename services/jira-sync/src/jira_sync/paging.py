"""The two ways Jira pages, and the only conditions under which a loop may end.

Token loops end on a missing token or on ``isLast: true``, never on a short or empty page. Agile endpoints end on
``isLast`` or an empty page, never on a page shorter than asked. A token seen twice means the scan cannot be trusted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from jira_sync.errors import ScanFailedError
from jira_sync.parse import Json
from jira_sync.reader import OffsetPage, TokenPage

T = TypeVar("T")
MAX_PAGES = 100_000


async def token_pages(
    fetch: Callable[[str | None], Awaitable[TokenPage]],
) -> AsyncIterator[tuple[Json, ...]]:
    """Every page's items. ScanFailedError on a repeated token or an endless loop."""
    token: str | None = None
    seen: set[str] = set()
    for _ in range(MAX_PAGES):
        page = await fetch(token)
        yield page.items
        if page.is_last is True or not page.token:
            return
        if page.token in seen:
            raise ScanFailedError("Jira repeated a page token: the scan cannot be complete")
        seen.add(page.token)
        token = page.token
    raise ScanFailedError(f"Jira sent more than {MAX_PAGES} pages")


async def all_offset_items(fetch: Callable[[int], Awaitable[OffsetPage]]) -> list[Json]:
    """Every item of an agile endpoint, in order; the next page begins after what was received."""
    items: list[Json] = []
    for _ in range(MAX_PAGES):
        page = await fetch(len(items))
        items.extend(page.items)
        if page.is_last or not page.items:
            return items
    raise ScanFailedError(f"Jira sent more than {MAX_PAGES} pages")


async def read_ahead(source: AsyncIterator[T]) -> AsyncIterator[T]:
    """The same items in the same order, the next one being fetched while this one is used."""

    async def following() -> tuple[T, ...]:
        async for item in source:
            return (item,)
        return ()

    upcoming = asyncio.create_task(following())
    try:
        while found := await upcoming:
            upcoming = asyncio.create_task(following())
            yield found[0]
    finally:
        upcoming.cancel()
        await asyncio.gather(upcoming, return_exceptions=True)
