"""Puts the figures on a sprint: which rules, which time window, and whether they can still change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from jira_sync.domain.plan_changes import created
from jira_sync.domain.sprint_events import life_events, scope_events, window_of
from jira_sync.domain.sprint_facts import Window, combined, sprint_facts, stories_at_end
from jira_sync.domain.structure import BoardRules, StartBy, board_rules, closed_at, rules_of
from jira_sync.domain.timeline import Timeline
from jira_sync.memory import PlanningMemory
from jira_sync.parse import by_number
from jira_sync.shares import Selection
from troth_contracts.jira import Board, BoardShare, PlanChange, Sprint, SprintEvent, SprintFigures
from troth_contracts.topics import ISSUE_EVENTS

REACH = (ISSUE_EVENTS.retention or timedelta(days=400)) - timedelta(days=10)
"""Final figures older than the event topic reaches back are never recomputed from a shortened past."""


@dataclass(frozen=True, slots=True)
class SprintTelling:
    """What is to be published of one sprint."""

    sprint: Sprint
    events: tuple[SprintEvent, ...]
    changes: tuple[PlanChange, ...]
    readings_differ: bool = False


def tell_sprint(
    sprint: Sprint,
    boards: Mapping[str, Board],
    memory: PlanningMemory,
    *,
    settled_before: datetime | None,
    start_by: StartBy = "activatedDate",
    selection: Selection | None = None,
) -> SprintTelling:
    """Figures and events of a sprint. They are final for sprints closed before ``settled_before``.

    ``selection``: what each board shows of a sprint that boards with different filters share.
    """
    before = memory.published.get(sprint.id)
    window, rules = window_of(sprint, start_by), rules_of(sprint, boards)
    life = tuple(life_events(sprint, before, memory.trails.closes(sprint.id), start_by))
    changes = (*created(sprint), *memory.trails.changes(sprint))
    if window is None or rules is None:
        return SprintTelling(sprint, life, changes)
    timelines = list(memory.timelines_of(sprint.id))
    selection = selection and _lasting(selection, before, sprint)
    shown = timelines if selection is None else _of(timelines, frozenset().union(*selection.values()))
    facts = sprint_facts(window, rules, shown)
    figured = replace(
        sprint,
        commitment=facts.commitment,
        added=facts.added,
        removed=facts.removed,
        result=facts.result if sprint.state == "closed" else None,
        provisional=not (_is_settled(sprint, settled_before) or _is_final(before, sprint)),
        commitment_by_report=facts.commitment_by_report if facts.readings_differ else None,
        readings_differ=facts.readings_differ,
        subtask_ids=_followers(window, timelines, memory),
        shares=_shares(sprint, boards, timelines, selection, window),
        off_board=_off_board(rules, timelines, selection, window),
    )
    figured = _with_first_figures(figured, before)
    events = (*life, *scope_events(sprint, window, rules, timelines))
    return SprintTelling(figured, events, changes, facts.readings_differ)


def _shares(
    sprint: Sprint,
    boards: Mapping[str, Board],
    timelines: Sequence[Timeline],
    selection: Selection | None,
    window: Window,
) -> tuple[BoardShare, ...]:
    """Each board's part, by its own columns and its own estimate field."""
    found = []
    for board_id, shown in (selection or {}).items():
        rules = board_rules(boards[board_id], closed_at(sprint))
        facts = sprint_facts(window, rules, _of(timelines, shown))
        found.append(
            BoardShare(
                board_id=board_id,
                commitment=facts.commitment,
                added=facts.added,
                removed=facts.removed,
                result=facts.result if sprint.state == "closed" else None,
            )
        )
    return tuple(found)


def _off_board(
    rules: BoardRules, timelines: Sequence[Timeline], selection: Selection | None, window: Window
) -> SprintFigures | None:
    """Work in the sprint that none of its boards shows."""
    if selection is None:
        return None
    shown = frozenset[str]().union(*selection.values())
    facts = sprint_facts(window, rules, [t for t in timelines if t.issue_id not in shown])
    return combined(facts.commitment, facts.added) if facts.commitment.issues or facts.added.issues else None


def _lasting(selection: Selection, before: Sprint | None, sprint: Sprint) -> Selection:
    """Issues whose part is final stay on their boards, whatever the filters select later."""
    if before is None or not before.shares or not _is_final(before, sprint):
        return selection
    of_board = {share.board_id: _counted(share) for share in before.shares}
    nowhere = {part.issue_id for part in before.off_board.issues} if before.off_board else set[str]()
    settled = nowhere.union(*of_board.values())
    return {
        board_id: (shown - settled) | of_board.get(board_id, frozenset())
        for board_id, shown in selection.items()
    }


def _counted(share: BoardShare) -> frozenset[str]:
    figures = (share.commitment, share.added, share.removed, share.result)
    return frozenset(part.issue_id for figure in figures if figure for part in figure.issues)


def _of(timelines: Sequence[Timeline], issues: Collection[str]) -> list[Timeline]:
    return [timeline for timeline in timelines if timeline.issue_id in issues]


def _followers(window: Window, timelines: Sequence[Timeline], memory: PlanningMemory) -> tuple[str, ...]:
    """Sub-tasks go where their parents go, without any history of their own."""
    stories = stories_at_end(window, timelines)
    return by_number({child for story in stories for child in memory.subtasks_until(story, window.closed)})


def _is_final(before: Sprint | None, sprint: Sprint) -> bool:
    """Figures that were final stay so while the sprint stays closed."""
    return before is not None and not before.provisional and sprint.state == "closed"


def _with_first_figures(sprint: Sprint, before: Sprint | None) -> Sprint:
    """A correction of final figures, or a reopened sprint, keeps the first final ones beside it, for ever."""
    if before is None:
        return sprint
    corrected = (sprint.commitment, sprint.result) != (before.commitment, before.result)
    first_commitment, first_result = before.first_commitment, before.first_result
    if corrected and not before.provisional and first_commitment is None and first_result is None:
        first_commitment, first_result = before.commitment, before.result
    return replace(sprint, first_commitment=first_commitment, first_result=first_result)


def is_out_of_reach(published: Sprint | None, now: datetime) -> bool:
    """True for final figures that the event topic can no longer support."""
    if published is None or published.provisional:
        return False
    closed = closed_at(published)
    return closed is not None and closed < now - REACH


def _is_settled(sprint: Sprint, settled_before: datetime | None) -> bool:
    closed = closed_at(sprint)
    return settled_before is not None and closed is not None and closed < settled_before
