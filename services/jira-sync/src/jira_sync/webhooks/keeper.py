"""Looks after the registration once a day, and says when it is missing or about to expire."""

from __future__ import annotations

import structlog

from jira_sync.metrics import WebhookMetrics
from jira_sync.webhooks.registration import Registration, Wanted, WebhookAdmin, keep_registered
from troth_chassis.clock import Clock
from troth_chassis.health import Health
from troth_chassis.service import Beat

EVERY_SECONDS = 86_400.0
BEAT_SECONDS = 600.0


class RegistrationKeeper:
    """A loop. A registration that cannot be had costs latency, not data: the service stays ready."""

    def __init__(
        self,
        admin: WebhookAdmin,
        wanted: Wanted,
        *,
        clock: Clock,
        health: Health,
        metrics: WebhookMetrics,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._admin = admin
        self._wanted = wanted
        self._clock = clock
        self._health = health
        self._metrics = metrics
        self._log = log

    async def run(self, beat: Beat) -> None:
        """Checks now and every day."""
        while True:
            await self.check()
            until = self._clock.monotonic() + EVERY_SECONDS
            while (left := until - self._clock.monotonic()) > 0:
                beat()
                await self._clock.sleep(min(left, BEAT_SECONDS))

    async def check(self) -> Registration:
        """One look."""
        found = await keep_registered(self._admin, self._wanted)
        self._metrics.registered.set(found.problem is None)
        if found.problem is not None:
            self._log.warning("no webhook registered", reason=found.problem)
            self._health.check("webhook", ok=True, detail=f"not registered: {found.problem}")
            return found
        if found.made or found.removed:
            self._log.info("webhook registered", made=found.made, removed=found.removed)
        if found.expires_ms is not None:
            self._metrics.expires.set(found.expires_ms / 1_000)
        self._health.check("webhook", ok=True, detail=f"registered as {found.webhook_id}")
        return found
