"""Two honest questions: is every loop making progress (alive), and is every named check true (ready)."""

from __future__ import annotations

from dataclasses import dataclass

from troth_chassis.clock import Clock


@dataclass(frozen=True, slots=True)
class Check:
    """A named readiness check and the sentence that explains it."""

    ok: bool
    detail: str


class Health:
    """What the service knows of itself. Not ready is normal for a while; not alive asks for a restart."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._checks: dict[str, Check] = {}
        self._due: dict[str, tuple[float, Check]] = {}
        self._beats: dict[str, tuple[float, float]] = {}

    def check(self, name: str, ok: bool, detail: str) -> None:
        """Sets one readiness check."""
        self._due.pop(name, None)
        self._checks[name] = Check(ok, detail)

    def expect(self, name: str, within: float, detail: str, *, late: str) -> None:
        """Sets a check that holds only for the next ``within`` seconds; then it fails and says ``late``."""
        self._checks[name] = Check(ok=True, detail=detail)
        self._due[name] = (self._clock.monotonic() + within, Check(ok=False, detail=late))

    def beat(self, loop: str, stale_after: float) -> None:
        """Notes progress of a loop that counts as stuck after ``stale_after`` seconds of silence."""
        self._beats[loop] = (self._clock.monotonic(), stale_after)

    def stuck(self) -> dict[str, float]:
        """Loops that made no progress for too long, with the seconds since."""
        now = self._clock.monotonic()
        return {name: now - at for name, (at, limit) in self._beats.items() if now - at > limit}

    @property
    def ready(self) -> bool:
        """True when at least one check exists and all hold."""
        return bool(self._checks) and all(check.ok for check in self.checks.values())

    @property
    def checks(self) -> dict[str, Check]:
        """Every check by name."""
        now = self._clock.monotonic()
        over = {name: late for name, (due, late) in self._due.items() if now >= due}
        return {**self._checks, **over}
