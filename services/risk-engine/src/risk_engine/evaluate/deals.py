"""Second step: what a deal promises, which issues deliver it, and which teams owe them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from risk_engine.domain.ledger import Declared, Entry, entries_of, links_of
from risk_engine.domain.links import BELIEVED
from risk_engine.domain.model import Deal, Link, Money
from risk_engine.domain.money import Rates
from risk_engine.domain.stakes import Share, stakes_of
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
from risk_engine.store.answers import read_rates
from risk_engine.store.commitments import (
    Blocker,
    CommitmentRow,
    NeededIssue,
    Worth,
    drop_commitments,
    read_commitments,
    replace_commitments,
    replace_mentions,
    replace_worth,
)
from risk_engine.store.database import Connection
from risk_engine.store.history import read_promised_since
from risk_engine.store.ledger import note_entries, read_declared
from risk_engine.store.links import read_links
from risk_engine.store.marks import Claim, add_marks, take_join_lock
from risk_engine.store.views import (
    read_deals,
    read_roster,
    read_typical_sizes,
    read_work_tree,
    resolve_issue_keys,
)


@dataclass(frozen=True, slots=True)
class _Found:
    """One thing that a deal promises, with its links."""

    deal: Deal
    entry: Entry
    links: tuple[Link, ...]

    @property
    def roots(self) -> list[str]:
        """Issues believed enough to stand for work."""
        return [link.issue for link in self.links if link.confidence >= BELIEVED]


@dataclass(frozen=True, slots=True)
class _Derived:
    """A row of the store, what it needs, and its open leaves with their points."""

    row: CommitmentRow
    needs: tuple[NeededIssue, ...]
    points: Mapping[str, float]
    worth: Money | None


async def evaluate_deals(
    connection: Connection, claims: Sequence[Claim], terms: Terms, sizes: Remembered[TypicalSizes]
) -> None:
    """Re-derives the claimed deals and marks the teams and forecasts that depend on them.

    Typical ``sizes`` cost a pass over all estimates, so they are read seldom, and only when a leaf lacks one.
    """
    await take_join_lock(connection)
    keys = [claim.subject for claim in claims]
    ledger = await enter(connection, keys, terms)
    before = ledger.before
    gone = sorted({row.deal for row in before.values()} - ledger.entered.keys())
    if gone:
        await drop_commitments(connection, gone)
    found = await _find(connection, ledger.deals, ledger.counted)
    after = await _write(connection, found, ledger.entered, terms, sizes)
    teams = {team for row in (*before.values(), *after) for team in row.teams}
    await add_marks(connection, "team", teams)
    await add_marks(connection, "forecast", (*gone, *ledger.entered))


@dataclass(frozen=True, slots=True)
class Ledger:
    """What some deals promise now, and what was derived before."""

    deals: Mapping[str, Deal]
    counted: Mapping[str, Sequence[Entry]]
    """By deal, what is in force of it."""
    entered: Mapping[str, datetime]
    """By deal that has anything in force, since when."""
    before: Mapping[str, CommitmentRow]


async def enter(connection: Connection, keys: Sequence[str], terms: Terms) -> Ledger:
    """Reads what the deals promise or seem to, and enters into the ledger what is new. Hold the deals."""
    before = await read_commitments(connection, keys)
    deals = await read_deals(connection, keys)
    declared: Mapping[str, Sequence[Declared]] = await read_declared(connection, deals)
    entries = {
        key: entries_of(deal, declared.get(key, ()), terms.today, terms.policy) for key, deal in deals.items()
    }
    counted = {key: [entry for entry in group if entry.state == "in_force"] for key, group in entries.items()}
    entered = await _entered(connection, deals, [key for key, group in counted.items() if group], terms.now)
    every = (entry for group in entries.values() for entry in group)
    await note_entries(connection, keys, every, entered, terms.now)
    return Ledger(deals, counted, entered, before)


async def _entered(
    connection: Connection, deals: Mapping[str, Deal], promising: Sequence[str], now: datetime
) -> dict[str, datetime]:
    """The deal's history knows best; where it is silent, the ledger knows since when the deal promises something."""
    silent = [key for key in promising if deals[key].entered_commit_set is None]
    since = await read_promised_since(connection, silent)
    return {key: deals[key].entered_commit_set or since.get(key, now) for key in promising}


