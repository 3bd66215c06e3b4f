"""The org in memory keeps the reader's contract."""

from __future__ import annotations

from typing import Any

import pytest
from tests.crm_sync.fakes import MemoryOrg
from tests.crm_sync.reader_contract import DEALS, PAGE_HINT, ReaderContract


class _MemoryUnderTest:
    def __init__(self) -> None:
        self.reader = MemoryOrg(page_size=PAGE_HINT)
        for number in range(DEALS):
            self.reader.deal(f"Deal {number}")

    async def put(self, name: str, row_id: str | None, **fields: Any) -> str:
        return self.reader.put(name, row_id, **fields)

    async def delete(self, name: str, row_id: str, *, hard: bool) -> None:
        self.reader.delete(name, row_id, hard=hard)

    async def undelete(self, name: str, row_id: str) -> None:
        self.reader.undelete(name, row_id)

    async def lose_locators(self) -> None:
        self.reader.lose_locators()

    async def advance(self, seconds: float) -> None:
        self.reader.advance(seconds)


class TestMemoryOrg(ReaderContract):
    @pytest.fixture
    async def org(self) -> _MemoryUnderTest:
        return _MemoryUnderTest()
