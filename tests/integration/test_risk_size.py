"""How the cost of a full evaluation grows with the company: counts and exponents, never seconds.

The figures at full size are ``make bench ONLY=risk-size``.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from tests.bench.risk_size import slope
from tests.bench.size_engine import SizedEngine, load
from tests.bench.size_world import Size

from risk_engine.store.database import open_database

SIZES = (Size(24, 3, 600), Size(72, 9, 1_800), Size(240, 30, 6_000))
TRIALS = 100
STEEPEST = 1.15
MOST_STATEMENTS = 30
"""Per team, with all its deals: batches are per hundred deals, not per deal."""
MOST_ROWS = 1_000
"""Per deal, with its twelve issues, three promises and share of the teams; a condition asked per mark reads more."""


@dataclass
class Cost:
    """What one full evaluation of a loaded store took."""

    cpu: float
    statements: int
    rows_read: int


@contextmanager
def statements_counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    counted = [0]
    execute = psycopg.AsyncCursor.execute

    async def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        counted[0] += 1
        return await execute(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.AsyncCursor, "execute", counting)
        yield counted


def rows_read(url: str) -> int:
    """By all who have left: PostgreSQL counts a connection's rows when it ends."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables"
        ).fetchone()
    return int(row[0]) if row else 0


async def evaluate_again(url: str) -> float:
    async with open_database(url) as database:
        engine = SizedEngine(database, TRIALS)
        await engine.mark_everything()
        return (await engine.evaluate()).cpu


async def first_evaluation(url: str, size: Size) -> None:
    await load(url, size, lambda _count: None)
    async with open_database(url) as database:
        await SizedEngine(database, TRIALS).evaluate()


def cost_of(url: str, size: Size, monkeypatch: pytest.MonkeyPatch) -> Cost:
    """Rows are made dear, or PostgreSQL would read a small table as a whole and no missing index would show."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{connection.info.dbname}" SET cpu_tuple_cost = 10')
    asyncio.run(first_evaluation(url, size))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")
    before = rows_read(url)
    with statements_counted(monkeypatch) as counted:
        cpu = asyncio.run(evaluate_again(url))
    return Cost(cpu, counted[0], rows_read(url) - before)


def emptied(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return url


def test_evaluation_costs_as_much_more_as_there_is_more_to_evaluate(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = {size: cost_of(emptied(postgres), size, monkeypatch) for size in SIZES}
    for what in ("cpu", "statements", "rows_read"):
        exponent = slope([(size.deals, getattr(cost, what)) for size, cost in costs.items()])
        assert exponent <= STEEPEST, (what, exponent, costs)
    for size, cost in costs.items():
        assert cost.statements <= MOST_STATEMENTS * size.teams + 100, (size, cost)
        assert cost.rows_read <= MOST_ROWS * size.deals, (size, cost)


def test_the_exponent_is_that_of_the_power() -> None:
    for power in (0.5, 1.0, 2.0):
        assert slope([(x, 3 * x**power) for x in (1, 3, 10)]) == pytest.approx(power)
    assert math.isclose(slope([(1, 5), (3, 5), (10, 5)]), 0, abs_tol=1e-9)
