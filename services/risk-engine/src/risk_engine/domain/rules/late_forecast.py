"""`late_forecast`: the statistics put a deal's delivery after the date the customer was told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date

from risk_engine.domain.feasibility import WARNING_CLEARS, DealOutlook
from risk_engine.domain.finding import Finding, money_of, what_of
from risk_engine.domain.model import Commitment, Deal
from risk_engine.domain.rules.levels import fires, percent, severity_of

VERSION = "1.0"
DAYS_AHEAD = 90


def late_forecast(
    deal: Deal,
    commitment: Commitment,
    outlook: DealOutlook,
    *,
    today: date,
    oversold: Iterable[Finding] = (),
    firing: Collection[str] = (),
    team_names: Mapping[str, str] | None = None,
    cold_teams: Collection[str] = (),
) -> Finding | None:
    """The deal's chance to be on time, when too low and its promise is at most 90 days ahead.

    Inhibited while an ``oversold`` finding of one of its teams covers the deal and fires, or is on its way to
    clearing (its fingerprint is in ``firing``). A promise whose day has passed keeps an alert that fires, but
    starts none.
    """
    promised, chance = commitment.promised_date, outlook.p_on_time
    if chance is None or chance >= WARNING_CLEARS or (promised - today).days > DAYS_AHEAD:
        return None
    names = {part.team: (team_names or {}).get(part.team, part.team) for part in outlook.parts}
    return Finding(
        kind="late_forecast",
        subject=(deal.key,),
        rule_version=VERSION,
        severity=severity_of(chance, cold=any(team in cold_teams for team in names)),
        title=f"{what_of(deal, commitment)}: {percent(chance)} chance to be done by {promised.isoformat()}",
        deals=(deal,),
        clears_when=f"the chance to be done by {promised.isoformat()} is {percent(WARNING_CLEARS)} or more",
        next_step="Agree on a date the forecast supports, or move other work of these teams behind it.",
        holds=promised >= today and fires(chance),
        inhibited_by=_covering(commitment.key, oversold, firing),
        team=", ".join(sorted(names.values())),
        date=promised,
        probability=chance,
        money=money_of((deal,)),
        evidence=_evidence(outlook, names),
        covers=frozenset({commitment.key}),
    )


def _covering(commitment: str, oversold: Iterable[Finding], firing: Collection[str]) -> str | None:
    """The finding that speaks for the promise already; one nobody is told of hides nothing."""
    covering = (
        finding for finding in oversold if commitment in finding.covers and finding.severity != "info"
    )
    told = (finding.fingerprint for finding in covering if finding.holds or finding.fingerprint in firing)
    return min(told, default=None)


def _evidence(outlook: DealOutlook, names: Mapping[str, str]) -> tuple[str, ...]:
    whole = f"Forecast: {_by(outlook.p50)} (p50), {_by(outlook.p85)} (p85)."
    parts = (
        f"{names[part.team]} alone: {percent(part.p_on_time)} on time, done {_by(part.p85)} (p85)."
        for part in outlook.parts
    )
    return (whole, *parts)


def _by(day: date | None) -> str:
    return "never at present capacity" if day is None else day.isoformat()