async def _find(
    connection: Connection, deals: Mapping[str, Deal], counted: Mapping[str, Sequence[Entry]]
) -> list[_Found]:
    mentions = {key: _mentions(group) for key, group in counted.items() if group}
    await replace_mentions(connection, mentions)
    resolved = await resolve_issue_keys(connection, frozenset[str]().union(*mentions.values()))
    linked = await read_links(connection, list(mentions))
    found = []
    for key in sorted(mentions):
        own = linked.get(key, ())
        found += [
            _Found(deals[key], entry, links_of(entry, own, resolved.one.get, resolved.several))
            for entry in counted[key]
        ]
    return found


def _mentions(entries: Iterable[Entry]) -> frozenset[str]:
    """Issue keys that commitments name themselves; those on the deal at large are its signs."""
    return frozenset(name for entry in entries for name in entry.issues if ":" not in name)


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
    tree = await read_work_tree(connection, {root for item in found for root in item.roots}, roster.done)
    leaves = [leaves_below(item.roots, tree) for item in found]
    unsized = any(leaf.estimate is None for group in leaves for leaf in group)
    typical = await sizes.get(lambda: read_typical_sizes(connection, roster)) if unsized else TypicalSizes()
    blocking = {key for group in leaves for key in _blocking(group)}
    around = await read_work_tree(connection, blocking, roster.done)
    derived = []
    for item, group in zip(found, leaves, strict=True):
        needs = _needs(item, group, tree, roster, typical)
        blockers = _blockers(group, around, needs, roster)
        row = _row(item, group, needs, entered[item.deal.key], blockers)
        points = {need.issue: need.points for need in needs if need.points is not None}
        derived.append(_Derived(row, (*needs, *_watched(group, needs)), points, item.entry.amount))
    rates = Rates(await read_rates(connection), terms.currency)
    worth, staked = _with_stakes(derived, {item.deal.key: item.deal for item in found}, rates)
    await replace_commitments(connection, staked)
    await replace_worth(connection, {row.deal for row, _ in staked}, worth)
    return [one.row for one in derived]


def _with_stakes(
    derived: Sequence[_Derived], deals: Mapping[str, Deal], rates: Rates
) -> tuple[list[Worth], list[tuple[CommitmentRow, Sequence[NeededIssue]]]]:
    """Each deal's money over its open leaves; a leaf of several commitments carries it with the first."""
    worth: list[Worth] = []
    left: dict[str, dict[str, Decimal]] = {}
    parts: dict[str, list[_Derived]] = defaultdict(list)
    for one in derived:
        parts[one.row.deal].append(one)
    for key, deal in deals.items():
        if deal.amount is not None:
            converted = rates.convert(deal.amount, key.partition(":")[0], deal.close_date)
            shares = [_share(one, deal, rates) for one in parts[key]]
            left[key] = stakes_of(converted.amount, shares) if converted.amount is not None else {}
            unplaced = None if left[key] else converted.amount
            worth.append(Worth(key, deal.amount, converted, unplaced))
    rows: list[tuple[CommitmentRow, Sequence[NeededIssue]]] = []
    for one in derived:
        stakes = left.get(one.row.deal, {})
        rows.append((one.row, [replace(need, stake=stakes.pop(need.issue, None)) for need in one.needs]))
    return worth, rows


def _share(one: _Derived, deal: Deal, rates: Rates) -> Share:
    own = rates.convert(one.worth, deal.key.partition(":")[0], deal.close_date) if one.worth else None
    return Share(one.points, own.amount if own else None)


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


def _needs(
    item: _Found, leaves: Sequence[Leaf], tree: WorkTree, roster: Roster, typical: TypicalSizes
) -> list[NeededIssue]:
    owed = {}
    for leaf in leaves:
        sized = size_leaf(leaf, team_of(leaf.issue, roster, tree), typical)
        owed[sized.key] = NeededIssue(sized.key, sized.team, sized.points, sized.assumed)
    needed = _under(item.roots, tree) | owed.keys()
    above = _parents_of_subtasks(item.roots, tree) - needed
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
        promised_date=item.entry.promised_date,
        won=item.deal.is_won,
        probability=1.0 if item.deal.is_won else item.deal.probability,
        teams=tuple(teams),
        links=item.links,
        entered_at=entered,
        boardless=len(leaves) - on_boards,
        blockers=blockers,
        part=item.entry.part,
        title=item.entry.title,
        basis=item.entry.basis,
        need=item.entry.need,
    )
