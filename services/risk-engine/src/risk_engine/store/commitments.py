"""Derived rows of the evaluation: commitments, what they need, and how each team will fare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, LiteralString

import msgspec
import numpy as np
from psycopg.types.json import Jsonb

from risk_engine.domain.book import TeamInputs
from risk_engine.domain.feasibility import OwedLeaf
from risk_engine.domain.finding import Finding
from risk_engine.domain.model import Floats, Link, Severity
from risk_engine.domain.ranking import Verdict
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
    """A deal's promise as later steps need it."""

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


@dataclass(frozen=True, slots=True)
class NeededIssue:
    """An issue under a deal; ``team`` and ``points`` only for open leaves."""

    issue: str
    team: str | None = None
    points: float | None = None
    assumed: bool | None = None
    above: bool = False
    """Watched, not needed: the parent of a linked sub-task, known or not, or an issue that blocks one."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A commitment with everything under it, and every key its deal mentions."""

    row: CommitmentRow
    needs: tuple[NeededIssue, ...]
    mentions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Cover:
    """What a team's oversold finding says about the late forecasts of its deals."""

    deals: frozenset[str]
    severity: Severity
    holds: bool
    cold: bool
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    """By deal, where its date is not feasible as ranked."""

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
    """Commitments by deal."""
    result = await connection.execute(
        """
        SELECT deal_key, promised_date, won, probability, teams, links::text, entered_at, boardless, blockers::text
        FROM commitments WHERE deal_key = ANY(%s)
        """,
        (list(deals),),
    )
    links = msgspec.json.Decoder(tuple[Link, ...]).decode
    blockers = msgspec.json.Decoder(tuple[Blocker, ...]).decode
    return {
        row[0]: CommitmentRow(
            row[0], row[1], row[2], row[3], tuple(row[4]), links(row[5]), row[6], row[7], blockers(row[8])
        )
        for row in await result.fetchall()
    }


async def replace_commitments(connection: Connection, derived: Sequence[Derived], now: datetime) -> None:
    """Writes commitments with everything they need; a promised date that moved goes into its history.

    What is as it was is not written again.
    """
    told = msgspec.json.encode([one.row for one in derived]).decode()
    await connection.execute(_NOTE_PROMISES, {"told": told, "now": now})
    await connection.execute(_COMMITMENTS, {"told": told})
    deals = [one.row.deal for one in derived]
    needs = [
        (one.row.deal, need.issue, need.team, need.points, need.assumed, need.above)
        for one in derived
        for need in one.needs
    ]
    await connection.execute(_NEEDS, {"deals": deals, "needs": msgspec.json.encode(needs).decode()})
    mentions = sorted((one.row.deal, key) for one in derived for key in one.mentions)
    await connection.execute(
        _MENTIONS,
        {"deals": deals, "deal": [deal for deal, _ in mentions], "key": [key for _, key in mentions]},
    )


