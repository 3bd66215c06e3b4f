"""Reads the joined state as the domain's nouns. Stage, owner and board-done are joined here, when read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import LiteralString, TypeVar

import msgspec

from risk_engine.domain import model
from risk_engine.domain.commitments import entered_commit_set, promised_date
from risk_engine.domain.registry import Registry
from risk_engine.domain.work import (
    SIZE_WITHOUT_EXAMPLE,
    DoneByProject,
    Roster,
    TypicalSizes,
    WorkTree,
)
from risk_engine.store.database import Connection
from troth_contracts import crm, jira
from troth_contracts.values import Money

C = TypeVar("C")
_BLOCKS = "Blocks"
"""The link type every Jira comes with; told inward it reads "is blocked by"."""


async def read_deals(connection: Connection, keys: Collection[str]) -> dict[str, model.Deal]:
    """Live deals by key, with their owners' names."""
    statement = "SELECT key, body::text FROM deals WHERE key = ANY(%s) AND NOT deleted"
    wires = await _bodies(connection, statement, (list(keys),), crm.Deal)
    owners = await _owner_names(connection, wires.values())
    products = await _products(connection, wires.values())
    return {key: to_deal(wire, owners, products) for key, wire in wires.items()}


async def read_users(connection: Connection, names: Collection[str]) -> dict[str, crm.CrmUser]:
    """Salesforce users by ``<org>:<id>``; those nobody knows are left out."""
    if not any(names):
        return {}
    keys = [f"{org}:user:{number}" for org, _, number in (name.partition(":") for name in names)]
    statement = "SELECT key, body::text FROM crm_references WHERE key = ANY(%s) AND NOT deleted"
    found = await _bodies(connection, statement, (keys,), crm.CrmUser)
    return {f"{user.org_id}:{user.id}": user for user in found.values()}


@dataclass(frozen=True, slots=True)
class Resolved:
    """What issue keys mean; a key that no issue bears or bore is in neither."""

    one: Mapping[str, str]
    """By key, the issue (``<site>:<id>``)."""
    several: Mapping[str, tuple[str, ...]]
    """By key that says nothing by itself, the issue of each site that has it."""

    def __contains__(self, issue_key: str) -> bool:
        return issue_key in self.one or issue_key in self.several


async def resolve_issue_keys(connection: Connection, issue_keys: Collection[str]) -> Resolved:
    """What present or former issue keys mean; present keys win."""
    if not issue_keys:
        return Resolved({}, {})
    result = await connection.execute(
        """
        SELECT old.issue_key, i.key, 0 AS present FROM issues i,
            LATERAL jsonb_array_elements_text(i.body->'former_keys') AS old(issue_key)
        WHERE NOT i.deleted AND i.body ? 'former_keys' AND i.body->'former_keys' ?| %(keys)s
        UNION ALL
        SELECT body->>'issue_key', key, 1 FROM issues WHERE NOT deleted AND body->>'issue_key' = ANY(%(keys)s)
        ORDER BY present DESC, 2
        """,
        {"keys": list(issue_keys)},
    )
    rank: dict[str, int] = {}
    sites: dict[str, dict[str, str]] = defaultdict(dict)
    for issue_key, issue, present in await result.fetchall():
        if rank.setdefault(issue_key, present) == present:
            sites[issue_key].setdefault(issue.rpartition(":")[0], issue)
    found = {key: tuple(bearers.values()) for key, bearers in sites.items()}
    return Resolved(
        {key: issues[0] for key, issues in found.items() if len(issues) == 1},
        {key: issues for key, issues in found.items() if len(issues) > 1},
    )


async def known_issues(connection: Connection, keys: Collection[str]) -> set[str]:
    """Those of the issues (``<site>:<id>``) that exist."""
    result = await connection.execute(
        "SELECT key FROM issues WHERE key = ANY(%s) AND NOT deleted", (list(keys),)
    )
    return {key for (key,) in await result.fetchall()}


