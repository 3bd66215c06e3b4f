"""Which issues a deal is about, each with the reason to believe it.

Issue keys are found in the deal's fields and texts; the deal's record or number is found on issues by jira-sync.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod

from risk_engine.domain.model import Deal, Link

FIELD_CONFIDENCE = 0.95
NAMED_CONFIDENCE = 0.90
"""The issue itself bears the deal's record id, its address, or its number by the configured pattern."""
TEXT_CONFIDENCE = 0.85
BELIEVED = 0.80
"""From this confidence on a link stands for work; below it is a suggestion."""

Resolve = Callable[[str], str | None]
"""From an issue key, present or former, to the issue (``<site>:<id>``); None when no such issue is known."""

# A key stands alone: B7-214 is no part of XB7-214, B7-214-68901 or B7-214.5, but may end a sentence.
_KEY = re.compile(
    r"""(?<![\w-]) (?P<project>[A-Za-z][A-Za-z0-9_]+) - (?P<number>[1-9][0-9]{0,9})
        (?! \w | -\w | [.,]\d | @ )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class KeyMention:
    """Something written like an issue key, in upper case; ``certain`` is False when it was written otherwise."""

    key: str
    certain: bool


@dataclass(frozen=True, slots=True)
class Naming:
    """An issue (``<site>:<id>``) that names the deal, and where on it: ``description``, ``remote_link``, a field."""

    issue: str
    issue_key: str
    place: str


@dataclass(frozen=True, slots=True)
class _Signal:
    place: str
    text: str
    confidence: float


def candidate_keys(text: str) -> tuple[KeyMention, ...]:
    """What may be an issue key in ``text``, in order of first mention, each once.

    Whether the project and the issue exist is not known here.
    """
    found: dict[str, bool] = {}
    for match in _KEY.finditer(text):
        written = match.group(0)
        key = written.upper()
        found[key] = found.get(key, False) or written == key
    return tuple(KeyMention(key, certain) for key, certain in found.items())


def find_links(deal: Deal, resolve: Resolve, namings: Iterable[Naming] = ()) -> tuple[Link, ...]:
    """The deal's links, one per issue, ordered by issue; keys not in upper case never make one.

    Independent kinds of signal (field, issue, text) combine as 1 - product(1 - c); the same kind twice counts once.
    """
    places: dict[str, dict[str, float]] = defaultdict(dict)
    mentions: dict[str, set[str]] = defaultdict(set)
    for signal in _signals(deal):
        for mention in candidate_keys(signal.text):
            issue = resolve(mention.key) if mention.certain else None
            if issue is not None:
                places[issue][signal.place] = signal.confidence
                mentions[issue].add(mention.key)
    for naming in namings:
        places[naming.issue][f"issue {naming.place}"] = NAMED_CONFIDENCE
        if not mentions[naming.issue]:
            mentions[naming.issue].add(naming.issue_key)
    return tuple(_link(issue, places[issue], mentions[issue]) for issue in sorted(places))


def _signals(deal: Deal) -> Iterator[_Signal]:
    for name, value in sorted(deal.custom.items()):
        if "jira" in name.lower():
            yield _Signal(f"field {name}", value, FIELD_CONFIDENCE)
    for name, value in sorted(deal.texts.items()):
        yield _Signal(f"text {name}", value, TEXT_CONFIDENCE)


def _link(issue: str, places: dict[str, float], mentions: set[str]) -> Link:
    confidence = 1 - prod(1 - kind for kind in sorted(set(places.values())))
    return Link(issue, tuple(sorted(mentions)), confidence, tuple(sorted(places)))
