"""Which changes no webhook ever announced: what would be lost if webhooks were all there is.

A change is a history of an issue, or its creation. It is judged once a late delivery can no longer be on its way,
whichever feed found it: the re-read that one webhook leads to shows the changes before it too.
"""

from __future__ import annotations

from collections.abc import Iterable

from troth_chassis.clock import Clock

PATIENCE = 2_400.0
"""Seconds; Jira tries a delivery again for half an hour (reference 4.2)."""
CREATED = "created"
ANY = ""
"""The name of a change in an event that does not say which one it is about."""


class WebhookGap:
    """Changes found, and changes heard of, until they are judged."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: dict[tuple[str, str], float] = {}
        self._found: dict[tuple[str, str], float] = {}

    def heard(self, issue_id: str, change: str) -> None:
        """A webhook announced it: a history id, ``CREATED`` or ``ANY``."""
        self._heard.pop((issue_id, change), None)
        self._heard[issue_id, change] = self._clock.monotonic()

    def found(self, issue_id: str, changes: Iterable[str]) -> None:
        """These were published for the first time."""
        for change in changes:
            self._found.setdefault((issue_id, change), self._clock.monotonic())

    def judge(self) -> tuple[int, int]:
        """How many changes are announced for sure, and how many never were; each is counted once."""
        oldest = self._clock.monotonic() - PATIENCE
        late = [place for place, at in self._found.items() if at <= oldest]
        announced = [place for place in self._found if self._is_heard(place)]
        silent = [place for place in late if not self._is_heard(place)]
        for place in (*announced, *silent):
            del self._found[place]
        for place in [place for place, at in self._heard.items() if at <= oldest]:
            del self._heard[place]
        return len(announced), len(silent)

    def _is_heard(self, place: tuple[str, str]) -> bool:
        return place in self._heard or (place[0], ANY) in self._heard