async def read_work_tree(connection: Connection, roots: Collection[str], done: DoneByProject) -> WorkTree:
    """The roots, everything below them and their parents, with done as their boards see it."""
    if not roots:
        return WorkTree.of(())
    statement: LiteralString = """
        WITH RECURSIVE tree AS (
            SELECT key, body FROM issues WHERE key = ANY(%s) AND NOT deleted
            UNION
            SELECT child.key, child.body FROM tree JOIN issues child
                ON child.body->>'site_id' = tree.body->>'site_id' AND child.body->>'parent_id' = tree.body->>'id'
            WHERE NOT child.deleted
        )
        SELECT key, body::text FROM tree
        UNION
        SELECT parent.key, parent.body::text FROM tree JOIN issues parent
            ON parent.key = (tree.body->>'site_id') || ':' || (tree.body->>'parent_id')
        WHERE NOT parent.deleted
    """
    wires = await _bodies(connection, statement, (list(roots),), jira.Issue)
    return WorkTree.of(to_issue(wire, done) for wire in wires.values())


async def read_roster(connection: Connection, registry: Registry) -> Roster:
    """Every team, every sprint that is not closed, and what the boards call done."""
    boards = await _bodies(connection, "SELECT key, body::text FROM boards WHERE NOT deleted", (), jira.Board)
    statement: LiteralString = """
        SELECT key, body::text FROM sprints WHERE NOT deleted AND body->>'state' <> 'closed'
    """
    sprints = await _bodies(connection, statement, (), jira.Sprint)
    return Roster(
        registry.teams({key: to_team(board) for key, board in boards.items()}),
        {key: to_sprint(sprint) for key, sprint in sprints.items()},
        _board_done(boards.values()),
        registry.leads,
    )


async def read_team(connection: Connection, key: str, registry: Registry) -> model.Team | None:
    """One team; None for one whose board is not known, was deleted, or is another team's."""
    statement = "SELECT key, body::text FROM boards WHERE key = ANY(%s) AND NOT deleted"
    found = await _bodies(connection, statement, (list(registry.entry(key).boards),), jira.Board)
    return registry.teams({name: to_team(board) for name, board in found.items()}).get(key)


async def read_team_sprints(connection: Connection, team: str) -> list[model.Sprint]:
    """Sprints of one board, by planned start."""
    site, _, board = team.rpartition(":")
    statement: LiteralString = """
        SELECT key, body::text FROM sprints
        WHERE NOT deleted AND body->>'site_id' = %(site)s
            AND (body->>'origin_board_id' = %(board)s OR body->'board_ids' ? %(board)s)
        ORDER BY body->>'planned_start_at' NULLS LAST, key
    """
    found = await _bodies(connection, statement, {"site": site, "board": board}, jira.Sprint)
    return [to_sprint(own_part(wire, board)) for wire in found.values()]


async def read_histories(connection: Connection) -> dict[str, tuple[float, ...]]:
    """By board, the completed points of its closed sprints, in the order they closed; its own part where shared."""
    result = await connection.execute(
        """
        SELECT site || ':' || id, array_agg(points ORDER BY completed_at, key) FROM (
            SELECT s.body->>'site_id' AS site, board.id, s.key, (s.body->>'completed_at')::timestamptz AS completed_at,
                (CASE WHEN share.own IS NULL THEN s.body ELSE share.own END #>> '{result,points}')::float8 AS points
            FROM sprints s
            CROSS JOIN LATERAL (
                SELECT jsonb_array_elements_text(coalesce(s.body->'board_ids', '[]'))
                UNION SELECT s.body->>'origin_board_id'
            ) AS board (id)
            LEFT JOIN LATERAL (
                SELECT own FROM jsonb_array_elements(s.body->'shares') AS own WHERE own->>'board_id' = board.id
            ) AS share ON true
            WHERE NOT s.deleted AND s.body->>'state' = 'closed' AND s.body ? 'completed_at' AND board.id IS NOT NULL
        ) AS closed
        WHERE points IS NOT NULL GROUP BY site, id ORDER BY site, id
        """
    )
    return {board: tuple(points) for board, points in await result.fetchall()}


