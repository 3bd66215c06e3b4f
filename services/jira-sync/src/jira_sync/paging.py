"""The two ways Jira pages, and the only conditions under which a loop may end.

Token loops end on a missing token, never on a short or empty page. A page that says ``isLast: true`` and still carries
a token contradicts itself: the token is followed, and only there a refusal or the same token again is the end. Agile
endpoints end on ``isLast`` or an empty page, never on a page shorter than asked. A token seen twice means the scan
cannot be trusted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

from jira_sync.errors import ScanFailedError
from jira_sync.parse import Json
from jira_sync.reader import OffsetPage, TokenPage

T = TypeVar("T")
MAX_PAGES = 100_000


Fetch = Callable[[str | None], Awaitable[TokenPage]]


async def token_pages(fetch: Fetch) -> AsyncIterator[tuple[Json, ...]]:
    """Every page's items. ScanFailedError on a repeated token or an endless loop."""
    async for items, _ in token_pages_from(fetch, None):
        yield items


async def token_pages_from(
    fetch: Fetch, token: str | None
) -> AsyncIterator[tuple[tuple[Json, ...], str | None]]:
    """Items and the token of the next page, beginning with the page of ``token``."""
    seen = {token}
    said_last = False
    for _ in range(MAX_PAGES):
        try:
            page = await fetch(token)
        except ScanFailedError:
            if said_last:
                return
            raise
        said_last = page.is_last is True
        token = page.token or None
        is_end = token is None or (said_last and token in seen)
        yield page.items, None if is_end else token
        if is_end:
            return
        if token in seen:
            raise ScanFailedError("Jira repeated a page token: the scan cannot be complete")
        seen.add(token)
    raise ScanFailedError(f"Jira sent more than {MAX_PAGES} pages")


async def grouped(
    pages: AsyncIterator[tuple[tuple[Json, ...], str | None]], size: int
) -> AsyncIterator[tuple[tuple[Json, ...], str | None]]:
    """So many pages as one, with the token that follows the last of them."""
    kept: list[Json] = []
    count, following = 0, None
    async for items, following in pages:
        kept += items
        count += 1
        if count == size:
            yield tuple(kept), following
            kept, count = [], 0
    if count:
        yield tuple(kept), following


async def all_offset_items(fetch: Callable[[int], Awaitable[OffsetPage]]) -> list[Json]:
    """Every item of an agile endpoint, in order; the next page begins after what was received."""
    items: list[Json] = []
    for _ in range(MAX_PAGES):
        page = await fetch(len(items))
        items.extend(page.items)
        if page.is_last or not page.items:
            return items
    raise ScanFailedError(f"Jira sent more than {MAX_PAGES} pages")


async def read_ahead(source: AsyncIterator[T]) -> AsyncGenerator[T, None]:
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
