"""How much of the org's API calls we may use, and what is given up first when they run short.

The planner reads ``Sforce-Limit-Info`` of every answer, counts our own calls, and keeps what we use in any 24 hours at
or below 35 % of the org's calls a day. Up to five queries, with getDeleted and describe beside them, are one call
(``composite.py``). A poll lists five objects (deal, lines, contact roles, team, history): one call, and one more where
it finds changed deals, up to 400 of them; both are planned for every poll. Fixed calls a day with the default intervals
in an org that has every table: five reference tables and accounts every 5 min, two calls = 576; describe of 11 objects
every 10 min = 144; four sweeps of up to 2,000 rows of each object, 6 calls each = 24; a batch of up to 400 open deals
read again every 15 min = 96: 840 together.

* 100,000 calls a day: 35,000 are ours. The wanted 30 s stand: 2,880 polls of two calls + 840 = 6,600 calls, 7 %;
  3,720 when nothing changes. The same questions one by one would be 5 x 2,880 + 3,816 = 18,216 without reading a deal.
* 15,000 calls a day (Developer Edition): 5,250 are ours. (5,250 - 840) / 2 = 2,205 polls: one every 39 s; 5,250
  calls, 35 %; 3,045 when nothing changes.

Polls that find more than a batch of deals, and the first full read, cost more than planned: what was used then is
missing from the rest of the day, so polls become rarer, and the full read waits at four fifths of our share.
Levels are those of the org's whole use, whoever made the calls (reference: section 8, budget arithmetic).
"""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass
from enum import IntEnum

from crm_sync.composite import MOST, MOST_QUERIES
from crm_sync.errors import BudgetExhausted
from troth_chassis.clock import Clock

BATCH = 400
"""Deals that are read whole by one query for each part; their ids fit into it."""
PAGE = 2_000
"""Rows of a page, at most."""
OWN_SHARE = 0.35
FULL_READ_SHARE = 0.8
"""Of our share; the rest is for the polls that follow."""
DAY = 86_400.0
HOURS = 24
SLOT = 300.0
"""Our own calls are counted by so many seconds."""
_USAGE = re.compile(r"(?<![\w-])api-usage=(\d+)/(\d+)")


class Level(IntEnum):
    """What is shed; each level sheds what the ones before it do."""

    NOTHING = 0
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
    reread: float
    objects: int = 5
    tables: int = 6
    described: int = 11
    deals: int = 0
    open_deals: int = 0

    def poll_calls(self, per_call: int) -> int:
        """The change lists, with getDeleted beside them, and one batch of changed deals read whole."""
        return 2 * _calls(self.objects, per_call)

    def fixed(self, per_call: int) -> float:
        """Calls a day beside the polls."""
        batches = math.ceil(self.open_deals / BATCH)
        pages = max(1, math.ceil(self.deals / PAGE))
        return DAY * (
            _calls(self.tables, per_call) / self.reference
            + _calls(self.described, MOST if per_call > 1 else 1) / self.describe
            + (self.objects * pages + 1) / self.sweep
            + batches * _calls(self.objects, per_call) / self.reread
        )


def _calls(questions: int, per_call: int) -> int:
    return math.ceil(questions / per_call)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done how often from now on."""

    level: Level
    limit: int
    used: int
    """By the whole org in the last 24 hours."""
    ours: int
    """How many of the org's calls a day may be ours."""
    own: int
    """How many calls we made in the last 24 hours."""
    poll_seconds: float
    stretch: float
    """Factor on the other intervals."""
    calls_a_day: int
    """Planned at most, while no poll finds more than one batch of changed deals."""

    def __str__(self) -> str:
        share = (
            f"{self.calls_a_day:,} of {self.limit:,} calls a day, at most {self.ours:,} are ours"
            if self.limit
            else "limit not known yet"
        )
        shed = self.level.name.lower().replace("_", " ")
        return f"{share}, {self.own:,} made in 24 h, a poll every {self.poll_seconds:.0f} s, shedding: {shed}"


