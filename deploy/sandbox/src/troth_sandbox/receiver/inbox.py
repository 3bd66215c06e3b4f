"""What the receiver remembers: accepted notices, attempts per notice, and refusals somebody ordered."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Received:
    """One accepted request. ``attempt`` counts genuine requests with this id, refused ones included, from 1."""

    webhook_id: str
    received_at: str
    attempt: int
    body: Any


class Inbox:
    """Accepted notices, in memory and as one JSON line each in a file that is emptied at the start."""

    def __init__(self, out: Path, now: Callable[[], datetime]) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        self._out = out.open("w", encoding="utf-8")
        self._now = now
        self._attempts: Counter[str] = Counter()
        self._refusals: list[int] = []
        self.received: list[Received] = []

    def refuse_next(self, status: int, times: int) -> None:
        """Answer the next ``times`` genuine requests with ``status``."""
        self._refusals += [status] * times

    def forgive(self) -> None:
        """Refuse nothing more."""
        self._refusals.clear()

    def arrive(self, webhook_id: str) -> int | None:
        """Count a genuine request; returns the status to refuse it with, or None when it may be kept."""
        self._attempts[webhook_id] += 1
        return self._refusals.pop(0) if self._refusals else None

    def keep(self, webhook_id: str, body: Any) -> None:
        """Remember an accepted request; its line can be read from the file at once."""
        at = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        received = Received(webhook_id, at, self._attempts[webhook_id], body)
        self.received.append(received)
        self._out.write(json.dumps(asdict(received), ensure_ascii=False) + "\n")
        self._out.flush()

    def close(self) -> None:
        """Close the file."""
        self._out.close()
