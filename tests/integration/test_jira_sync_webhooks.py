"""Webhooks through a real Kafka: stored before they are answered, followed once, whatever order they come in."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.test_jira_sync_service import Service, complete, ids, published, truth, until
from tests.jira_sync import small_site
from tests.jira_sync.simulator import Simulator

from jira_sync.webhooks.registration import EVENTS
from troth_contracts.jira import Sprint, SprintEvent
from troth_contracts.topics import ISSUE_EVENTS, SPRINT_EVENTS, SPRINTS
from troth_sandbox.ports import free_ports
from troth_sandbox.processes import ChildProcess

SECRET = "canary-secret-of-the-webhooks"
SLOW_POLL = {
    "TROTH_JIRA_WEBHOOK_SECRET": SECRET,
    "TROTH_JIRA_POLL_SECONDS": "3600",
    "TROTH_JIRA_STRUCTURE_SECONDS": "3600",
}
"""The poll cannot be what finds the changes."""


class Sender:
    """Signs and delivers as Jira does."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._count = 0

    def send(self, name: str, *, secret: str = SECRET, identifier: str = "", **parts: Any) -> int:
        self._count += 1
        body = json.dumps({"webhookEvent": name, "timestamp": 1, **parts}).encode()
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "X-Hub-Signature": f"sha256={digest}",
            "X-Atlassian-Webhook-Identifier": identifier or f"{self._service.site_id}-{self._count}",
        }
        url = self._service.http_url("/webhooks/jira")
        return httpx.post(url, content=body, headers=headers, trust_env=False).status_code


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    running = Simulator(tmp_path, small_site.seed())
    yield running
    running.stop()


@pytest.fixture
def service(kafka: str, simulator: Simulator) -> Iterator[Service]:
    found = Service(kafka, simulator, **SLOW_POLL)
    yield found
    found.process.stop()


async def test_g14_webhooks_alone_tell_everything_once_in_any_order(
    service: Service, simulator: Simulator
) -> None:
    service.start()
    await until("backfill", lambda: complete(service))
    sender = Sender(service)
    simulator.tell("/issues/10005", {"actor": "ann", "fields": {"status": {"id": "3"}}})
    for _ in range(2):
        assert sender.send("jira:issue_updated", identifier="twice", issue={"id": "10005"}) == 200
    assert sender.send("jira:issue_updated", secret="x" * 20, issue={"id": "10004"}) == 401

    async def caught_up() -> bool:
        return await published(service) == truth(simulator)

    await until("the issue is told", caught_up)
    simulator.tell("/sprints/2", {"state": "closed"})
    for name in ("sprint_closed", "sprint_updated", "sprint_started"):
        assert sender.send(name, sprint={"id": 2, "state": "active"}) == 200

    async def is_closed() -> bool:
        return (await service.latest(SPRINTS, Sprint))["2"].state == "closed"

    await until("the close is told", is_closed)

    async def all_followed() -> bool:
        return "jira_sync_webhooks_repeated_total 1.0" in service.http("/metrics").text

    await until("the repeated one is known", all_followed)
    told = [record.body for record in await service.told(SPRINT_EVENTS)]
    effects = Counter(b.effect for b in told if isinstance(b, SprintEvent) and b.sprint_id == "2")
    assert effects["closed"] == 1
    assert set((await ids(service, ISSUE_EVENTS)).values()) == {1}
    metrics = service.http("/metrics").text
    assert "jira_sync_webhooks_total 5.0" in metrics
    assert 'jira_sync_webhooks_rejected_total{reason="signature"} 1.0' in metrics
    assert SECRET not in "\n".join([*service.lines, metrics])


async def test_an_event_stored_before_a_kill_is_followed_after_it(
    service: Service, simulator: Simulator
) -> None:
    service.start()
    await until("backfill", lambda: complete(service))
    simulator.tell("/search-lag", {"seconds": 3_600})
    simulator.tell("/issues/10005", {"actor": "ann", "fields": {"status": {"id": "3"}}})
    assert Sender(service).send("jira:issue_updated", issue={"id": "10005"}) == 200
    service.process.kill()
    service.start()

    async def caught_up() -> bool:
        return await published(service) == truth(simulator)

    await until("the stored event is followed though the index lags", caught_up)
    assert set((await ids(service, ISSUE_EVENTS)).values()) == {1}


async def test_people_repair_an_issue_through_the_command_line(
    service: Service, simulator: Simulator
) -> None:
    service.start()
    await until("backfill", lambda: complete(service))
    simulator.tell("/search-lag", {"seconds": 3_600})
    simulator.tell("/issues/10005", {"actor": "ann", "fields": {"status": {"id": "3"}}})
    assert await command(service, "repair", "apa-5") == 0

    async def caught_up() -> bool:
        return await published(service) == truth(simulator)

    await until("the repaired issue is told", caught_up)
    assert await command(service, "status") == 0
    assert await command(service, "repair", "APA-5; DROP") == 78


async def test_g15_kills_leave_one_registration_and_the_vendors_deliveries_are_followed(
    kafka: str, simulator: Simulator
) -> None:
    """The simulator signs, repeats and delivers by itself; the foreign webhook of a similar name stays."""
    port = free_ports(1)[0]
    foreign = {"name": "troth jira-sync (staging)", "url": "http://127.0.0.1:9/hook", "events": list(EVENTS)}
    simulator.tell("/webhooks", foreign)
    url = f"http://127.0.0.1:{port}/webhooks/jira"
    service = Service(kafka, simulator, **SLOW_POLL, TROTH_HTTP_PORT=str(port), TROTH_JIRA_WEBHOOK_URL=url)
    try:
        for _ in range(3):
            service.start()
            await until("it is registered", lambda: is_registered(simulator, url))
            service.process.kill()
        service.start()
        await until("backfill", lambda: complete(service))
        assert Counter(row["url"] for row in registrations(simulator)) == {url: 1, foreign["url"]: 1}
        simulator.tell("/issues/10005", {"actor": "ann", "fields": {"status": {"id": "3"}}})

        async def caught_up() -> bool:
            return await published(service) == truth(simulator)

        await until("the delivered change is told", caught_up)
        assert set((await ids(service, ISSUE_EVENTS)).values()) == {1}
    finally:
        service.process.stop()


def registrations(simulator: Simulator) -> list[dict[str, Any]]:
    auth = (small_site.AUTH["email"], small_site.AUTH["token"])
    rows: list[dict[str, Any]] = httpx.get(
        f"{simulator.url}/rest/webhooks/1.0/webhook", auth=auth, trust_env=False
    ).json()
    return rows


async def is_registered(simulator: Simulator, url: str) -> bool:
    return any(row["url"] == url for row in registrations(simulator))


async def command(service: Service, *arguments: str) -> int:
    """Runs the command line beside the service; its exit code."""
    process = ChildProcess("jira-sync", "jira_sync", list(arguments), environ=service.environ)
    process.start()
    code = await asyncio.to_thread(process.wait, 30)
    process.stop()
    assert code is not None
    return code
