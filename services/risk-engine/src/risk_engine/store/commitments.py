"""Derived rows of the evaluation: commitments, what they need, and how each team will fare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, LiteralString

import msgspec
import numpy as np
from psycopg.types.json import Jsonb

from risk_engine.domain.book import TeamInputs
from risk_engine.domain.feasibility import OwedLeaf
from risk_engine.domain.finding import Finding
from risk_engine.domain.model import Floats, Link, Money, Severity, commitment_key, deal_of
from risk_engine.domain.money import Converted
from risk_engine.domain.ranking import WORST_FIRST, Verdict
from risk_engine.domain.rules.oversold import VERSION as OVERSOLD_VERSION
from risk_engine.store.database import Connection
from troth_contracts.codec import content_hash


@dataclass(frozen=True, slots=True)
class Blocker:
    """A link "blocks" across teams, by the issue keys; ``team`` owes the blocking issue, None: nobody does."""

    issue_key: str
    by: str
    team: str | None = None


@dataclass(frozen=True, slots=True)
class CommitmentRow:
    """One promise of a deal as later steps need it."""

    deal: str
    promised_date: date
    won: bool
    probability: float
    teams: tuple[str, ...]
    links: tuple[Link, ...]
    entered_at: datetime
    boardless: int = 0
    blockers: tuple[Blocker, ...] = ()
    """Open issues of other teams that block its work: shown, not simulated."""
    part: str = ""
    """Which deliverable; empty: the whole deal."""
    title: str = ""
    basis: str = "field"
    need: str = "strong"

    @property
    def key(self) -> str:
        """Names the commitment."""
        return commitment_key(self.deal, self.part)


@dataclass(frozen=True, slots=True)
class NeededIssue:
    """An issue under a commitment; ``team`` and ``points`` only for open leaves."""

    issue: str
    team: str | None = None
    points: float | None = None
    assumed: bool | None = None
    above: bool = False
    """Watched, not needed: the parent of a linked sub-task, known or not, or an issue that blocks one."""
    stake: Decimal | None = None
    """An open leaf's part of the deal's money, in the reporting currency; told with one of its commitments."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What a deal is worth; ``unplaced``: the part that no open issue carries, in the reporting currency."""

    deal: str
    money: Money
    converted: Converted
    unplaced: Decimal | None


@dataclass(frozen=True, slots=True)
class Cover:
    """What a team's oversold finding says about the late forecasts of its deals."""

    deals: frozenset[str]
    """Keys of their commitments."""
    severity: Severity
    holds: bool
    cold: bool
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    """By commitment, where its date is not feasible as ranked."""

    @classmethod
    def of(
        cls, finding: Finding | None, *, cold: bool, verdicts: Mapping[str, Verdict] | None = None
    ) -> Cover:
        """Nothing covered when there is no finding."""
        if finding is None:
            return cls(frozenset(), "info", holds=False, cold=cold, verdicts=verdicts or {})
        return cls(finding.covers, finding.severity, finding.holds, cold, verdicts or {})

    def as_finding(self, team: str) -> Finding:
        """The oversold finding, as far as other rules look at it."""
        return Finding(
            kind="oversold",
            subject=(team,),
            rule_version=OVERSOLD_VERSION,
            severity=self.severity,
            title="",
            deals=(),
            clears_when="",
            next_step="",
            holds=self.holds,
            covers=self.deals,
        )


async def read_commitments(connection: Connection, deals: Collection[str]) -> dict[str, CommitmentRow]:
    """The commitments of these deals by their keys: the deal's own for its whole, else ``<deal>~<part>``."""
    result = await connection.execute(
        """
        SELECT deal_key, promised_date, won, probability, teams, links::text, entered_at, boardless, blockers::text,
            part, title, basis, need
        FROM commitments WHERE deal_key = ANY(%s)
        """,
        (list(deals),),
    )
    links = msgspec.json.Decoder(tuple[Link, ...]).decode
    blockers = msgspec.json.Decoder(tuple[Blocker, ...]).decode
    rows = [
        CommitmentRow(
            deal, day, won, chance, tuple(teams), links(told), entered, off, blockers(blocks), *what
        )
        for deal, day, won, chance, teams, told, entered, off, blocks, *what in await result.fetchall()
    ]
    return {row.key: row for row in rows}


