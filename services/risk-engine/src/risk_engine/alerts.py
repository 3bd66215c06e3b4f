"""From findings to transitions: what changed is kept, and what must go out is put into the outbox with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from risk_engine.deliver.kafka import transition_row
from risk_engine.domain.finding import Finding
from risk_engine.domain.lifecycle import Transition, transition
from risk_engine.domain.model import Deal, Money
from risk_engine.metrics import EngineMetrics
from risk_engine.store.alerts import KeptAlert, NoticeQuery, read_alerts, read_notices, write_transitions
from risk_engine.store.database import Connection
from risk_engine.store.outbox import Parcel, enqueue
from risk_engine.store.progress import end_quiet_start, is_digested, may_notify
from risk_engine.store.views import read_users
from troth_contracts.crm import CrmUser
from troth_contracts.risk import AlertDeal, AlertTransition, Owner
from troth_contracts.values import Money as WireMoney

MOST_IN_A_DIGEST = 1_000
"""A notice should stay within what receivers take; the others are at ``GET /alerts``."""


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """Who is addressed when nobody better is known; never empty."""

    sales: str
    engineering: str


class Alerts:
    """Applies findings inside the evaluation's own transaction."""

    def __init__(self, fallbacks: Fallbacks, metrics: EngineMetrics, *, has_webhook: bool) -> None:
        self._fallbacks = fallbacks
        self._metrics = metrics
        self._has_webhook = has_webhook
        self._notifies = False

    async def apply(
        self, connection: Connection, findings: Mapping[str, Finding | None], now: datetime
    ) -> None:
        """Takes each alert one step further where there is news.

        ``findings``: by the fingerprint that the finding has, or would have if there were one.
        """
        notify = await self._may_notify(connection)
        known = await read_alerts(connection, findings)
        steps = []
        for alert_id, finding in sorted(findings.items()):
            kept = known.get(alert_id)
            step = transition(kept.state if kept else None, finding, now)
            if step is not None:
                steps.append((step, kept.notice if kept else None))
        owners = await read_users(connection, {_owner(step) for step, _ in steps})
        told = [KeptAlert(step.state, self._notice(step, last, owners)) for step, last in steps]
        await write_transitions(connection, told)
        await enqueue(
            connection, [parcel for one in told for parcel in self._parcels(one.notice, notify=notify)], now
        )
        for one in told:
            self._metrics.transitions.labels(one.notice.kind, one.notice.reason).inc()

    def _notice(
        self, step: Transition, last: AlertTransition | None, owners: Mapping[str, CrmUser]
    ) -> AlertTransition:
        if step.finding is not None:
            return self._told(step, step.finding, owners.get(_owner(step)))
        if last is None:
            raise AssertionError(f"{step.state.fingerprint} resolves without ever having fired")
        return msgspec.structs.replace(
            last,
            phase="resolved",
            reason="resolved",
            sequence=step.state.sequence,
            at=step.state.changed_at,
            title=f"Resolved: {last.title}",
            next_step="Nothing; this is over.",
        )

    def _told(self, step: Transition, finding: Finding, owner: CrmUser | None) -> AlertTransition:
        return AlertTransition(
            alert_id=finding.fingerprint,
            sequence=step.state.sequence,
            kind=finding.kind,
            phase=step.state.phase,
            reason=step.reason,
            severity=step.state.severity,
            at=step.state.changed_at,
            title=finding.title,
            sales_owner=self._sales_owner(owner),
            engineering_owner=Owner(name=self._engineering_name(finding), fallback=True),
            rule_version=finding.rule_version,
            clears_when=finding.clears_when,
            next_step=finding.next_step,
            team=finding.team,
            date=finding.date,
            probability=None if finding.probability is None else round(finding.probability, 4),
            missing_points=finding.missing_points,
            money=tuple(_money(sum_) for sum_ in finding.money),
            deals=tuple(_deal(deal) for deal in finding.deals),
            evidence=finding.evidence,
        )

    def _sales_owner(self, user: CrmUser | None) -> Owner:
        if user is None:
            return Owner(name=self._fallbacks.sales, fallback=True)
        return Owner(name=user.name, id=user.id, email=user.email)

    def _engineering_name(self, finding: Finding) -> str:
        name = self._fallbacks.engineering
        return f"{name} of {finding.team}" if finding.team else name

    async def digest(self, connection: Connection, now: datetime) -> bool:
        """Ends the quiet start once everything is evaluated: what is true then goes out as one notice.

        True when it ended now. What follows is told alert by alert.
        """
        if self._notifies or await is_digested(connection):
            return False
        since = await end_quiet_start(connection, now)
        if since is None:
            return False
        firing = await read_notices(connection, NoticeQuery("firing"))
        if firing and self._has_webhook:
            parcel = Parcel(
                f"digest-{int(since.timestamp() * 1000)}", "webhook", "digest", digest_body(firing, now)
            )
            await enqueue(connection, [parcel], now)
        return True

    async def _may_notify(self, connection: Connection) -> bool:
        self._notifies = self._notifies or await may_notify(connection)
        return self._notifies

    def _parcels(self, notice: AlertTransition, *, notify: bool) -> Iterator[Parcel]:
        yield Parcel(notice.notice_id, "kafka", notice.alert_id, transition_row(notice))
        if notify and self._has_webhook:
            yield Parcel(notice.notice_id, "webhook", notice.alert_id, webhook_body(notice))


def webhook_body(notice: AlertTransition) -> dict[str, object]:
    """The payload form that Standard Webhooks recommends: type, timestamp, data."""
    return {
        "type": f"alert.{notice.phase}",
        "timestamp": notice.at.isoformat(),
        "data": msgspec.to_builtins(notice),
    }


def digest_body(firing: Sequence[dict[str, Any]], now: datetime) -> dict[str, object]:
    """The digest: how many alerts fire, by kind and severity, and the gravest of them in full."""
    gravest = sorted(
        firing, key=lambda notice: (notice["severity"] != "critical", notice["at"], notice["alert_id"])
    )
    return {
        "type": "alerts.digest",
        "timestamp": now.isoformat(),
        "data": {
            "title": f"{len(firing)} promises and teams need attention",
            "firing": len(firing),
            "kinds": dict(Counter(notice["kind"] for notice in firing)),
            "severities": dict(Counter(notice["severity"] for notice in firing)),
            "alerts": gravest[:MOST_IN_A_DIGEST],
            "not_listed": max(0, len(firing) - MOST_IN_A_DIGEST),
        },
    }


def _money(money: Money) -> WireMoney:
    return WireMoney(amount=money.amount, currency=money.currency)


def _deal(deal: Deal) -> AlertDeal:
    return AlertDeal(
        key=deal.key,
        id=deal.id,
        name=deal.name,
        account=deal.account,
        owner=deal.owner_name,
        amount=_money(deal.amount) if deal.amount else None,
        promised_date=deal.promised_date,
    )


def _size(deal: Deal) -> tuple[Decimal, str]:
    return deal.amount.amount if deal.amount else Decimal(0), deal.key


def _owner(step: Transition) -> str:
    """The owner of the largest deal, as ``<org>:<user id>``; empty where none is known."""
    largest = max(step.finding.deals if step.finding else (), key=_size, default=None)
    if largest is None or largest.owner_id is None:
        return ""
    return f"{largest.key.partition(':')[0]}:{largest.owner_id}"
