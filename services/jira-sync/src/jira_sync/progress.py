"""How far the first scan is: a gauge, and a log line for every twentieth of it."""

from __future__ import annotations

import structlog
from prometheus_client import Gauge

STEPS = 20
UNKNOWN_STEP = 1_000
"""Issues per log line when Jira does not say how many there are."""


class Progress:
    """Counts issues against an expected total, which is an estimate and may be 0 for unknown."""

    def __init__(self, expected: int, gauge: Gauge, log: structlog.stdlib.BoundLogger) -> None:
        self._expected = expected
        self._gauge = gauge
        self._log = log
        self._done = 0
        self._told = 0

    def advance(self, count: int) -> None:
        """More issues are published."""
        self._done += count
        if self._expected:
            self._gauge.set(min(self._done / self._expected, 1.0))
        step = self._done * STEPS // self._expected if self._expected else self._done // UNKNOWN_STEP
        if step > self._told:
            self._told = step
            self._log.info("backfill", issues=self._done, of=self._expected or None)
