"""Names replicas by the lowest seat that is free, so that one that was killed comes back under its name.

Kafka takes a member that returns under its name for the same one; it would keep the partitions of a nameless member
that died until its session ends. A seat is held by a lock of a connection: it is free at once when the process dies,
and stays taken while the process is only stopped, so two never have one name.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from itertools import count

import psycopg

from risk_engine.store.database import CONNECT_SECONDS, ENGINE, Connection, as_transient

_ALIVE = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
"""The server finds out within 20 seconds that the machine of a replica is gone."""


class Seat:
    """A name that no other replica of the group has while `check` does not raise."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.name = name

    async def check(self) -> None:
        """TransientError when the connection is lost, and the seat with it."""
        with as_transient():
            await self._connection.execute("SELECT")


@contextlib.asynccontextmanager
async def take_seat(url: str, group: str) -> AsyncIterator[Seat]:
    """The lowest free seat of the group, until the block ends."""
    with as_transient():
        connection = await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=CONNECT_SECONDS, application_name=ENGINE, options=_ALIVE
        )
    async with connection:
        with as_transient():
            number = await _lowest_free(connection, group)
        yield Seat(connection, f"{group}-{number}")


async def _lowest_free(connection: Connection, group: str) -> int:
    for number in count(1):
        result = await connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended('seat ' || %s, %s))", (group, number)
        )
        row = await result.fetchone()
        if row and row[0]:
            return number
    raise AssertionError("seats do not end")
