"""The smallest product worth promising: the items that protect most money and still fit, each with what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf

MOST_STEPS = 4_000
"""The search ends after this many steps with the best it found; up to 18 items it ends by itself before."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something that may be promised or left out."""

    name: str
    value: Decimal
    loads: Mapping[str, float] = field(default_factory=dict)
    """Points by team."""
    needs: frozenset[str] = frozenset()
    """Names of the items that must be done before it."""


@dataclass(frozen=True, slots=True)
class Subset:
    """What was chosen, ordered as asked. ``optimal``: nothing better exists."""

    chosen: tuple[str, ...]
    value: Decimal
    optimal: bool


Fits = Callable[[Mapping[str, float]], bool]
"""Whether points by team fit together; what fits, fits with less."""


def best_subset(items: Sequence[Item], room: Mapping[str, float], fits: Fits) -> Subset:
    """Maximise value among the sets that fit and hold everything their items need.

    ``room``: the most of each team that fits on its own, by team. An item on a ring of needs comes with the ring.
    """
    search = _Search(items, room, fits)
    search.run()
    order = [item.name for item in items]
    return Subset(tuple(sorted(search.best, key=order.index)), search.best_value, search.steps <= MOST_STEPS)


class _Search:
    """Branch and bound: the densest item first, taken with all it needs, or left with all that needs it."""

    def __init__(self, items: Sequence[Item], room: Mapping[str, float], fits: Fits) -> None:
        self._items = {item.name: item for item in items}
        self._needs = {item.name: self._closure(item.name) for item in items}
        self._room = room
        self._fits = fits
        self._weight = {item.name: self._share_of_room(item) for item in items}
        self._order = sorted(self._items, key=lambda name: (-self._density(name), name))
        self._limit = float(max(1, sum(any(team in i.loads for i in items) for team in room)))
        self.best: frozenset[str] = frozenset()
        self.best_value = Decimal(0)
        self.steps = 0

    def run(self) -> None:
        """Depth first, the better branch first, so that the first leaf is the greedy answer."""
        stack: list[tuple[frozenset[str], frozenset[str]]] = [(frozenset(), frozenset())]
        while stack and self.steps <= MOST_STEPS:
            self.steps += 1
            taken, left = stack.pop()
            value = sum((self._items[name].value for name in taken), Decimal(0))
            if value > self.best_value:
                self.best, self.best_value = taken, value
            following = next((n for n in self._order if n not in taken and n not in left), None)
            if following is None or self._bound(taken, left, float(value)) <= float(self.best_value):
                continue
            stack.append((taken, left | self._dependents(following)))
            wider = taken | self._needs[following]
            if not wider & left and self._fits(self._loads(wider)):
                stack.append((wider, left))

    def _bound(self, taken: frozenset[str], left: frozenset[str], value: float) -> float:
        """No completion is worth more: the rest by density, the last item in part."""
        free = self._limit - sum(self._weight[name] for name in taken)
        for name in self._order:
            if name in taken or name in left:
                continue
            weight, worth = self._weight[name], float(self._items[name].value)
            if weight > free:
                return value + (worth * max(free, 0.0) / weight if weight < inf else 0.0) + 1e-6
            free -= weight
            value += worth
        return value + 1e-6

    def _closure(self, name: str) -> frozenset[str]:
        found: set[str] = set()
        waiting = [name]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting.extend(need for need in self._items[one].needs if need in self._items)
        return frozenset(found)

    def _dependents(self, name: str) -> frozenset[str]:
        return frozenset(other for other, needs in self._needs.items() if name in needs)

    def _loads(self, names: frozenset[str]) -> dict[str, float]:
        loads: dict[str, float] = {}
        for name in sorted(names):
            for team, points in self._items[name].loads.items():
                loads[team] = loads.get(team, 0.0) + points
        return loads

    def _share_of_room(self, item: Item) -> float:
        """Sum over the teams of the share of their room; a set that fits has at most one per team."""
        shares = (_share(points, self._room.get(team, inf)) for team, points in item.loads.items())
        return sum(shares)

    def _density(self, name: str) -> float:
        weight, worth = self._weight[name], float(self._items[name].value)
        return worth / weight if weight > 0 else inf


def _share(points: float, room: float) -> float:
    if points <= 0:
        return 0.0
    return points / room if room > 0 else inf
