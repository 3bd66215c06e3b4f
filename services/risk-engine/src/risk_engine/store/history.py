"""Reads what is on record of a promise and its work: recorded once, never overwritten."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import LiteralString

from risk_engine.domain.slip import PromiseStep
from risk_engine.store.database import Connection
from troth_contracts import topics


@dataclass(frozen=True, slots=True)
class IssueTimes:
    """When an issue was made, when work on it began, and when it was done; None: not, or nobody knows."""

    created: datetime | None
    begun: datetime | None
    done: datetime | None


@dataclass(frozen=True, slots=True)
class Injection:
    """Work that came into a running sprint, or left it (negative points)."""

    issue_key: str
    at: datetime
    points: float


async def read_promise_steps(connection: Connection, commitment: str) -> list[PromiseStep]:
    """How the promise moved, oldest first."""
    result = await connection.execute(
        "SELECT at, promised_date FROM commitment_history WHERE commitment = %s ORDER BY id", (commitment,)
    )
    return [PromiseStep(at, promised) for at, promised in await result.fetchall()]


async def read_promised_since(connection: Connection, deals: Collection[str]) -> dict[str, datetime]:
    """By deal that promises something now, since when it does without a pause; it outlives a rebuild.

    What was recorded in one go counts as one step: a promise that another takes the place of makes no pause.
    """
    result = await connection.execute(_PROMISED_SINCE, (list(deals),))
    return dict(await result.fetchall())


_PROMISED_SINCE: LiteralString = """
    WITH steps AS (
        SELECT deal_key, recorded_at, at, promised_date IS NOT NULL AS holds,
            lag(promised_date) OVER (PARTITION BY commitment ORDER BY id) IS NOT NULL AS held
        FROM commitment_history WHERE deal_key = ANY(%s)
    ), counted AS (
        SELECT deal_key, recorded_at, at, holds,
            sum(holds::int - held::int) OVER (PARTITION BY deal_key ORDER BY recorded_at) AS standing
        FROM steps
    )
    SELECT deal_key, min(at) FROM counted WHERE holds AND recorded_at > ALL (
        SELECT pause.recorded_at FROM counted pause WHERE pause.deal_key = counted.deal_key AND pause.standing = 0
    )
    GROUP BY deal_key
"""


async def read_issue_times(
    connection: Connection, issues: Collection[str], waiting: Collection[str]
) -> dict[str, IssueTimes]:
    """By issue. Work begins with the first sprint that ran with it, or its first status that is none of ``waiting``.

    Done is when Jira says it was resolved, else its last change of status, else its last change.
    """
    result = await connection.execute(
        """
        SELECT i.key, (i.body->>'created_at')::timestamptz,
            least(moved.first, planned.first),
            coalesce((i.body->>'resolved_at')::timestamptz, moved.last, (i.body->>'updated_at')::timestamptz)
        FROM issues i
        LEFT JOIN LATERAL (
            SELECT min((j.body->>'at')::timestamptz) FILTER (WHERE j.body->>'to_value' <> ALL(%(waiting)s)) AS first,
                max((j.body->>'at')::timestamptz) AS last
            FROM journal j WHERE j.topic = %(issue_events)s AND j.key = i.key AND j.body->>'field' = 'status'
        ) AS moved ON true
        LEFT JOIN LATERAL (
            SELECT min(greatest((s.body->>'activated_at')::timestamptz, added.at)) AS first
            FROM sprints s LEFT JOIN LATERAL (
                SELECT min((e.body->>'at')::timestamptz) AS at FROM journal e
                WHERE e.topic = %(sprint_events)s AND e.key = s.key AND e.body->>'effect' = 'scope_added'
                    AND e.body->>'issue_id' = i.body->>'id'
            ) AS added ON true
            WHERE s.key IN (
                SELECT (i.body->>'site_id') || ':' || n FROM jsonb_array_elements_text(i.body->'sprint_ids') AS n
            ) AND s.body->>'activated_at' IS NOT NULL
        ) AS planned ON true
        WHERE i.key = ANY(%(issues)s)
        """,
        {
            "issues": list(issues),
            "waiting": list(waiting),
            "issue_events": topics.ISSUE_EVENTS.name,
            "sprint_events": topics.SPRINT_EVENTS.name,
        },
    )
    return {key: IssueTimes(created, begun, done) for key, created, begun, done in await result.fetchall()}


async def read_estimates_before(
    connection: Connection, issues: Collection[str], at: datetime
) -> dict[str, Decimal | None]:
    """What the estimate was at ``at``, for the issues whose estimate has changed since; None: there was none."""
    result = await connection.execute(
        """
        SELECT DISTINCT ON (j.key) j.key, coalesce(j.body->>'from_text', j.body->>'from_value')
        FROM journal j JOIN issues i ON i.key = j.key
        WHERE j.topic = %s AND j.key = ANY(%s) AND j.body->>'field' = 'estimate'
            AND coalesce(j.body->>'field_id' = i.body->>'estimate_field', true)
            AND (j.body->>'at')::timestamptz > %s
        ORDER BY j.key, (j.body->>'at')::timestamptz, j.id
        """,
        (topics.ISSUE_EVENTS.name, list(issues), at),
    )
    return {key: _number(text) for key, text in await result.fetchall()}


async def read_injections(
    connection: Connection,
    sprints: Collection[str],
    own: Collection[str],
    since: datetime,
    until: datetime,
) -> list[Injection]:
    """Scope of other issues than ``own`` that moved in the sprints while they ran, after ``since``; oldest first."""
    result = await connection.execute(
        """
        SELECT coalesce(body->>'issue_key', body->>'issue_id'), (body->>'at')::timestamptz AS moved,
            coalesce((body->>'points')::float8, 0) * CASE body->>'effect' WHEN 'scope_added' THEN 1 ELSE -1 END
        FROM journal
        WHERE topic = %s AND key = ANY(%s) AND body->>'effect' IN ('scope_added', 'scope_removed')
            AND (body->>'in_active_sprint')::boolean
            AND (body->>'at')::timestamptz > %s AND (body->>'at')::timestamptz <= %s
            AND (body->>'site_id') || ':' || (body->>'issue_id') <> ALL(%s)
        ORDER BY moved, id
        """,
        (topics.SPRINT_EVENTS.name, list(sprints), since, until, list(own)),
    )
    return [Injection(*row) for row in await result.fetchall()]


async def read_waiting_statuses(connection: Connection, team: str) -> list[str]:
    """Statuses of the first column of the team's board that has any: there work has not begun."""
    result = await connection.execute("SELECT body->'columns' FROM boards WHERE key = %s", (team,))
    row = await result.fetchone()
    columns: list[Mapping[str, list[str]]] = (row[0] if row else None) or []
    return next((list(column["status_ids"]) for column in columns if column.get("status_ids")), [])


def _number(text: str | None) -> Decimal | None:
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        return None
