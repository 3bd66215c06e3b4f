"""Opens PostgreSQL: one pool per process, migrations under a lock, faults in the words the loops understand."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from troth_chassis.errors import ConfigurationError, TransientError

Connection = AsyncConnection[TupleRow]
OLDEST = 150000
CONNECT_SECONDS = 10
FROZEN_SECONDS = 30
ENGINE = "risk-engine"
_LASTING = (
    "password authentication failed",
    "no password supplied",
    "does not exist",
    "permission denied",
    "no pg_hba.conf entry",
)
"""The client tells why a connection failed in words only. These do not pass by waiting."""
_MIGRATION_LOCK = 7_301_951
_HERE = Path(__file__).resolve().parent.parent


class Database:
    """A pool whose transactions turn connection faults into TransientError."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction, committed when the block ends without an error."""
        with as_transient():
            async with self._pool.connection() as connection, connection.transaction():
                yield connection


@contextlib.contextmanager
def as_transient() -> Iterator[None]:
    """Raises TransientError for what PostgreSQL or the way to it brings about."""
    try:
        yield
    except psycopg.errors.ProgramLimitExceeded:
        raise  # the data's fault, not the connection's: trying again would not help
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
        raise TransientError(f"PostgreSQL: {_first_line(error)}") from error


@contextlib.asynccontextmanager
async def open_database(
    url: str, *, connections: int = 8, frozen_seconds: int = FROZEN_SECONDS, name: str = ENGINE
) -> AsyncIterator[Database]:
    """Migrates to the newest schema, then opens the pool. The server shows its connections under ``name``.

    A transaction that says nothing for ``frozen_seconds`` is ended by the server: a replica that was stopped in the
    middle of one would hold its locks against all others.
    """
    migrate(url)
    options = f"-c idle_in_transaction_session_timeout={frozen_seconds}s"
    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        url,
        min_size=1,
        max_size=connections,
        open=False,
        timeout=15,
        kwargs={"prepare_threshold": 3, "options": options, "application_name": name},
    )
    async with pool:
        yield Database(pool)


def migrate(url: str) -> None:
    """Brings the schema to the newest revision; safe when several replicas start at once."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: _connect(url), poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(_HERE / "migrations"))
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            _check_server(int(connection.execute(text("SHOW server_version_num")).scalar_one()))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        explained = _explain(error.orig)
        if explained is None:
            raise
        raise explained from error
    finally:
        engine.dispose()


def _check_server(version: int) -> None:
    if version < OLDEST:
        raise ConfigurationError(f"PostgreSQL {version // 10000} is too old: 15 or newer is needed")


def _connect(url: str) -> psycopg.Connection[TupleRow]:
    return psycopg.connect(url, connect_timeout=CONNECT_SECONDS)


def _explain(error: BaseException | None) -> TransientError | ConfigurationError | None:
    """In the words the loops understand; None for a defect of ours."""
    if isinstance(error, psycopg.errors.InsufficientPrivilege | psycopg.errors.InvalidSchemaName):
        return ConfigurationError(
            f"PostgreSQL lets the user of DATABASE_URL not create tables: {_first_line(error)}; "
            "grant it CREATE on the schema"
        )
    if not isinstance(error, psycopg.OperationalError):
        return None
    sentence = _first_line(error)
    if any(phrase in sentence for phrase in _LASTING):
        return ConfigurationError(
            f"PostgreSQL refuses DATABASE_URL: {sentence}; mend its user, password or name"
        )
    return TransientError(f"PostgreSQL: {sentence}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
