"""What a role may not see is taken out of every answer in one place, by the names of its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from risk_engine.serve.gate import Sight
from risk_engine.serve.tokens import Caller

AMOUNTS = frozenset(
    {
        "amount",
        "at_stake",
        "converted",
        "displaced_money",
        "money",
        "money_at_risk",
        "stake",
        "total",
        "unplaced",
        "values",
        "worth",
    }
)
"""Fields that tell what something is worth."""
NAMES = frozenset(
    {
        "account",
        "answered_by",
        "deal_name",
        "declared_by",
        "deliverable",
        "email",
        "engineering_owner",
        "name",
        "owner",
        "sales_owner",
        "who",
    }
)
"""Fields that name a customer, a person, or what was sold."""
TEXTS = frozenset(
    {
        "clears_when",
        "conflict",
        "drivers",
        "evidence",
        "explanation",
        "next_step",
        "source",
        "summary",
        "title",
        "withdrawn_because",
    }
)
"""Sentences that may tell either."""
_REASONS = "basis"
"""A word of the ledger or what an answer was computed from; but a list of sentences where it says why a link is
believed (copied from which deal, confirmed by whom)."""


def hidden_from(caller: Caller, sight: Sight) -> frozenset[str]:
    """Names of the fields that the caller may not see."""
    amounts = AMOUNTS if caller.role in sight.without_amounts else frozenset()
    names = NAMES if caller.role in sight.without_names else frozenset()
    return amounts | names | (TEXTS if amounts or names else frozenset())


def redacted(told: Any, hidden: frozenset[str]) -> Any:
    """The answer with every hidden field emptied, at any depth: lists stay lists, all else becomes null."""
    if isinstance(told, list):
        return [redacted(one, hidden) for one in told]
    if isinstance(told, Mapping):
        return {
            name: _emptied(value) if _is_hidden(name, value, hidden) else redacted(value, hidden)
            for name, value in told.items()
        }
    return told


def _is_hidden(name: str, value: Any, hidden: frozenset[str]) -> bool:
    return name in hidden or (bool(hidden) and name == _REASONS and isinstance(value, list))


def _emptied(value: Any) -> Any:
    return [] if isinstance(value, list) else None