def main_commitment(rows: Mapping[str, CommitmentRow], deal: str) -> CommitmentRow | None:
    """What the deal promises as a whole, else first."""
    own = [row for row in rows.values() if row.deal == deal]
    return rows.get(deal) or min(own, key=lambda row: (row.promised_date, row.key), default=None)


async def replace_commitments(
    connection: Connection, derived: Sequence[tuple[CommitmentRow, Sequence[NeededIssue]]]
) -> None:
    """Writes everything that deals promise, with what it needs; what is as it was is not written again."""
    rows = [row for row, _ in derived]
    deals = sorted({row.deal for row in rows})
    told = msgspec.json.encode([msgspec.to_builtins(row) | {"commitment": row.key} for row in rows]).decode()
    await connection.execute(_GONE, {"deals": deals, "kept": [row.key for row in rows]})
    await connection.execute(_COMMITMENTS, {"told": told})
    needs = [
        (row.deal, row.key, need.issue, need.team, need.points, need.assumed, need.above, need.stake)
        for row, under in derived
        for need in under
    ]
    await connection.execute(_NEEDS, {"deals": deals, "needs": msgspec.json.encode(needs).decode()})


async def replace_mentions(connection: Connection, mentions: Mapping[str, Collection[str]]) -> None:
    """By deal, every issue key that its commitments name themselves, resolved or not."""
    rows = sorted((deal, key) for deal, keys in mentions.items() for key in keys)
    await connection.execute(
        _MENTIONS,
        {"deals": list(mentions), "deal": [deal for deal, _ in rows], "key": [key for _, key in rows]},
    )


async def replace_worth(connection: Connection, deals: Collection[str], worth: Collection[Worth]) -> None:
    """What these deals are worth; those without an amount are worth nothing known."""
    told = [
        {
            "deal_key": one.deal,
            "amount": one.money.amount,
            "currency": one.money.currency,
            "converted": one.converted.amount,
            "reporting": one.converted.currency,
            "rate_basis": one.converted.basis,
            "unplaced": one.unplaced,
        }
        for one in worth
    ]
    await connection.execute(
        "DELETE FROM deal_worth WHERE deal_key = ANY(%s) AND deal_key <> ALL(%s)",
        (list(deals), [one.deal for one in worth]),
    )
    await connection.execute(_WORTH, {"told": msgspec.json.encode(told).decode()})


_GONE: LiteralString = (
    "DELETE FROM commitments WHERE deal_key = ANY(%(deals)s) AND commitment <> ALL(%(kept)s)"
)
_COMMITMENTS: LiteralString = """
    INSERT INTO commitments AS kept (commitment, deal_key, part, title, basis, need, promised_date, won, probability,
        teams, links, entered_at, boardless, blockers)
    SELECT commitment, deal, part, title, basis, need, promised_date, won, probability, teams, links, entered_at,
        boardless, blockers
    FROM jsonb_to_recordset(%(told)s::jsonb) AS told (
        commitment text, deal text, part text, title text, basis text, need text, promised_date date, won boolean,
        probability double precision, teams text[], links jsonb, entered_at timestamptz, boardless integer,
        blockers jsonb
    ) ORDER BY commitment
    ON CONFLICT (commitment) DO UPDATE SET title = excluded.title, basis = excluded.basis, need = excluded.need,
        promised_date = excluded.promised_date, won = excluded.won, probability = excluded.probability,
        teams = excluded.teams, links = excluded.links, entered_at = excluded.entered_at,
        boardless = excluded.boardless, blockers = excluded.blockers
    WHERE kept.* IS DISTINCT FROM excluded.*
"""
_NEEDS: LiteralString = """
    WITH told AS MATERIALIZED (
        SELECT need->>0 AS deal_key, need->>1 AS commitment, need->>2 AS issue, need->>3 AS team,
            (need->>4)::double precision AS points, (need->>5)::boolean AS assumed, (need->>6)::boolean AS above,
            (need->>7)::numeric AS stake
        FROM jsonb_array_elements(%(needs)s::jsonb) AS need
    ), gone AS (
        DELETE FROM deal_issues kept WHERE deal_key = ANY(%(deals)s) AND NOT EXISTS (
            SELECT FROM told WHERE (told.commitment, told.issue) = (kept.commitment, kept.issue)
        )
    )
    INSERT INTO deal_issues AS kept (deal_key, commitment, issue, team, points, assumed, above, stake)
    SELECT * FROM told ORDER BY 2, 3
    ON CONFLICT (commitment, issue) DO UPDATE SET team = excluded.team, points = excluded.points,
        assumed = excluded.assumed, above = excluded.above, stake = excluded.stake
    WHERE kept.* IS DISTINCT FROM excluded.*
"""
_WORTH: LiteralString = """
    INSERT INTO deal_worth AS kept
    SELECT * FROM jsonb_to_recordset(%(told)s::jsonb) AS told (
        deal_key text, amount numeric, currency text, converted numeric, reporting text, rate_basis text,
        unplaced numeric
    ) ORDER BY deal_key
    ON CONFLICT (deal_key) DO UPDATE SET amount = excluded.amount, currency = excluded.currency,
        converted = excluded.converted, reporting = excluded.reporting, rate_basis = excluded.rate_basis,
        unplaced = excluded.unplaced
    WHERE kept.* IS DISTINCT FROM excluded.*
"""
_MENTIONS: LiteralString = """
    WITH told AS MATERIALIZED (
        SELECT * FROM unnest(%(deal)s::text[], %(key)s::text[]) AS told (deal_key, issue_key)
    ), gone AS (
        DELETE FROM mentions kept WHERE deal_key = ANY(%(deals)s) AND NOT EXISTS (
            SELECT FROM told WHERE (told.deal_key, told.issue_key) = (kept.deal_key, kept.issue_key)
        )
    )
    INSERT INTO mentions (deal_key, issue_key) SELECT * FROM told ON CONFLICT DO NOTHING
"""


