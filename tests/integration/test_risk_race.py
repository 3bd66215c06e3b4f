"""Evaluators race each other and the ingest for one subject: what comes of it is what one of them alone comes to."""

import asyncio
from decimal import Decimal

from tests.risk_engine.company import LATER, SOON, Company, promise, records
from tests.risk_engine.engine import Engine, Outside, State, differences, final_state, open_engine

from troth_contracts.codec import OutRecord

EVALUATORS = 3
ROUNDS = 4
it = Company()


def rounds() -> list[list[OutRecord]]:
    """One deal, its issue and that issue's team, over and over: a promise that cannot hold, then one that does.

    Each ends with closed sprints, which concern the team and nothing else: a mark that is lost stays lost.
    """
    told = []
    for number in range(ROUNDS):
        hard, minutes = number % 2 == 0, -number
        done = [20 + number + place for place in range(12)]
        told.append(
            [
                it.deal("raced", custom=promise(SOON if hard else LATER, "ATL-30"), minutes=minutes),
                it.issue(
                    130, "ATL-30", estimate=Decimal(900 if hard else 3), sprint_ids=("270",), minutes=minutes
                ),
                it.board(1, f"Atlas {number}", "ATL", minutes=minutes),
                *it.closed_sprints(100, 1, done, minutes=minutes),
            ]
        )
    return told


async def alone(url: str) -> list[State]:
    """The state after each round."""
    states = []
    async with open_engine(url) as engine:
        await engine.go_live()
        await engine.take(records(it))
        for changes in rounds():
            await engine.take(changes)
            await engine.evaluate()
            states.append(await final_state(engine))
        tables = await engine.rows(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        )
        async with engine.database.transaction() as connection:
            await connection.execute(f"TRUNCATE {', '.join(name for (name,) in tables)}")
    return states


async def keep_evaluating(engine: Engine, stopped: asyncio.Event) -> None:
    while not stopped.is_set():
        await engine.evaluate()
        await asyncio.sleep(0)


async def test_evaluators_racing_ingest_on_one_subject_come_to_the_state_of_one(postgres: str) -> None:
    expected = await alone(postgres)
    outside, stopped = Outside(), asyncio.Event()
    async with open_engine(postgres, outside) as ingest:
        await ingest.go_live()
        await ingest.take(records(it))
        racing = [Engine(ingest.database, outside) for _ in range(EVALUATORS)]
        async with asyncio.TaskGroup() as group:
            for engine in racing:
                group.create_task(keep_evaluating(engine, stopped))
            for changes, state in zip(rounds(), expected, strict=True):
                for change in changes:
                    await ingest.take([change])
                while await ingest.value("SELECT count(*) FROM marks"):  # noqa: ASYNC110  (others work them off)
                    await asyncio.sleep(0.01)
                assert differences(await final_state(ingest), state) == {}
            stopped.set()
        await ingest.deliver()
        assert await ingest.rows(_HOLES) == []
        sent = [dict(record.headers)["ce_id"] for record in outside.notices.sent]
        assert len(sent) == len(set(sent)), "told twice"
        assert len(outside.webhook_ids) == len(set(outside.webhook_ids))
        for engine in racing:
            await engine.sender.close()


_HOLES = """
    SELECT alert_id FROM alert_transitions GROUP BY alert_id
    HAVING max(sequence) <> count(*) OR min(sequence) <> 1
"""
