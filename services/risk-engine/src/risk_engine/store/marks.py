"""The work queue: append-only marks that a subject must be evaluated again.

Links come before deals, deals before teams and teams before forecasts, also when several replicas work: an alert that
another one silences must never slip out because the other was not evaluated yet.

Ingest takes the join lock shared, the evaluation of links and deals takes it exclusively. Without it a deal could be
evaluated between an issue's look-up and its commit, and neither side would ever see the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, LiteralString

from risk_engine.store.database import Connection
from troth_contracts import topics

Kind = Literal["link", "deal", "team", "forecast"]
_JOIN_LOCK = 7_301_952
_FEWEST_MARKS, _MARKS_PER_SUBJECT = 200, 8
"""So many marks are looked at, and so many more per subject: a claim must not cost more the more there is to do."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Marks of one subject, held by this transaction."""

    subject: str
    mark_ids: tuple[int, ...]


async def share_join_lock(connection: Connection) -> None:
    """Held by every ingest transaction to its end."""
    await connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", (_JOIN_LOCK,))


async def hold_deals(connection: Connection, keys: Iterable[str]) -> None:
    """Waits until nobody evaluates these deals, and keeps others from it to the end of the transaction.

    Taken before the join lock, in order: an evaluation holds its deals first, too.
    """
    await connection.execute(
        """
        SELECT pg_advisory_xact_lock(hashtextextended('deal' || subject, 0))
        FROM unnest(%s::text[]) AS held(subject)
        """,
        (sorted(set(keys)),),
    )


async def take_join_lock(connection: Connection) -> None:
    """Held by the evaluation of deals: waits for running ingests, keeps new ones out."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_JOIN_LOCK,))


async def add_marks(connection: Connection, kind: Kind, subjects: Iterable[str]) -> None:
    """Marks each subject once."""
    unique = sorted(set(subjects))
    if unique:
        statement = "INSERT INTO marks (kind, subject) SELECT %s, unnest(%s::text[])"
        await connection.execute(statement, (kind, unique))


async def claim(connection: Connection, kind: Kind, limit: int) -> list[Claim]:
    """Locks up to ``limit`` marked subjects that nobody else works on, oldest marks first.

    The lock is taken before the marks are read, so a mark that comes later is never deleted unseen. What waits is
    listed first: folded into the grouping, the lock would be taken of every subject and nobody else had any.
    """
    result = await connection.execute(
        f"""
        WITH waiting AS MATERIALIZED (
            SELECT subject FROM (
                SELECT id, subject FROM marks WHERE kind = %s AND {_READY[kind]} ORDER BY id LIMIT %s
            ) AS ready
            GROUP BY subject ORDER BY min(id)
        )
        SELECT subject FROM waiting
        WHERE pg_try_advisory_xact_lock(hashtextextended(%s || subject, 0)) LIMIT %s
        """,  # noqa: S608  (conditions are this module's own)
        (kind, _FEWEST_MARKS + limit * _MARKS_PER_SUBJECT, kind, limit),
    )
    subjects = [subject for (subject,) in await result.fetchall()]
    if not subjects:
        return []
    result = await connection.execute(
        "SELECT subject, array_agg(id) FROM marks WHERE kind = %s AND subject = ANY(%s) GROUP BY subject ORDER BY 1",
        (kind, subjects),
    )
    return [Claim(subject, tuple(ids)) for subject, ids in await result.fetchall()]


async def drop_marks(connection: Connection, claims: Sequence[Claim]) -> None:
    """Deletes exactly the marks that were read."""
    ids = [number for claimed in claims for number in claimed.mark_ids]
    await connection.execute("DELETE FROM marks WHERE id = ANY(%s)", (ids,))


async def count_marks(connection: Connection) -> int:
    """How much work waits."""
    result = await connection.execute("SELECT count(*) FROM marks")
    row = await result.fetchone()
    return int(row[0]) if row else 0


async def mark_teams_of_sprints(connection: Connection, sprint_keys: Sequence[str]) -> None:
    """Marks the boards of these sprints as they stand now; called before and after sprints change."""
    await connection.execute(
        """
        INSERT INTO marks (kind, subject)
        SELECT DISTINCT 'team', s.body->>'site_id' || ':' || board.id
        FROM sprints s,
            LATERAL (
                SELECT jsonb_array_elements_text(coalesce(s.body->'board_ids', '[]'))
                UNION SELECT s.body->>'origin_board_id'
            ) AS board(id)
        WHERE s.key = ANY(%s) AND NOT s.deleted AND board.id IS NOT NULL
        """,
        (list(sprint_keys),),
    )


async def mark_changes(connection: Connection, changed: Mapping[str, Sequence[str]]) -> None:
    """Marks every subject that the changed records touch."""
    await add_marks(connection, "link", changed.get(topics.OPPORTUNITIES.name, ()))
    await add_marks(connection, "deal", changed.get(topics.OPPORTUNITIES.name, ()))
    await add_marks(connection, "team", changed.get(topics.BOARDS.name, ()))
    if topics.BOARDS.name in changed or topics.SPRINTS.name in changed:
        await _mark_cold_teams(connection)
    for topic, statement in _LOOK_UPS.items():
        if keys := changed.get(topic):
            await connection.execute(statement, {"keys": list(keys)})


async def _mark_cold_teams(connection: Connection) -> None:
    """Other teams' sprints stand in for what these lack, so they depend on every board and sprint."""
    await connection.execute(
        "INSERT INTO marks (kind, subject) SELECT 'team', team FROM outlooks WHERE (cover->>'cold')::boolean"
    )


