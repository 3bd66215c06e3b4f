"""Scope that grows while it is worked on: how much finished epics grew, and what may happen to the open ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from risk_engine.domain.model import Floats
from risk_engine.domain.seeds import generator

EPICS_NEEDED = 5
"""Fewer finished epics say nothing about the next."""
EPICS_DRAWN = 12
"""Of more open promises the mean hardly differs."""


def growth_draws(team_seed: str, known: Sequence[float], promises: int, trials: int) -> Floats:
    """By trial, the factor by which all the team owes grows: the mean of as many epics as it has promises.

    ``known``: of finished epics, the final size as a multiple of the size when the first part was done.
    """
    if len(known) < EPICS_NEEDED:
        return np.ones(trials)
    epics = min(max(promises, 1), EPICS_DRAWN)
    drawn = generator("scope-growth", team_seed).choice(np.asarray(known), size=(trials, epics))
    factor: Floats = drawn.mean(axis=1)
    return factor
