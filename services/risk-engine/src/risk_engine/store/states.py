"""Upserts of what the topics say, guarded by version: an older record never overwrites a newer one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import psycopg

from risk_engine.store.database import Connection
from troth_contracts import topics

TABLES: Mapping[str, str] = {
    topics.OPPORTUNITIES.name: "deals",
    topics.REFERENCE.name: "crm_references",
    topics.ISSUES.name: "issues",
    topics.SPRINTS.name: "sprints",
    topics.BOARDS.name: "boards",
    topics.VERSIONS.name: "versions",
    topics.SYNC_STATUS.name: "sync_status",
}
"""Where each state topic is kept."""
JOURNALED = (topics.ISSUE_EVENTS.name, topics.SPRINT_EVENTS.name)
"""Event topics, kept as they came, once per id."""
INGESTED = (*TABLES, *JOURNALED)

_STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS staged (
    target text, key text, version bigint, digest text, deleted boolean, body jsonb
) ON COMMIT DELETE ROWS
"""


class StoredRecord(msgspec.Struct, frozen=True):
    """A decoded record on its way into the store. For the journal ``key`` is the event's id."""

    topic: str
    key: str
    version: int
    digest: str
    body: str | None
    subject: str = ""
    position: tuple[int, int] = (0, 0)
    """Partition and offset."""

    @property
    def order(self) -> tuple[int, str]:
        """Which of two records of one key wins; a tie is broken the same way everywhere."""
        return self.version, self.digest


def newest_per_key(records: Iterable[StoredRecord]) -> list[StoredRecord]:
    """One record per topic and key, sorted, so that concurrent writers take row locks in one order."""
    winners: dict[tuple[str, str], StoredRecord] = {}
    for record in records:
        identity = (record.topic, record.key)
        if identity not in winners or winners[identity].order < record.order:
            winners[identity] = record
    return [winners[identity] for identity in sorted(winners)]


async def store_records(connection: Connection, records: Sequence[StoredRecord]) -> dict[str, list[str]]:
    """Stores the records and returns the keys that really changed, per topic."""
    await connection.execute(_STAGE)
    async with connection.cursor() as cursor:
        copy_statement = "COPY staged (target, key, version, digest, deleted, body) FROM STDIN"
        async with cursor.copy(copy_statement) as copy:
            for record in records:
                await copy.write_row(_row(record))
    changed: dict[str, list[str]] = {}
    for topic in sorted({record.topic for record in records}):
        statement = _journal_statement() if topic in JOURNALED else _state_statement(TABLES[topic])
        result = await connection.execute(statement, (topic,))
        keys = [key for (key,) in await result.fetchall()]
        if keys:
            changed[topic] = keys
    return changed


async def refusal(connection: Connection, record: StoredRecord) -> str | None:
    """Why PostgreSQL cannot hold the record (a NUL character, a number or a key too large); None when it can."""
    try:
        async with connection.transaction(force_rollback=True):
            await store_records(connection, [record])
    except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded) as error:
        return error.diag.message_primary or str(error)
    return None


def _row(record: StoredRecord) -> tuple[object, ...]:
    key = record.key
    digest = record.subject if record.topic in JOURNALED else record.digest
    return (record.topic, key, record.version, digest, record.body is None, record.body)


def _state_statement(table: str) -> str:
    return f"""
        INSERT INTO {table} AS kept (key, version, digest, deleted, body)
        SELECT key, version, digest, deleted, body FROM staged WHERE target = %s ORDER BY key
        ON CONFLICT (key) DO UPDATE SET version = excluded.version, digest = excluded.digest,
            deleted = excluded.deleted, body = excluded.body
        WHERE (kept.version, kept.digest COLLATE "C") < (excluded.version, excluded.digest COLLATE "C")
        RETURNING key
    """  # noqa: S608  (table names are this module's own)


def _journal_statement() -> str:
    return """
        INSERT INTO journal (id, topic, key, body)
        SELECT key, target, digest, body FROM staged WHERE target = %s ORDER BY key
        ON CONFLICT (id) DO NOTHING
        RETURNING key
    """
