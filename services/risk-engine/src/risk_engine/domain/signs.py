"""Where on a deal an issue key may stand, and what stands there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from risk_engine.domain.keys import KeyMention, candidate_keys, is_bare
from risk_engine.domain.model import Deal

LONG = 12
"""Words; what is shorter, many people may write by themselves."""
PlaceKind = Literal["field", "record", "text"]


@dataclass(frozen=True, slots=True)
class Sign:
    """One filled place of a deal with the keys in it."""

    place: str
    """``field <name>``, ``record <object>.<field>``, ``text <name>``: the same for all deals of an org."""
    kind: PlaceKind
    keys: tuple[KeyMention, ...]
    bare: bool
    """Nothing but keys stands there."""
    words: str = ""
    """Names the very text, where it is long enough that two people would not write the same."""

    @property
    def certain_keys(self) -> tuple[str, ...]:
        """Those in upper case: others never make a link."""
        return tuple(mention.key for mention in self.keys if mention.certain)


def signs_of(deal: Deal) -> tuple[Sign, ...]:
    """Every filled place of the deal, ordered by place. A place of several records or lines comes once for each."""
    return tuple(sorted(_signs(deal), key=lambda sign: (sign.place, sign.words, sign.certain_keys)))


def _signs(deal: Deal) -> Iterator[Sign]:
    for name, value in deal.custom.items():
        yield _sign(f"field {name}", "field", value)
    for record in deal.records:
        for name, value in record.fields.items():
            yield _sign(f"record {record.object}.{name}", "record", value)
    for name, value in deal.texts.items():
        if value:
            yield _sign(f"text {name}", "text", value)
    for line in deal.lines:
        if line.description:
            yield _sign("text line item", "text", line.description)


def _sign(place: str, kind: PlaceKind, value: str) -> Sign:
    keys = candidate_keys(value)
    bare = bool(keys) and is_bare(value)
    return Sign(place, kind, keys, bare, _name_of(value) if keys else "")


def _name_of(text: str) -> str:
    words = text.casefold().split()
    return "" if len(words) < LONG else blake2b(" ".join(words).encode(), digest_size=8).hexdigest()