async def drop_commitments(connection: Connection, deals: Collection[str]) -> None:
    """Forgets what these deals promise; the ledger does not."""
    for table in ("commitments", "mentions", "deal_issues", "deal_worth"):
        await connection.execute(f"DELETE FROM {table} WHERE deal_key = ANY(%s)", (list(deals),))  # noqa: S608


async def read_owed(connection: Connection, team: str) -> list[OwedLeaf]:
    """Everything a team owes to deals in force, each leaf once, ordered by issue."""
    result = await connection.execute(
        """
        SELECT owed.issue, owed.points, owed.deals, coalesce(i.body->>'issue_key', ''), i.body->>'rank',
            EXISTS (
                SELECT FROM jsonb_array_elements_text(i.body->'sprint_ids') AS sprint(id)
                JOIN sprints s ON s.key = (i.body->>'site_id') || ':' || sprint.id
                WHERE NOT s.deleted AND s.body->>'state' = 'active'
            )
        FROM (
            SELECT issue, max(points) AS points, array_agg(commitment) AS deals
            FROM deal_issues WHERE team = %s GROUP BY issue
        ) AS owed JOIN issues i ON i.key = owed.issue
        ORDER BY owed.issue COLLATE "C"
        """,
        (team,),
    )
    return [
        OwedLeaf(issue, points, frozenset(deals), key, rank, started)
        for issue, points, deals, key, rank, started in await result.fetchall()
    ]


async def replace_outlook(
    connection: Connection,
    team: str,
    as_of: datetime,
    body: Mapping[str, Any],
    inputs: TeamInputs | None,
    *,
    cover: Cover,
    finish: Mapping[str, Floats],
) -> list[str]:
    """Writes a team's outlook and finish vectors; returns every deal whose forecast may differ now."""
    result = await connection.execute(
        "DELETE FROM finish_vectors WHERE team = %s RETURNING commitment", (team,)
    )
    touched = {deal_of(key) for key in (*(key for (key,) in await result.fetchall()), *finish)}
    copying = "COPY finish_vectors (team, commitment, as_of, days) FROM STDIN (FORMAT BINARY)"
    async with connection.cursor() as cursor, cursor.copy(copying) as copy:
        copy.set_types(("text", "text", "timestamptz", "bytea"))
        for key, days in sorted(finish.items()):
            await copy.write_row((team, key, as_of, days.astype("<f4").tobytes()))
    await connection.execute(
        """
        INSERT INTO outlooks (team, as_of, body, cover, inputs, inputs_digest) VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (team) DO UPDATE SET as_of = excluded.as_of, body = excluded.body, cover = excluded.cover,
            inputs = excluded.inputs, inputs_digest = excluded.inputs_digest
        """,
        (
            team,
            as_of,
            Jsonb(dict(body)),
            Jsonb(msgspec.to_builtins(cover, order="deterministic")),
            None if inputs is None else Jsonb(msgspec.to_builtins(inputs, order="deterministic")),
            "" if inputs is None else digest_of(inputs),
        ),
    )
    return sorted(touched)


