"""What is derived is made again: links and all that follows from the records here, or everything from the topics.

What is primary stays: what happened and how promises moved, what people said and asked, every alert and what was sent
of it, and the assessments as shown, whose versions only ever grow.
"""

from __future__ import annotations

from collections.abc import Sequence

from risk_engine.store.database import ENGINE, Connection, Database, open_database
from risk_engine.store.marks import take_join_lock
from risk_engine.store.states import TABLES
from troth_chassis.errors import ConfigurationError

LINKS = ("signs", "faces", "field_scores", "links")
FROM_TOPICS = (*TABLES.values(), "stored_offsets")
DERIVED = (
    *(*LINKS, "mentions", "deal_issues", "deal_worth"),
    *("commitments", "finish_vectors", "outlooks", "marks"),
)
PRIMARY = (
    *("journal", "declarations", "commitment_history", "forecasts_shown"),
    *("promise_answers", "link_answers", "assessments"),
    *("alerts", "alert_transitions", "outbox", "timers", "milestones"),
)


async def rederive(database: Database) -> int:
    """Forgets the links and marks every deal and team; returns how many deals.

    A running engine works the marks off, else the next one that starts; what turns out differently is told.
    """
    async with database.transaction() as connection:
        await take_join_lock(connection)
        await _empty(connection, LINKS)
        result = await connection.execute(
            """
            INSERT INTO marks (kind, subject)
            SELECT kind, key FROM deals, unnest(ARRAY['link', 'deal']) AS kind WHERE NOT deleted
            UNION SELECT 'deal', deal_key FROM commitments
            UNION SELECT 'team', key FROM boards UNION SELECT 'team', team FROM outlooks
            RETURNING kind
            """
        )
        return sum(kind == "link" for (kind,) in await result.fetchall())


async def forget(database: Database) -> None:
    """Empties everything that the topics can fill again; the engine then starts as quietly as the first time.

    Raises ConfigurationError while an engine runs: it would believe to be where it is no more.
    """
    async with database.transaction() as connection:
        if await _engines(connection):
            raise ConfigurationError("a risk-engine runs on this database: stop every replica, then rebuild")
        await _empty(connection, (*FROM_TOPICS, *DERIVED))
        await connection.execute("DELETE FROM milestones WHERE name = 'live'")


async def _engines(connection: Connection) -> int:
    result = await connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
        (ENGINE,),
    )
    row = await result.fetchone()
    return int(row[0]) if row else 0


async def _empty(connection: Connection, tables: Sequence[str]) -> None:
    await connection.execute(f"TRUNCATE {', '.join(tables)}")


async def rederive_at(database_url: str) -> int:
    """`rederive` over the store at ``database_url``."""
    async with open_database(database_url, connections=1, name="risk-engine rederive") as database:
        return await rederive(database)


async def forget_at(database_url: str) -> None:
    """`forget` over the store at ``database_url``."""
    async with open_database(database_url, connections=1, name="risk-engine rebuild") as database:
        await forget(database)
