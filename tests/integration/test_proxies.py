"""Where a company lets nothing out but by its proxy, HTTPS_PROXY and NO_PROXY say so: for every client of both vendors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from tests.crm_sync.simulated import SimulatedOrg, seed, simulated_org
from tests.integration.forward_proxy import ForwardProxy, a_proxy
from tests.integration.test_crm_sync_reader import environment
from tests.jira_sync import small_site
from tests.jira_sync.reader_contract import EVERYTHING
from tests.jira_sync.simulator import Simulator, settings_of

from crm_sync.app import connected
from crm_sync.metrics import CrmMetrics
from crm_sync.settings import CrmSettings
from crm_sync.soql import Query
from jira_sync.opening import open_reader
from troth_chassis.clock import SystemClock
from troth_chassis.settings import load_settings

DEALS = Query("Opportunity", ("Id",))


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedOrg]:
    with simulated_org(tmp_path_factory.mktemp("salesforce"), seed(3)) as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    running = Simulator(tmp_path_factory.mktemp("jira"), small_site.seed())
    yield running
    running.stop()


@pytest.fixture(params=["through", "past"])
async def proxy(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ForwardProxy]:
    """In the environment; `past` it go the hosts of NO_PROXY."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    async with a_proxy() as running:
        monkeypatch.setenv("HTTPS_PROXY", running.url)
        monkeypatch.setenv("HTTP_PROXY", running.url)
        if request.param == "past":
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield running


def expected(request: pytest.FixtureRequest, count: int) -> int:
    return count if request.node.callspec.params["proxy"] == "through" else 0


async def test_salesforce(proxy: ForwardProxy, org: SimulatedOrg, request: pytest.FixtureRequest) -> None:
    clock = SystemClock()
    metrics = CrmMetrics(CollectorRegistry(), clock)
    async with connected(load_settings(CrmSettings, environment(org)), clock, metrics) as reader:
        await reader.org_id()
        assert len(proxy.asked) == expected(request, 1), "the login"
        assert (await reader.query(DEALS)).total == 3
        assert len(proxy.asked) == expected(request, 2), "simple-salesforce"
        await asyncio.gather(reader.query(DEALS), reader.query(DEALS))
        assert len(proxy.asked) == expected(request, 3), "composites and jobs"
    assert set(proxy.asked) <= {f"CONNECT {org.url.removeprefix('https://')}"}


async def test_jira(proxy: ForwardProxy, site: Simulator, request: pytest.FixtureRequest) -> None:
    async with open_reader(settings_of(site.url), SystemClock()) as reader:
        assert (await reader.search(EVERYTHING, ("summary",), None, 100)).items
        searched = len(proxy.asked)
        assert (searched > 0) == bool(expected(request, 1)), "the jira library"
        await reader.changelogs(["10001"], None)
        assert (len(proxy.asked) > searched) == bool(expected(request, 1)), "httpx"
    assert all(f" {site.url}/" in line for line in proxy.asked)


async def test_a_netrc_never_takes_the_place_of_our_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, org: SimulatedOrg
) -> None:
    """What somebody keeps there for curl: requests would send it instead of the token."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    clock = SystemClock()
    metrics = CrmMetrics(CollectorRegistry(), clock)
    async with connected(load_settings(CrmSettings, environment(org)), clock, metrics) as reader:
        assert (await reader.query(DEALS)).total == 3
        await asyncio.gather(reader.query(DEALS), reader.query(DEALS))
    assert metrics.logins.labels("ok")._value.get() == 1
