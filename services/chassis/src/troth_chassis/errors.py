"""The errors every loop understands.

TrothError
├── TransientError       may work when tried again: the supervisor backs off and calls the loop again
├── PoisonError          this one record or entity can never work: dead letter, the neighbours flow
├── ConfigurationError   a person must change something: one clear sentence, exit code 78
├── FencedError          another instance took over this scope: stop at once, exit code 75
├── OwnershipLostError   the partition's stored offset moved under us: re-read and seek
└── LoopEndedError       a loop returned although the service runs: a defect, exit code 1
"""

from __future__ import annotations

EXIT_CONFIGURATION = 78
EXIT_FENCED = 75


class TrothError(Exception):
    """Base of every error of the chassis and the services."""


class TransientError(TrothError):
    """Trying again later may work. Carries the vendor's request id in its text where there is one."""


class PoisonError(TrothError):
    """One record or entity cannot be used; ``reason`` is one sentence that names it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ConfigurationError(TrothError):
    """Only a person can mend it; the text says what is wrong and the next step."""


class FencedError(TrothError):
    """A newer instance with the same identity writes this scope now."""


class OwnershipLostError(TrothError):
    """A conditional offset update hit zero rows: somebody else owns the partition."""


class LoopEndedError(TrothError):
    """A loop returned; without it the service would only look alive."""