class OwnCalls:
    """Our calls in the last 24 hours, those of earlier processes included once they are told."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: deque[tuple[float, int]] = deque()
        """When each slot stops to count, on the monotonic clock, and the calls in it."""
        self._restored = False

    def count(self) -> None:
        """One more."""
        expiry = (self._clock.monotonic() // SLOT + 1) * SLOT + DAY
        known = self._slots.pop()[1] if self._slots and self._slots[-1][0] == expiry else 0
        self._slots.append((expiry, known + 1))

    def restore(self, calls: int, age: float) -> None:
        """What earlier processes had made ``age`` seconds ago, taken for even over the day before; only once."""
        if self._restored:
            return
        self._restored = True
        counted = self._clock.monotonic() - age
        for hour in reversed(range(HOURS)):
            part = calls * (hour + 1) // HOURS - calls * hour // HOURS
            self._slots.appendleft((counted + (hour + 1) * DAY / HOURS, part))

    @property
    def total(self) -> int:
        """How many they are."""
        now = self._clock.monotonic()
        while self._slots and self._slots[0][0] <= now:
            self._slots.popleft()
        return sum(calls for _, calls in self._slots)

    def pace(self, allowed: float) -> float:
        """Calls a day from now on with which no 24 hours have more than ``allowed``."""
        now, left, pace = self._clock.monotonic(), allowed - self.total, allowed
        for expiry, calls in self._slots:
            pace = min(pace, left * DAY / (expiry - now))
            left += calls
        return max(0.0, pace)


class Budget:
    """The org's use of its calls, as the newest answer told it, and our own part of it."""

    def __init__(self, clock: Clock, share: float = OWN_SHARE) -> None:
        self._share = share
        self._per_call = MOST_QUERIES
        self.own = OwnCalls(clock)
        self.limit = 0
        self.used = 0

    def unbundle(self) -> None:
        """This org takes no composites: every question is a call."""
        self._per_call = 1

    def told(self, limit_info: str | None) -> None:
        """A call was made. Reads the header; its second part, another app's share, is not ours."""
        self.own.count()
        found = _USAGE.search(limit_info or "")
        if found and int(found[2]):
            self.used, self.limit = int(found[1]), int(found[2])

    @property
    def ours(self) -> float:
        """How many of the org's calls a day may be ours; 0 before the org's limit is known."""
        return self.limit * self._share

    @property
    def level(self) -> Level:
        """By the org's whole use."""
        percent = 100 * self.used / self.limit if self.limit else 0.0
        return max(level for level in Level if percent >= level)

    def allow_full_read(self) -> None:
        """BudgetExhausted while too many calls are used, by the org or by us, to begin or go on with a full read."""
        what = "the first full read waits until less than"
        if self.level >= Level.NO_SWEEP:
            raise BudgetExhausted(
                f"{self.used:,} of the org's {self.limit:,} API calls are used: {what} {Level.NO_SWEEP.value} % are"
            )
        if self.limit and self.own.total >= FULL_READ_SHARE * self.ours:
            raise BudgetExhausted(
                f"{self.own.total:,} of our {self.ours:,.0f} API calls a day are used: {what} "
                f"{FULL_READ_SHARE:.0%} are"
            )

    def plan(self, wanted: Wanted) -> Plan:
        """Intervals that keep us within our share, and never shorter than wanted."""
        own = self.own.total
        if not self.limit:
            return Plan(Level.NOTHING, 0, 0, 0, own, wanted.poll, 1.0, 0)
        pace = max(1.0, self.own.pace(self.ours))
        fixed, each = wanted.fixed(self._per_call), wanted.poll_calls(self._per_call)
        stretch = max(1.0, fixed / (pace / 2))
        left = pace - fixed / stretch
        poll = max(wanted.poll, DAY * each / left, LONGER.get(self.level, 0.0))
        calls = round(DAY * each / poll + fixed / stretch)
        return Plan(self.level, self.limit, self.used, int(self.ours), own, poll, stretch, calls)
