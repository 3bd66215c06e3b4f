"""What stands on deals and what it means at present: derived rows that arriving records and other deals look up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from risk_engine.domain.fields import FieldScore
from risk_engine.domain.likeness import SHARED_BY, Kin
from risk_engine.store.database import Connection
from troth_contracts.codec import content_hash


@dataclass(frozen=True, slots=True)
class SignRow:
    """One thing written at one place of a deal; ``issue`` is what it means at present."""

    place: str
    sign: str
    issue: str | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Face:
    """What other deals depend on."""

    deal: str
    org: str
    account: str
    likeness: str
    name: str
    created: datetime | None
    lost: bool
    scores: Mapping[str, FieldScore] = field(default_factory=dict)
    """What it adds to the scores of its fields, by place."""
    signs: tuple[SignRow, ...] = ()

    @property
    def issues(self) -> frozenset[str]:
        """Every issue something on it means."""
        return frozenset(row.issue for row in self.signs if row.issue is not None)

    @property
    def words(self) -> frozenset[str]:
        """Names of the texts with keys in them."""
        return frozenset(row.words for row in self.signs if row.words)

    @property
    def digest(self) -> str:
        """Equal when nothing changed that another deal depends on."""
        told = (
            self.account,
            self.likeness,
            self.created,
            self.lost,
            self.name,
            sorted(map(_cells, self.signs)),
        )
        return content_hash(msgspec.json.encode(told))


@dataclass(frozen=True, slots=True)
class StoredFace:
    """The face as it was at the deal's last evaluation."""

    org: str
    account: str
    digest: str
    scores: Mapping[str, FieldScore]
    issues: frozenset[str]
    words: frozenset[str]


async def read_faces(connection: Connection, deals: Collection[str]) -> dict[str, StoredFace]:
    """Faces as stored, by deal."""
    result = await connection.execute(
        """
        SELECT f.deal_key, f.org, f.account, f.digest, f.scores::text,
            array(SELECT DISTINCT issue FROM signs s WHERE s.deal_key = f.deal_key AND issue IS NOT NULL),
            array(SELECT DISTINCT words FROM signs s WHERE s.deal_key = f.deal_key AND words <> '')
        FROM faces f WHERE f.deal_key = ANY(%s)
        """,
        (list(deals),),
    )
    decode = msgspec.json.Decoder(dict[str, FieldScore]).decode
    return {
        key: StoredFace(org, account, digest, decode(scores), frozenset(issues), frozenset(words))
        for key, org, account, digest, scores, issues, words in await result.fetchall()
    }


async def replace_faces(connection: Connection, deals: Collection[str], faces: Iterable[Face]) -> None:
    """Writes the faces and signs of ``deals``; one that has none any more is forgotten."""
    kept = sorted(faces, key=lambda face: face.deal)
    for table in ("signs", "faces"):
        await connection.execute(f"DELETE FROM {table} WHERE deal_key = ANY(%s)", (list(deals),))  # noqa: S608
    async with connection.cursor() as cursor:
        statement = "COPY signs (deal_key, place, sign, issue, words) FROM STDIN"
        async with cursor.copy(statement) as copy:
            for face in kept:
                for row in sorted(set(face.signs), key=_cells):
                    await copy.write_row((face.deal, row.place, row.sign, row.issue, row.words))
        statement = (
            "COPY faces (deal_key, org, account, likeness, name, created_at, lost, digest, scores) FROM STDIN"
        )
        async with cursor.copy(statement) as copy:
            for face in kept:
                scores = Jsonb(msgspec.to_builtins(dict(face.scores)))
                told = (face.account, face.likeness, face.name, face.created, face.lost, face.digest, scores)
                await copy.write_row((face.deal, face.org, *told))


