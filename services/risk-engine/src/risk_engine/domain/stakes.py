"""What is at stake on each issue: a deal's money split over its open work, each cent once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from risk_engine.domain.money import allocate


@dataclass(frozen=True, slots=True)
class Share:
    """The open leaves of one commitment with their points; ``worth`` where its own part of the amount is known."""

    points: Mapping[str, float]
    worth: Decimal | None = None


def stakes_of(worth: Decimal, shares: Sequence[Share]) -> dict[str, Decimal]:
    """By leaf; the parts sum to ``worth`` exactly, unless there is no leaf at all.

    What a commitment is worth itself goes to its own leaves, as far as the deal's amount reaches; the rest goes to
    all other leaves by their points, and to every leaf where there is no other.
    """
    found: dict[str, Decimal] = defaultdict(Decimal)
    rest = worth
    for share in shares:
        if share.worth is not None and share.points:
            own = min(share.worth, rest) if worth > 0 else Decimal(0)
            rest -= own
            _add(found, allocate(own, share.points))
    _add(found, allocate(rest, _rest(shares)))
    return dict(found)


def _rest(shares: Sequence[Share]) -> dict[str, float]:
    """Leaves that no commitment with a worth of its own has; all where there is none. Each once."""
    points: dict[str, float] = {}
    for share in shares:
        for leaf, size in share.points.items():
            points[leaf] = max(size, points.get(leaf, 0.0))
    valued = {leaf for share in shares if share.worth is not None for leaf in share.points}
    return {leaf: size for leaf, size in points.items() if leaf not in valued} or points


def _add(found: dict[str, Decimal], parts: Mapping[str, Decimal]) -> None:
    for leaf, part in parts.items():
        found[leaf] += part
