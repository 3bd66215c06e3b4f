"""Exactly one webhook of ours, whoever restarts how often (field case G15)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from tests.jira_sync.fakes import NOW

from jira_sync.errors import ForbiddenError, MissingError
from jira_sync.metrics import WebhookMetrics
from jira_sync.parse import Json
from jira_sync.webhooks.keeper import RegistrationKeeper
from jira_sync.webhooks.registration import EVENTS, PATHS, Wanted, keep_registered
from troth_chassis.clock import ManualClock
from troth_chassis.health import Health

WANTED = Wanted("troth jira-sync", "https://troth.example/webhooks/jira", "a-secret-of-24-letters!!")
FOREIGN = {
    "self": "https://j/rest/webhooks/1.0/webhook/1",
    "name": "troth jira-sync (old)",
    "url": "https://x",
}


class MemoryAdmin:
    """Jira's list of webhooks; ``path`` is where it answers."""

    def __init__(self, *rows: dict[str, Any], path: str = PATHS[0]) -> None:
        self.rows = list(rows)
        self.path = path
        self.count = 10
        self.forbidden = False
        self.doubles = 1

    async def webhooks(self, path: str) -> Sequence[Json]:
        self._check(path)
        return [dict(row) for row in self.rows]

    async def register(self, path: str, body: Json) -> Json:
        self._check(path)
        for _ in range(self.doubles):
            self.count += 1
            shown = {name: value for name, value in body.items() if name != "secret"}
            self.rows.append({**shown, "enabled": True, "self": f"https://j{path}/{self.count}"})
        return self.rows[-1]

    async def unregister(self, path: str, webhook_id: str) -> None:
        self._check(path)
        self.rows = [row for row in self.rows if not row["self"].endswith(f"/{webhook_id}")]

    def _check(self, path: str) -> None:
        if path != self.path:
            raise MissingError(f"{path}: Jira answered 404")
        if self.forbidden:
            raise ForbiddenError(f"{path}: Jira answered 403")


def ours(admin: MemoryAdmin) -> list[dict[str, Any]]:
    return [row for row in admin.rows if row["name"] == WANTED.name]


async def test_five_starts_register_one() -> None:
    admin = MemoryAdmin(dict(FOREIGN))
    found = [await keep_registered(admin, WANTED) for _ in range(5)]
    assert [registration.made for registration in found] == [True, False, False, False, False]
    assert len(ours(admin)) == 1
    assert FOREIGN in admin.rows


@pytest.mark.parametrize(
    "change", [{"url": "https://old.example/hook"}, {"enabled": False}, {"events": ["sprint_started"]}]
)
async def test_an_orphan_of_ours_is_replaced(change: dict[str, Any]) -> None:
    orphan = {
        "name": WANTED.name,
        "url": WANTED.url,
        "events": list(EVENTS),
        "self": "https://j/w/5",
        **change,
    }
    admin = MemoryAdmin(orphan, dict(FOREIGN))
    found = await keep_registered(admin, WANTED)
    assert (found.made, found.removed) == (True, 1)
    assert len(ours(admin)) == 1
    assert FOREIGN in admin.rows


async def test_a_registration_whose_answer_was_lost_and_asked_again_is_one() -> None:
    admin = MemoryAdmin()
    admin.doubles = 2
    found = await keep_registered(admin, WANTED)
    assert found.removed == 1
    assert len(ours(admin)) == 1


async def test_the_path_of_newer_data_centers_is_found() -> None:
    admin = MemoryAdmin(path=PATHS[1])
    assert (await keep_registered(admin, WANTED)).made
    assert not (await keep_registered(admin, WANTED)).made


async def test_an_account_without_the_right_is_told_what_to_do_and_nothing_stops() -> None:
    admin = MemoryAdmin()
    admin.forbidden = True
    registry, clock = CollectorRegistry(), ManualClock(NOW)
    health = Health(clock)
    log = structlog.stdlib.get_logger("test")
    keeper = RegistrationKeeper(
        partial(keep_registered, admin, WANTED),
        clock=clock,
        health=health,
        metrics=WebhookMetrics(registry),
        log=log,
    )
    assert "ask an administrator" in str((await keeper.check()).problem)
    assert health.checks["webhook"].ok
    assert registry.get_sample_value("jira_sync_webhook_registered") == 0
    admin.forbidden = False
    assert (await keeper.check()).webhook_id == "11"
    assert registry.get_sample_value("jira_sync_webhook_registered") == 1


async def test_the_expiry_of_a_registration_is_a_metric() -> None:
    row = {
        "name": WANTED.name,
        "url": WANTED.url,
        "events": list(EVENTS),
        "self": "https://j/w/5",
        "expirationDate": 1_800_000_000_000,
    }
    registry, clock = CollectorRegistry(), ManualClock(NOW)
    keeper = RegistrationKeeper(
        partial(keep_registered, MemoryAdmin(row), WANTED),
        clock=clock,
        health=Health(clock),
        metrics=WebhookMetrics(registry),
        log=structlog.stdlib.get_logger("test"),
    )
    await keeper.check()
    assert registry.get_sample_value("jira_sync_webhook_expires_timestamp_seconds") == 1_800_000_000
