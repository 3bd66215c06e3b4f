"""From findings to transitions: what changed is kept, and what must go out is put into the outbox with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import msgspec

from risk_engine.deliver.kafka import transition_row
from risk_engine.domain.finding import Finding
from risk_engine.domain.lifecycle import Transition, transition
from risk_engine.domain.model import Deal, Money
from risk_engine.metrics import EngineMetrics
from risk_engine.store.alerts import read_alert, write_transition
from risk_engine.store.database import Connection
from risk_engine.store.outbox import enqueue
from risk_engine.store.views import read_user
from troth_contracts.risk import AlertDeal, AlertTransition, Owner
from troth_contracts.values import Money as WireMoney


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

    async def apply(
        self, connection: Connection, alert_id: str, finding: Finding | None, now: datetime
    ) -> bool:
        """Takes the alert one step further if there is news; True when a notice was written.

        ``alert_id`` is the fingerprint that ``finding`` has, or would have if there were one.
        """
        previous, last = await read_alert(connection, alert_id)
        step = transition(previous, finding, now)
        if step is None:
            return False
        notice = await self._notice(connection, step, last)
        await write_transition(connection, step.state, notice)
        await self._send(connection, notice)
        self._metrics.transitions.labels(notice.kind, step.reason).inc()
        return True

    async def _notice(
        self, connection: Connection, step: Transition, last: AlertTransition | None
    ) -> AlertTransition:
        if step.finding is not None:
            return await self._told(connection, step, step.finding)
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

    async def _told(self, connection: Connection, step: Transition, finding: Finding) -> AlertTransition:
        return AlertTransition(
            alert_id=finding.fingerprint,
            sequence=step.state.sequence,
            kind=finding.kind,
            phase=step.state.phase,
            reason=step.reason,
            severity=step.state.severity,
            at=step.state.changed_at,
            title=finding.title,
            sales_owner=await self._sales_owner(connection, finding.deals),
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

    async def _sales_owner(self, connection: Connection, deals: tuple[Deal, ...]) -> Owner:
        """The owner of the largest deal; sales operations when it has none that is known."""
        largest = max(deals, key=_size, default=None)
        if largest is not None and largest.owner_id is not None:
            org = largest.key.partition(":")[0]
            user = await read_user(connection, f"{org}:{largest.owner_id}")
            if user is not None:
                return Owner(name=user.name, id=user.id, email=user.email)
        return Owner(name=self._fallbacks.sales, fallback=True)

    def _engineering_name(self, finding: Finding) -> str:
        name = self._fallbacks.engineering
        return f"{name} of {finding.team}" if finding.team else name

    async def _send(self, connection: Connection, notice: AlertTransition) -> None:
        await enqueue(
            connection,
            notice_id=notice.notice_id,
            endpoint="kafka",
            stream=notice.alert_id,
            body=transition_row(notice),
            at=notice.at,
        )
        if self._has_webhook:
            await enqueue(
                connection,
                notice_id=notice.notice_id,
                endpoint="webhook",
                stream=notice.alert_id,
                body=webhook_body(notice),
                at=notice.at,
            )


def webhook_body(notice: AlertTransition) -> dict[str, object]:
    """The payload form that Standard Webhooks recommends: type, timestamp, data."""
    return {
        "type": f"alert.{notice.phase}",
        "timestamp": notice.at.isoformat(),
        "data": msgspec.to_builtins(notice),
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
