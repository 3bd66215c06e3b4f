"""Outgoing effects, written with their cause: one row per notice and endpoint, leased, at least once, in order.

Only the oldest undelivered row of a stream is eligible at an endpoint, so an alert's notices never overtake each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from risk_engine.store.database import Connection

Endpoint = Literal["kafka", "webhook"]
LONGEST_ANSWER = 2_000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A leased row. ``attempts`` counts this one."""

    id: int
    notice_id: str
    body: Mapping[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class Parcel:
    """What goes out: the same ``notice_id`` is never added to an endpoint twice; a stream keeps its order."""

    notice_id: str
    endpoint: Endpoint
    stream: str
    body: Mapping[str, Any]


async def enqueue(connection: Connection, parcels: Sequence[Parcel], at: datetime) -> None:
    """Adds a row each, to be delivered from ``at`` on."""
    if parcels:
        await connection.execute(
            """
            INSERT INTO outbox (notice_id, endpoint, stream, body, created_at, eligible_at)
            SELECT notice_id, endpoint, stream, body, %(at)s, %(at)s
            FROM jsonb_to_recordset(%(parcels)s::jsonb) AS p (notice_id text, endpoint text, stream text, body jsonb)
            ON CONFLICT (notice_id, endpoint) DO NOTHING
            """,
            {"at": at, "parcels": msgspec.json.encode(parcels).decode()},
        )


async def lease(
    connection: Connection, endpoint: Endpoint, *, now: datetime, held_for: timedelta, limit: int
) -> list[Outgoing]:
    """Takes eligible rows for ``held_for``; commit before delivering them."""
    result = await connection.execute(
        """
        UPDATE outbox SET locked_until = %(until)s, attempts = attempts + 1
        WHERE id IN (
            SELECT o.id FROM outbox o
            WHERE o.endpoint = %(endpoint)s AND o.delivered_at IS NULL AND o.dead_at IS NULL
                AND o.eligible_at <= %(now)s AND (o.locked_until IS NULL OR o.locked_until < %(now)s)
                AND NOT EXISTS (
                    SELECT FROM outbox earlier
                    WHERE earlier.endpoint = o.endpoint AND earlier.stream = o.stream AND earlier.id < o.id
                        AND earlier.delivered_at IS NULL AND earlier.dead_at IS NULL
                )
            ORDER BY o.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        )
        RETURNING id, notice_id, body, attempts
        """,
        {"until": now + held_for, "endpoint": endpoint, "now": now, "limit": limit},
    )
    rows = [Outgoing(*row) for row in await result.fetchall()]
    return sorted(rows, key=lambda row: row.id)


async def settle_delivered(connection: Connection, row_id: int, now: datetime, answer: str) -> None:
    """The receiver took it."""
    await connection.execute(
        "UPDATE outbox SET delivered_at = %s, locked_until = NULL, last_answer = %s WHERE id = %s",
        (now, _kept(answer), row_id),
    )


async def settle_failed(
    connection: Connection, row: Outgoing, answer: str, *, again_at: datetime | None, now: datetime
) -> None:
    """Tries again at ``again_at``, or gives up and keeps the row as dead when that is None.

    Nothing happens when the lease ran out and somebody else took the row meanwhile: theirs is the say.
    """
    await connection.execute(
        """
        UPDATE outbox SET locked_until = NULL, last_answer = %s, eligible_at = coalesce(%s, eligible_at), dead_at = %s
        WHERE id = %s AND attempts = %s AND delivered_at IS NULL
        """,
        (_kept(answer), again_at, now if again_at is None else None, row.id, row.attempts),
    )


def _kept(answer: str) -> str:
    """What a receiver says may hold anything; PostgreSQL refuses NUL characters."""
    return answer[:LONGEST_ANSWER].replace("\0", "\ufffd")


async def count_pending(connection: Connection) -> int:
    """Rows neither delivered nor given up."""
    result = await connection.execute(
        "SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL"
    )
    row = await result.fetchone()
    return int(row[0]) if row else 0
