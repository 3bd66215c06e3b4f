"""A sprint's four sums, and how they are split over issues so that the issues add up to them exactly.

Every issue entered the sprint at its start or was added later, and ended done, open or removed. When more was
delivered than was in the sprint, the surplus is a *re-estimate* during the sprint: ``added`` stays what was added
(an issue counts with its estimate at the moment it was added), and ``completed`` counts estimates at the close.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Literal

Entry = Literal["start", "added"]
Outcome = Literal["done", "open", "removed"]


@dataclass(frozen=True)
class SprintFigures:
    """Points of one sprint, and how many issues the points are spread over."""

    committed: int
    added: int
    removed: int
    completed: int
    issues_at_start: int
    issues_added: int
    issues_removed: int


@dataclass(frozen=True)
class IssuePart:
    """One issue's part in a sprint; ``points`` is None for an issue nobody estimated."""

    entry: Entry
    outcome: Outcome
    points: int | None
    points_at_close: int | None


def split(figures: SprintFigures, rng: Random) -> list[IssuePart]:
    """Issues that add up to the figures. There are more issues than the source had only where sums demand it."""
    parts = [*_enter("start", figures, rng), *_enter("added", figures, rng)]
    surplus = figures.completed - sum(part.points or 0 for part in parts if part.outcome == "done")
    return _raise_estimates(parts, surplus) if surplus > 0 else parts


def _enter(entry: Entry, figures: SprintFigures, rng: Random) -> list[IssuePart]:
    points, counts = _groups(entry, figures)
    parts: list[IssuePart] = []
    for outcome in ("done", "open", "removed"):
        shares = _shares(points[outcome], max(counts[outcome], 1 if points[outcome] else 0), rng)
        parts += [IssuePart(entry, outcome, share or None, share or None) for share in shares]
    return parts


def _groups(entry: Entry, figures: SprintFigures) -> tuple[dict[Outcome, int], dict[Outcome, int]]:
    """Points and issue counts per outcome of what entered this way."""
    removed_at_start = min(figures.removed, figures.committed)
    kept_start = figures.committed - removed_at_start
    kept_added = figures.added - (figures.removed - removed_at_start)
    done = min(figures.completed, kept_start + kept_added)
    done_start = min(
        kept_start, max(done - kept_added, round(done * kept_start / max(kept_start + kept_added, 1)))
    )
    removed_issues_start = min(figures.issues_removed, figures.issues_at_start)
    if entry == "start":
        total, removed_issues = figures.issues_at_start, removed_issues_start
        points: dict[Outcome, int] = {
            "done": done_start,
            "open": kept_start - done_start,
            "removed": removed_at_start,
        }
    else:
        total, removed_issues = figures.issues_added, figures.issues_removed - removed_issues_start
        points = {
            "done": done - done_start,
            "open": kept_added - (done - done_start),
            "removed": figures.removed - removed_at_start,
        }
    kept_issues = max(total - removed_issues, 0)
    open_issues = round(kept_issues * points["open"] / max(points["done"] + points["open"], 1))
    return points, {
        "done": kept_issues - open_issues,
        "open": open_issues,
        "removed": min(removed_issues, total),
    }


def _shares(points: int, count: int, rng: Random) -> list[int]:
    """``points`` in ``count`` whole parts; while there are enough points, no part is empty."""
    shares = [1 if index < points else 0 for index in range(count)]
    for _ in range(points - sum(shares)):
        shares[rng.randrange(min(count, max(points, 1)))] += 1
    return shares


def _raise_estimates(parts: list[IssuePart], surplus: int) -> list[IssuePart]:
    """Spread the surplus over done issues; without any, over one issue that came without estimate."""
    done = [index for index, part in enumerate(parts) if part.outcome == "done"]
    if not done:
        return [*parts, IssuePart("added", "done", None, surplus)]
    raised = list(parts)
    each, rest = divmod(surplus, len(done))
    for place, index in enumerate(done):
        extra = each + (1 if place < rest else 0)
        if extra:
            raised[index] = replace(raised[index], points_at_close=(raised[index].points or 0) + extra)
    return raised
