"""What OpportunityHistory tells that no single state can: when the deal was first a commitment, how often it slipped.

Derived from the rows alone, so that a read repeated at any time tells the same moment once and for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from troth_contracts.crm import DealStep

COMMITTED = frozenset({"Commit", "Closed"})
"""Forecast categories in which sales stands by the deal; Closed is won (a lost deal is Omitted)."""
SURE_ENOUGH = Decimal(70)
"""Per cent."""


def committed_at(history: Sequence[DealStep]) -> datetime | None:
    """When the deal first entered the commit set, UTC; None when its history never shows it there."""
    return next((step.at for step in history if is_commitment(step)), None)


def is_commitment(step: DealStep) -> bool:
    """Whether the deal counts as promised in this step; the category decides, never the name of the stage."""
    if step.forecast_category == "Omitted":
        return False
    return step.forecast_category in COMMITTED or (step.probability or Decimal(0)) >= SURE_ENOUGH


def close_date_pushes(history: Sequence[DealStep]) -> int:
    """How often the close date moved to a later day; steps without a date are passed over."""
    days = [step.close_date for step in history if step.close_date is not None]
    return sum(later > earlier for earlier, later in pairwise(days))