def digest_of(inputs: TeamInputs) -> str:
    """Names these very inputs."""
    return content_hash(msgspec.json.encode(inputs, order="deterministic"))


async def read_digests(connection: Connection, teams: Collection[str]) -> dict[str, str]:
    """By team, which inputs its outlook was computed from; teams that owe nothing are left out."""
    result = await connection.execute(
        "SELECT team, inputs_digest FROM outlooks WHERE team = ANY(%s) AND inputs IS NOT NULL", (list(teams),)
    )
    return dict(await result.fetchall())


async def read_inputs(connection: Connection, teams: Collection[str]) -> dict[str, tuple[str, TeamInputs]]:
    """By team, digest and inputs of its outlook; teams that owe nothing are left out."""
    result = await connection.execute(
        "SELECT team, inputs_digest, inputs::text FROM outlooks WHERE team = ANY(%s) AND inputs IS NOT NULL",
        (list(teams),),
    )
    decode = msgspec.json.Decoder(TeamInputs).decode
    return {team: (digest, decode(inputs)) for team, digest, inputs in await result.fetchall()}


async def read_outlook(connection: Connection, team: str) -> dict[str, Any] | None:
    """The team's outlook as the API shows it; None for a team nobody knows."""
    result = await connection.execute("SELECT body FROM outlooks WHERE team = %s", (team,))
    row = await result.fetchone()
    return None if row is None else dict(row[0])


async def read_verdicts(connection: Connection, deal: str, teams: Collection[str]) -> dict[str, str]:
    """By team name, the worst that the team's outlook says of a date of the deal."""
    result = await connection.execute(
        "SELECT body->>'team', cover->'verdicts' FROM outlooks WHERE team = ANY(%s) AND inputs IS NOT NULL ORDER BY 1",
        (list(teams),),
    )
    found = {}
    for name, verdicts in await result.fetchall():
        own = {verdict for key, verdict in verdicts.items() if deal_of(key) == deal}
        found[name] = next((verdict for verdict in WORST_FIRST if verdict in own), "feasible")
    return found


async def read_finish(
    connection: Connection, commitments: Collection[str], trials: int
) -> dict[str, dict[str, Floats]]:
    """Finish vectors by commitment and team; those of another number of trials cannot be combined and are left out."""
    result = await connection.execute(
        "SELECT commitment, team, days FROM finish_vectors WHERE commitment = ANY(%s) AND length(days) = %s",
        (list(commitments), trials * np.dtype("<f4").itemsize),
    )
    found: dict[str, dict[str, Floats]] = defaultdict(dict)
    for deal, team, days in await result.fetchall():
        found[deal][team] = np.frombuffer(days, dtype="<f4").astype(np.float64)
    return found


async def read_covers(connection: Connection, teams: Collection[str]) -> dict[str, Cover]:
    """By team, what its oversold finding covers."""
    result = await connection.execute(
        "SELECT team, cover::text FROM outlooks WHERE team = ANY(%s)", (list(teams),)
    )
    decode = msgspec.json.Decoder(Cover).decode
    return {team: decode(cover) for team, cover in await result.fetchall()}


async def read_team_names(connection: Connection, teams: Collection[str]) -> dict[str, str]:
    """Board names by team key."""
    result = await connection.execute(
        "SELECT key, body->>'name' FROM boards WHERE key = ANY(%s) AND NOT deleted", (list(teams),)
    )
    return dict(await result.fetchall())


async def read_committed_dates(connection: Connection, deals: Collection[str]) -> dict[str, date]:
    """By commitment, what engineering planned: the latest due date of its issues, where there is one."""
    result = await connection.execute(
        """
        SELECT d.commitment, max((i.body->>'due_date')::date) FROM deal_issues d JOIN issues i ON i.key = d.issue
        WHERE d.deal_key = ANY(%s) AND NOT d.above AND i.body->>'due_date' IS NOT NULL GROUP BY d.commitment
        """,
        (list(deals),),
    )
    return dict(await result.fetchall())
