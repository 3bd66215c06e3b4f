"""The real reader on the simulator keeps the same contract as the org in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.crm_sync.reader_contract import DEALS, ReaderContract
from tests.crm_sync.simulated import CLIENT, SimulatedOrg, seed, simulated_org
from typer.testing import CliRunner

from crm_sync.app import connected
from crm_sync.changes import changed_rows
from crm_sync.cli import main
from crm_sync.describe import read_schema
from crm_sync.errors import AccessRefused
from crm_sync.metrics import CrmMetrics
from crm_sync.poll import deletable
from crm_sync.salesforce import SalesforceReader
from crm_sync.settings import CrmSettings
from troth_chassis.clock import SystemClock
from troth_chassis.settings import load_settings


def environment(org: SimulatedOrg, **more: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": "nowhere:9092",
        "TROTH_CRM_SALESFORCE_URL": org.url,
        "TROTH_CRM_CLIENT_ID": CLIENT["client_id"],
        "TROTH_CRM_CLIENT_SECRET": CLIENT["client_secret"],
        "TROTH_CRM_CA_BUNDLE": str(org.ca),
        **more,
    }


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedOrg]:
    with simulated_org(tmp_path_factory.mktemp("salesforce"), seed(DEALS)) as running:
        yield running


@pytest.fixture
async def reader(simulator: SimulatedOrg) -> AsyncIterator[SalesforceReader]:
    settings = load_settings(CrmSettings, environment(simulator))
    clock = SystemClock()
    metrics = CrmMetrics(CollectorRegistry(), clock)
    async with connected(settings, clock, metrics) as reader:
        yield reader


class _Networked:
    """The simulator seen as an org under test."""

    def __init__(self, org: SimulatedOrg, reader: SalesforceReader) -> None:
        self.org = org
        self.reader = reader

    async def put(self, name: str, row_id: str | None, **fields: Any) -> str:
        return self.org.put(name, row_id, **fields)

    async def delete(self, name: str, row_id: str, *, hard: bool) -> None:
        self.org.delete(name, row_id, hard=hard)

    async def undelete(self, name: str, row_id: str) -> None:
        self.org.undelete(name, row_id)

    async def lose_locators(self) -> None:
        self.org.expire_sessions()

    async def advance(self, seconds: float) -> None:
        self.org.advance(seconds)


class TestRestReader(ReaderContract):
    @pytest.fixture
    async def org(self, simulator: SimulatedOrg, reader: SalesforceReader) -> _Networked:
        return _Networked(simulator, reader)


async def test_all_change_lists_and_deletion_logs_of_a_poll_are_one_call(
    simulator: SimulatedOrg, reader: SalesforceReader
) -> None:
    schema = await read_schema(reader)
    now = reader.server_time
    before = len(simulator.journal())

    lists = (reader.query(changed_rows(each, now)) for each in (schema.deal, *schema.children))
    gone = (reader.deleted(name, now - timedelta(minutes=5), now) for name in deletable(schema))
    await asyncio.gather(*lists, *gone)

    (call,) = simulator.journal()[before:]
    assert (call["method"], call["path"]) == ("POST", "/services/data/v66.0/composite")


async def test_describes_are_one_call_and_cost_nothing_while_nothing_changes(
    simulator: SimulatedOrg, reader: SalesforceReader
) -> None:
    first = await read_schema(reader)
    before = len(simulator.journal())
    assert await read_schema(reader) == first
    assert [call["path"] for call in simulator.journal()[before:]] == ["/services/data/v66.0/composite"]


async def test_a_wrong_secret_is_one_clear_sentence(simulator: SimulatedOrg) -> None:
    settings = load_settings(CrmSettings, environment(simulator, TROTH_CRM_CLIENT_SECRET="wrong-secret"))
    clock = SystemClock()
    metrics = CrmMetrics(CollectorRegistry(), clock)
    async with connected(settings, clock, metrics) as reader:
        with pytest.raises(AccessRefused, match="TROTH_CRM_CLIENT_SECRET"):
            await reader.org_id()


def test_check_says_of_each_object_that_it_can_be_read(simulator: SimulatedOrg, kafka: str) -> None:
    env = environment(simulator, KAFKA_BOOTSTRAP_SERVERS=kafka)
    result = CliRunner().invoke(main, ["check"], env=env)
    assert result.exit_code == 0, result.output
    assert "ok      Opportunity: " in result.output
    assert "2 of them custom" in result.output
    assert "FAILED" not in result.output


def test_check_with_a_wrong_secret_fails_with_the_fix(simulator: SimulatedOrg) -> None:
    env = environment(simulator, TROTH_CRM_CLIENT_SECRET="wrong-secret")
    result = CliRunner().invoke(main, ["check"], env=env)
    assert result.exit_code == 78
    assert "TROTH_CRM_CLIENT_SECRET" in result.output
    assert "wrong-secret" not in result.output


def test_check_lists_every_wrong_setting_at_once() -> None:
    result = CliRunner().invoke(
        main,
        ["check"],
        env={
            "TROTH_CRM_SALESFORCE_URL": "http://x",
            "TROTH_CRM_POL_SECONDS": "3",
            "KAFKA_BOOTSTRAP_SERVERS": "x",
        },
    )
    assert result.exit_code == 78
    for name in (
        "TROTH_CRM_CLIENT_ID",
        "TROTH_CRM_CLIENT_SECRET",
        "https://",
        "TROTH_CRM_POL_SECONDS",
        "KAFKA_BOOTSTRAP_SERVERS",
    ):
        assert name in result.output
