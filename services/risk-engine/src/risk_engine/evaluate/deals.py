"""Second step: what a deal promises, which issues deliver it, and which teams owe them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from risk_engine.domain.commitments import commitment_of
from risk_engine.domain.keys import candidate_keys
from risk_engine.domain.model import Commitment, Deal, Link
from risk_engine.domain.work import (
    Leaf,
    Roster,
    TypicalSizes,
    WorkTree,
    leaves_below,
    size_leaf,
    team_of,
)
from risk_engine.evaluate.terms import Terms
from risk_engine.remembered import Remembered
from risk_engine.store.commitments import (
    Blocker,
    CommitmentRow,
    Derived,
    NeededIssue,
    drop_commitments,
    read_commitments,
    replace_commitments,
)
from risk_engine.store.database import Connection
from risk_engine.store.history import read_promised_since
from risk_engine.store.links import read_links
from risk_engine.store.marks import Claim, add_marks, take_join_lock
from risk_engine.store.views import (
    read_deals,
    read_roster,
    read_typical_sizes,
    read_work_tree,
)


@dataclass(frozen=True, slots=True)
class _Found:
    """A deal that promises something, with its links and every key it mentions."""

    deal: Deal
    commitment: Commitment
    links: tuple[Link, ...]
    mentions: frozenset[str]


async def evaluate_deals(
    connection: Connection, claims: Sequence[Claim], terms: Terms, sizes: Remembered[TypicalSizes]
) -> None:
    """Re-derives the claimed deals and marks the teams and forecasts that depend on them.

    Typical ``sizes`` cost a pass over all estimates, so they are read seldom, and only when a leaf lacks one.
    """
    await take_join_lock(connection)
    keys = [claim.subject for claim in claims]
    before = await read_commitments(connection, keys)
    found = await _find(connection, await read_deals(connection, keys), terms.today)
    gone = sorted(before.keys() - {item.deal.key for item in found})
    if gone:
        await drop_commitments(connection, gone, terms.now)
    since = await read_promised_since(connection, [item.deal.key for item in found])
    entered = {item.deal.key: _entered(item.deal, since, terms.now) for item in found}
    after = await _write(connection, found, entered, terms, sizes)
    teams = {team for row in (*before.values(), *after) for team in row.teams}
    await add_marks(connection, "team", teams)
    await add_marks(connection, "forecast", (*gone, *(row.deal for row in after)))


async def _find(connection: Connection, deals: dict[str, Deal], today: date) -> list[_Found]:
    promising = [deal for deal in deals.values() if commitment_of(deal, (), today) is not None]
    mentions = {deal.key: _mentions(deal) for deal in promising}
    linked = await read_links(connection, list(mentions))
    found = []
    for deal in promising:
        links = linked.get(deal.key, ())
        commitment = commitment_of(deal, links, today)
        if commitment is not None:
            found.append(_Found(deal, commitment, links, mentions[deal.key]))
    return found


def _mentions(deal: Deal) -> frozenset[str]:
    texts = (*deal.texts.values(), *deal.custom.values())
    return frozenset(mention.key for text in texts for mention in candidate_keys(text))


def _entered(deal: Deal, since: Mapping[str, datetime], now: datetime) -> datetime:
    """The deal's history knows best; where it is silent, the moment we first saw the deal in force."""
    return deal.entered_commit_set or since.get(deal.key, now)


