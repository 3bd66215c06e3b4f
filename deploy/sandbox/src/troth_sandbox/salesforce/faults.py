"""Faults on request: which requests are hit, and what happens to them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any


@dataclass(frozen=True, slots=True)
class Act:
    """What to do: answer instead of the org, wait, never answer, cut the body in half, close the connection."""

    status: int | None = None
    body: Any = None
    delay: float = 0.0
    hang: bool = False
    html: bool = False
    truncate: bool = False
    reset: bool = False

    @property
    def answers(self) -> bool:
        """True when the org itself is not asked."""
        return self.status is not None or self.body is not None or self.html


@dataclass(slots=True)
class Fault:
    """Hits `times` matching requests (None: all) from the `nth` match on, counted from 1.

    With a `probability`, only that share of them, drawn in the same way in every run.
    """

    path: re.Pattern[str]
    act: Act
    nth: int | None = None
    times: int | None = 1
    method: str | None = None
    probability: float | None = None
    draws: Random = field(default_factory=lambda: Random(1), repr=False)
    seen: int = field(default=0, init=False)
    done: int = field(default=0, init=False)

    def hits(self, target: str, method: str) -> bool:
        """Count a request whose path and decoded query are `target`, and say whether it is hit."""
        if self.path.search(target) is None or (self.method and self.method != method):
            return False
        self.seen += 1
        if self.seen < (self.nth or 1) or (self.times is not None and self.done >= self.times):
            return False
        if self.probability is not None and self.draws.random() >= self.probability:
            return False
        self.done += 1
        return True


class Faults:
    """The faults in force, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, documents: Iterable[Mapping[str, Any]]) -> int:
        """Add faults as the admin API spells them; returns how many are in force. Raises ValueError."""
        self._faults.extend([_fault(document) for document in documents])
        return len(self._faults)

    def clear(self) -> None:
        """Let everything work again."""
        self._faults.clear()

    def act_on(self, target: str, method: str = "GET") -> Act | None:
        """What happens to this request, if anything; the first fault that hits wins."""
        return next((fault.act for fault in self._faults if fault.hits(target, method)), None)


def _fault(document: Mapping[str, Any]) -> Fault:
    try:
        match = document.get("match", {})
        pattern = re.compile(match.get("path", ""))
        probability = match.get("probability")
        times = match.get("times", 1 if probability is None else None)
        return Fault(
            pattern,
            Act(**document["act"]),
            match.get("nth"),
            times,
            match.get("method"),
            probability,
            Random(match.get("seed", 1)),
        )
    except (KeyError, TypeError, AttributeError, re.error) as error:
        raise ValueError(f"a fault misses or misspells {error}") from error