def own_part(wire: jira.Sprint, board: str) -> jira.Sprint:
    """The sprint with this board's own figures, where boards with different filters share it."""
    share = next((share for share in wire.shares if share.board_id == board), None)
    if share is None:
        return wire
    return msgspec.structs.replace(wire, commitment=share.commitment, result=share.result)


async def read_typical_sizes(connection: Connection, roster: Roster) -> TypicalSizes:
    """Median estimates per team and type, from every estimated issue of the teams' projects.

    Estimates of zero are left out, they say little about size.
    """
    boards_of = {
        (key.rpartition(":")[0], project): key
        for key, team in sorted(roster.teams.items(), reverse=True)
        for project in team.project_keys
    }
    result = await connection.execute(
        """
        SELECT team, type, percentile_cont(0.5) WITHIN GROUP (ORDER BY points) FROM (
            SELECT whose.team, body->>'type_name' AS type, (body->>'estimate')::float8 AS points
            FROM unnest(%s::text[], %s::text[], %s::text[]) AS whose (site, project, team)
            JOIN issues ON body->>'site_id' = whose.site AND body->>'project_key' = whose.project
            WHERE NOT deleted AND body->>'estimate' IS NOT NULL
        ) AS estimated WHERE points > 0 GROUP BY GROUPING SETS ((team, type), (team), ())
        """,
        ([site for site, _ in boards_of], [project for _, project in boards_of], list(boards_of.values())),
    )
    rows = await result.fetchall()
    return TypicalSizes(
        {(team, kind): size for team, kind, size in rows if kind is not None},
        {team: size for team, kind, size in rows if team is not None and kind is None},
        next((size for team, _, size in rows if team is None and size is not None), SIZE_WITHOUT_EXAMPLE),
    )


def to_deal(
    wire: crm.Deal, owners: Mapping[str, str], products: Mapping[str, crm.Product] | None = None
) -> model.Deal:
    """The domain's deal; percentages become shares."""
    steps = (
        model.DealStep(step.at, _share(step.probability), step.forecast_category) for step in wire.history
    )
    return model.Deal(
        key=wire.key,
        id=wire.id,
        name=wire.name,
        account=wire.account_name,
        owner_name=owners.get(f"{wire.org_id}:user:{wire.owner_id}"),
        owner_id=wire.owner_id,
        amount=_money(wire.amount),
        stage=wire.stage_name,
        is_closed=wire.is_closed,
        is_won=wire.is_won,
        probability=_share(wire.probability) or 0.0,
        forecast_category=wire.forecast_category,
        close_date=wire.close_date,
        entered_commit_set=entered_commit_set(steps, None),
        promised_date=promised_date(wire.custom),
        texts={"Name": wire.name, "NextStep": wire.next_step or "", "Description": wire.description or ""},
        custom=wire.custom,
        account_id=wire.account_id,
        created=wire.created_at,
        modified_on=wire.source_modified_at.date() if wire.source_modified_at else None,
        lines=tuple(_line(wire.org_id, line, products or {}) for line in wire.line_items),
        records=tuple(model.Record(one.object, one.id, one.fields) for one in wire.related),
    )


def _line(org: str, wire: crm.LineItem, products: Mapping[str, crm.Product]) -> model.Line:
    product = products.get(f"{org}:product:{wire.product_id}")
    names = (wire.product_id, product.name, product.code) if product else (wire.product_id,)
    return model.Line(
        wire.id,
        product.name if product else wire.product_id or "",
        frozenset(name for name in names if name),
        wire.service_date,
        _money(wire.total_price),
        wire.description or "",
    )


def _money(wire: Money | None) -> model.Money | None:
    return model.Money(wire.amount, wire.currency) if wire else None


