"""`unlinked_commitment`: a deal in force has a promised date, and nobody in engineering has it on a board."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from risk_engine.domain.calendar import IsWorkingDay, business_days_between
from risk_engine.domain.finding import Finding, money_of, what_of
from risk_engine.domain.links import BELIEVED
from risk_engine.domain.model import Commitment, Deal, Link

VERSION = "1.0"
GRACE_DAYS = 3


def unlinked_commitment(
    deal: Deal,
    commitment: Commitment | None,
    links: Iterable[Link],
    *,
    entered: date | None,
    today: date,
    is_working_day: IsWorkingDay,
) -> Finding | None:
    """The promise without a believed link (0.80), three business days after the deal came into force.

    ``entered`` is the day it did; None: not known to be long enough ago. A promise whose day has passed keeps an
    alert that fires, but starts none.
    """
    if commitment is None or commitment.links or entered is None:
        return None
    waited = business_days_between(entered, today, is_working_day)
    if waited < GRACE_DAYS:
        return None
    promised = commitment.promised_date
    return Finding(
        kind="unlinked_commitment",
        subject=(deal.key,),
        rule_version=VERSION,
        severity="warning",
        title=f"{what_of(deal, commitment)}: promised for {promised.isoformat()}, on nobody's board",
        deals=(deal,),
        clears_when="the deal names an issue that exists, or no longer promises a date",
        next_step="Find or create the issue and write its key into the deal's Jira field.",
        holds=promised >= today,
        date=promised,
        money=money_of((deal,)),
        evidence=_evidence(links, entered, waited),
        covers=frozenset({commitment.key}),
    )


def _evidence(links: Iterable[Link], entered: date, waited: int) -> tuple[str, ...]:
    weak = tuple(
        f"{', '.join(link.mentions)} is only a suggestion ({link.confidence:.2f}: {', '.join(link.basis)})."
        for link in links
        if link.confidence < BELIEVED
    )
    return (
        f"In force since {entered.isoformat()}, {waited} business days.",
        "No field and no text of the deal names an issue that exists.",
        *weak,
    )
