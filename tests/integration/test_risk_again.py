"""What is derived can be made again, from the records or from the topics: the same as live, and nobody is told."""

import psycopg
import pytest
from tests.risk_engine.company import LATER, SOON, Company, promise, records
from tests.risk_engine.counter import api_of, client_of
from tests.risk_engine.engine import Engine, Outside, State, differences, final_state, open_engine
from typer.testing import CliRunner

from risk_engine.cli import cli
from risk_engine.domain import fields
from risk_engine.store.again import DERIVED, FROM_TOPICS, PRIMARY, forget_at, rederive_at
from risk_engine.store.links import add_answer
from troth_chassis.errors import ConfigurationError
from troth_contracts.codec import OutRecord

it = Company()
ALEMBIC = "alembic_version"
KEPT = (
    "journal",
    "alert_transitions",
    "outbox",
    "commitment_history",
    "declarations",
    "forecasts_shown",
    "link_answers",
    "alerts",
    "assessments",
    "promise_answers",
)


def stream() -> list[OutRecord]:
    """The company, with a key field of another name, a deal without history, and promises that move afterwards."""
    keys = [
        it.deal(f"field{n}", custom=promise(LATER) | {"Delivery__c": f"BOR-{n}"}) for n in (1, 10, 11, 20)
    ]
    return [*records(it), *keys, it.deal("silent", custom=promise(LATER, "BOR-1"), history=())]


def changes() -> list[OutRecord]:
    return [
        it.deal("silent", custom=promise(SOON, "BOR-1"), history=(), minutes=20),
        it.deal("field99", custom=promise(LATER) | {"Delivery__c": "ATL-1"}, minutes=20),
        it.deal("late", custom=promise(LATER, "DEN-1"), minutes=20),
    ]


async def live(engine: Engine) -> State:
    await engine.take(stream())
    assert await engine.evaluator.go_live()
    await engine.evaluate()
    async with engine.database.transaction() as connection:
        await add_answer(
            connection,
            "link",
            it.deal_key("cold"),
            f"{it.site}:301",
            answer="rejected",
            by="Ada",
            note="",
            at=engine.clock.now(),
        )
    said = {"deal": it.deal_key("likely"), "deliverable": "SSO", "promised_date": SOON.isoformat()}
    async with client_of(api_of(engine)) as client:
        assert (await client.post("/commitments", json=said)).status_code == 201
    for change in (*changes(), it.deal("cold", custom=promise(SOON, "CLD-1"), minutes=20)):
        await engine.clock.sleep(60)
        await engine.take([change])
        await engine.evaluate()
    await engine.deliver()
    return await final_state(engine)


async def kept(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Primary rows: an assessment's ``inputs`` name what it was computed from, so they are compared as state."""
    columns = {"assessments": "deal_key, version, digest, as_of, body"}
    return {
        table: await engine.rows(f"SELECT {columns.get(table, '*')} FROM {table} ORDER BY 1, 2")
        for table in KEPT
    }


async def test_every_table_is_either_primary_or_made_again(postgres: str) -> None:
    async with open_engine(postgres) as engine:
        tables = await engine.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {name for (name,) in tables} - {ALEMBIC} == {*FROM_TOPICS, *DERIVED, *PRIMARY}
    assert not {*FROM_TOPICS, *DERIVED} & {*PRIMARY}


async def test_a_rebuild_comes_to_the_state_of_the_live_engine_and_tells_nobody(postgres: str) -> None:
    outside = Outside()
    async with open_engine(postgres, outside) as engine:
        expected, before = await live(engine), await kept(engine)
        assert before["outbox"], "live, something was told"
    sent, requests = len(outside.notices.sent), len(outside.requests)
    await forget_at(postgres)
    async with open_engine(postgres, outside) as engine:
        assert await engine.value("SELECT count(*) FROM deals") == 0
        assert not await engine.evaluator.go_live(), "nothing is evaluated before the topics are read"
        again = [*stream(), *changes(), it.deal("cold", custom=promise(SOON, "CLD-1"), minutes=20)]
        for start in range(0, len(again), 50):
            await engine.take(again[start : start + 50])
        assert await engine.evaluator.go_live()
        await engine.evaluate()
        await engine.deliver()
        assert differences(await final_state(engine), expected) == {}
        assert await kept(engine) == before
    assert (len(outside.notices.sent), len(outside.requests)) == (sent, requests)


async def test_a_rebuild_waits_for_every_engine_to_stop(postgres: str) -> None:
    async with open_engine(postgres) as engine:
        await engine.take(records(it))
        with pytest.raises(ConfigurationError, match="stop every replica"):
            await forget_at(postgres)
        assert await engine.value("SELECT count(*) FROM deals") > 0


async def test_rederiving_finds_what_live_found(postgres: str) -> None:
    async with open_engine(postgres) as engine:
        expected, before = await live(engine), await kept(engine)
        assert await rederive_at(postgres) == await engine.value(
            "SELECT count(*) FROM deals WHERE NOT deleted"
        )
        await engine.evaluate()
        assert differences(await final_state(engine), expected) == {}
        assert await kept(engine) == before


async def test_rederiving_after_a_changed_discovery_is_the_same_as_live_with_it(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another rule for fields: five values are enough, or six are needed."""
    monkeypatch.setattr(fields, "VALUES_NEEDED", 6)
    found = "SELECT count(*) FROM links WHERE basis = ARRAY['field Delivery__c']"
    async with open_engine(postgres) as engine:
        await live(engine)
        assert await engine.value(found) == 0
        monkeypatch.setattr(fields, "VALUES_NEEDED", 5)
        await rederive_at(postgres)
        await engine.evaluate()
        assert await engine.value(found) == 5
        derived = await final_state(engine)
        everything = [name for name in (*FROM_TOPICS, *DERIVED, *PRIMARY) if name != "milestones"]
        async with engine.database.transaction() as connection:
            await connection.execute(f"TRUNCATE {', '.join(everything)}")
    async with open_engine(postgres) as engine:
        assert differences(await live(engine), derived) == {}


def test_the_commands_say_what_happens_next(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    emptied = CliRunner().invoke(cli, ["rebuild"])
    assert (emptied.exit_code, "start the risk-engine" in emptied.output) == (0, True)
    assert "0 deals are marked" in CliRunner().invoke(cli, ["rederive"]).output
    with psycopg.connect(postgres, application_name="risk-engine"):
        assert CliRunner().invoke(cli, ["rebuild"]).exit_code == 78
