"""Kafka positions, kept in the same transaction as what they produced."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import LiteralString

from risk_engine.store.database import Connection, Database
from troth_chassis.consumer import Partition
from troth_chassis.errors import OwnershipLostError

UNKNOWN = -1


class StoredOffsets:
    """The consumer's view of the offsets table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_offsets(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Next offset of each partition that was ever read."""
        topics = sorted({topic for topic, _ in partitions})
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "SELECT topic, partition, next_offset FROM stored_offsets WHERE topic = ANY(%s)", (topics,)
            )
            rows = await cursor.fetchall()
        wanted = set(partitions)
        return {(topic, number): offset for topic, number, offset in rows if (topic, number) in wanted}


async def advance_offsets(
    connection: Connection, expected: Mapping[Partition, int], following: Mapping[Partition, int]
) -> None:
    """Moves each partition from what was expected; OwnershipLostError when one is elsewhere already.

    Rows are locked in a fixed order, so that two writers queue instead of deadlocking.
    """
    order = sorted(following)
    moves = {
        "topics": [topic for topic, _ in order],
        "numbers": [number for _, number in order],
        "expected": [expected[partition] for partition in order],
        "following": [following[partition] for partition in order],
        "unknown": UNKNOWN,
    }
    await connection.execute(_LOCK, moves)
    result = await connection.execute(_ADVANCE, moves)
    lost = set(order) - {(topic, number) for topic, number in await result.fetchall()}
    if lost:
        topic, number = min(lost)
        raise OwnershipLostError(f"{topic}/{number} is not at {expected[topic, number]} any more")


_MOVES: LiteralString = """
    unnest(%(topics)s::text[], %(numbers)s::integer[], %(expected)s::bigint[], %(following)s::bigint[])
        AS moves (topic, partition, expected, following)
"""
_LOCK: LiteralString = f"""
    SELECT FROM stored_offsets JOIN {_MOVES} USING (topic, partition) ORDER BY topic, partition
    FOR UPDATE OF stored_offsets
"""
_ADVANCE: LiteralString = f"""
    WITH moved AS (
        UPDATE stored_offsets kept SET next_offset = following FROM {_MOVES}
        WHERE kept.topic = moves.topic AND kept.partition = moves.partition AND kept.next_offset = expected
        RETURNING kept.topic, kept.partition
    ), begun AS (
        INSERT INTO stored_offsets (topic, partition, next_offset)
        SELECT topic, partition, following FROM {_MOVES} WHERE expected = %(unknown)s ORDER BY topic, partition
        ON CONFLICT DO NOTHING RETURNING topic, partition
    )
    SELECT * FROM moved UNION ALL SELECT * FROM begun
"""  # noqa: S608  (the moves are this module's own)
