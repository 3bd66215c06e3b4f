"""Which fields of an org hold issue keys: scored by how often they are filled and how often a key in them resolves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from risk_engine.domain.keys import is_standard
from risk_engine.domain.signs import Sign

VALUES_NEEDED = 5
"""A field with fewer values is not known well enough to be taken for a key field."""
HIT_RATE = 0.60
WORTH_ASKING = 0.20
"""From this share of values on a field is suggested."""
Standing = Literal["named", "found", "confirmed", "candidate", "other", "rejected"]
KEY_FIELDS: frozenset[Standing] = frozenset({"named", "found", "confirmed"})
"""Fields taken for what they hold: issue keys. A ``candidate`` may hold them; somebody has to say."""
Answer = Literal["confirmed", "rejected"]
_OTHER_NUMBERS = (
    "part",
    "sku",
    "serial",
    "article",
    "artikel",
    "invoice",
    "faktura",
    "contract",
    "avtal",
    "purchase_order",
    "standard",
    "certif",
    "compliance",
)
"""Fields so named hold numbers of their own kind, whatever they happen to hit."""


@dataclass(frozen=True, slots=True)
class FieldScore:
    """What the values of one place come to, over all deals of an org."""

    filled: int = 0
    keyed: int = 0
    """Values with something written like a key."""
    resolved: int = 0
    """Values with a key of an issue that exists."""
    hits: int = 0
    """Of those, values that are nothing but keys."""

    @property
    def hit_rate(self) -> float:
        """Share of the values that are keys of issues that exist."""
        return self.hits / self.filled if self.filled else 0.0

    @property
    def speaks_of_issues(self) -> bool:
        """Whether most of what is written like a key in its prose is one."""
        return self.keyed > 0 and self.resolved / self.keyed >= HIT_RATE

    def plus(self, other: FieldScore, sign: int = 1) -> FieldScore:
        """Both together; with ``sign`` -1 the first without the second."""
        return FieldScore(
            self.filled + sign * other.filled,
            self.keyed + sign * other.keyed,
            self.resolved + sign * other.resolved,
            self.hits + sign * other.hits,
        )


def contribution(signs: Iterable[Sign], resolves: Callable[[str], bool]) -> dict[str, FieldScore]:
    """What one deal adds to the scores of its fields; standard texts need no score."""
    scores: dict[str, FieldScore] = {}
    for sign in signs:
        if sign.kind != "text":
            keys = [key for key in sign.certain_keys if not is_standard(key)]
            resolved = any(resolves(key) for key in keys)
            added = FieldScore(1, bool(keys), resolved, resolved and sign.bare)
            scores[sign.place] = scores.get(sign.place, FieldScore()).plus(added)
    return scores


def standing_of(place: str, score: FieldScore, answer: Answer | None = None) -> Standing:
    """What the field is taken for. People's answers come first, then its name, then its values.

    Depends on the present scores only, so that the order in which deals and issues came never shows.
    """
    if answer is not None:
        return answer
    name = place.lower()
    if "jira" in name:
        return "named"
    enough = score.filled >= VALUES_NEEDED and score.hit_rate >= HIT_RATE
    if enough and not any(word in name for word in _OTHER_NUMBERS):
        return "found"
    asks = score.hits > 0 and (score.filled < VALUES_NEEDED or score.hit_rate >= WORTH_ASKING)
    return "candidate" if asks else "other"
