"""Alerts and their transitions: primary data, written together with what goes out because of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from risk_engine.domain.lifecycle import AlertState
from risk_engine.store.database import Connection
from troth_contracts.codec import content_hash
from troth_contracts.risk import AlertTransition, Assessment


async def read_alert(
    connection: Connection, alert_id: str
) -> tuple[AlertState | None, AlertTransition | None]:
    """The alert's state and its last notice; both None for one that never fired."""
    result = await connection.execute(
        "SELECT state::text, last_notice::text FROM alerts WHERE alert_id = %s FOR UPDATE", (alert_id,)
    )
    row = await result.fetchone()
    if row is None:
        return None, None
    notice = None if row[1] is None else msgspec.json.decode(row[1], type=AlertTransition)
    return msgspec.json.decode(row[0], type=AlertState), notice


async def write_transition(connection: Connection, state: AlertState, notice: AlertTransition) -> None:
    """Keeps the new state and appends the transition."""
    await connection.execute(
        """
        INSERT INTO alerts (alert_id, state, last_notice) VALUES (%s, %s, %s)
        ON CONFLICT (alert_id) DO UPDATE SET state = excluded.state, last_notice = excluded.last_notice
        """,
        (
            notice.alert_id,
            Jsonb(msgspec.to_builtins(state)),
            Jsonb(msgspec.to_builtins(notice)),
        ),
    )
    await connection.execute(
        "INSERT INTO alert_transitions (alert_id, sequence, at, body) VALUES (%s, %s, %s, %s)",
        (notice.alert_id, notice.sequence, notice.at, Jsonb(msgspec.to_builtins(notice))),
    )


async def read_firing(connection: Connection, alert_ids: Collection[str]) -> frozenset[str]:
    """Those of the alerts that fire."""
    result = await connection.execute(
        "SELECT alert_id FROM alerts WHERE alert_id = ANY(%s) AND state->>'phase' = 'firing'",
        (list(alert_ids),),
    )
    return frozenset(alert_id for (alert_id,) in await result.fetchall())


async def read_notices(connection: Connection, phase: str | None) -> list[dict[str, Any]]:
    """The last notice of every alert, newest first; only those in ``phase`` when given."""
    result = await connection.execute(
        """
        SELECT last_notice FROM alerts WHERE %(phase)s::text IS NULL OR state->>'phase' = %(phase)s
        ORDER BY last_notice->>'at' DESC, alert_id
        """,
        {"phase": phase},
    )
    return [notice for (notice,) in await result.fetchall()]


async def keep_assessment(
    connection: Connection,
    assessment: Assessment,
    content: dict[str, Any],
    inputs: Mapping[str, str],
    as_of: datetime,
) -> int | None:
    """Stores the assessment when its content differs from the one kept before; returns its version, in ms.

    ``inputs``, by team the digest of what it rests on, are kept in any case: they may move without moving a number.

    The claim on the deal decides what is newest, not the clock: replicas' clocks differ, and two evaluations may
    fall into one millisecond. The version grows nevertheless.
    """
    digest = content_hash(msgspec.json.encode(content, order="deterministic"))
    result = await connection.execute(
        """
        INSERT INTO assessments AS kept (deal_key, version, digest, as_of, body) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (deal_key) DO UPDATE SET version = greatest(excluded.version, kept.version + 1),
            digest = excluded.digest, as_of = excluded.as_of, body = excluded.body
        WHERE kept.digest <> excluded.digest
        RETURNING version
        """,
        (
            assessment.deal_key,
            _milliseconds(as_of),
            digest,
            as_of,
            Jsonb(msgspec.to_builtins(assessment)),
        ),
    )
    row = await result.fetchone()
    await connection.execute(
        "UPDATE assessments SET inputs = %(inputs)s WHERE deal_key = %(deal)s AND inputs IS DISTINCT FROM %(inputs)s",
        {"inputs": Jsonb(dict(inputs)), "deal": assessment.deal_key},
    )
    return None if row is None else int(row[0])


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
