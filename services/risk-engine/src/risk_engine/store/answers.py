"""What answers are made from beside the outlooks: rates, other teams' parts, work by deal; and answers people kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any

import msgspec
import numpy as np
from psycopg.types.json import Jsonb

from risk_engine.domain.model import Flags
from risk_engine.domain.money import Rate
from risk_engine.store.database import Connection
from troth_contracts import crm


async def read_rates(connection: Connection) -> list[Rate]:
    """The currencies of every org."""
    result = await connection.execute(
        "SELECT body::text FROM crm_references WHERE NOT deleted AND body->>'type' = 'currency' ORDER BY key"
    )
    decode = msgspec.json.Decoder(crm.CurrencyRate).decode
    wires = [decode(body) for (body,) in await result.fetchall()]
    return [
        Rate(
            wire.org_id,
            wire.code,
            wire.rate,
            wire.is_corporate,
            tuple((dated.start, dated.rate) for dated in wire.dated),
        )
        for wire in wires
    ]


async def read_kept_elsewhere(
    connection: Connection, promised: Mapping[str, date], teams: Collection[str], trials: int
) -> dict[str, Flags]:
    """By commitment, the trials in which every team but ``teams`` is done by the promised date."""
    result = await connection.execute(
        """
        SELECT commitment, days FROM finish_vectors
        WHERE commitment = ANY(%s) AND team <> ALL(%s) AND length(days) = %s
        """,
        (list(promised), list(teams), trials * np.dtype("<f4").itemsize),
    )
    kept: dict[str, Flags] = {}
    for deal, days in await result.fetchall():
        in_time = np.frombuffer(days, dtype="<f4") <= promised[deal].toordinal()
        kept[deal] = kept[deal] & in_time if deal in kept else in_time
    return kept


async def keep_answer(
    connection: Connection, deal: str, at: datetime, question: dict[str, Any], answer: dict[str, Any]
) -> int:
    """Keeps an answer with its deal; returns its number."""
    result = await connection.execute(
        "INSERT INTO promise_answers (deal_key, asked_at, question, answer) VALUES (%s, %s, %s, %s) RETURNING id",
        (deal, at, Jsonb(question), Jsonb(answer)),
    )
    row = await result.fetchone()
    return int(row[0]) if row else 0


async def read_answers(connection: Connection, deal: str) -> list[dict[str, Any]]:
    """Answers kept with the deal, newest first."""
    result = await connection.execute(
        "SELECT id, asked_at, question, answer FROM promise_answers WHERE deal_key = %s ORDER BY id DESC",
        (deal,),
    )
    return [
        {"id": number, "asked_at": at.isoformat(), "question": question, "answer": answer}
        for number, at, question, answer in await result.fetchall()
    ]
