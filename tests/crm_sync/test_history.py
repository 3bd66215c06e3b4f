"""First commitment and slips, from history rows alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from crm_sync.history import close_date_pushes, committed_at
from troth_contracts.crm import DealStep

START = datetime(2026, 9, 1, 9, tzinfo=UTC)


def step(
    day: int, category: str | None = "Pipeline", probability: int = 10, close: date | None = None
) -> DealStep:
    return DealStep(
        at=START + timedelta(days=day),
        forecast_category=category,
        probability=Decimal(probability),
        close_date=close,
    )


def test_the_first_entry_stays_told_when_the_deal_leaves_and_comes_back() -> None:
    history = [step(0), step(1, "Commit"), step(2), step(3, "Commit")]
    assert committed_at(history) == START + timedelta(days=1)


def test_seventy_per_cent_is_a_commitment_whatever_the_category() -> None:
    assert committed_at([step(0, "Best Case", 69), step(1, "Best Case", 70)]) == START + timedelta(days=1)


def test_a_lost_deal_never_was_one() -> None:
    assert committed_at([step(0), step(1, "Omitted", 0)]) is None


def test_only_moves_to_a_later_day_are_pushes() -> None:
    """G9: the close date moves 30 November, 20 December, back, and away again."""
    days = [date(2026, 11, 30), date(2026, 12, 20), None, date(2026, 11, 30), date(2026, 12, 20)]
    history = [step(number, close=close) for number, close in enumerate(days)]
    assert close_date_pushes(history) == 2
    assert close_date_pushes([]) == 0
