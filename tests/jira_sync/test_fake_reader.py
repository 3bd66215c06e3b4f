"""The fake is held to the same contract as the adapter."""

from __future__ import annotations

import pytest
from tests.jira_sync.fakes import MemorySite
from tests.jira_sync.reader_contract import ReaderContract

from jira_sync.reader import JiraReader


class TestMemorySite(ReaderContract):
    @pytest.fixture
    def reader(self) -> JiraReader:
        return MemorySite()
