"""Every number can be followed: stored inputs and seed give the stored answer again; verdicts reach the reader."""

import json
import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import psycopg
from alembic import command
from alembic.config import Config
from fastapi import FastAPI
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from tests.risk_engine.company import LATER, NOW, SOON, Company, promise, records
from tests.risk_engine.engine import Engine, open_engine

from risk_engine.api import add_routes
from risk_engine.domain.book import TeamInputs, joins_of, open_book, read_book
from risk_engine.domain.feasibility import evaluate_deal
from risk_engine.store import database as store
from troth_contracts import crm, jira


def links_to(number: int) -> tuple[jira.IssueLink, ...]:
    return (jira.IssueLink(type="Blocks", direction="inward", issue_id=str(number)),)


def client_of(engine: Engine) -> httpx.AsyncClient:
    app = FastAPI()
    add_routes(app, engine.database)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://engine")


async def settle(engine: Engine) -> None:
    await engine.take(records(Company()))
    await engine.go_live()
    await engine.evaluate()


async def test_ten_assessments_follow_from_their_stored_inputs_and_seed(postgres: str) -> None:
    """Chosen at random, with every commitment of the deal, recomputed from JSON alone: nothing of the engine's state."""
    it = Company()
    likely = [
        it.deal(
            f"more-{n}",
            custom=promise(SOON + timedelta(days=7 * n), "DEN-1, ELK-1" if n % 2 else "BOR-1, ATL-3"),
            is_won=False,
            is_closed=False,
            probability=Decimal(70 + n),
            line_items=(
                crm.LineItem(id="l1", service_date=SOON + timedelta(days=11 * n), description="FOX-1 ATL-4"),
            ),
        )
        for n in range(8)
    ]
    async with open_engine(postgres) as engine:
        await engine.take([*records(it), *likely])
        await engine.go_live()
        await engine.evaluate()
        told = await engine.rows("SELECT deal_key, body, inputs FROM assessments WHERE inputs <> '{}'")
        stored = await engine.rows(
            "SELECT team, inputs_digest, inputs::text FROM outlooks WHERE inputs IS NOT NULL"
        )
    teams = {(team, digest): msgspec.json.decode(text, type=TeamInputs) for team, digest, text in stored}
    chosen = random.Random(20261101).sample(told, 10)
    for deal, body, digests in chosen:
        inputs = [teams[team, digest] for team, digest in digests.items()]
        assert (body["seed"], body["trials"]) == ("troth-1", inputs[0].trials)
        for said in body["commitments"]:
            recomputed = read_again(said["key"], inputs)
            assert recomputed == {name: said[name] for name in recomputed}, said["key"]
        whole = next(said for said in body["commitments"] if said["key"] == deal)
        assert {name: body[name] for name in NUMBERS} == {name: whole[name] for name in NUMBERS}, deal
    assert any(0 < body["p_on_time"] < 1 for _, body, _ in chosen)
    assert any(len(body["commitments"]) == 2 for _, body, _ in chosen)


NUMBERS = ("p_on_time", "forecast_p50", "forecast_p85", "forecast_p95")


def read_again(commitment: str, inputs: list[TeamInputs]) -> dict[str, Any]:
    """What the inputs of its teams come to, trial by trial."""
    own = next(found for told in inputs for found in told.promises if found.key == commitment)
    finish = {}
    for told in inputs:
        vectors = read_book(open_book(told)).outlook.finish
        if commitment in vectors:
            finish[told.team] = vectors[commitment]
    again = evaluate_deal(commitment, finish, joins_of(own, inputs[0].trials), own.promised)
    assert again.p_on_time is not None
    days = (str(again.p50), str(again.p85), str(again.p95))
    return dict(zip(NUMBERS, (round(again.p_on_time, 4), *days), strict=True))


async def test_an_outlook_is_the_reading_of_its_stored_inputs(postgres: str) -> None:
    async with open_engine(postgres) as engine:
        await settle(engine)
        for text, body in await engine.rows(
            "SELECT inputs::text, body FROM outlooks WHERE inputs IS NOT NULL"
        ):
            reading = read_book(open_book(msgspec.json.decode(text, type=TeamInputs)))
            assert [round(due.probability, 4) for due in reading.outlook.due] == [
                told["probability"] for told in body["dates"]
            ]
            assert reading.ranking.verdict == body["verdict"]


