"""The ledger as it stands, or as it stood at a moment: the last row of each commitment up to then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from typing import Any, LiteralString

from risk_engine.store.database import Connection

LATEST = datetime.max.replace(tzinfo=UTC)
"""As it stands: later than what a replica whose clock is ahead recorded."""


@dataclass(frozen=True, slots=True)
class LedgerQuery:
    """Which commitments; None and empty ask for all."""

    as_of: datetime = LATEST
    deal: str | None = None
    account: str | None = None
    """``<org>:<account id>``."""
    key: str | None = None
    state: str | None = None
    basis: str | None = None
    need: str | None = None
    due_from: date | None = None
    due_until: date | None = None
    below: float | None = None
    """Only those whose chance is known and lower."""
    after: str = ""
    limit: int = 100


async def read_ledger(connection: Connection, query: LedgerQuery) -> list[dict[str, Any]]:
    """Ordered by key, from the one after ``after`` on.

    Planned for each question: one plan for all of them reads the whole history, whatever is asked.
    """
    parameters: Mapping[str, Any] = {one.name: getattr(query, one.name) for one in fields(query)}
    result = await connection.execute(_LEDGER, parameters, prepare=False)
    names = [column.name for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in await result.fetchall()]


async def read_steps(connection: Connection, commitment: str, as_of: datetime) -> list[dict[str, Any]]:
    """Everything recorded of a commitment up to ``as_of``, oldest first: its dates, its forecasts, who declared it."""
    result = await connection.execute(_STEPS, {"key": commitment, "as_of": as_of})
    names = [column.name for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in await result.fetchall()]


_LEDGER: LiteralString = """
    SELECT told.commitment AS key, told.deal_key AS deal, d.body->>'name' AS deal_name,
        d.body->>'account_name' AS account, told.entry->>'title' AS deliverable, told.entry->>'state' AS state,
        (told.entry->>'promised_date')::date AS promised_date, first.day AS first_promised_date,
        told.entry->>'basis' AS basis, told.entry->>'source' AS source, coalesce(told.entry->>'need', 'strong') AS need,
        shown.committed_date, shown.p50 AS forecast_p50, shown.p85 AS forecast_p85, shown.p95 AS forecast_p95,
        shown.p_on_time, told.entry->>'declared_by' AS declared_by, told.entry->>'evidence' AS evidence,
        coalesce(told.entry->'issues', '[]') AS issues, told.entry->'amount'->>'amount' AS amount,
        told.entry->'amount'->>'currency' AS currency, told.recorded_at AS since
    FROM (
        SELECT DISTINCT ON (h.commitment) h.commitment, h.deal_key, h.recorded_at, h.entry
        FROM commitment_history h
        WHERE h.recorded_at <= %(as_of)s AND h.commitment > %(after)s
            AND (%(deal)s::text IS NULL OR h.deal_key = %(deal)s)
            AND (%(key)s::text IS NULL OR h.commitment = %(key)s)
            AND (%(account)s::text IS NULL OR h.deal_key IN (
                SELECT key FROM deals
                WHERE body->>'account_id' = substring(%(account)s FROM '[^:]*$')
                    AND body->>'org_id' = substring(%(account)s FROM '^(.*):')
            ))
        ORDER BY h.commitment, h.id DESC
    ) AS told
        LEFT JOIN deals d ON d.key = told.deal_key
        LEFT JOIN LATERAL (
            SELECT (f.entry->>'promised_date')::date AS day FROM commitment_history f
            WHERE f.commitment = told.commitment AND f.entry IS NOT NULL AND f.recorded_at <= %(as_of)s
            ORDER BY f.id LIMIT 1
        ) AS first ON true
        LEFT JOIN LATERAL (
            SELECT * FROM forecasts_shown s
            WHERE s.commitment = told.commitment AND s.at <= %(as_of)s AND told.entry->>'state' = 'in_force'
            ORDER BY s.id DESC LIMIT 1
        ) AS shown ON true
    WHERE told.entry IS NOT NULL
        AND (%(state)s::text IS NULL OR told.entry->>'state' = %(state)s)
        AND (%(basis)s::text IS NULL OR told.entry->>'basis' = %(basis)s)
        AND (%(need)s::text IS NULL OR coalesce(told.entry->>'need', 'strong') = %(need)s)
        AND (%(due_from)s::date IS NULL OR (told.entry->>'promised_date')::date >= %(due_from)s)
        AND (%(due_until)s::date IS NULL OR (told.entry->>'promised_date')::date <= %(due_until)s)
        AND (%(below)s::float8 IS NULL OR shown.p_on_time < %(below)s)
    ORDER BY told.commitment LIMIT %(limit)s
"""

_STEPS: LiteralString = """
    SELECT recorded_at AS at, 'promised' AS what, at AS since, (entry->>'promised_date')::date AS promised_date,
        entry->>'state' AS state, entry->>'basis' AS basis, entry->>'source' AS source, NULL::date AS committed_date,
        NULL::date AS forecast_p50, NULL::date AS forecast_p85, NULL::float8 AS p_on_time, NULL::text AS who,
        NULL::text AS withdrawn_because
    FROM commitment_history WHERE commitment = %(key)s AND recorded_at <= %(as_of)s
    UNION ALL
    SELECT at, 'forecast', at, NULL, NULL, NULL, NULL, committed_date, p50, p85, p_on_time, NULL, NULL
    FROM forecasts_shown WHERE commitment = %(key)s AND at <= %(as_of)s
    UNION ALL
    SELECT at, CASE WHEN body IS NULL THEN 'withdrawn' ELSE 'declared' END, at, (body->>'promised_date')::date,
        NULL, 'declared', via, NULL, NULL, NULL, NULL, who, reason
    FROM declarations WHERE commitment = %(key)s AND at <= %(as_of)s
    ORDER BY at, what
"""
