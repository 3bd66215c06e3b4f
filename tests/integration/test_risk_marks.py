"""The work queue under several replicas: each subject once, nothing lost, and nobody ahead of what it rests on."""

import asyncio

from tests.risk_engine.company import LATER, Company, promise, records
from tests.risk_engine.engine import Engine, Outside, open_engine

from risk_engine.domain.finding import fingerprint
from risk_engine.domain.rules.late_forecast import VERSION as LATE_VERSION
from risk_engine.store.marks import Kind, add_marks, claim, drop_marks


async def subjects(engine: Engine, kind: Kind) -> list[str]:
    async with engine.database.transaction() as connection:
        return [claimed.subject for claimed in await claim(connection, kind, 10)]


async def test_a_mark_that_comes_while_its_subject_is_evaluated_stays(postgres: str) -> None:
    async with open_engine(postgres) as engine:
        async with engine.database.transaction() as connection:
            await add_marks(connection, "deal", ["one"])
        async with engine.database.transaction() as evaluation:
            claims = await claim(evaluation, "deal", 10)
            async with engine.database.transaction() as ingest:
                await add_marks(ingest, "deal", ["one"])
            assert await subjects(engine, "deal") == [], "the subject is held"
            await drop_marks(evaluation, claims)
        assert await subjects(engine, "deal") == ["one"]


async def test_a_claim_leaves_to_others_what_it_does_not_take(postgres: str) -> None:
    async with open_engine(postgres) as engine:
        async with engine.database.transaction() as connection:
            await add_marks(connection, "team", [f"team-{number}" for number in range(30)])
        async with engine.database.transaction() as other_replica:
            (held,) = await claim(other_replica, "team", 1)
            left = await subjects(engine, "team")
            assert len(left) == 10
            assert held.subject not in left


async def test_teams_wait_for_deals_and_forecasts_for_their_deal_and_teams(postgres: str) -> None:
    """Also for those another replica is just working on."""
    it = Company()
    late, oversold = it.deal_key("late"), it.deal_key("oversold")
    async with open_engine(postgres) as engine:
        await engine.take(records(it))
        await engine.go_live()
        await engine.evaluate()
        async with engine.database.transaction() as connection:
            await add_marks(connection, "deal", [late])
            await add_marks(connection, "team", [f"{it.site}:1"])
            await add_marks(connection, "forecast", [late, oversold, it.deal_key("unlinked")])
        async with engine.database.transaction() as other_replica:
            claims = await claim(other_replica, "deal", 10)
            assert await subjects(engine, "team") == []
            assert await subjects(engine, "forecast") == [it.deal_key("unlinked")]
            await drop_marks(other_replica, claims)
        async with engine.database.transaction() as other_replica:
            claims = await claim(other_replica, "team", 1)
            assert await subjects(engine, "forecast") == [late, it.deal_key("unlinked")]
            await drop_marks(other_replica, claims)
        assert oversold in await subjects(engine, "forecast")


async def test_an_inhibited_alert_never_slips_out_between_two_replicas(postgres: str) -> None:
    """Two replicas evaluate at once, again and again from nothing, with the deal changing in between."""
    it = Company()
    hidden = fingerprint("late_forecast", (it.deal_key("oversold"),), LATE_VERSION)
    async with open_engine(postgres) as one:
        two = Engine(one.database, Outside())
        await one.take(records(it))
        await one.go_live()
        for minute in range(8):
            async with one.database.transaction() as connection:
                for table in ("alerts", "alert_transitions", "outlooks", "finish_vectors", "commitments"):
                    await connection.execute(f"DELETE FROM {table}")
                await connection.execute("INSERT INTO marks (kind, subject) SELECT 'deal', key FROM deals")
            await asyncio.gather(one.evaluate(), two.evaluate())
            change = it.deal("unlinked", custom=promise(LATER, f"ATL-{900 + minute}"), minutes=-minute)
            await asyncio.gather(one.take([change]), one.evaluate(), two.evaluate())
            await one.evaluate()
            assert ("oversold", "Atlas") in await one.firing()
            assert await one.value("SELECT count(*) FROM alert_transitions WHERE alert_id = %s", hidden) == 0
            assert await one.value("SELECT count(*) FROM marks") == 0
        await two.sender.close()


async def test_replicas_share_the_work_and_do_all_of_it_once(postgres: str) -> None:
    async with open_engine(postgres) as engine:
        names = [f"deal-{number:03}" for number in range(60)]
        async with engine.database.transaction() as connection:
            await add_marks(connection, "deal", names)
        done: list[str] = []

        async def work() -> None:
            while True:
                async with engine.database.transaction() as connection:
                    claims = await claim(connection, "deal", 7)
                    await asyncio.sleep(0)
                    await drop_marks(connection, claims)
                if not claims and not await engine.value("SELECT count(*) FROM marks"):
                    return
                done.extend(claimed.subject for claimed in claims)

        await asyncio.gather(*(work() for _ in range(4)))
        assert sorted(done) == names
