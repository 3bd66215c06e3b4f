"""Kafka positions, kept in the same transaction as what they produced."""

from __future__ import annotations

from collections.abc import Collection, Mapping

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

    Rows are taken in a fixed order, so that two writers queue instead of deadlocking.
    """
    for partition in sorted(following):
        cursor = await _advance(connection, partition, expected[partition], following[partition])
        if cursor != 1:
            topic, number = partition
            raise OwnershipLostError(f"{topic}/{number} is not at {expected[partition]} any more")


async def _advance(connection: Connection, partition: Partition, expected: int, following: int) -> int:
    topic, number = partition
    if expected == UNKNOWN:
        statement = "INSERT INTO stored_offsets VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
        cursor = await connection.execute(statement, (topic, number, following))
    else:
        statement = """
            UPDATE stored_offsets SET next_offset = %s
            WHERE topic = %s AND partition = %s AND next_offset = %s
        """
        cursor = await connection.execute(statement, (following, topic, number, expected))
    return cursor.rowcount