def to_issue(wire: jira.Issue, done: DoneByProject) -> model.Issue:
    """The domain's issue. Done is what its project's boards call done, else Jira's own category."""
    board_done = done.get(f"{wire.site_id}:{wire.project_key}")
    is_done = wire.status_id in board_done if board_done else wire.status_category == "done"
    return model.Issue(
        key=wire.key,
        id=wire.id,
        issue_key=wire.issue_key,
        project_key=wire.project_key,
        type=wire.type_name,
        done=is_done or wire.resolved_at is not None,
        former_keys=wire.former_keys,
        status_id=wire.status_id,
        estimate=wire.estimate,
        parent=f"{wire.site_id}:{wire.parent_id}" if wire.parent_id else None,
        sprint_keys=tuple(f"{wire.site_id}:{sprint}" for sprint in wire.sprint_ids),
        is_subtask=wire.is_subtask,
        blocked_by=tuple(
            f"{wire.site_id}:{link.issue_id}"
            for link in wire.links
            if link.type == _BLOCKS and link.direction == "inward"
        ),
        summary=wire.summary,
        assignee=wire.assignee_name or wire.assignee_id,
    )


def to_sprint(wire: jira.Sprint) -> model.Sprint:
    """The domain's sprint; the real start wins over the planned one."""
    return model.Sprint(
        key=wire.key,
        id=wire.id,
        state=wire.state,
        origin_board=f"{wire.site_id}:{wire.origin_board_id}" if wire.origin_board_id else None,
        boards=tuple(f"{wire.site_id}:{board}" for board in wire.board_ids),
        start=wire.activated_at or wire.planned_start_at,
        end=wire.planned_end_at,
        completed_at=wire.completed_at,
        committed_points=float(wire.commitment.points) if wire.commitment else None,
        completed_points=float(wire.result.points) if wire.result else None,
        completed_items=wire.result.issue_count if wire.result else None,
    )


def to_team(board: jira.Board) -> model.Team:
    """The domain's team."""
    return model.Team(board.key, board.name, board.project_keys, board.type == "scrum")


def _share(percent: Decimal | None) -> float | None:
    return None if percent is None else float(percent) / 100


async def _bodies(
    connection: Connection,
    statement: LiteralString,
    parameters: Sequence[object] | Mapping[str, object],
    kind: type[C],
) -> dict[str, C]:
    result = await connection.execute(statement, parameters)
    decoder = msgspec.json.Decoder(kind)
    return {key: decoder.decode(body) for key, body in await result.fetchall()}


async def _products(connection: Connection, wires: Iterable[crm.Deal]) -> dict[str, crm.Product]:
    keys = {
        f"{wire.org_id}:product:{line.product_id}"
        for wire in wires
        for line in wire.line_items
        if line.product_id
    }
    if not keys:
        return {}
    statement = "SELECT key, body::text FROM crm_references WHERE key = ANY(%s) AND NOT deleted"
    return await _bodies(connection, statement, (sorted(keys),), crm.Product)


async def _owner_names(connection: Connection, wires: Iterable[crm.Deal]) -> dict[str, str]:
    keys = sorted({f"{wire.org_id}:user:{wire.owner_id}" for wire in wires if wire.owner_id})
    statement = "SELECT key, body->>'name' FROM crm_references WHERE key = ANY(%s) AND NOT deleted"
    result = await connection.execute(statement, (keys,))
    return dict(await result.fetchall())


def _board_done(boards: Iterable[jira.Board]) -> dict[str, frozenset[str]]:
    """Done statuses by ``<site>:<project key>``: the last mapped column of the project's scrum boards.

    The last column of other boards may be "ready for development".
    """
    done: dict[str, frozenset[str]] = {}
    for board in boards:
        for project in board.project_keys if board.type == "scrum" else ():
            name = f"{board.site_id}:{project}"
            done[name] = done.get(name, frozenset()) | frozenset(board.done_status_ids)
    return done
