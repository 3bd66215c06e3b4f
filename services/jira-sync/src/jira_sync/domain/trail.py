"""What one fact (a sprint's name, its dates) was known to be when; sprints and boards have no changelog of their own.

Readings and webhooks put sightings on the trail in any order of arrival: what it tells depends on the sightings alone.
A reading is known to lie between two times; what a webhook says holds at exactly its own. Two neighbours with
different values are a change, and the n-th arrival at a value is named n whichever feed showed it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

LATEST = timedelta(hours=2)
"""How late a webhook may come and still find every reading that tells where it belongs: four times its longest delay
between two attempts (reference 4.2)."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """At some moment from ``not_before`` to ``at`` the value held."""

    value: str | None
    not_before: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """From one value to another; exact when ``not_before`` is None, else somewhere in between."""

    before: str | None
    after: str | None
    at: datetime
    not_before: datetime | None
    ordinal: int
    """The n-th time it came to this value by a change."""
    before_until: datetime | None = None
    """Where it is not exact: when the reading that last showed ``before`` was over."""
    after_from: datetime | None = None
    """And when the one that first showed ``after`` began; it was over by ``at``."""


class Trail:
    """Sightings in order of time; of those that say the same in a row the first, the last, and the recent ones."""

    def __init__(self) -> None:
        self._seen: list[Sighting] = []

    @property
    def last(self) -> Sighting | None:
        """The latest sighting."""
        return self._seen[-1] if self._seen else None

    def read(self, value: str | None, not_before: datetime, at: datetime) -> None:
        """A reading, later than every other; it began at ``not_before`` and was over by ``at``."""
        self._put(len(self._seen), Sighting(value, not_before, at))

    def saw(self, value: str | None, moment: datetime) -> None:
        """The newest of earlier readings showed it; this one began then and, when it is over, may follow a change."""
        if not any(sighting.value == value and sighting.at >= moment for sighting in self._seen):
            self._place(Sighting(value, moment, moment))

    def told(self, before: str | None, after: str | None, at: datetime) -> None:
        """A change as a webhook has it; telling it again adds nothing."""
        self._put(self._between(before, after, at), Sighting(before, at, at), Sighting(after, at, at))

    def restore(self, change: Change) -> None:
        """A change as it was told before, in any order."""
        if change.not_before is None:
            self.told(change.before, change.after, change.at)
            return
        self._place(Sighting(change.before, change.not_before, change.before_until or change.not_before))
        self._place(Sighting(change.after, change.after_from or change.at, change.at))

    def values(self) -> frozenset[str | None]:
        """Everything it ever was."""
        return frozenset(sighting.value for sighting in self._seen)

    def changes(self) -> Iterator[Change]:
        """Every change, in order."""
        arrivals: Counter[str | None] = Counter()
        for one, other in pairwise(self._seen):
            if one.value != other.value:
                arrivals[other.value] += 1
                exact = one.not_before == other.at
                yield Change(
                    one.value,
                    other.value,
                    other.at,
                    None if exact else one.not_before,
                    arrivals[other.value],
                    None if exact else one.at,
                    None if exact else other.not_before,
                )

    def _between(self, before: str | None, after: str | None, at: datetime) -> int:
        """Where an exact change belongs: among sightings that may be on either side, where it explains most."""
        unclear = self._unclear(at, at)
        left = [index for index in unclear if self._seen[index].value == before]
        came = [index for index in unclear if self._seen[index].value == after]
        for index in came:
            if index - 1 in left or index == unclear.start:
                return index
        return left[-1] + 1 if left else came[0] if came else unclear.stop

    def _place(self, sighting: Sighting) -> None:
        """Beside one that says the same, where it may be."""
        unclear = self._unclear(sighting.not_before, sighting.at)
        same = (index for index in unclear if self._seen[index].value == sighting.value)
        self._put(next(same, unclear.stop), sighting)

    def _unclear(self, begin: datetime, end: datetime) -> range:
        """Places of the sightings that may lie before or after this time."""
        earlier = sum(sighting.at < begin for sighting in self._seen)
        later = sum(sighting.not_before > end for sighting in self._seen)
        return range(earlier, max(earlier, len(self._seen) - later))

    def _put(self, place: int, *sightings: Sighting) -> None:
        self._seen[place:place] = sightings
        recent = self._seen[-1].at - LATEST
        inner = (i for i in range(1, len(self._seen) - 1) if self._seen[i].at < recent and self._is_inner(i))
        dropped = frozenset(inner)
        self._seen = [sighting for index, sighting in enumerate(self._seen) if index not in dropped]

    def _is_inner(self, index: int) -> bool:
        before, sighting, after = self._seen[index - 1 : index + 2]
        return before.value == sighting.value == after.value
