"""The ledger: what people declare, how everything promised moved, and forecasts as they were shown. All append-only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

import msgspec
from psycopg.types.json import Jsonb

from risk_engine.domain.ledger import Declared, Entry
from risk_engine.store.database import Connection
from troth_contracts.risk import Assessment


@dataclass(frozen=True, slots=True)
class Noted:
    """What the history said last of a commitment."""

    deal: str
    entry: Entry | None
    """None: it ended."""
    was_in_force: bool
    """Whether it ever was."""


async def read_declared(connection: Connection, deals: Collection[str]) -> dict[str, list[Declared]]:
    """By deal, every declaration that stands."""
    result = await connection.execute(
        """
        SELECT DISTINCT ON (commitment) deal_key, body::text FROM declarations
        WHERE deal_key = ANY(%s) ORDER BY commitment, id DESC
        """,
        (list(deals),),
    )
    decode = msgspec.json.Decoder(Declared).decode
    found: dict[str, list[Declared]] = defaultdict(list)
    for deal, body in await result.fetchall():
        if body is not None:
            found[deal].append(decode(body))
    return found


async def add_declaration(
    connection: Connection, said: Declared, *, commitment: str, at: datetime, who: str, via: str
) -> None:
    """A declaration, new or changed."""
    await _append(connection, commitment, said.deal, at, who, via, "", msgspec.to_builtins(said))


async def add_withdrawal(
    connection: Connection, commitment: str, deal: str, *, at: datetime, who: str, reason: str
) -> None:
    """The declaration no longer stands; what else speaks of the deliverable speaks again."""
    await _append(connection, commitment, deal, at, who, "api", reason, None)


async def _append(
    connection: Connection,
    commitment: str,
    deal: str,
    at: datetime,
    who: str,
    via: str,
    reason: str,
    body: object,
) -> None:
    await connection.execute(
        """
        INSERT INTO declarations (commitment, deal_key, at, who, via, reason, body)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (commitment, deal, at, who, via, reason, None if body is None else Jsonb(body)),
    )


async def note_entries(
    connection: Connection,
    deals: Collection[str],
    entries: Iterable[Entry],
    entered: Mapping[str, datetime],
    now: datetime,
) -> None:
    """Appends what differs from what was noted last of these deals' commitments.

    A date that was there when the deal came into force counts from then (``entered``), any other from when it was seen.
    """
    known = await _read_noted(connection, deals)
    present = {entry.key: entry for entry in entries}
    seen_before = {noted.deal for noted in known.values()}
    rows = []
    for key in sorted(known.keys() | present.keys()):
        before, entry = known.get(key), present.get(key)
        if before is not None and before.entry == entry:
            continue
        deal = entry.deal if entry is not None else known[key].deal
        rows.append(
            {
                "commitment": key,
                "deal_key": deal,
                "at": entered.get(deal, now) if _was_there(entry, before, deal in seen_before) else now,
                "promised_date": entry.promised_date if entry and entry.state == "in_force" else None,
                "entry": entry,
            }
        )
    if rows:
        told = msgspec.json.encode(rows).decode()
        await connection.execute(_NOTE_ENTRIES, {"told": told, "now": now})


def _was_there(entry: Entry | None, before: Noted | None, deal_seen: bool) -> bool:
    """Whether what is in force now was promised already when its deal came into force."""
    if entry is None or entry.state != "in_force":
        return False
    if before is None and entry.basis == "declared":
        return False  # somebody promised it now
    return not before.was_in_force if before is not None else not deal_seen


_NOTE_ENTRIES: LiteralString = """
    INSERT INTO commitment_history (commitment, deal_key, at, recorded_at, promised_date, entry)
    SELECT commitment, deal_key, at, %(now)s, promised_date, nullif(entry, 'null'::jsonb)
    FROM jsonb_to_recordset(%(told)s::jsonb) AS told (
        commitment text, deal_key text, at timestamptz, promised_date date, entry jsonb
    ) ORDER BY commitment
"""


async def _read_noted(connection: Connection, deals: Collection[str]) -> dict[str, Noted]:
    result = await connection.execute(
        """
        SELECT DISTINCT ON (commitment) commitment, deal_key, entry::text,
            bool_or(promised_date IS NOT NULL) OVER (PARTITION BY commitment)
        FROM commitment_history WHERE deal_key = ANY(%s) ORDER BY commitment, id DESC
        """,
        (list(deals),),
    )
    decode = msgspec.json.Decoder(Entry).decode
    return {
        key: Noted(deal, None if entry is None else decode(entry), was_in_force)
        for key, deal, entry, was_in_force in await result.fetchall()
    }


async def note_forecasts(connection: Connection, made: Sequence[Assessment], now: datetime) -> None:
    """Appends each commitment's dates and chance as shown, where they differ from the last shown."""
    told = msgspec.json.encode([one for assessment in made for one in assessment.commitments]).decode()
    await connection.execute(_NOTE_FORECASTS, {"told": told, "now": now})


_NOTE_FORECASTS: LiteralString = """
    INSERT INTO forecasts_shown (commitment, at, committed_date, p50, p85, p95, p_on_time)
    SELECT told.key, %(now)s, told.committed_date, told.forecast_p50, told.forecast_p85, told.forecast_p95,
        told.p_on_time
    FROM jsonb_to_recordset(%(told)s::jsonb) AS told (
        key text, committed_date date, forecast_p50 date, forecast_p85 date, forecast_p95 date,
        p_on_time double precision
    ) LEFT JOIN LATERAL (
        SELECT * FROM forecasts_shown f WHERE f.commitment = told.key ORDER BY id DESC LIMIT 1
    ) AS last ON true
    WHERE last.id IS NULL OR (last.committed_date, last.p50, last.p85, last.p95, last.p_on_time) IS DISTINCT FROM
        (told.committed_date, told.forecast_p50, told.forecast_p85, told.forecast_p95, told.p_on_time)
    ORDER BY told.key
"""
