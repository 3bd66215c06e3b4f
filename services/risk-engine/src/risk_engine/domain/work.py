"""The work a promise still needs: unresolved leaf issues, each with a size and a team."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from risk_engine.domain.model import Issue, Sprint, Team

SIZE_WITHOUT_EXAMPLE = 3.0


@dataclass(frozen=True)
class WorkTree:
    """Issues by key and by parent. Give it the linked issues, all below them, and the parents of sub-tasks."""

    issues: Mapping[str, Issue]
    children: Mapping[str, Sequence[Issue]]

    @classmethod
    def of(cls, issues: Iterable[Issue]) -> WorkTree:
        """Build the tree; the order of ``issues`` does not matter."""
        by_key = {issue.key: issue for issue in issues}
        children: dict[str, list[Issue]] = defaultdict(list)
        for key in sorted(by_key):
            parent = by_key[key].parent
            if parent is not None:
                children[parent].append(by_key[key])
        return cls(by_key, dict(children))


@dataclass(frozen=True, slots=True)
class Leaf:
    """The smallest unit of work: an unresolved issue; ``estimate`` is None when nobody gave one."""

    issue: Issue
    estimate: Decimal | None


@dataclass(frozen=True, slots=True)
class SizedLeaf:
    """A leaf with its size in its team's points; ``assumed`` when the size is a median, not an estimate."""

    key: str
    issue_key: str
    team: str | None
    points: float
    assumed: bool


@dataclass(frozen=True)
class TypicalSizes:
    """Median estimates, the stand-in for an issue nobody estimated."""

    by_type: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """By (team, issue type)."""
    by_team: Mapping[str, float] = field(default_factory=dict)
    pooled: float = SIZE_WITHOUT_EXAMPLE

    def size(self, team: str | None, issue_type: str) -> float:
        """The team's median for the type, else the team's, else everybody's."""
        if team is None:
            return self.pooled
        return self.by_type.get((team, issue_type), self.by_team.get(team, self.pooled))


DoneByProject = Mapping[str, frozenset[str]]
"""By ``<site>:<project key>``, the statuses its boards call done."""


@dataclass(frozen=True)
class Roster:
    """Teams and open sprints by key: what is needed to tell whose an issue is, and what counts as done."""

    teams: Mapping[str, Team]
    sprints: Mapping[str, Sprint]
    done: DoneByProject = field(default_factory=dict)
    leads: Mapping[str, str] = field(default_factory=dict)
    """By board, the key of its team, where that is another board."""

    @cached_property
    def by_project(self) -> Mapping[tuple[str, str], str]:
        """By site and project key, the team whose the project's work is when no sprint says more; scrum first."""
        found: dict[tuple[str, str], str] = {}
        for team in sorted(self.teams.values(), key=lambda team: (not team.is_scrum, _natural(team.key))):
            for project in team.project_keys:
                found.setdefault((_site(team.key), project), team.key)
        return found


def leaves_below(roots: Iterable[str], tree: WorkTree) -> tuple[Leaf, ...]:
    """The unresolved leaves of the linked issues ``roots`` and all below them, each once, ordered by key.

    A story carries the points of its sub-tasks: those count only when the story has no estimate of its own.
    """
    leaves: dict[str, Leaf] = {}
    for root in _topmost(roots, tree):
        for leaf in _leaves(root, tree, frozenset()):
            leaves[leaf.issue.key] = leaf
    return tuple(leaves[key] for key in sorted(leaves))


def size_leaf(leaf: Leaf, team: str | None, typical: TypicalSizes) -> SizedLeaf:
    """Give the leaf its estimate, or the typical size of its team and type."""
    assumed = leaf.estimate is None
    points = typical.size(team, leaf.issue.type) if leaf.estimate is None else float(leaf.estimate)
    return SizedLeaf(leaf.issue.key, leaf.issue.issue_key, team, max(points, 0.0), assumed)


def share_unestimated(leaves: Sequence[SizedLeaf]) -> float:
    """The share of leaves, 0 to 1, whose size is assumed."""
    return sum(leaf.assumed for leaf in leaves) / len(leaves) if leaves else 0.0