async def move_scores(
    connection: Connection, before: Mapping[str, StoredFace], after: Iterable[Face]
) -> dict[tuple[str, str], tuple[FieldScore, FieldScore]]:
    """Takes the old contributions out of the scores and the new ones in; what each moved score was, and is now.

    The sums depend on what the deals say now, never on the order in which they came to say it.
    """
    deltas: dict[tuple[str, str], FieldScore] = defaultdict(FieldScore)
    for old in before.values():
        for place, score in old.scores.items():
            deltas[old.org, place] = deltas[old.org, place].plus(score, -1)
    for face in after:
        for place, score in face.scores.items():
            deltas[face.org, place] = deltas[face.org, place].plus(score)
    moved = {name: delta for name, delta in sorted(deltas.items()) if delta != FieldScore()}
    known = await read_scores(connection, {org for org, _ in moved})
    now = {name: known.get(name, FieldScore()).plus(delta) for name, delta in moved.items()}
    async with connection.cursor() as cursor:
        await cursor.executemany(
            """
            INSERT INTO field_scores VALUES (%s, %s, %s, %s, %s, %s)
            ON CONFLICT (org, place) DO UPDATE SET filled = excluded.filled, keyed = excluded.keyed,
                resolved = excluded.resolved, hits = excluded.hits
            """,
            [(org, place, s.filled, s.keyed, s.resolved, s.hits) for (org, place), s in now.items()],
        )
    await connection.execute("DELETE FROM field_scores WHERE filled = 0")
    return {name: (known.get(name, FieldScore()), score) for name, score in now.items()}


async def read_scores(connection: Connection, orgs: Collection[str]) -> dict[tuple[str, str], FieldScore]:
    """By org and place."""
    result = await connection.execute(
        "SELECT org, place, filled, keyed, resolved, hits FROM field_scores WHERE org = ANY(%s)",
        (list(orgs),),
    )
    return {(org, place): FieldScore(*numbers) for org, place, *numbers in await result.fetchall()}


async def read_deals_with(connection: Connection, org: str, places: Collection[str]) -> list[str]:
    """Deals (keys) of the org with something at one of the places."""
    result = await connection.execute(
        "SELECT deal_key FROM faces WHERE org = %s AND scores ?| %s", (org, list(places))
    )
    return [key for (key,) in await result.fetchall()]


async def read_kin(
    connection: Connection, accounts: Collection[str], issues: Collection[str]
) -> dict[str, list[Kin]]:
    """By account, its deals that name one of the issues."""
    result = await connection.execute(
        """
        SELECT f.deal_key, f.name, f.account, f.likeness, f.created_at, f.lost,
            array_agg(s.place), array_agg(s.sign), array_remove(array_agg(DISTINCT s.words), '')
        FROM faces f JOIN signs s USING (deal_key)
        WHERE f.account = ANY(%(accounts)s) AND f.deal_key IN (
            SELECT deal_key FROM signs WHERE issue = ANY(%(issues)s)
        )
        GROUP BY f.deal_key ORDER BY f.deal_key
        """,
        {"accounts": list(accounts), "issues": list(issues)},
    )
    kin: dict[str, list[Kin]] = defaultdict(list)
    for deal, name, account, alike, created, lost, places, signs, words in await result.fetchall():
        written = frozenset(zip(places, signs, strict=True))
        kin[account].append(Kin(deal, name, account, alike, created, lost, written, frozenset(words)))
    return kin


async def read_neighbours(
    connection: Connection, accounts: Collection[str], issues: Collection[str]
) -> list[str]:
    """Deals (keys) of the accounts that name one of the issues."""
    result = await connection.execute(
        """
        SELECT DISTINCT deal_key FROM faces JOIN signs USING (deal_key)
        WHERE account = ANY(%s) AND issue = ANY(%s)
        """,
        (list(accounts), list(issues)),
    )
    return [key for (key,) in await result.fetchall()]


async def read_forms(connection: Connection, words: Collection[str]) -> set[str]:
    """Of these texts those that stand on the deals of many customers."""
    result = await connection.execute(
        """
        SELECT s.words FROM signs s JOIN faces f USING (deal_key)
        WHERE s.words = ANY(%s) GROUP BY s.words HAVING count(DISTINCT f.account) >= %s
        """,
        (list(words), SHARED_BY),
    )
    return {name for (name,) in await result.fetchall()}


async def read_deals_saying(connection: Connection, words: Collection[str]) -> list[str]:
    """Deals (keys) with one of these texts."""
    result = await connection.execute(
        "SELECT DISTINCT deal_key FROM signs WHERE words = ANY(%s)", (list(words),)
    )
    return [key for (key,) in await result.fetchall()]


def _cells(row: SignRow) -> tuple[Any, ...]:
    return (row.place, row.sign, row.issue or "", row.words)
