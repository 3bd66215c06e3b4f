"""Watches the services work: progress bars while data flows, then the moment when everything has settled."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from troth_sandbox.demo.stage import Stage
from troth_sandbox.errors import ProcessExitedError

POLL_SECONDS = 0.5
CALM_SECONDS = 3.0


@dataclass(frozen=True)
class Expected:
    """How much the world holds."""

    deals: int
    issues: int
    sprints: int


class Watch:
    """Follows ``/status`` of the risk-engine until it is live, has no work left and nothing to deliver."""

    def __init__(self, stage: Stage, expected: Expected, console: Console) -> None:
        self._stage = stage
        self._expected = expected
        self._console = console

    def until_settled(self, deadline: float, done: Callable[[], bool]) -> bool:
        """True when the engine has been calm and ``done`` held; False when ``deadline`` seconds passed."""
        until = time.monotonic() + deadline
        calm_since: float | None = None
        with self._progress() as progress, httpx.Client(timeout=5, trust_env=False) as client:
            bars = {
                name: progress.add_task(name, total=getattr(self._expected, name))
                for name in ("deals", "issues", "sprints")
            }
            while time.monotonic() < until:
                self._check_alive()
                status = self._status(client)
                for name, bar in bars.items():
                    progress.update(bar, completed=status.get(name, 0))
                calm_since = (calm_since or time.monotonic()) if _calm(status) else None
                if calm_since and done() and time.monotonic() - calm_since >= CALM_SECONDS:
                    return True
                time.sleep(POLL_SECONDS)
        return False

    def _progress(self) -> Progress:
        columns = (
            TextColumn("{task.description:>12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        return Progress(*columns, console=self._console, transient=False)

    def _check_alive(self) -> None:
        for name, service in self._stage.services.items():
            if service.exit_code is not None:
                raise ProcessExitedError(f"{name} ended with code {service.exit_code}:\n{service.last_lines}")

    def _status(self, client: httpx.Client) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = client.get(f"{self._stage.addresses.risk_engine}/status").json()
        except (httpx.HTTPError, ValueError):
            return {}
        return answer


def _calm(status: dict[str, Any]) -> bool:
    return bool(status.get("live")) and not status.get("marks") and not status.get("outbox")
