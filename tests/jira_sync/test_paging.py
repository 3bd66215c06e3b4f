"""Paging loses nothing, repeats nothing and always ends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jira_sync.errors import ScanFailedError
from jira_sync.paging import all_offset_items, read_ahead, token_pages
from jira_sync.parse import Json
from jira_sync.reader import OffsetPage, TokenPage


async def read_tokens(pages: list[TokenPage]) -> list[Json]:
    """Tokens are page numbers."""

    async def fetch(token: str | None) -> TokenPage:
        return pages[int(token or 0)]

    return [item async for page in token_pages(fetch) for item in page]


def cut(count: int, sizes: list[int]) -> list[list[Json]]:
    """``count`` numbered items in pages of the given sizes, zero included, the rest in the last one."""
    items: list[Json] = [{"id": number} for number in range(count)]
    pages = []
    for size in sizes:
        pages.append(items[:size])
        items = items[size:]
    return [*pages, items]


@given(st.integers(0, 50), st.lists(st.integers(0, 7), max_size=12))
async def test_token_loop_gives_each_item_once_at_any_page_size(count: int, sizes: list[int]) -> None:
    cuts = cut(count, sizes)
    pages = [
        TokenPage(tuple(items), str(number) if number < len(cuts) else None)
        for number, items in enumerate(cuts, 1)
    ]
    assert [item["id"] for item in await read_tokens(pages)] == list(range(count))


async def test_an_empty_page_with_a_token_is_not_the_end() -> None:
    pages = [TokenPage((), "1"), TokenPage((), "2", is_last=False), TokenPage(({"id": 1},), None)]
    assert len(await read_tokens(pages)) == 1


@pytest.mark.parametrize("last", [TokenPage((), None), TokenPage((), ""), TokenPage((), "0", is_last=True)])
async def test_the_end_is_a_missing_token_or_is_last(last: TokenPage) -> None:
    assert await read_tokens([last]) == []


@pytest.mark.parametrize("ending", ["refused", "repeated", "missing"])
async def test_a_page_that_is_last_and_has_a_successor_is_followed(ending: str) -> None:
    """It contradicts itself: what stands behind the token counts (fault row T11)."""

    async def fetch(token: str | None) -> TokenPage:
        if token is None:
            return TokenPage(({"id": 1},), "more", is_last=True)
        if token == "more":
            return TokenPage(({"id": 2},), "end", is_last=True)
        if ending == "refused":
            raise ScanFailedError("400")
        return TokenPage((), "end" if ending == "repeated" else None, is_last=True)

    assert [item["id"] async for page in token_pages(fetch) for item in page] == [1, 2]


async def test_a_repeated_token_fails_the_scan_after_one_repeat() -> None:
    asked: list[str | None] = []

    async def fetch(token: str | None) -> TokenPage:
        asked.append(token)
        return TokenPage(({"id": 1},), "again")

    with pytest.raises(ScanFailedError):
        _ = [page async for page in token_pages(fetch)]
    assert asked == [None, "again"]


@given(st.integers(0, 40), st.lists(st.integers(1, 7), min_size=1, max_size=50))
async def test_mutation_short_page_ends_the_loop_would_lose_agile_items(count: int, caps: list[int]) -> None:
    """The server gives fewer than asked while more follow, as recorded: 47 of 117 sprints were read."""
    calls = 0

    async def fetch(start: int) -> OffsetPage:
        nonlocal calls
        size = caps[calls % len(caps)]
        calls += 1
        items: tuple[Json, ...] = tuple({"id": number} for number in range(start, min(start + size, count)))
        return OffsetPage(items, is_last=start + size >= count)

    assert [item["id"] for item in await all_offset_items(fetch)] == list(range(count))


async def test_an_agile_endpoint_without_is_last_ends_on_an_empty_page() -> None:
    async def fetch(start: int) -> OffsetPage:
        return OffsetPage(({"id": start},) if start < 3 else (), is_last=False)

    assert len(await all_offset_items(fetch)) == 3


async def test_reading_ahead_keeps_order_and_hands_on_the_error_in_its_place() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        yield 2
        raise ScanFailedError("broken")

    ahead = read_ahead(source())
    assert [await anext(ahead), await anext(ahead)] == [1, 2]
    with pytest.raises(ScanFailedError):
        await anext(ahead)
