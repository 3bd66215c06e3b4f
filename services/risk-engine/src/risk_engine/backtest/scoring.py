"""How good a drawn forecast was, now that the outcome is known."""

from __future__ import annotations

import numpy as np

from risk_engine.domain.model import Floats


def crps(draws: Floats, outcomes: Floats) -> Floats:
    """Continuous ranked probability score of each row of ``draws`` (forecasts x trials), in points; less is better.

    The mean distance to the outcome less half the mean distance between two draws: Gneiting and Raftery,
    https://doi.org/10.1198/016214506000001437, eq. 21.
    """
    trials = draws.shape[1]
    ranks = (2 * np.arange(1, trials + 1) - trials - 1) / trials**2
    distance = np.abs(draws - outcomes[:, np.newaxis]).mean(axis=1)
    score: Floats = distance - np.sort(draws, axis=1) @ ranks
    return score


def forecast_levels(draws: Floats, outcomes: Floats, splits: Floats) -> Floats:
    """Which quantile of its forecast each outcome turned out to be, 0 to 1; at or above q exactly when level >= q.

    An outcome many trials hit lies anywhere among them: ``splits`` (uniform, 0 to 1) says where. So a sure and
    right forecast is at or above its 15 % quantile 85 times of 100, as it claims, and not always.
    """
    outcome = outcomes[:, np.newaxis]
    below, tied = (draws < outcome).mean(axis=1), (draws == outcome).mean(axis=1)
    levels: Floats = below + splits * tied
    return levels