_TOLD: LiteralString = """
    jsonb_to_recordset(%(told)s::jsonb) AS told (
        deal text, promised_date date, won boolean, probability double precision, teams text[], links jsonb,
        entered_at timestamptz, boardless integer, blockers jsonb
    )
"""
_COMMITMENTS: LiteralString = f"""
    INSERT INTO commitments AS kept
        (deal_key, promised_date, won, probability, teams, links, entered_at, boardless, blockers)
    SELECT * FROM {_TOLD} ORDER BY deal
    ON CONFLICT (deal_key) DO UPDATE SET promised_date = excluded.promised_date, won = excluded.won,
        probability = excluded.probability, teams = excluded.teams, links = excluded.links,
        entered_at = excluded.entered_at, boardless = excluded.boardless, blockers = excluded.blockers
    WHERE kept.* IS DISTINCT FROM excluded.*
"""  # noqa: S608  (the record set is this module's own)
_NOTE_PROMISES: LiteralString = f"""
    INSERT INTO commitment_history (deal_key, at, promised_date)
    SELECT deal, CASE WHEN known.id IS NULL THEN entered_at ELSE %(now)s END, told.promised_date
    FROM {_TOLD} LEFT JOIN LATERAL (
        SELECT id, promised_date FROM commitment_history WHERE deal_key = deal ORDER BY id DESC LIMIT 1
    ) AS known ON true
    WHERE known.promised_date IS DISTINCT FROM told.promised_date ORDER BY deal
"""  # noqa: S608  (the record set is this module's own)
"""The first date counts from when the deal came into force, a later one from when it was seen."""
_NEEDS: LiteralString = """
    WITH told AS MATERIALIZED (
        SELECT need->>0 AS deal_key, need->>1 AS issue, need->>2 AS team, (need->>3)::double precision AS points,
            (need->>4)::boolean AS assumed, (need->>5)::boolean AS above
        FROM jsonb_array_elements(%(needs)s::jsonb) AS need
    ), gone AS (
        DELETE FROM deal_issues kept WHERE deal_key = ANY(%(deals)s)
            AND NOT EXISTS (SELECT FROM told WHERE (told.deal_key, told.issue) = (kept.deal_key, kept.issue))
    )
    INSERT INTO deal_issues AS kept (deal_key, issue, team, points, assumed, above) SELECT * FROM told ORDER BY 1, 2
    ON CONFLICT (deal_key, issue) DO UPDATE SET team = excluded.team, points = excluded.points,
        assumed = excluded.assumed, above = excluded.above
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


async def drop_commitments(connection: Connection, deals: Collection[str], now: datetime) -> None:
    """Forgets what these deals promised, but not that they did."""
    await connection.execute(
        """
        INSERT INTO commitment_history (deal_key, at)
        SELECT deal_key, %s FROM commitments WHERE deal_key = ANY(%s) ORDER BY deal_key
        """,
        (now, list(deals)),
    )
    for table in ("commitments", "mentions", "deal_issues"):
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
            SELECT issue, max(points) AS points, array_agg(deal_key) AS deals
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
        "DELETE FROM finish_vectors WHERE team = %s RETURNING deal_key", (team,)
    )
    touched = {deal for (deal,) in await result.fetchall()} | set(finish)
    copying = "COPY finish_vectors (team, deal_key, as_of, days) FROM STDIN (FORMAT BINARY)"
    async with connection.cursor() as cursor, cursor.copy(copying) as copy:
        copy.set_types(("text", "text", "timestamptz", "bytea"))
        for deal, days in sorted(finish.items()):
            await copy.write_row((team, deal, as_of, days.astype("<f4").tobytes()))
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
    """By team name, what the team's outlook says of the deal's date."""
    result = await connection.execute(
        """
        SELECT body->>'team', coalesce(cover->'verdicts'->>%s, 'feasible') FROM outlooks
        WHERE team = ANY(%s) AND inputs IS NOT NULL ORDER BY 1
        """,
        (deal, list(teams)),
    )
    return dict(await result.fetchall())


async def read_finish(
    connection: Connection, deals: Collection[str], trials: int
) -> dict[str, dict[str, Floats]]:
    """Finish vectors by deal and team; those of another number of trials cannot be combined and are left out."""
    result = await connection.execute(
        "SELECT deal_key, team, days FROM finish_vectors WHERE deal_key = ANY(%s) AND length(days) = %s",
        (list(deals), trials * np.dtype("<f4").itemsize),
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
    """What engineering planned: the latest due date of each deal's linked issues, where there is one."""
    result = await connection.execute(
        """
        SELECT d.deal_key, max((i.body->>'due_date')::date) FROM deal_issues d JOIN issues i ON i.key = d.issue
        WHERE d.deal_key = ANY(%s) AND NOT d.above AND i.body->>'due_date' IS NOT NULL GROUP BY d.deal_key
        """,
        (list(deals),),
    )
    return dict(await result.fetchall())
