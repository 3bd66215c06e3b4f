"""Deals that are copies of others: cloned or renewed, with every field taken along, the issue keys too."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

SHARED_BY = 5
"""A long text that stands on the deals of so many customers is a form, not a promise."""
_COPY_WORDS = {
    *("copy", "of", "clone", "cloned", "klon", "kopia", "av"),
    *("renewal", "renew", "renewed", "förnyelse", "förnyad", "förlängning", "extension"),
}
_WORD = re.compile(r"[^\W\d_]+")
_QUARTER = re.compile(r"\b[qhv]\d\b")


@dataclass(frozen=True, slots=True)
class Kin:
    """What tells whether a deal was copied from another one."""

    deal: str
    name: str
    account: str
    likeness: str
    created: datetime | None
    lost: bool
    copied: frozenset[tuple[str, str]]
    """(place, key) of everything written on it."""
    words: frozenset[str] = frozenset()
    """Names of its texts with keys in them."""


def likeness(name: str) -> str:
    """The deal's name without the marks of a copy: "Copy of", "Renewal", years, quarters, numbers."""
    words = _WORD.findall(_QUARTER.sub(" ", name.casefold()))
    return " ".join(word for word in words if word not in _COPY_WORDS)


def source_of(deal: Kin, others: Iterable[Kin], written: Collection[tuple[str, str]]) -> Kin | None:
    """The oldest deal that ``deal`` took everything in ``written`` from; None when it is no copy.

    It is of the same account, older, and alike in name or in a whole text. A lost deal is no source: who sells
    again what was lost means the same work.
    """
    sources = [
        other
        for other in others
        if other.account == deal.account
        and not other.lost
        and _older(other, deal)
        and _alike(other, deal)
        and other.copied.issuperset(written)
    ]
    return min(sources, key=_age, default=None)


def _alike(one: Kin, other: Kin) -> bool:
    return (bool(one.likeness) and one.likeness == other.likeness) or bool(one.words & other.words)


def _older(one: Kin, other: Kin) -> bool:
    return one.created is not None and other.created is not None and _age(one) < _age(other)


def _age(kin: Kin) -> tuple[float, str]:
    return (kin.created.timestamp() if kin.created else float("inf"), kin.deal)
