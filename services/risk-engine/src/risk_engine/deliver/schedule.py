"""When a failed delivery is tried again."""

from __future__ import annotations

import random

DELAYS = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds before each attempt, by the Standard Webhooks recommendation."""
JITTER = 0.2


def next_delay(attempts: int, asked: float | None, rng: random.Random) -> float | None:
    """Seconds until the attempt after ``attempts``; never shorter than the receiver asked; None: give up."""
    if attempts >= len(DELAYS):
        return None
    planned = DELAYS[attempts] * rng.uniform(1 - JITTER, 1 + JITTER)
    return max(planned, asked or 0.0)
