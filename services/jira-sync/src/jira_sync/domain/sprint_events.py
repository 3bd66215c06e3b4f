"""What happened to a sprint, derived from its state and its issues' histories; the same facts give the same ids.

Scope moves before the start are planning, not events: an issue taken out of a future sprint and put back tells nobody
anything. An issue created inside a running sprint has no history item; its event is named after the issue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal

from jira_sync.domain.sprint_facts import Window
from jira_sync.domain.structure import BoardRules, StartBy, closed_at, started_at
from jira_sync.domain.timeline import Step, Timeline
from troth_contracts.jira import Sprint, SprintEvent


def window_of(sprint: Sprint, start_by: StartBy = "activatedDate") -> Window | None:
    """The sprint's time; None while it has not started or its dates are missing."""
    started = started_at(sprint, start_by)
    return None if started is None else Window(sprint.id, started, closed_at(sprint))


def life_events(
    sprint: Sprint,
    before: Sprint | None,
    closes: Iterable[datetime] = (),
    start_by: StartBy = "activatedDate",
) -> Iterator[SprintEvent]:
    """``started`` and every ``closed``: ``closes`` are those before an administrator reopened it.

    A start that was told is not told again when an administrator re-dates it.
    """
    started, closed = started_at(sprint, start_by), closed_at(sprint)
    told = None if before is None else started_at(before, start_by)
    if started is not None and told in (None, started):
        yield _life(sprint, "started", started)
    for moment in dict.fromkeys((*closes, *([closed] if closed else ()))):
        yield _life(sprint, "closed", moment)


def scope_events(
    sprint: Sprint, window: Window, rules: BoardRules, timelines: Iterable[Timeline]
) -> Iterator[SprintEvent]:
    """Scope, estimate and done changes of the sprint's stories while it ran."""
    for timeline in timelines:
        if timeline.is_subtask:
            continue
        created = timeline.created_at
        if created and _inside(window, created) and window.sprint_id in timeline.first.sprints:
            yield _created(sprint, rules, timeline, created)
        for step in timeline.within(window.started, window.closed):
            yield from _of_step(sprint, rules, timeline, step)


def _of_step(sprint: Sprint, rules: BoardRules, timeline: Timeline, step: Step) -> Iterator[SprintEvent]:
    if step.gains(sprint.id):
        yield _scope(sprint, rules, timeline, step, "scope_added")
    elif step.loses(sprint.id):
        yield _scope(sprint, rules, timeline, step, "scope_removed")
    elif sprint.id in step.after.sprints:
        yield from _of_member(sprint, rules, timeline, step)


def _of_member(sprint: Sprint, rules: BoardRules, timeline: Timeline, step: Step) -> Iterator[SprintEvent]:
    if rules.points(timeline, step.before) != rules.points(timeline, step.after):
        yield _scope(sprint, rules, timeline, step, "estimate_changed")
    was_done, is_done = step.before.status in rules.done, step.after.status in rules.done
    if is_done and not was_done:
        yield _scope(sprint, rules, timeline, step, "issue_done")
    elif was_done and not is_done:
        yield _scope(sprint, rules, timeline, step, "issue_reopened")


def _scope(
    sprint: Sprint,
    rules: BoardRules,
    timeline: Timeline,
    step: Step,
    effect: Literal["scope_added", "scope_removed", "estimate_changed", "issue_done", "issue_reopened"],
) -> SprintEvent:
    return SprintEvent(
        site_id=sprint.site_id,
        sprint_id=sprint.id,
        effect=effect,
        at=step.at,
        issue_id=timeline.issue_id,
        issue_key=timeline.issue_key,
        points=rules.points(timeline, step.after),
        points_before=rules.points(timeline, step.before) if effect == "estimate_changed" else None,
        actor_id=step.actor_id,
        history_id=step.history_id,
        item_index=step.item_index,
        in_active_sprint=True,
    )


def _created(sprint: Sprint, rules: BoardRules, timeline: Timeline, at: datetime) -> SprintEvent:
    return SprintEvent(
        site_id=sprint.site_id,
        sprint_id=sprint.id,
        effect="scope_added",
        at=at,
        issue_id=timeline.issue_id,
        issue_key=timeline.issue_key,
        points=rules.points(timeline, timeline.first),
        actor_id=timeline.creator_id,
        in_active_sprint=True,
    )


def _life(sprint: Sprint, effect: Literal["started", "closed"], at: datetime) -> SprintEvent:
    return SprintEvent(site_id=sprint.site_id, sprint_id=sprint.id, effect=effect, at=at)


def _inside(window: Window, at: datetime) -> bool:
    return at > window.started and (window.closed is None or at <= window.closed)
