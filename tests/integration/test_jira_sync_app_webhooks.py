"""Webhooks of an OAuth app against the simulator: registered once, kept alive on a simulated clock, sprints in doubt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from tests.integration.test_jira_sync_dialects import APP, oauth
from tests.integration.test_jira_sync_manners import SharedClock
from tests.jira_sync import small_site
from tests.jira_sync.simulator import LocalSimulator

from jira_sync.metrics import WebhookMetrics
from jira_sync.opening import AnyReader, open_reader
from jira_sync.settings import JiraSettings
from jira_sync.webhooks.admin import DYNAMIC
from jira_sync.webhooks.dynamic import WITHOUT_SPRINTS
from jira_sync.webhooks.keeper import RegistrationKeeper
from jira_sync.webhooks.kinds import registration_of
from troth_chassis.health import Health

PLACE = "a-place-nobody-can-guess"
DAY = 86_400.0


@pytest.fixture
def clock() -> SharedClock:
    return SharedClock()


@pytest.fixture
def site(clock: SharedClock) -> Iterator[LocalSimulator]:
    seed = small_site.seed()
    seed["site"]["cloud_id"] = "cloud-1"
    seed["auth"] = {**small_site.AUTH, "app": APP}
    running = LocalSimulator(seed, clock.of_site)
    running.tell("/switches", {"app": "oauth"})
    yield running
    running.stop()


@pytest.fixture
def settings(site: LocalSimulator, tmp_path: Path) -> JiraSettings:
    return app_settings(site, tmp_path, "http://127.0.0.1:9/webhooks/jira")


def app_settings(site: LocalSimulator, folder: Path, url: str) -> JiraSettings:
    return oauth(site, folder / "token", TROTH_JIRA_WEBHOOK_URL=url, TROTH_JIRA_WEBHOOK_PATH_SECRET=PLACE)


@pytest.fixture
async def reader(settings: JiraSettings, clock: SharedClock) -> AsyncIterator[AnyReader]:
    async with open_reader(settings, clock) as found:
        yield found


class Watch:
    """The keeper with what it shows to people."""

    def __init__(self, settings: JiraSettings, reader: AnyReader, clock: SharedClock) -> None:
        self.registry = CollectorRegistry()
        self.health = Health(clock)
        self.keeper = RegistrationKeeper(
            registration_of(settings, reader, clock),
            clock=clock,
            health=self.health,
            metrics=WebhookMetrics(self.registry),
            log=structlog.stdlib.get_logger("test"),
        )

    @property
    def detail(self) -> str:
        return self.health.checks["webhook"].detail

    @property
    def expires(self) -> float:
        return self.registry.get_sample_value("jira_sync_webhook_expires_timestamp_seconds") or 0.0


@pytest.fixture
def watch(settings: JiraSettings, reader: AnyReader, clock: SharedClock) -> Watch:
    return Watch(settings, reader, clock)


async def listed(reader: AnyReader) -> list[dict[str, Any]]:
    return list((await reader.http.object(DYNAMIC))["values"])


async def test_an_app_registers_one_webhook_for_its_projects(watch: Watch, reader: AnyReader) -> None:
    looks = [await watch.keeper.check() for _ in range(5)]
    assert [look.made for look in looks] == [True, False, False, False, False]
    (row,) = await listed(reader)
    assert row["jqlFilter"] == 'project in ("APA", "BET")'
    assert row["url"] == f"http://127.0.0.1:9/webhooks/jira/{PLACE}"
    assert PLACE not in watch.detail


@pytest.mark.parametrize("takes_sprints", [False, True])
async def test_sprint_events_are_tried_and_done_without_where_they_are_refused(
    watch: Watch, reader: AnyReader, site: LocalSimulator, takes_sprints: bool
) -> None:
    """The vendor's page lists them for dynamic webhooks, its OpenAPI does not (reference 4.1)."""
    site.tell("/switches", {"dynamic_sprint_events": takes_sprints})
    await watch.keeper.check()
    (row,) = await listed(reader)
    assert ("sprint_closed" in row["events"]) is takes_sprints
    assert "jira:issue_updated" in row["events"]
    assert (WITHOUT_SPRINTS in watch.detail) is not takes_sprints
    assert watch.health.checks["webhook"].ok


@pytest.mark.parametrize("form", ["integer", "string"])
async def test_a_webhook_of_thirty_days_is_refreshed_when_ten_are_left(
    watch: Watch, reader: AnyReader, site: LocalSimulator, clock: SharedClock, form: str
) -> None:
    site.tell("/switches", {"webhook_expiration": form})
    first = await watch.keeper.check()
    ends = clock.now() + timedelta(days=30)
    assert watch.expires == pytest.approx(ends.timestamp(), abs=2)
    for day in range(2, 61, 2):
        await clock.sleep(2 * DAY)
        found = await watch.keeper.check()
        assert found.webhook_id == first.webhook_id, f"day {day}"
        assert watch.expires - clock.now().timestamp() > 8 * DAY
    assert 2 <= len(site.asked("/webhook/refresh")) <= 3
    assert len(await listed(reader)) == 1


async def test_a_registration_that_vanished_is_made_again_at_the_next_look(
    watch: Watch, reader: AnyReader, clock: SharedClock
) -> None:
    first = await watch.keeper.check()
    await clock.sleep(31 * DAY)
    again = await watch.keeper.check()
    assert (again.made, again.webhook_id != first.webhook_id) == (True, True)
    assert len(await listed(reader)) == 1


async def test_our_orphan_at_an_old_address_is_replaced_and_a_foreign_one_is_left_and_named(
    site: LocalSimulator, reader: AnyReader, clock: SharedClock, tmp_path: Path, watch: Watch
) -> None:
    """An app has one URL, and its old one stays behind (field case G15)."""
    await watch.keeper.check()
    moved = Watch(app_settings(site, tmp_path, "http://localhost:9/webhooks/jira"), reader, clock)
    found = await moved.keeper.check()
    assert (found.made, found.removed) == (True, 1)
    assert [row["url"] for row in await listed(reader)] == [f"http://localhost:9/webhooks/jira/{PLACE}"]
    other = Watch(app_settings(site, tmp_path, "http://localhost:9/elsewhere"), reader, clock)
    refused = await other.keeper.check()
    assert "single URL" in str(refused.problem)
    assert PLACE not in str(refused.problem)
    assert [row["url"] for row in await listed(reader)] == [f"http://localhost:9/webhooks/jira/{PLACE}"]
    assert other.registry.get_sample_value("jira_sync_webhook_registered") == 0


async def test_a_login_that_is_no_app_is_told_so_and_nothing_stops(
    watch: Watch, site: LocalSimulator
) -> None:
    site.tell("/switches", {"app": "none"})
    found = await watch.keeper.check()
    assert "403" in str(found.problem)
    assert watch.health.checks["webhook"].ok
