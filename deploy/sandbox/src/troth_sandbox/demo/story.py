"""Reads the notices that arrived, holds them against what was planted, and tells it in words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from troth_contracts.risk import AlertTransition


@dataclass(frozen=True, order=True)
class Finding:
    """What a notice says, in the form the scenario states its truth."""

    kind: str
    team: str
    date: str
    deals: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The form of ``build/demo.json``."""
        return {**asdict(self), "deals": list(self.deals)}


@dataclass(frozen=True)
class Verdict:
    """Planted against found."""

    planted: tuple[Finding, ...]
    found: tuple[Finding, ...]
    healthy_teams: tuple[str, ...]
    """Planted healthy teams without an alert."""
    blamed_teams: tuple[str, ...]
    """Planted healthy teams with one."""

    @property
    def unexpected(self) -> tuple[Finding, ...]:
        """Found, but nobody planted it."""
        return tuple(sorted(set(self.found) - set(self.planted)))

    @property
    def missing(self) -> tuple[Finding, ...]:
        """Planted, but not found."""
        return tuple(sorted(set(self.planted) - set(self.found)))

    @property
    def holds(self) -> bool:
        """Found is planted, nothing more, nothing less."""
        return bool(self.planted) and not self.missing and not self.unexpected and not self.blamed_teams


def read_notices(path: Path) -> list[tuple[str, AlertTransition]]:
    """Id and transition of every notice that was accepted, in the order of arrival; a digest holds several."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    received = [json.loads(line) for line in lines if line.endswith("}")]
    return [told for item in received for told in _transitions(item["webhook_id"], item["body"])]


def _transitions(webhook_id: str, body: Any) -> Iterator[tuple[str, AlertTransition]]:
    document = json.loads(body) if isinstance(body, str) else body
    if document["type"] == "alerts.digest":
        for alert in document["data"]["alerts"]:
            transition = _transition(alert)
            yield transition.notice_id, transition
    else:
        yield webhook_id, _transition(document["data"])


def _transition(data: Any) -> AlertTransition:
    return msgspec.convert(data, AlertTransition, strict=False)


def firing(notices: Iterable[tuple[str, AlertTransition]]) -> list[AlertTransition]:
    """The latest state of each alert that is firing, in the order of its first notice."""
    latest: dict[str, AlertTransition] = {}
    for _, transition in notices:
        known = latest.get(transition.alert_id)
        if known is None or known.sequence < transition.sequence:
            latest[transition.alert_id] = transition
    return [transition for transition in latest.values() if transition.phase == "firing"]


def judge(truth: dict[str, Any], alerts: Sequence[AlertTransition]) -> Verdict:
    """Holds what fires against ``truth.json``."""
    planted = [
        Finding(item["kind"], item["team"], item["date"], tuple(sorted(item["deals"])))
        for item in truth["planted"]
    ]
    found = [
        Finding(
            alert.kind,
            alert.team,
            alert.date.isoformat() if alert.date else "",
            tuple(sorted(deal.id for deal in alert.deals)),
        )
        for alert in alerts
    ]
    blamed = {name for alert in alerts for name in alert.team.split(", ")} & set(truth["healthy_teams"])
    healthy = tuple(name for name in truth["healthy_teams"] if name not in blamed)
    return Verdict(tuple(sorted(planted)), tuple(sorted(found)), healthy, tuple(sorted(blamed)))


def tell(alert: AlertTransition) -> str:
    """One alert as a short paragraph."""
    money = ", ".join(f"{_amount(sum_.amount)} {sum_.currency}" for sum_ in alert.money) or "no amount"
    names = ", ".join(deal.name for deal in alert.deals)
    who = f"{alert.sales_owner.name} (sales) and {alert.engineering_owner.name} (engineering)"
    facts = "".join(f"\n    · {fact}" for fact in alert.evidence)
    head = f"{alert.title}\n    {len(alert.deals)} deal(s), {money}: {names}\n    told to {who}"
    return f"{head}{facts}\n    next: {alert.next_step}"


def _amount(amount: Decimal) -> str:
    return f"{amount:,.0f}"
