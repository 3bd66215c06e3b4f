"""How much of the org's API calls we may use, and what is given up first when they run short.

The planner reads ``Sforce-Limit-Info`` of every answer and keeps our planned use at or below 35 % of the org's calls
a day. Up to five queries, with getDeleted and describe beside them, are one call (``composite.py``). A poll lists
five objects (deal, lines, contact roles, team, history): one call, and one more where it finds changed deals, up to
400 of them; both are planned for every poll. Fixed calls a day with the default intervals: five reference tables and
accounts every 5 min, two calls = 576; describe of 11 objects every 10 min = 144; four sweeps of a small org, 6 calls
each = 24; a batch of up to 400 open deals read again every 15 min = 96: 840 together.

* 100,000 calls a day: 35,000 are ours. The wanted 30 s stand: 2,880 polls of two calls + 840 = 6,600 calls, 7 %;
  3,720 when nothing changes. The same questions one by one would be 5 x 2,880 + 3,768 = 18,168 without reading a deal.
* 15,000 calls a day (Developer Edition): 5,250 are ours. (5,250 - 840) / 2 = 2,205 polls: one every 39 s; 5,250
  calls, 35 %; 3,045 when nothing changes.

Levels are those of the org's whole use, whoever made the calls (reference: section 8, budget arithmetic).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import IntEnum

from crm_sync.composite import MOST, MOST_QUERIES
from crm_sync.errors import BudgetExhausted

BATCH = 400
"""Deals that are read whole by one query for each part; their ids fit into it."""
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
    reference: float
    describe: float
    sweep: float
    reread: float = 0.0
    """0: open deals are not read again."""
    objects: int = 5
    tables: int = 6
    described: int = 11
    open_deals: int = 0

    def poll_calls(self, per_call: int) -> int:
        """The change lists, with getDeleted beside them, and one batch of changed deals read whole."""
        return 2 * _calls(self.objects, per_call)

    def fixed(self, per_call: int) -> float:
        """Calls a day beside the polls."""
        batches = math.ceil(self.open_deals / BATCH)
        reread = batches * _calls(self.objects, per_call) / self.reread if self.reread else 0.0
        return DAY * (
            _calls(self.tables, per_call) / self.reference
            + _calls(self.described, MOST if per_call > 1 else 1) / self.describe
            + (self.objects + 1) / self.sweep
            + reread
        )


def _calls(questions: int, per_call: int) -> int:
    return math.ceil(questions / per_call)


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
    """Planned at most, while no poll finds more than one batch of changed deals."""

    def __str__(self) -> str:
        share = f"{self.calls_a_day:,} of {self.limit:,} calls a day" if self.limit else "limit not known yet"
        return f"{share}, a poll every {self.poll_seconds:.0f} s, shedding: {self.level.name.lower()}"


class Budget:
    """The org's use of its calls, as the newest answer told it."""

    def __init__(self, share: float = OWN_SHARE) -> None:
        self._share = share
        self._per_call = MOST_QUERIES
        self.limit = 0
        self.used = 0

    def unbundle(self) -> None:
        """This org takes no composites: every question is a call."""
        self._per_call = 1

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

    def allow(self, level: Level, what: str) -> None:
        """BudgetExhausted when ``what`` is shed at ``level`` and the org's use has come so far."""
        if self.level >= level:
            raise BudgetExhausted(
                f"{self.used:,} of the org's {self.limit:,} API calls are used: {what} waits until less than "
                f"{level.value} % are"
            )

    def plan(self, wanted: Wanted) -> Plan:
        """Intervals that keep us within our share, and never shorter than wanted."""
        if not self.limit:
            return Plan(Level.ALL, 0, 0, wanted.poll, 1.0, 0)
        ours = self.limit * self._share
        fixed, each = wanted.fixed(self._per_call), wanted.poll_calls(self._per_call)
        stretch = max(1.0, fixed / (ours / 2))
        left = max(1.0, ours - fixed / stretch)
        poll = max(wanted.poll, DAY * each / left, LONGER.get(self.level, 0.0))
        calls = DAY * each / poll + fixed / stretch
        return Plan(self.level, self.limit, self.used, poll, stretch, round(calls))
