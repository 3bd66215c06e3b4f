"""Opens PostgreSQL: one pool per process, migrations under a lock, faults in the words the loops understand."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from troth_chassis.errors import ConfigurationError, TransientError

Connection = AsyncConnection[TupleRow]
OLDEST = 150000
_MIGRATION_LOCK = 7_301_951
_HERE = Path(__file__).resolve().parent.parent


class Database:
    """A pool whose transactions turn connection faults into TransientError."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction, committed when the block ends without an error."""
        try:
            async with self._pool.connection() as connection, connection.transaction():
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            raise TransientError(f"PostgreSQL: {_first_line(error)}") from error


@contextlib.asynccontextmanager
async def open_database(url: str, *, connections: int = 8) -> AsyncIterator[Database]:
    """Migrates to the newest schema, then opens the pool."""
    migrate(url)
    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        url, min_size=1, max_size=connections, open=False, timeout=15, kwargs={"prepare_threshold": 3}
    )
    async with pool:
        yield Database(pool)


def migrate(url: str) -> None:
    """Brings the schema to the newest revision; safe when several replicas start at once."""
    engine = create_engine(_sqlalchemy_url(url), poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(_HERE / "migrations"))
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            _check_server(int(connection.execute(text("SHOW server_version_num")).scalar_one()))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as error:
        raise _explain(error) from error
    finally:
        engine.dispose()


def _check_server(version: int) -> None:
    if version < OLDEST:
        raise ConfigurationError(f"PostgreSQL {version // 10000} is too old: 15 or newer is needed")


def _explain(error: OperationalError) -> TransientError | ConfigurationError:
    sentence = _first_line(error.orig or error)
    permanent = (
        "password authentication failed",
        "does not exist",
        "no password supplied",
        "permission denied",
    )
    if any(phrase in sentence for phrase in permanent):
        return ConfigurationError(f"PostgreSQL refuses DATABASE_URL: {sentence}")
    return TransientError(f"PostgreSQL: {sentence}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _sqlalchemy_url(url: str) -> str:
    return "postgresql+psycopg://" + url.split("://", 1)[1]
