"""Made-up summaries, so that issues and deals read like work and not like numbers."""

from __future__ import annotations

from random import Random

_VERBS = (
    "Add",
    "Show",
    "Validate",
    "Cache",
    "Split",
    "Rework",
    "Document",
    "Speed up",
    "Secure",
    "Migrate",
    "Simplify",
)
_THINGS = (
    "sign-in page",
    "audit log",
    "export job",
    "search index",
    "billing run",
    "tenant settings",
    "webhook retries",
    "report filters",
    "upload limits",
    "role mapping",
    "mobile menu",
    "usage counters",
    "archive rules",
    "session timeout",
)
_FOR = (
    "for large tenants",
    "for administrators",
    "on slow networks",
    "in the API",
    "in the console",
    "for partners",
)


def summary(rng: Random) -> str:
    """A summary for a story or bug."""
    return f"{rng.choice(_VERBS)} {rng.choice(_THINGS)} {rng.choice(_FOR)}"


def theme(rng: Random) -> str:
    """A summary for an epic."""
    return f"{rng.choice(_THINGS).capitalize()} {rng.choice(_FOR)}"
