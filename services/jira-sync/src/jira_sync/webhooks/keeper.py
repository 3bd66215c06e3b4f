"""Looks after the registration once a day, hourly while there is none, and says what it finds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from jira_sync.metrics import WebhookMetrics
from jira_sync.webhooks.registration import Registration
from troth_chassis.clock import Clock
from troth_chassis.health import Health
from troth_chassis.service import Beat

EVERY_SECONDS, AGAIN_SECONDS = 86_400.0, 3_600.0
BEAT_SECONDS = 600.0


class RegistrationKeeper:
    """A loop. A registration that cannot be had costs latency, not data: the service stays ready."""

    def __init__(
        self,
        look: Callable[[], Awaitable[Registration]],
        *,
        clock: Clock,
        health: Health,
        metrics: WebhookMetrics,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._look = look
        self._clock = clock
        self._health = health
        self._metrics = metrics
        self._log = log

    async def run(self, beat: Beat) -> None:
        """Checks now and every day; every hour while something keeps it from being registered."""
        while True:
            found = await self.check()
            wait = EVERY_SECONDS if found.problem is None else AGAIN_SECONDS
            until = self._clock.monotonic() + wait
            while (left := until - self._clock.monotonic()) > 0:
                beat()
                await self._clock.sleep(min(left, BEAT_SECONDS))

    async def check(self) -> Registration:
        """One look."""
        found = await self._look()
        self._metrics.registered.set(found.problem is None)
        if found.problem is not None:
            self._log.warning("no webhook registered", reason=found.problem)
            self._health.check("webhook", ok=True, detail=f"not registered: {found.problem}")
            return found
        if found.made or found.removed:
            self._log.info("webhook registered", made=found.made, removed=found.removed)
        if found.expires_ms is not None:
            self._metrics.expires.set(found.expires_ms / 1_000)
        self._health.check("webhook", ok=True, detail=_told(found))
        return found


def _told(found: Registration) -> str:
    ends = (
        ""
        if found.expires_ms is None
        else f"until {datetime.fromtimestamp(found.expires_ms / 1_000, UTC):%Y-%m-%d}"
    )
    return "; ".join(filter(None, (f"registered as {found.webhook_id}", ends, found.limits)))
