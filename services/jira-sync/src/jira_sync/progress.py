"""How far a backfill is: a gauge, a log line for every twentieth of it, and words for people."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from prometheus_client import Gauge

from troth_contracts.sync import Watermark

STEPS = 20


class Progress:
    """Counts the issues read against what Jira said there are about; more may come than it said."""

    def __init__(self, gauge: Gauge, log: structlog.stdlib.BoundLogger) -> None:
        self._gauge = gauge
        self._log = log
        self._told = 0

    def show(self, marks: Mapping[str, Watermark]) -> None:
        """The marks of all projects, as they are now."""
        share, read = share_of(marks), sum(mark.read for mark in marks.values())
        self._gauge.set(share)
        step = int(share * STEPS)
        if step > self._told:
            self._log.info("backfill", issues=read, share=round(share, 2))
        self._told = step


def share_of(marks: Mapping[str, Watermark]) -> float:
    """From 0 to 1; 1 only when every project is read to its end."""
    if all(mark.backfill_complete for mark in marks.values()):
        return 1.0
    expected = sum(max(mark.expected, mark.read, 1) for mark in marks.values())
    return min(0.99, sum(mark.read for mark in marks.values()) / expected)


def words(key: str, mark: Watermark) -> str:
    """``APA 1,200 of about 3,400``."""
    return f"{key} {mark.read:,}" + (f" of about {mark.expected:,}" if mark.expected else "")
