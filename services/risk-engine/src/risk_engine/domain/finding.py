"""What a rule says about one subject; whether anybody is told is decided in `lifecycle`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import blake2b

from risk_engine.domain.model import AlertKind, Commitment, Deal, Money, Severity


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's answer for one subject, with everything a reader needs to believe it and act on it."""

    kind: AlertKind
    subject: tuple[str, ...]
    """Keys of what it is about: a team for `oversold`, else a deal. Part of the identity, with ``rule_version``."""
    rule_version: str
    """``major.minor``: a new major is a new alert."""
    severity: Severity
    title: str
    deals: tuple[Deal, ...]
    clears_when: str
    next_step: str
    holds: bool = True
    """False in the band between firing and clearing: keeps an alert that fires, starts none."""
    inhibited_by: str | None = None
    """Fingerprint of the finding that already says so: starts nothing, tells nothing, ends nothing."""
    team: str = ""
    """Team names, sorted, joined by a comma and a space."""
    date: date | None = None
    """First breaking date (`oversold`), else the promised date."""
    probability: float | None = None
    missing_points: Decimal | None = None
    money: tuple[Money, ...] = ()
    evidence: tuple[str, ...] = ()
    covers: frozenset[str] = frozenset()
    """Keys of the commitments this finding speaks for: their own late forecasts stay silent."""

    @property
    def fingerprint(self) -> str:
        """Identity of the alert: kind, subject and the rule's major version; never amounts, dates or texts."""
        return fingerprint(self.kind, self.subject, self.rule_version)


def fingerprint(kind: AlertKind, subject: Iterable[str], rule_version: str) -> str:
    """Stable id without a full stop (a separator in signed webhooks)."""
    digest = blake2b(digest_size=12)
    for part in (kind, rule_version.partition(".")[0], *subject):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return f"{kind}-{digest.hexdigest()}"


def what_of(deal: Deal, commitment: Commitment) -> str:
    """The deal's name, and which of its deliverables it is about."""
    return f"{deal.name}, {commitment.title}" if commitment.title else deal.name


def money_of(deals: Iterable[Deal]) -> tuple[Money, ...]:
    """What the deals are worth together, one sum per currency, ordered by currency."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for deal in deals:
        if deal.amount is not None:
            sums[deal.amount.currency] += deal.amount.amount
    return tuple(Money(sums[currency], currency) for currency in sorted(sums))