async def test_a_team_that_ranks_wrongly_is_told_apart_and_its_swap_clears_it(postgres: str) -> None:
    """Borealis does 30 points a fortnight: 20 for the early deal fit, but 60 of a late one are ranked first."""
    it = Company()
    early, late = it.deal_key("early"), it.deal_key("wide")
    ranks = {"BOR-30": "0|b", "BOR-31": "0|a"}
    work = [
        it.issue(230, "BOR-30", estimate=Decimal(20), rank=ranks["BOR-30"]),
        it.issue(231, "BOR-31", estimate=Decimal(60), rank=ranks["BOR-31"]),
        it.deal("early", custom=promise(SOON, "BOR-30")),
        it.deal("wide", custom=promise(date(2027, 3, 1), "BOR-31")),
    ]
    async with open_engine(postgres) as engine, client_of(engine) as client:
        await settle(engine)
        await engine.take(work)
        await engine.evaluate()
        team = (await client.get(f"/teams/{it.site}:2")).json()
        assert (team["verdict"], team["first_breaking_date"]) == ("misordered", None)
        assert team["swaps"] == [{"up": "BOR-30", "down": "BOR-31", "for_deals": [early]}]
        deal = (await client.get(f"/deals/{early}")).json()
        assert deal["verdicts"] == {"Borealis": "misordered"}
        assert "Borealis: it would fit there, but other work is ranked before it" in deal["drivers"]
        await engine.take(
            [
                it.issue(230, "BOR-30", estimate=Decimal(20), rank=ranks["BOR-31"], minutes=5),
                it.issue(231, "BOR-31", estimate=Decimal(60), rank=ranks["BOR-30"], minutes=5),
            ]
        )
        await engine.evaluate()
        team = (await client.get(f"/teams/{it.site}:2")).json()
        assert (team["verdict"], team["swaps"]) == ("feasible", [])
        assert (await client.get(f"/deals/{early}")).json()["verdicts"] == {"Borealis": "feasible"}
        assert (await client.get(f"/deals/{late}/inputs")).json()["teams"][f"{it.site}:2"]["owed"]


async def test_an_oversold_team_says_what_is_missing_and_what_a_sprint_is_worth(postgres: str) -> None:
    """Atlas owes 100 points by the end of this sprint and does 20 in one."""
    it = Company()
    async with open_engine(postgres) as engine, client_of(engine) as client:
        await settle(engine)
        team = (await client.get(f"/teams/{it.site}:1")).json()
        assert (team["verdict"], team["first_breaking_date"]) == ("infeasible", SOON.isoformat())
        assert team["overflow_deals"] == [it.deal_key("oversold")]
        assert Decimal(team["missing_points"]) > 60
        assert (await client.get(f"/deals/{it.deal_key('oversold')}")).json()["verdicts"][
            "Atlas"
        ] == "infeasible"


async def test_a_blocking_issue_of_another_team_is_a_driver_until_it_is_done(postgres: str) -> None:
    it = Company()
    cold = f"/deals/{it.deal_key('cold')}"
    async with open_engine(postgres) as engine, client_of(engine) as client:
        await settle(engine)
        assert (
            "CLD-1 is blocked by BOR-20 of Borealis: not simulated"
            in (await client.get(cold)).json()["drivers"]
        )
        await engine.take([it.issue(302, "BOR-20", status_id="3", minutes=5)])
        await engine.evaluate()
        assert "blocked" not in json.dumps((await client.get(cold)).json())


async def test_the_history_of_a_promise_keeps_every_date_it_had(postgres: str) -> None:
    it = Company()
    async with open_engine(postgres) as engine:
        await engine.take([it.deal("moved", custom=promise(LATER))])
        await engine.evaluate()
        await engine.take([it.deal("moved", custom=promise(LATER, "ATL-1"), minutes=30)])
        await engine.evaluate()
        await engine.take([it.deal("moved", custom=promise(SOON), minutes=20)])
        await engine.evaluate()
        await engine.take([it.deal("moved", is_won=False, probability=Decimal(0), minutes=10)])
        await engine.evaluate()
        kept = await engine.rows("SELECT promised_date, at < %s FROM commitment_history ORDER BY id", NOW)
        assert kept == [(LATER, True), (SOON, False), (None, False)]


def test_the_newest_migration_goes_up_from_the_one_before_and_down_again(postgres: str) -> None:
    """A store of the release before is marked for evaluation as a whole, so that it gets its inputs."""
    move(postgres, "0001")
    with psycopg.connect(postgres, autocommit=True) as old:
        old.execute(
            "INSERT INTO commitments VALUES ('d', '2026-12-01', true, 1, '{t}', '[]', '2026-09-01Z', 0)"
        )
        old.execute("INSERT INTO outlooks VALUES ('t', now(), '{}', '{}')")
    store.migrate(postgres)
    with psycopg.connect(postgres, autocommit=True) as new:
        marks = new.execute("SELECT DISTINCT kind, subject FROM marks ORDER BY 1").fetchall()
        history = new.execute(
            "SELECT deal_key, commitment, promised_date::text, recorded_at = at FROM commitment_history"
        ).fetchall()
        assert new.execute("SELECT commitment FROM commitments").fetchall() == [("d",)]
    assert (marks, history) == ([("deal", "d"), ("team", "t")], [("d", "d", "2026-12-01", True)])
    move(postgres, "0001")
    store.migrate(postgres)


def move(url: str, revision: str) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(store._HERE / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        known = connection.exec_driver_sql("SELECT to_regclass('alembic_version')").scalar_one()
        (command.downgrade if known else command.upgrade)(config, revision)
    engine.dispose()
