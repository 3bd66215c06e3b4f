"""How much of the org's API calls we may use, and what is given up first when they run short.

The planner reads ``Sforce-Limit-Info`` of every answer and keeps our planned use at or below 35 % of the org's calls
a day. The cost of a poll is a query for each of 5 objects (deal, lines, contact roles, team, history); it grows by
one for each custom object. Fixed calls a day with the default intervals: getDeleted for 4 objects every 5 min =
1,152; 4 reference tables every 5 min = 1,152; describe of 10 objects every 10 min = 1,440; four sweeps of a small
org, 6 calls each = 24: 3,768 together. Reading changed deals comes on top and is not planned.

* 100,000 calls a day: 35,000 are ours. (35,000 - 3,768) / 5 = 6,246 polls: one every 14 s would fit, so the wanted
  30 s stand: 14,400 + 3,768 = 18,168 calls, 18 %.
* 15,000 calls a day (Developer Edition): 5,250 are ours. The fixed calls may use half of that, 2,625, so their
  intervals grow by 3,768 / 2,625 = 1.44 (getDeleted every 7 min, describe every 14). What is left, 2,625, makes 525
  polls: one every 165 s; 5,250 calls, 35 %.

Levels are those of the org's whole use, whoever made the calls (reference: section 8, budget arithmetic).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

OWN_SHARE = 0.35
DAY = 86_400.0
_USAGE = re.compile(r"(?<![\w-])api-usage=(\d+)/(\d+)")


class Level(IntEnum):
    """What is shed; each level sheds what the ones before it do."""

    ALL = 0
    NO_SWEEP = 50
    """Backfill and sweeps stop."""
    NO_REREAD = 60
    """Reading unchanged deals again stops."""
    SLOW = 70
    """A poll every 5 minutes."""
    TRAIL = 80
    """A poll every 10 minutes and getDeleted."""
    PROBE = 95
    """Nothing but a probe every 15 minutes."""


LONGER = {Level.SLOW: 300.0, Level.TRAIL: 600.0, Level.PROBE: 900.0}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Intervals as configured, seconds, and how many objects each round asks."""

    poll: float
    deletes: float
    reference: float
    describe: float
    sweep: float
    objects: int = 5
    deletable: int = 4
    tables: int = 4
    described: int = 10

    def fixed(self) -> float:
        """Calls a day beside the polls."""
        return DAY * (
            self.deletable / self.deletes
            + self.tables / self.reference
            + self.described / self.describe
            + (self.objects + 1) / self.sweep
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done how often from now on."""

    level: Level
    limit: int
    used: int
    poll_seconds: float
    stretch: float
    """Factor on the other intervals."""
    calls_a_day: int
    """Planned, without reading changed deals."""

    def __str__(self) -> str:
        share = f"{self.calls_a_day:,} of {self.limit:,} calls a day" if self.limit else "limit not known yet"
        return f"{share}, a poll every {self.poll_seconds:.0f} s, shedding: {self.level.name.lower()}"


class Budget:
    """The org's use of its calls, as the newest answer told it."""

    def __init__(self, share: float = OWN_SHARE) -> None:
        self._share = share
        self.limit = 0
        self.used = 0

    def told(self, limit_info: str | None) -> None:
        """Reads the header; its second part, another app's share, is not ours."""
        found = _USAGE.search(limit_info or "")
        if found and int(found[2]):
            self.used, self.limit = int(found[1]), int(found[2])

    @property
    def level(self) -> Level:
        """By the org's whole use."""
        percent = 100 * self.used / self.limit if self.limit else 0.0
        return max(level for level in Level if percent >= level)

    def plan(self, wanted: Wanted) -> Plan:
        """Intervals that keep us within our share, and never shorter than wanted."""
        if not self.limit:
            return Plan(Level.ALL, 0, 0, wanted.poll, 1.0, 0)
        ours = self.limit * self._share
        stretch = max(1.0, wanted.fixed() / (ours / 2))
        left = max(1.0, ours - wanted.fixed() / stretch)
        planned = max(wanted.poll, DAY * wanted.objects / left)
        poll = max(planned, LONGER.get(self.level, 0.0))
        calls = DAY * wanted.objects / poll + wanted.fixed() / stretch
        return Plan(self.level, self.limit, self.used, poll, stretch, round(calls))
