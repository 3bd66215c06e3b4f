"""Money: one reporting currency by the CRM's own rates, and amounts split over the work without losing a cent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Literal

from risk_engine.domain.model import Money

CENT = Decimal("0.01")
Basis = Literal["same", "dated", "current", "unknown"]


@dataclass(frozen=True, slots=True)
class Rate:
    """A currency of one org: ``rate`` units of it make one unit of the org's corporate currency."""

    org: str
    code: str
    rate: Decimal
    is_corporate: bool = False
    dated: tuple[tuple[date, Decimal], ...] = ()
    """Rates by the first close date they are for, oldest first."""

    def on(self, day: date | None) -> tuple[Decimal, Basis]:
        """The rate for a deal that closes on ``day``; a day before the first dated one takes the present rate."""
        known = [rate for start, rate in self.dated if day is not None and start <= day]
        return (known[-1], "dated") if known else (self.rate, "current")


@dataclass(frozen=True, slots=True)
class Converted:
    """An amount in the reporting currency and how it came about; None: no rate is known."""

    amount: Decimal | None
    currency: str
    basis: Basis


class Rates:
    """The rates of every org, and the currency that sums are told in."""

    def __init__(self, rates: Iterable[Rate], reporting: str = "") -> None:
        self._rates = {(rate.org, rate.code): rate for rate in rates}
        corporate = sorted(rate.code for rate in self._rates.values() if rate.is_corporate)
        self.reporting = reporting or (corporate[0] if corporate else "")
        """Empty where neither a setting nor a corporate currency tells: amounts then stay in their own."""

    def knows(self, currency: str) -> bool:
        """Whether any org has the currency; True for any while no org tells its currencies."""
        return (
            not self._rates or currency == self.reporting or any(code == currency for _, code in self._rates)
        )

    def convert(self, money: Money, org: str, closes: date | None) -> Converted:
        """The amount in the reporting currency, computed once and rounded to the cent, half to even."""
        into = self.reporting or money.currency
        if money.currency == into:
            return Converted(money.amount, into, "same")
        source, target = self._rates.get((org, money.currency)), self._rates.get((org, into))
        if source is None or target is None:
            return Converted(None, into, "unknown")
        (per_source, basis), (per_target, _) = source.on(closes), target.on(closes)
        if not per_source:
            return Converted(None, into, "unknown")
        return Converted(_cents(money.amount / per_source * per_target), into, basis)


def allocate(amount: Decimal, weights: Mapping[str, float]) -> dict[str, Decimal]:
    """Split the amount by weight, to the cent; the parts sum to the amount (largest remainder, then by name).

    Weights that are all zero count alike. Nothing to split over: nothing is split.
    """
    if not weights:
        return {}
    shares = {name: Fraction(max(weight, 0.0)) for name, weight in weights.items()}
    total = sum(shares.values())
    if not total:
        shares, total = dict.fromkeys(shares, Fraction(1)), Fraction(len(shares))
    cents = int(_cents(amount) / CENT)
    exact = {name: abs(cents) * share / total for name, share in shares.items()}
    parts = {name: int(part) for name, part in exact.items()}
    left = abs(cents) - sum(parts.values())
    for name in sorted(exact, key=lambda name: (parts[name] - exact[name], name))[:left]:
        parts[name] += 1
    sign = -1 if cents < 0 else 1
    return {name: sign * part * CENT for name, part in parts.items()}


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_EVEN)
