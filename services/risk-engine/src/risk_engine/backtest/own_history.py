"""The boards of one's own site as the backtest reads them: what their sprints completed, from the store."""

from __future__ import annotations

import psycopg

from risk_engine.backtest.sprint_files import BoardHistory
from risk_engine.store.database import Connection
from risk_engine.store.views import read_histories
from troth_chassis.errors import ConfigurationError


async def read_own_boards(connection: Connection) -> list[BoardHistory]:
    """Every board with closed sprints."""
    histories = await read_histories(connection)
    return [BoardHistory(*_named(team), points) for team, points in histories.items()]


async def boards_of(database_url: str) -> list[BoardHistory]:
    """The same, over a connection of its own. Raises ConfigurationError when there is no store to read."""
    if not database_url:
        raise ConfigurationError(
            "DATABASE_URL is not set: say where the store is, or give a folder of sprints"
        )
    try:
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            return await read_own_boards(connection)
    except psycopg.Error as error:
        raise ConfigurationError(f"DATABASE_URL holds no store of a risk-engine: {error}") from error


def _named(team: str) -> tuple[str, int]:
    site, _, board = team.rpartition(":")
    return site, int(board) if board.isdecimal() else 0