async def _write(
    connection: Connection,
    found: Sequence[_Found],
    entered: Mapping[str, datetime],
    terms: Terms,
    sizes: Remembered[TypicalSizes],
) -> list[CommitmentRow]:
    if not found:
        return []
    roster = await read_roster(connection, terms.registry)
    roots = {link.issue for item in found for link in item.commitment.links}
    tree = await read_work_tree(connection, roots, roster.done)
    leaves = {item.deal.key: leaves_below(_roots(item), tree) for item in found}
    unsized = any(leaf.estimate is None for group in leaves.values() for leaf in group)
    typical = await sizes.get(lambda: read_typical_sizes(connection, roster)) if unsized else TypicalSizes()
    blocking = {key for group in leaves.values() for key in _blocking(group)}
    around = await read_work_tree(connection, blocking, roster.done)
    derived = []
    for item in found:
        needs = _needs(item, leaves[item.deal.key], tree, roster, typical)
        blockers = _blockers(leaves[item.deal.key], around, needs, roster)
        row = _row(item, leaves[item.deal.key], needs, entered[item.deal.key], blockers)
        watched = _watched(leaves[item.deal.key], needs)
        derived.append(Derived(row, (*needs, *watched), item.mentions))
    await replace_commitments(connection, derived, terms.now)
    return [one.row for one in derived]


def _blocking(leaves: Iterable[Leaf]) -> set[str]:
    return {key for leaf in leaves for key in leaf.issue.blocked_by}


def _blockers(
    leaves: Sequence[Leaf], around: WorkTree, needs: Sequence[NeededIssue], roster: Roster
) -> tuple[Blocker, ...]:
    """Open issues of other teams that block the deal's work; within a team its order tells."""
    owner = {need.issue: need.team for need in needs}
    found = []
    for leaf in leaves:
        for key in sorted(leaf.issue.blocked_by):
            by = around.issues.get(key)
            team = team_of(by, roster, around) if by else None
            if by is not None and not by.done and (team is None or team != owner[leaf.issue.key]):
                found.append(Blocker(leaf.issue.issue_key, by.issue_key, team))
    return tuple(found)


def _watched(leaves: Sequence[Leaf], needs: Sequence[NeededIssue]) -> list[NeededIssue]:
    """What blocks a leaf is watched, so that the deal hears when it is done."""
    return [
        NeededIssue(key, above=True) for key in sorted(_blocking(leaves) - {need.issue for need in needs})
    ]


def _roots(item: _Found) -> list[str]:
    return [link.issue for link in item.commitment.links]


def _needs(
    item: _Found, leaves: Sequence[Leaf], tree: WorkTree, roster: Roster, typical: TypicalSizes
) -> list[NeededIssue]:
    owed = {}
    for leaf in leaves:
        sized = size_leaf(leaf, team_of(leaf.issue, roster, tree), typical)
        owed[sized.key] = NeededIssue(sized.key, sized.team, sized.points, sized.assumed)
    needed = _under(_roots(item), tree) | owed.keys()
    above = _parents_of_subtasks(_roots(item), tree) - needed
    return [
        *(owed.get(key, NeededIssue(key)) for key in sorted(needed)),
        *(NeededIssue(key, above=True) for key in sorted(above)),
    ]


def _parents_of_subtasks(roots: Iterable[str], tree: WorkTree) -> set[str]:
    """A linked sub-task takes its sprint and its size from its parent, which need not be known yet."""
    issues = (tree.issues[root] for root in roots if root in tree.issues)
    return {issue.parent for issue in issues if issue.is_subtask and issue.parent is not None}


def _under(roots: Iterable[str], tree: WorkTree) -> set[str]:
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting.extend(child.key for child in tree.children.get(key, ()))
    return found


def _row(
    item: _Found,
    leaves: Sequence[Leaf],
    needs: Sequence[NeededIssue],
    entered: datetime,
    blockers: tuple[Blocker, ...],
) -> CommitmentRow:
    teams = sorted({need.team for need in needs if need.team is not None})
    on_boards = sum(need.team is not None for need in needs)
    return CommitmentRow(
        deal=item.deal.key,
        promised_date=item.commitment.promised_date,
        won=item.deal.is_won,
        probability=1.0 if item.deal.is_won else item.deal.probability,
        teams=tuple(teams),
        links=item.links,
        entered_at=entered,
        boardless=len(leaves) - on_boards,
        blockers=blockers,
    )