def team_of(issue: Issue, roster: Roster, tree: WorkTree | None = None) -> str | None:
    """The team of the issue's active or future sprint, else its project's; scrum before others; None: on no board.

    A sub-task is in its parent's sprint, whatever its own field says (only the parent is ever moved).
    """
    planned = _planned(issue, tree)
    for sprint in _open_sprints(planned, roster):
        board = _board_of_sprint(sprint, planned.project_key, roster)
        if board is not None:
            return board
    return roster.by_project.get((_site(issue.key), issue.project_key))


def _site(key: str) -> str:
    return key.rpartition(":")[0]


def _planned(issue: Issue, tree: WorkTree | None) -> Issue:
    if issue.is_subtask and issue.parent is not None and tree is not None:
        return tree.issues.get(issue.parent, issue)
    return issue


def _open_sprints(issue: Issue, roster: Roster) -> list[Sprint]:
    """Active before future, the later one first among equals (an issue can be moved on, not back)."""
    known = [roster.sprints[key] for key in issue.sprint_keys if key in roster.sprints]
    newest_first = sorted(known, key=lambda sprint: _natural(sprint.key), reverse=True)
    return sorted(
        (sprint for sprint in newest_first if sprint.state != "closed"),
        key=lambda sprint: sprint.state != "active",
    )


def _board_of_sprint(sprint: Sprint, project_key: str, roster: Roster) -> str | None:
    """The board the sprint was made on when the project is its own, else one that lists it and has the project."""
    origin = (sprint.origin_board,) if sprint.origin_board is not None else ()
    listed = (*origin, *sorted(sprint.boards, key=_natural))
    known = [key for key in (roster.leads.get(board, board) for board in listed) if key in roster.teams]
    own = (key for key in known if project_key in roster.teams[key].project_keys)
    return next(own, known[0] if known else None)


def _natural(key: str) -> tuple[str, int, str]:
    """Sort ``site:9`` before ``site:10``."""
    site, _, number = key.rpartition(":")
    return (site, int(number), "") if number.isdecimal() else (site, -1, number)


def _topmost(roots: Iterable[str], tree: WorkTree) -> list[str]:
    """Known roots that are below no other root; a sub-task gives way to the estimated story it belongs to."""
    lifted = sorted({_lift(root, tree) for root in roots if root in tree.issues})
    kept: list[str] = []
    covered: set[str] = set()
    for root in lifted:
        if root not in covered:
            below = _below(root, tree)
            covered |= below
            kept = [other for other in kept if other not in below]
            kept.append(root)
    return kept


def _lift(root: str, tree: WorkTree) -> str:
    issue = tree.issues[root]
    parent = tree.issues.get(issue.parent) if issue.is_subtask and issue.parent is not None else None
    return parent.key if parent is not None and parent.estimate is not None else root


def _below(root: str, tree: WorkTree) -> set[str]:
    """Keys of everything under ``root``; a loop of parents is followed once."""
    found: set[str] = set()
    waiting = [root]
    while waiting:
        for child in tree.children.get(waiting.pop(), ()):
            if child.key not in found:
                found.add(child.key)
                waiting.append(child.key)
    return found - {root}


def _leaves(key: str, tree: WorkTree, above: frozenset[str]) -> Iterator[Leaf]:
    issue = tree.issues[key]
    children = [child for child in tree.children.get(key, ()) if child.key not in above | {key}]
    if not children or _is_story(issue, children):
        if not issue.done:
            yield Leaf(issue, issue.estimate)
    elif _is_sized_as_a_whole(issue, tree):
        if any(not tree.issues[below].done for below in _below(key, tree)):
            yield Leaf(issue, issue.estimate)
    else:
        for child in children:
            yield from _leaves(child.key, tree, above | {key})


def _is_story(issue: Issue, children: Sequence[Issue]) -> bool:
    """Whether the children are sub-tasks without a say in the points."""
    pointed = any(child.estimate is not None for child in children)
    return all(child.is_subtask for child in children) and (issue.estimate is not None or not pointed)


def _is_sized_as_a_whole(issue: Issue, tree: WorkTree) -> bool:
    """Whether the issue is open, has an estimate, and nothing below it has one."""
    if issue.done or issue.estimate is None:
        return False
    return all(tree.issues[below].estimate is None for below in _below(issue.key, tree))
