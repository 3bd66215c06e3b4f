"""What risk-engine publishes: the assessment of each deal and every transition of an alert."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from troth_contracts.values import Contract, Instant, Money

Severity = Literal["info", "warning", "critical"]
AlertKind = Literal["oversold", "late_forecast", "unlinked_commitment"]
AlertPhase = Literal["baseline", "firing", "resolved"]
NoticeReason = Literal["first", "worse", "larger", "better", "resolved"]


class DealLink(Contract, frozen=True):
    """A deal's link to an issue, with why it is believed."""

    issue_key: str
    issue_id: str
    confidence: float
    """0 to 1; two independent signals combine as 1 - product(1 - c)."""
    basis: tuple[str, ...] = ()
    conflict: str = ""
    """What on the deal or the issue says otherwise; empty: nothing."""


class CommitmentAssessment(Contract, frozen=True):
    """One deliverable of a deal: its three dates, and how likely it is kept."""

    key: str
    """The deal's own for its whole, else ``<deal>~<part>``."""
    title: str = ""
    """The deliverable in words; empty: the whole deal."""
    basis: str = ""
    """declared, record, field or line: where the promised date is from."""
    need: str = "strong"
    """blocker, strong or nice."""
    promised_date: date | None = None
    committed_date: date | None = None
    forecast_p50: date | None = None
    forecast_p85: date | None = None
    forecast_p95: date | None = None
    p_on_time: float | None = None
    links: tuple[DealLink, ...] = ()
    teams: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()


class Assessment(Contract, frozen=True):
    """One deal's promise: promised, committed and forecast date, and how likely it is kept.

    Where it promises several things, the fields beside ``commitments`` tell of its whole, else of its first date.
    """

    deal_key: str
    deal_name: str
    as_of: Instant
    in_force: bool
    promised_date: date | None = None
    committed_date: date | None = None
    forecast_p50: date | None = None
    forecast_p85: date | None = None
    p_on_time: float | None = None
    """Share of trials in which the deal joins and every team is done by the promised date."""
    links: tuple[DealLink, ...] = ()
    teams: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    seed: str = ""
    trials: int = 0
    forecast_p95: date | None = None
    commitments: tuple[CommitmentAssessment, ...] = ()
    """Everything the deal promises, by date."""


class AlertDeal(Contract, frozen=True):
    """A deal behind an alert."""

    key: str
    id: str
    name: str
    account: str | None = None
    owner: str | None = None
    amount: Money | None = None
    promised_date: date | None = None


class Owner(Contract, frozen=True):
    """Who is addressed; never empty: a configured fallback stands in for an unknown person."""

    name: str
    id: str | None = None
    email: str | None = None
    fallback: bool = False


class AlertTransition(Contract, frozen=True):
    """One step in the life of an alert; the body of a notice."""

    alert_id: str
    """Fingerprint: kind, subject ids and the rule's major version."""
    sequence: int
    """Counts the transitions of this alert from 1 without holes."""
    kind: AlertKind
    phase: AlertPhase
    reason: NoticeReason
    severity: Severity
    at: Instant
    title: str
    sales_owner: Owner
    engineering_owner: Owner
    rule_version: str
    clears_when: str
    next_step: str
    team: str = ""
    date: date | None = None
    """First breaking date (oversold) or the promised date."""
    probability: float | None = None
    missing_points: Decimal | None = None
    money: tuple[Money, ...] = ()
    """Sum over the deals, one entry per currency."""
    deals: tuple[AlertDeal, ...] = ()
    evidence: tuple[str, ...] = ()

    @property
    def notice_id(self) -> str:
        """Constant over retries and restarts."""
        return f"{self.alert_id}-{self.sequence}"
