"""What a question asks for, as items of work: by issue where issues are named, in one piece where they are not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from risk_engine.domain.history import Unit
from risk_engine.domain.model import Issue
from risk_engine.domain.money import allocate
from risk_engine.domain.promise_check import AskedItem
from risk_engine.domain.work import (
    Leaf,
    Roster,
    SizedLeaf,
    TypicalSizes,
    WorkTree,
    leaves_below,
    size_leaf,
    team_of,
)


@dataclass(frozen=True, slots=True)
class AskedWork:
    """The items, and what of them cannot be counted or is only assumed."""

    items: tuple[AskedItem, ...]
    boardless: tuple[str, ...] = ()
    """Issue keys of open leaves that no team owes."""
    assumed: int = 0
    """How many leaves have no estimate."""
    blockers: tuple[tuple[str, str], ...] = ()
    """Issue key of a leaf, and of an open issue outside that blocks it."""

    @property
    def teams(self) -> tuple[str, ...]:
        """Keys of the teams that have a part in it."""
        return tuple(sorted({team for item in self.items for team, _, _ in item.leaves}))


def blocking(roots: Collection[str], tree: WorkTree) -> set[str]:
    """Keys of the issues that block the work."""
    return {key for leaf in leaves_below(roots, tree) for key in leaf.issue.blocked_by}


def work_of_issues(
    roots: Sequence[str],
    tree: WorkTree,
    around: WorkTree,
    roster: Roster,
    typical: TypicalSizes,
    *,
    amount: Decimal | None = None,
    values: Mapping[str, Decimal] | None = None,
) -> AskedWork:
    """One item per issue asked for; one per leaf where a single issue is. ``values``: by root key, what it is worth.

    What is left of the amount is split over the other items by their points.
    """
    groups = _groups(roots, tree)
    sized = {
        leaf.issue.key: size_leaf(leaf, team_of(leaf.issue, roster, tree), typical)
        for _, leaves in groups
        for leaf in leaves
    }
    worth = _worth(groups, sized, amount, values or {})
    items = tuple(
        AskedItem(
            head.issue_key,
            tuple(_owed(sized[leaf.issue.key]) for leaf in leaves if sized[leaf.issue.key].team is not None),
            worth[head.key],
            _needs(head, leaves, groups),
        )
        for head, leaves in groups
    )
    open_leaves = [leaf for _, leaves in groups for leaf in leaves]
    return AskedWork(
        items,
        tuple(sorted(leaf.issue_key for leaf in sized.values() if leaf.team is None)),
        sum(leaf.assumed for leaf in sized.values()),
        tuple(_outside(open_leaves, around, {leaf.issue.key for leaf in open_leaves})),
    )


def in_units(work: AskedWork, units: Mapping[str, Unit]) -> AskedWork:
    """The work as its teams count it: where a team counts items, each leaf is one."""
    items = tuple(
        replace(
            item,
            leaves=tuple(
                (team, issue, 1.0 if units[team] == "items" else points)
                for team, issue, points in item.leaves
            ),
        )
        for item in work.items
    )
    return replace(work, items=items)


def _groups(roots: Sequence[str], tree: WorkTree) -> list[tuple[Issue, list[Leaf]]]:
    """Each leaf once, with the first issue asked for that it is under."""
    groups: list[tuple[Issue, list[Leaf]]] = []
    seen: set[str] = set()
    for root in roots:
        leaves = [leaf for leaf in leaves_below([root], tree) if leaf.issue.key not in seen]
        seen.update(leaf.issue.key for leaf in leaves)
        groups.append((tree.issues[root], leaves))
    if len(groups) == 1 and len(groups[0][1]) > 1:
        return [(leaf.issue, [leaf]) for leaf in groups[0][1]]
    return groups


def _owed(leaf: SizedLeaf) -> tuple[str, str, float]:
    return leaf.team or "", leaf.key, leaf.points


def _worth(
    groups: Sequence[tuple[Issue, list[Leaf]]],
    sized: Mapping[str, SizedLeaf],
    amount: Decimal | None,
    values: Mapping[str, Decimal],
) -> dict[str, Decimal]:
    told = {head.key: values[head.key] for head, _ in groups if head.key in values}
    rest = max((amount or Decimal(0)) - sum(told.values(), Decimal(0)), Decimal(0))
    points = {
        head.key: sum(sized[leaf.issue.key].points for leaf in leaves)
        for head, leaves in groups
        if head.key not in told
    }
    if not amount and not told:
        return {key: Decimal(str(size)) for key, size in points.items()}
    return told | allocate(rest, points)


def _needs(head: Issue, leaves: Sequence[Leaf], groups: Sequence[tuple[Issue, list[Leaf]]]) -> frozenset[str]:
    blockers = {*head.blocked_by, *(key for leaf in leaves for key in leaf.issue.blocked_by)}
    return frozenset(
        other.issue_key
        for other, below in groups
        if other.key != head.key and below and blockers & {other.key, *(leaf.issue.key for leaf in below)}
    )


def _outside(leaves: Sequence[Leaf], around: WorkTree, inside: Collection[str]) -> Sequence[tuple[str, str]]:
    return [
        (leaf.issue.issue_key, around.issues[key].issue_key)
        for leaf in leaves
        for key in sorted(leaf.issue.blocked_by)
        if key not in inside and key in around.issues and not around.issues[key].done
    ]
