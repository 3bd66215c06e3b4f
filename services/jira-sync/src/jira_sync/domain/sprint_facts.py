"""A sprint's figures by Jira's own definitions: commitment at the start, result at the close (reference 6.2, 6.3).

A change at exactly the start belongs before the sprint, one at exactly the close inside. What Jira writes after the
close (carry-over) is undone. The vendor's text and its report disagree on issues done before the start, on statuses
no column shows and on issues taken out and put back: the text is the default, the report's reading stands beside it.

Sub-tasks never count: they follow their parent without any history, and points are counted at the story once.
Column mapping and estimate field are those of the board at the close, as far as they were seen. Issues that were
deleted or hidden cannot be seen from today's state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial

from jira_sync.domain.structure import BoardRules
from jira_sync.domain.timeline import Standing, Timeline
from troth_contracts.jira import SprintFigures, SprintIssue

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Window:
    """A sprint's time: (started, closed]; ``closed`` is None while it runs."""

    sprint_id: str
    started: datetime
    closed: datetime | None


@dataclass(frozen=True, slots=True)
class Share:
    """One issue's part in a sprint; None where it has no part in that figure."""

    issue_id: str
    committed: Decimal | None = None
    committed_by_report: Decimal | None = None
    added: Decimal | None = None
    removed: Decimal | None = None
    completed: Decimal | None = None


@dataclass(frozen=True, slots=True)
class SprintFacts:
    """All figures of one sprint. ``result`` is what is done so far while the sprint runs."""

    commitment: SprintFigures
    commitment_by_report: SprintFigures
    added: SprintFigures
    removed: SprintFigures
    result: SprintFigures

    @property
    def readings_differ(self) -> bool:
        """True when the vendor's text and its report would name different commitments."""
        return self.commitment != self.commitment_by_report


def sprint_facts(window: Window, rules: BoardRules, timelines: Iterable[Timeline]) -> SprintFacts:
    """Sums the shares of every issue that ever touched the sprint."""
    found = [share_of(window, rules, timeline) for timeline in timelines]
    shares = sorted((share for share in found if share is not None), key=lambda share: int(share.issue_id))
    return SprintFacts(
        _figures((share.issue_id, share.committed) for share in shares),
        _figures((share.issue_id, share.committed_by_report) for share in shares),
        _figures((share.issue_id, share.added) for share in shares),
        _figures((share.issue_id, share.removed) for share in shares),
        _figures((share.issue_id, share.completed) for share in shares),
    )


def stories_at_end(window: Window, timelines: Iterable[Timeline]) -> list[str]:
    """Ids of the stories that are in the sprint at its close, or now."""
    return [
        timeline.issue_id
        for timeline in timelines
        if not timeline.is_subtask and _in_sprint(window, _end(window, timeline))
    ]


def share_of(window: Window, rules: BoardRules, timeline: Timeline) -> Share | None:
    """The issue's part; None when it was never in the sprint while it ran, or is a sub-task."""
    if timeline.is_subtask:
        return None
    start = timeline.standing_at(window.started)
    end = _end(window, timeline)
    joined = _joined(window, timeline)
    in_start, in_end = _in_sprint(window, start), _in_sprint(window, end)
    if not (in_start or in_end or joined is not None):
        return None
    return _share(window, rules, timeline, _Case(start, end, joined, in_start, in_end))


@dataclass(frozen=True, slots=True)
class _Case:
    start: Standing | None
    end: Standing | None
    joined: Standing | None
    """Where it stood when it first came in during the sprint; None when it never did."""
    in_start: bool
    in_end: bool


def _share(window: Window, rules: BoardRules, timeline: Timeline, case: _Case) -> Share:
    elsewhere = _done_elsewhere(window, rules, timeline, case.start)
    start, end = case.start, case.end
    estimate = partial(_points, rules, timeline)
    at_start = estimate(start) if case.in_start else None
    mapped = start is not None and start.status in rules.mapped
    done = case.in_end and end is not None and end.status in rules.done
    return Share(
        timeline.issue_id,
        committed=at_start if mapped and not elsewhere else None,
        committed_by_report=at_start if case.joined is None else None,
        added=None if case.in_start or case.joined is None else estimate(case.joined),
        removed=None if case.in_end or elsewhere else _left_with(window, rules, timeline),
        completed=estimate(end) if done and not elsewhere else None,
    )


def _joined(window: Window, timeline: Timeline) -> Standing | None:
    """The standing right after it first entered inside the sprint, by a Sprint item or by being created in it."""
    if _created_inside(window, timeline) and window.sprint_id in timeline.first.sprints:
        return timeline.first
    steps = timeline.within(window.started, window.closed)
    return next((step.after for step in steps if step.gains(window.sprint_id)), None)


def _created_inside(window: Window, timeline: Timeline) -> bool:
    created = timeline.created_at
    if created is None or created <= window.started:
        return False
    return window.closed is None or created <= window.closed


def _left_with(window: Window, rules: BoardRules, timeline: Timeline) -> Decimal:
    """Its estimate when it last left."""
    steps = timeline.within(window.started, window.closed)
    left = [step.after for step in steps if step.loses(window.sprint_id)]
    return _points(rules, timeline, left[-1]) if left else _NOTHING


def _done_elsewhere(window: Window, rules: BoardRules, timeline: Timeline, start: Standing | None) -> bool:
    """Done at the start, and neither reopened nor done again inside (rule 6)."""
    if start is None or start.status not in rules.done:
        return False
    steps = timeline.within(window.started, window.closed)
    return all((step.before.status in rules.done) == (step.after.status in rules.done) for step in steps)


def _end(window: Window, timeline: Timeline) -> Standing | None:
    return timeline.now if window.closed is None else timeline.standing_at(window.closed)


def _in_sprint(window: Window, standing: Standing | None) -> bool:
    return standing is not None and window.sprint_id in standing.sprints


def _points(rules: BoardRules, timeline: Timeline, standing: Standing | None) -> Decimal:
    """Null counts zero (rule 9)."""
    return (rules.points(timeline, standing) if standing is not None else None) or _NOTHING


def combined(*figures: SprintFigures) -> SprintFigures:
    """Sums that have no issue in common, as one."""
    parts = ((part.issue_id, part.points) for figure in figures for part in figure.issues)
    return _figures(sorted(parts, key=lambda part: int(part[0])))


def _figures(parts: Iterable[tuple[str, Decimal | None]]) -> SprintFigures:
    issues = tuple(
        SprintIssue(issue_id=issue_id, points=points) for issue_id, points in parts if points is not None
    )
    total = sum((issue.points for issue in issues), _NOTHING)
    return SprintFigures(points=total, issue_count=len(issues), issues=issues)
