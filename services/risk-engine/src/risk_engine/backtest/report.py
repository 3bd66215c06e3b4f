"""The backtest's result per horizon, and the bands it must stay within.

``build/backtest.json`` is this report, field by field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from risk_engine.backtest.rolling_origin import HORIZONS, Score


class HorizonReport(msgspec.Struct, frozen=True):
    """Shares are 0 to 1, scores in points (mean CRPS; less is better)."""

    n: int
    above_q15: float
    """Share of outcomes at or above the forecast's 15 % quantile; ``above_q05`` and ``above_q50`` alike."""
    above_q05: float
    above_q50: float
    crps: float
    crps_bootstrap: float

    def share(self, name: str) -> float:
        """The share of that name."""
        return float(getattr(self, name))

    @property
    def ratio(self) -> float:
        """Our score as a part of the plain bootstrap's; two faultless forecasts are equal."""
        return self.crps / self.crps_bootstrap if self.crps_bootstrap else float(self.crps > 0) + 1


class BacktestReport(msgspec.Struct, frozen=True):
    """The horizons by their number of sprints; a horizon no board is long enough for is left out."""

    horizons: Mapping[str, HorizonReport]

    def pooled(self, share: str) -> float:
        """``share`` over all forecasts of all horizons."""
        every = self.horizons.values()
        return sum(part.share(share) * part.n for part in every) / max(sum(part.n for part in every), 1)


class Band(msgspec.Struct, frozen=True):
    """Where a share may lie."""

    share: str
    claimed: float
    width: float

    def holds(self, value: float) -> bool:
        """Is it within the band, edges included?"""
        return abs(value - self.claimed) <= self.width + 1e-9


POOLED = (Band("above_q15", 0.85, 0.03), Band("above_q05", 0.95, 0.03), Band("above_q50", 0.50, 0.10))
EACH = (Band("above_q15", 0.85, 0.05),)
WORST_RATIO = 0.98


def report(scores: Iterable[Score]) -> BacktestReport:
    """The scores, horizon by horizon."""
    by_horizon: dict[int, list[Score]] = {horizon: [] for horizon in HORIZONS}
    for score in scores:
        by_horizon[score.horizon].append(score)
    return BacktestReport({str(horizon): _horizon(part) for horizon, part in by_horizon.items() if part})


def broken_bands(result: BacktestReport) -> list[str]:
    """What lies outside its band, a sentence each."""
    return [*_pooled_breaks(result), *_horizon_breaks(result)]


def table(result: BacktestReport) -> str:
    """The report for a terminal."""
    rows = [
        f"{'sprints':>8}{'n':>7}{'>= q15':>9}{'>= q05':>9}{'>= q50':>9}{'CRPS':>9}{'plain':>9}{'ratio':>8}"
    ]
    rows += [
        f"{name:>8}{part.n:>7}{part.above_q15:>9.3f}{part.above_q05:>9.3f}{part.above_q50:>9.3f}"
        f"{part.crps:>9.3f}{part.crps_bootstrap:>9.3f}{part.ratio:>8.3f}"
        for name, part in result.horizons.items()
    ]
    shares = "".join(f"{result.pooled(share):>9.3f}" for share in ("above_q15", "above_q05", "above_q50"))
    count = sum(part.n for part in result.horizons.values())
    return "\n".join([*rows, f"{'all':>8}{count:>7}{shares}"])


def _horizon(scores: Sequence[Score]) -> HorizonReport:
    def mean(values: Iterable[float]) -> float:
        return sum(values) / len(scores)

    return HorizonReport(
        n=len(scores),
        above_q15=mean(score.level >= 0.15 for score in scores),
        above_q05=mean(score.level >= 0.05 for score in scores),
        above_q50=mean(score.level >= 0.50 for score in scores),
        crps=mean(score.crps for score in scores),
        crps_bootstrap=mean(score.crps_bootstrap for score in scores),
    )


def _pooled_breaks(result: BacktestReport) -> Iterator[str]:
    for band in POOLED:
        value = result.pooled(band.share)
        if not band.holds(value):
            yield f"{band.share} over all horizons is {value:.3f}, not {band.claimed} ± {band.width}"


def _horizon_breaks(result: BacktestReport) -> Iterator[str]:
    for name, part in result.horizons.items():
        for band in EACH:
            value = part.share(band.share)
            if not band.holds(value):
                yield f"{band.share} at {name} sprints is {value:.3f}, not {band.claimed} ± {band.width}"
        if part.ratio > WORST_RATIO:
            yield f"CRPS at {name} sprints is {part.ratio:.3f} of the plain bootstrap's, not {WORST_RATIO} or less"
