"""Deals read again though no stamp of theirs moved: formulas, roll-ups, and fields that are new to us.

Salesforce moves no stamp when what a formula is computed from changes (reference: 4.2), so every open deal is read
again each fifteen minutes. A round goes slice by slice beside the polls and never holds them up.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable

from crm_sync.budget import BATCH
from crm_sync.scope import Scope, batches

Beat = Callable[[], None]


class Rereads:
    """Which deals are due. A round through all deals goes on after a failed pass, and begins anew in a new process."""

    def __init__(self, interval: float) -> None:
        """``interval`` in seconds, between the beginnings of two rounds."""
        self._interval = interval
        self._due: float | None = None
        self._queue: deque[str] = deque()
        self._size = 0
        self._fields: str | None = None
        """Fingerprint of what every deal shows once this round is through; None for a round of open deals."""

    @property
    def waiting(self) -> int:
        """How many deals of the round are still to be read."""
        return len(self._queue)

    async def run(self, scope: Scope, now: float, poll: float, stretch: float, beat: Beat) -> None:
        """Reads and publishes the slice that is due at ``now`` on the monotonic clock; polls come every ``poll`` s."""
        interval = self._interval * stretch
        self._begin(scope, now, interval)
        for batch in batches([self._queue[place] for place in range(self._slice(interval / poll))]):
            scope.source = "reread"
            ids = [each for each in batch if each not in scope.disputed]
            await scope.publish(ids, scope.marks.next_version(scope.reader.server_time))
            await scope.outbox.commit()
            for _ in batch:
                self._queue.popleft()
            beat()
        if self._fields and not self._queue:
            await scope.keep_fields(self._fields)
            self._fields = None

    def _begin(self, scope: Scope, now: float, interval: float) -> None:
        """All deals when they show other fields than the org has now; else the open ones, when they are due."""
        self._due = now + interval if self._due is None else self._due
        if scope.fields_shown != (wanted := scope.schema.fingerprint):
            if self._fields != wanted:
                self._fields = wanted
                self._fill(scope.outbox.live_ids())
        elif not self._queue and now >= self._due:
            self._due = now + interval
            self._fill(sorted(scope.open_deals))

    def _fill(self, ids: Iterable[str]) -> None:
        self._queue = deque(ids)
        self._size = len(self._queue)

    def _slice(self, passes: float) -> int:
        """So many that the round is through before the next; whole batches, since a part costs as much."""
        due = math.ceil(self._size / max(1.0, passes) / BATCH) * BATCH
        return min(len(self._queue), due)
