"""Alerts and their transitions: primary data, written together with what goes out because of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import msgspec

from risk_engine.domain.lifecycle import AlertState
from risk_engine.store.database import Connection
from troth_contracts.risk import AlertTransition, Assessment


@dataclass(frozen=True, slots=True)
class KeptAlert:
    """An alert as it stands: its state and its last notice."""

    state: AlertState
    notice: AlertTransition


async def read_alerts(connection: Connection, alert_ids: Collection[str]) -> dict[str, KeptAlert]:
    """Those of the alerts that ever fired, locked until the transaction ends."""
    result = await connection.execute(
        """
        SELECT alert_id, state::text, last_notice::text FROM alerts WHERE alert_id = ANY(%s)
        ORDER BY alert_id FOR UPDATE
        """,
        (list(alert_ids),),
    )
    state, notice = msgspec.json.Decoder(AlertState).decode, msgspec.json.Decoder(AlertTransition).decode
    return {row[0]: KeptAlert(state(row[1]), notice(row[2])) for row in await result.fetchall()}


async def write_transitions(connection: Connection, kept: Sequence[KeptAlert]) -> None:
    """Keeps the new states and appends the transitions."""
    if not kept:
        return
    await connection.execute(
        """
        WITH told AS MATERIALIZED (
            SELECT * FROM jsonb_to_recordset(%s::jsonb) AS told (state jsonb, notice jsonb)
        ), history AS (
            INSERT INTO alert_transitions (alert_id, sequence, at, body)
            SELECT notice->>'alert_id', (notice->>'sequence')::integer, (notice->>'at')::timestamptz, notice FROM told
        )
        INSERT INTO alerts (alert_id, state, last_notice)
        SELECT notice->>'alert_id', state, notice FROM told ORDER BY 1
        ON CONFLICT (alert_id) DO UPDATE SET state = excluded.state, last_notice = excluded.last_notice
        """,
        (msgspec.json.encode(kept).decode(),),
    )


async def read_firing(connection: Connection, alert_ids: Collection[str]) -> frozenset[str]:
    """Those of the alerts that fire."""
    result = await connection.execute(
        "SELECT alert_id FROM alerts WHERE alert_id = ANY(%s) AND state->>'phase' = 'firing'",
        (list(alert_ids),),
    )
    return frozenset(alert_id for (alert_id,) in await result.fetchall())


@dataclass(frozen=True, slots=True)
class NoticeQuery:
    """Which alerts; None asks for all."""

    phase: str | None = None
    kind: str | None = None
    severity: str | None = None
    deals: Collection[str] | None = None
    """Only alerts about any of these."""
    after: tuple[str, str] | None = None
    """Moment and id of the alert that the last page ended with."""
    limit: int | None = None


async def read_notices(connection: Connection, query: NoticeQuery) -> list[dict[str, Any]]:
    """The last notice of every alert, newest first."""
    at, alert_id = query.after or (None, "")
    result = await connection.execute(
        """
        SELECT last_notice FROM alerts
        WHERE (%(phase)s::text IS NULL OR state->>'phase' = %(phase)s)
            AND (%(kind)s::text IS NULL OR last_notice->>'kind' = %(kind)s)
            AND (%(severity)s::text IS NULL OR last_notice->>'severity' = %(severity)s)
            AND (%(deals)s::text[] IS NULL OR EXISTS (
                SELECT FROM jsonb_array_elements(coalesce(last_notice->'deals', '[]')) AS about
                WHERE about->>'key' = ANY(%(deals)s)
            ))
            AND (%(at)s::text IS NULL OR last_notice->>'at' < %(at)s
                OR (last_notice->>'at' = %(at)s AND alert_id > %(alert_id)s))
        ORDER BY last_notice->>'at' DESC, alert_id LIMIT %(limit)s
        """,
        {
            "phase": query.phase,
            "kind": query.kind,
            "severity": query.severity,
            "deals": None if query.deals is None else list(query.deals),
            "at": at,
            "alert_id": alert_id,
            "limit": query.limit,
        },
    )
    return [notice for (notice,) in await result.fetchall()]


@dataclass(frozen=True, slots=True)
class NewAssessment:
    """An assessment to keep, with a digest of what must differ before it is told again.

    ``inputs``: by team, the digest of what it rests on.
    """

    assessment: Assessment
    digest: str
    inputs: Mapping[str, str]


async def keep_assessments(
    connection: Connection, made: Sequence[NewAssessment], as_of: datetime
) -> dict[str, int]:
    """Stores the assessments whose digest differs from the one kept before; returns their versions, in ms, by deal.

    The inputs are kept in any case: they may move without moving a number.

    The claim on the deal decides what is newest, not the clock: replicas' clocks differ, and two evaluations may
    fall into one millisecond. The version grows nevertheless.
    """
    if not made:
        return {}
    told = msgspec.json.encode(made).decode()
    result = await connection.execute(
        f"""
        INSERT INTO assessments AS kept (deal_key, version, digest, as_of, body)
        SELECT assessment->>'deal_key', %(version)s, digest, %(as_of)s, assessment FROM {_MADE} ORDER BY 1
        ON CONFLICT (deal_key) DO UPDATE SET version = greatest(excluded.version, kept.version + 1),
            digest = excluded.digest, as_of = excluded.as_of, body = excluded.body
        WHERE kept.digest <> excluded.digest
        RETURNING deal_key, version
        """,  # noqa: S608  (the record set is this module's own)
        {"version": _milliseconds(as_of), "as_of": as_of, "made": told},
    )
    versions = {deal: int(version) for deal, version in await result.fetchall()}
    await connection.execute(
        f"""
        UPDATE assessments kept SET inputs = made.inputs FROM {_MADE}
        WHERE kept.deal_key = made.assessment->>'deal_key' AND kept.inputs IS DISTINCT FROM made.inputs
        """,  # noqa: S608  (the record set is this module's own)
        {"made": told},
    )
    return versions


_MADE: LiteralString = (
    "jsonb_to_recordset(%(made)s::jsonb) AS made (assessment jsonb, digest text, inputs jsonb)"
)


@dataclass(frozen=True, slots=True)
class KeptAssessment:
    """A deal's present assessment, as told, with the digests of its teams' inputs."""

    body: dict[str, Any]
    inputs: dict[str, str]


async def read_assessment(connection: Connection, deal: str) -> KeptAssessment | None:
    """The deal's assessment; None when it promises nothing in force."""
    result = await connection.execute(
        "SELECT body, inputs FROM assessments WHERE deal_key = %s AND body IS NOT NULL", (deal,)
    )
    row = await result.fetchone()
    return None if row is None else KeptAssessment(row[0], row[1] or {})


async def withdraw_assessment(connection: Connection, deal: str, as_of: datetime) -> int | None:
    """Empties the deal's assessment when there is one; returns the version of its absence, in ms."""
    result = await connection.execute(
        """
        UPDATE assessments SET version = greatest(%s, version + 1), digest = '-', as_of = %s, body = NULL,
            inputs = NULL
        WHERE deal_key = %s AND body IS NOT NULL RETURNING version
        """,
        (_milliseconds(as_of), as_of, deal),
    )
    row = await result.fetchone()
    return None if row is None else int(row[0])


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
