"""The custom objects around a deal, found by describe: over two hops a promise is still this deal's promise.

Three ways lead to one: it looks the deal up; it looks up an object that does; a junction that looks the deal up looks
it up, too. The last is read as a part of its junction, the others are objects of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crm_sync.salesforce import Description, Lookup

CUSTOM = "__c"
"""Ending of the name of what an administrator added."""
MOST_RELATED = 10
"""Each costs calls in every poll."""
Seen = dict[str, Description | None]
"""What was described, by object; None for what Salesforce does not show."""


@dataclass(frozen=True, slots=True)
class Related:
    """An object, and the path from one of its records to the deal."""

    name: str
    parent: str


def one_hop(deal: Description | None) -> tuple[Related, ...]:
    """What looks the deal up; of several lookups in one object the first counts."""
    return _by_name((each.name, each.field) for each in _lookups(deal))


def two_hops(first: Iterable[Related], seen: Seen) -> tuple[Related, ...]:
    """What looks one of the ``first`` up and not the deal itself."""
    known = {each.name: each for each in first}
    found = (
        (lookup.name, f"{relationship(lookup.field)}.{each.parent}")
        for each in known.values()
        for lookup in _lookups(seen.get(each.name))
        if lookup.name not in known
    )
    return _by_name(found)[: max(0, MOST_RELATED - len(known))]


def looked_up(item: Related, seen: Seen, others: Iterable[str]) -> Mapping[str, str]:
    """By relationship the custom objects that ``item`` looks up beside the deal and the ``others``."""
    told = seen.get(item.name) or ()
    targets = {relationship(each.name): each.target for each in told if each.custom and each.target}
    known = {*others, item.name}
    return {way: name for way, name in targets.items() if name.endswith(CUSTOM) and name not in known}


def relationship(field: str) -> str:
    """The way through a custom lookup as queries spell it."""
    return f"{field.removesuffix(CUSTOM)}__r"


def _lookups(told: Description | None) -> tuple[Lookup, ...]:
    return () if told is None else told.lookups


def _by_name(found: Iterable[tuple[str, str]]) -> tuple[Related, ...]:
    first: dict[str, str] = {}
    for name, parent in found:
        if name.endswith(CUSTOM) and parent.endswith(CUSTOM):
            first.setdefault(name, parent)
    return tuple(Related(name, parent) for name, parent in sorted(first.items())[:MOST_RELATED])
