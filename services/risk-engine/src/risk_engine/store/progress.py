"""Where the engine stands: complete syncs, the quiet start, timers, and the counts that /status shows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from risk_engine.store.database import Connection

_LIVE = "live"
_DIGESTED = "digested"
_DIGEST_LOCK = 7_301_953
_SYNCS = ("crm-sync", "jira-sync")


async def syncs_complete(connection: Connection) -> bool:
    """True when both sync services have reported, and every scope of theirs is complete; a paused read is not."""
    result = await connection.execute(
        """
        SELECT count(DISTINCT body->>'service') FILTER (WHERE body->>'service' = ANY(%s)),
            count(*) FILTER (WHERE body->>'state' <> 'complete')
        FROM sync_status WHERE NOT deleted
        """,
        (list(_SYNCS),),
    )
    row = await result.fetchone()
    return row is not None and row[0] == len(_SYNCS) and row[1] == 0


async def is_live(connection: Connection) -> bool:
    """True once alerting has begun."""
    result = await connection.execute("SELECT 1 FROM milestones WHERE name = %s", (_LIVE,))
    return await result.fetchone() is not None


async def become_live(connection: Connection, now: datetime) -> None:
    """Ends the quiet start for good."""
    await connection.execute("INSERT INTO milestones VALUES (%s, %s) ON CONFLICT DO NOTHING", (_LIVE, now))


async def may_notify(connection: Connection) -> bool:
    """As `is_digested`; until this transaction ends, the digest does not go out meanwhile."""
    await connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", (_DIGEST_LOCK,))
    return await is_digested(connection)


async def is_digested(connection: Connection) -> bool:
    """True once the digest of the first start is out."""
    result = await connection.execute("SELECT 1 FROM milestones WHERE name = %s", (_DIGESTED,))
    return await result.fetchone() is not None


async def end_quiet_start(connection: Connection, now: datetime) -> datetime | None:
    """Ends the time in which alerts are kept but not told, when there is nothing left to evaluate.

    Returns when alerting began; None while work is left, or when the digest is out.
    """
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_DIGEST_LOCK,))
    result = await connection.execute(
        """
        INSERT INTO milestones (name, at) SELECT %(digested)s, %(now)s
        WHERE NOT EXISTS (SELECT FROM marks) AND EXISTS (SELECT FROM milestones WHERE name = %(live)s)
        ON CONFLICT DO NOTHING RETURNING (SELECT at FROM milestones WHERE name = %(live)s)
        """,
        {"digested": _DIGESTED, "live": _LIVE, "now": now},
    )
    row = await result.fetchone()
    return row[0] if row else None


async def fire_timer(connection: Connection, name: str, due: datetime) -> None:
    """Marks every promise once per timer and due time: days pass, holds end, chances and typical sizes change."""
    result = await connection.execute(
        "INSERT INTO timers (name, due) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING name", (name, due)
    )
    if await result.fetchone() is not None:
        await connection.execute(
            """
            INSERT INTO marks (kind, subject)
            SELECT 'deal', deal_key FROM commitments UNION SELECT 'team', team FROM outlooks
            """
        )


async def read_counts(connection: Connection) -> dict[str, Any]:
    """What the store holds and what still waits."""
    result = await connection.execute(
        """
        SELECT (SELECT count(*) FROM deals WHERE NOT deleted), (SELECT count(*) FROM issues WHERE NOT deleted),
            (SELECT count(*) FROM sprints WHERE NOT deleted), (SELECT count(*) FROM commitments),
            (SELECT count(*) FROM alerts WHERE state->>'phase' = 'firing'), (SELECT count(*) FROM marks),
            (SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL),
            EXISTS (SELECT FROM milestones WHERE name = 'live')
        """
    )
    row = await result.fetchone()
    names = ("deals", "issues", "sprints", "commitments", "alerts_firing", "marks", "outbox", "live")
    return dict(zip(names, row or (), strict=True))