_READY: Mapping[Kind, LiteralString] = {
    "link": "true",
    "deal": "NOT EXISTS (SELECT FROM marks earlier WHERE earlier.kind = 'link')",
    "team": "NOT EXISTS (SELECT FROM marks earlier WHERE earlier.kind IN ('link', 'deal'))",
    "forecast": """
        subject NOT IN (SELECT earlier.subject FROM marks earlier WHERE earlier.kind IN ('link', 'deal'))
        AND subject NOT IN (
            SELECT c.deal_key FROM commitments c, unnest(c.teams) AS team
            WHERE team IN (SELECT earlier.subject FROM marks earlier WHERE earlier.kind = 'team')
        )
    """,
}
"""What must be done before a mark may be claimed. Marks being worked on are still there: they go with the commit.

No condition looks at the mark itself, so each is answered once per claim and not once per mark: the table is empty most
of the time, and PostgreSQL takes it for a small one.
"""

_LOOK_UPS: Mapping[str, LiteralString] = {
    topics.ISSUES.name: """
        INSERT INTO marks (kind, subject)
        WITH moved AS (SELECT key, body FROM issues WHERE key = ANY(%(keys)s)),
        named AS (
            SELECT body->>'issue_key' AS issue_key FROM moved
            UNION SELECT jsonb_array_elements_text(body->'former_keys') FROM moved WHERE body ? 'former_keys'
        ),
        naming AS (
            SELECT found->>'value' AS name, found->>'kind' AS kind FROM moved,
                LATERAL jsonb_array_elements(body->'crm_references') AS found
        ),
        told (sign) AS (
            SELECT issue_key FROM named
            UNION SELECT 'id:' || name FROM naming
            UNION SELECT 'version:' || (body->>'site_id') || ':' || version FROM moved,
                LATERAL jsonb_array_elements_text(body->'fix_version_ids') AS version
            UNION SELECT 'name:' || name_stem(body->>'summary') FROM moved WHERE body->>'type_name' = 'Epic'
        )
        SELECT 'deal', deal_key FROM deal_issues WHERE issue = ANY(%(keys)s)
        UNION SELECT 'deal', d.deal_key FROM moved m
            JOIN deal_issues d ON d.issue = (m.body->>'site_id') || ':' || (m.body->>'parent_id')
        UNION SELECT 'deal', n.deal_key FROM named JOIN mentions n USING (issue_key)
        UNION SELECT 'link', deal_key FROM signs WHERE issue = ANY(%(keys)s)
        UNION SELECT 'link', s.deal_key FROM told JOIN signs s USING (sign)
        UNION SELECT 'link', d.key FROM deals d WHERE jsonb_path_query_array(d.body, '$.custom.*')
            ?| (SELECT array_agg(name) FROM naming WHERE kind = 'pattern')
    """,
    topics.VERSIONS.name: """
        INSERT INTO marks (kind, subject)
        SELECT 'link', s.deal_key FROM unnest(%(keys)s::text[]) AS version(key)
            JOIN signs s ON s.sign = 'version:' || version.key
        UNION SELECT 'link', s.deal_key FROM versions v JOIN signs s ON s.sign = 'name:' || name_stem(v.body->>'name')
        WHERE v.key = ANY(%(keys)s)
    """,
    topics.REFERENCE.name: """
        INSERT INTO marks (kind, subject)
        SELECT DISTINCT 'link', s.deal_key FROM unnest(%(keys)s::text[]) AS reference(key)
            JOIN signs s ON s.sign = 'product:' || split_part(reference.key, ':product:', 2)
        WHERE reference.key LIKE '%%:product:%%'
        UNION SELECT DISTINCT 'deal', d.key FROM unnest(%(keys)s::text[]) AS named(key)
            JOIN deals d ON d.body->'line_items' @> jsonb_build_array(
                jsonb_build_object('product_id', substring(named.key FROM '[^:]*$'))
            )
        WHERE named.key LIKE '%%:product:%%' AND NOT d.deleted
        UNION SELECT 'deal', c.deal_key FROM commitments c
        WHERE EXISTS (SELECT FROM unnest(%(keys)s::text[]) AS named(key) WHERE named.key LIKE '%%:currency:%%')
    """,
    topics.SPRINTS.name: """
        INSERT INTO marks (kind, subject)
        SELECT DISTINCT 'deal', d.deal_key FROM deal_issues d JOIN issues i ON i.key = d.issue
        WHERE i.body->'sprint_ids' ?| (
            SELECT array_agg(substring(key FROM '[^:]*$')) FROM unnest(%(keys)s::text[]) AS sprint(key)
        )
    """,
    topics.BOARDS.name: """
        INSERT INTO marks (kind, subject)
        SELECT DISTINCT 'deal', d.deal_key FROM deal_issues d
        WHERE substring(d.issue FROM '^(.*):') IN (
            SELECT substring(key FROM '^(.*):') FROM unnest(%(keys)s::text[]) AS board(key)
        )
    """,
}
"""Who must be evaluated again when records of a topic changed; deleted ones have no body, so keys are compared.

A board says whose an issue is, what counts as done and which team a sprint is of. It changes rarely, so it marks
every deal with work on its site, whatever it listed before and lists now.
"""
