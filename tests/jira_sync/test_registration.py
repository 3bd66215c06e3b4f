"""Exactly one webhook of ours, whoever restarts how often (field case G15)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from tests.jira_sync.fakes import NOW

from jira_sync.errors import AccessLostError, ForbiddenError, MissingError, UnreadableError
from jira_sync.metrics import WebhookMetrics
from jira_sync.parse import Json
from jira_sync.webhooks.keeper import RegistrationKeeper
from jira_sync.webhooks.kinds import AdminLook
from jira_sync.webhooks.registration import EVENTS, PATHS, Registration, Wanted, keep_registered
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
        self.refusal: Exception | None = None
        self.doubles = 1
        self.signed_with: dict[str, object] = {}
        """What Jira never shows: the secret by webhook."""

    async def webhooks(self, path: str) -> Sequence[Json]:
        self._check(path)
        return [dict(row) for row in self.rows]

    async def register(self, path: str, body: Json) -> Json:
        self._check(path)
        for _ in range(self.doubles):
            self.count += 1
            shown = {name: value for name, value in body.items() if name != "secret"}
            self.rows.append({**shown, "enabled": True, "self": f"https://j{path}/{self.count}"})
            self.signed_with[str(self.count)] = body.get("secret")
        return self.rows[-1]

    async def unregister(self, path: str, webhook_id: str) -> None:
        self._check(path)
        self.rows = [row for row in self.rows if not row["self"].endswith(f"/{webhook_id}")]

    def _check(self, path: str) -> None:
        if path != self.path:
            raise MissingError(f"{path}: Jira answered 404")
        if self.refusal is not None:
            raise self.refusal


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


class Watch:
    """The keeper of a list of webhooks, with what it shows to people."""

    def __init__(self, admin: MemoryAdmin) -> None:
        self.registry, self.clock = CollectorRegistry(), ManualClock(NOW)
        self.health = Health(self.clock)
        self.looks = 0

        async def look() -> Registration:
            self.looks += 1
            return await keep_registered(admin, WANTED)

        self.keeper = RegistrationKeeper(
            look,
            clock=self.clock,
            health=self.health,
            metrics=WebhookMetrics(self.registry),
            log=structlog.stdlib.get_logger("test"),
        )

    def value(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"jira_sync_webhook_{name}")


@pytest.mark.parametrize(
    "refusal",
    [
        ForbiddenError("webhook: Jira answered 403"),
        AccessLostError("webhook: Jira answered 401"),
        UnreadableError("a list that is none"),
    ],
)
async def test_an_account_without_the_right_is_told_what_to_do_and_nothing_stops(refusal: Exception) -> None:
    """A scoped token is answered 401 where its scopes end; what is within them goes on (reference 3.9)."""
    admin = MemoryAdmin()
    admin.refusal = refusal
    watch = Watch(admin)
    assert "ask an administrator" in str((await watch.keeper.check()).problem)
    assert watch.health.checks["webhook"].ok
    assert watch.value("registered") == 0
    admin.refusal = None
    assert (await watch.keeper.check()).webhook_id == "11"
    assert watch.value("registered") == 1


async def test_who_removed_our_webhook_finds_it_again_a_day_later_at_most() -> None:
    admin = MemoryAdmin()
    watch = Watch(admin)
    running = asyncio.create_task(watch.keeper.run(lambda: None))
    while not ours(admin):  # noqa: ASYNC110  (the keeper has no event)
        await asyncio.sleep(0)
    admin.rows.clear()
    await watch.clock.advance(86_400)
    assert len(ours(admin)) == 1
    admin.refusal = ForbiddenError("webhook: Jira answered 403")
    await watch.clock.advance(86_400)
    assert watch.value("registered") == 0
    before = watch.looks
    admin.refusal = None
    await watch.clock.advance(3_600)
    assert (watch.looks, watch.value("registered")) == (before + 1, 1), "hourly while there is none"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_new_secret_reaches_jira_once_and_leaves_no_webhook_of_the_old_one() -> None:
    """Jira shows no secret, so nobody can see which one it signs with."""
    admin = MemoryAdmin()
    await keep_registered(admin, WANTED)
    wanted = replace(WANTED, secret="the-secret-that-comes-next")
    look = AdminLook(admin, wanted, anew=True)
    admin.refusal = ForbiddenError("webhook: Jira answered 403")
    assert (await look()).problem
    admin.refusal = None
    found = [await look() for _ in range(3)]
    assert [(registration.made, registration.removed) for registration in found] == [
        (True, 1),
        (False, 0),
        (False, 0),
    ]
    (row,) = ours(admin)
    assert admin.signed_with[row["self"].rpartition("/")[2]] == wanted.secret


async def test_the_expiry_of_a_registration_is_a_metric() -> None:
    row = {
        "name": WANTED.name,
        "url": WANTED.url,
        "events": list(EVENTS),
        "self": "https://j/w/5",
        "expirationDate": 1_800_000_000_000,
    }
    watch = Watch(MemoryAdmin(row))
    await watch.keeper.check()
    assert watch.value("expires_timestamp_seconds") == 1_800_000_000
