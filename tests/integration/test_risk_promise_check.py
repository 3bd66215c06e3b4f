"""The promise check as a caller meets it: the answer, what it keeps and never changes, and bad questions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.risk_engine.company import LATER, NOW, SOON, Company, promise, records
from tests.risk_engine.engine import TRIALS, Engine, open_engine

from risk_engine.answer import desk
from risk_engine.answer.desk import PromiseDesk
from risk_engine.answer.routes import add_promise_routes
from risk_engine.api import add_routes
from risk_engine.domain.calendar import working_days
from troth_contracts import jira

NEXT = date(2026, 9, 28)
"""The end of the sprint after the running one."""
it = Company()


@asynccontextmanager
async def counter(postgres: str) -> AsyncIterator[tuple[Engine, httpx.AsyncClient]]:
    """The settled company and somebody who asks."""
    async with open_engine(postgres) as engine:
        await engine.take(records(it))
        await engine.go_live()
        await engine.evaluate()
        app = FastAPI()
        desk = PromiseDesk(
            engine.database, clock=engine.clock, zone=UTC, is_working_day=working_days(), trials=TRIALS
        )
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://engine") as client:
            await client.get("/healthz")  # a service is asked for its health before its routes are there
            add_routes(app, engine.database)
            add_promise_routes(app, engine.database, desk)
            yield engine, client


async def ask(client: httpx.AsyncClient, **question: Any) -> dict[str, Any]:
    answer = await client.post("/promise-check", json=question)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def everything(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, but for the queue's own numbers."""
    tables = await engine.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    return {name: await engine.rows(f"SELECT t::text FROM {name} AS t ORDER BY 1") for (name,) in tables}


async def test_new_effort_is_weighed_against_what_the_team_owes(postgres: str) -> None:
    """Borealis does 30 points a fortnight and owes little; Atlas owes 100 points by the end of the sprint already."""
    async with counter(postgres) as (_, client):
        fits = await ask(client, date=NEXT.isoformat(), effort={"team": "Borealis", "points": 20})
        assert fits["verdict"] == "safe"
        assert fits["nearest_date"] == NEXT.isoformat()
        assert fits["teams"][0]["fits_points"] > 20
        assert fits["displaced"] == []
        never = await ask(client, date=SOON.isoformat(), effort={"team": f"{it.site}:1", "points": 20})
        assert (never["verdict"], never["probability"]) == ("unlikely", 0.0)
        assert date.fromisoformat(never["nearest_date"]) > SOON
        assert never["explanation"][0] == f"0 % of the trials have all of it done by {SOON.isoformat()}."
        assert never["explanation"][1].startswith("The nearest day that is safe to promise (85 %) is ")


async def test_issues_are_joined_over_their_teams_and_displace_deals_with_money(postgres: str) -> None:
    """The deal "late" needs 15 of Denali, Elk and Fox by the same day; 300 points of Denali before it break it."""
    big = it.issue(490, "DEN-90", estimate=Decimal(300))
    async with counter(postgres) as (engine, client):
        await engine.take([big])
        await engine.evaluate()
        found = await ask(client, date=SOON.isoformat(), issues=["DEN-90", "BOR-20"])
        assert [team["name"] for team in found["teams"]] == ["Borealis", "Denali"]
        displaced = {one["deal"]: one for one in found["displaced"]}
        late = displaced[it.deal_key("late")]
        assert late["probability_after"] == 0.0
        assert (late["amount"], late["rate"]) == ({"amount": "1000.50", "currency": "EUR"}, "same")
        assert Decimal(late["money_at_risk"]) == (
            Decimal("1000.50") * Decimal(str(late["probability_before"]))
        ).quantize(Decimal("0.01"))
        total = sum(Decimal(one["money_at_risk"]) for one in found["displaced"])
        assert found["displaced_money"] == {"amount": str(total), "currency": "EUR"}


async def test_what_fits_keeps_blocked_work_with_its_blocker(postgres: str) -> None:
    """A sprint of Borealis holds about two of the three; the dear one is useless without its ground."""
    needs = (jira.IssueLink(type="Blocks", direction="inward", issue_id="290"),)
    work = [
        it.issue(290, "BOR-90", estimate=Decimal(12)),
        it.issue(291, "BOR-91", estimate=Decimal(12)),
        it.issue(292, "BOR-92", estimate=Decimal(8), links=needs),
    ]
    async with counter(postgres) as (engine, client):
        await engine.take(work)
        await engine.evaluate()
        found = await ask(
            client,
            date=SOON.isoformat(),
            issues=["BOR-90", "BOR-91", "BOR-92"],
            amount={"amount": "1000", "currency": "EUR"},
            values={"BOR-90": "10", "BOR-92": "900"},
        )
        smaller = found["smallest_that_fits"]
        assert (smaller["issues"], smaller["left_out"]) == (["BOR-90", "BOR-92"], ["BOR-91"])
        assert smaller["money"] == {"amount": "910.00", "currency": "EUR"}
        assert smaller["probability"] >= 0.85
        assert smaller["best_possible"]


async def test_a_size_class_is_a_share_of_the_usual_sprint(postgres: str) -> None:
    async with counter(postgres) as (_, client):
        found = await ask(client, date=NEXT.isoformat(), sized={"team": "borealis", "size": "M"})
        assert found["teams"][0]["points"] == pytest.approx(15, abs=0.5)


async def test_a_deal_can_be_asked_about_at_another_date(postgres: str) -> None:
    """Its present promise makes room for the new one, and its issues and amount are its own."""
    async with counter(postgres) as (_, client):
        key = it.deal_key("late")
        present = (await client.get(f"/deals/{key}")).json()
        same = await ask(client, date=SOON.isoformat(), deal=key)
        assert same["probability"] == present["p_on_time"]
        assert same["displaced"] == []
        assert same["amount"] == {"amount": "1000.50", "currency": "EUR"}
        later = await ask(client, date=(SOON + timedelta(days=40)).isoformat(), deal=key)
        assert later["probability"] > same["probability"]


async def test_a_check_changes_nothing_unless_the_answer_is_to_be_kept(postgres: str) -> None:
    async with counter(postgres) as (engine, client):
        before = await everything(engine)
        question = {"date": NEXT.isoformat(), "issues": ["BOR-20"], "deal": it.deal_key("likely")}
        await ask(client, **question)
        await client.post("/promise-check", json={"date": "1999-01-01", "issues": ["BOR-20"]})
        assert await everything(engine) == before
        kept = await ask(client, **question, store=True)
        after = await everything(engine)
        assert {name for name in after if after[name] != before[name]} == {"promise_answers"}
        told = (await client.get(f"/deals/{it.deal_key('likely')}/promise-checks")).json()
        assert [one["id"] for one in told] == [kept["kept_as"]]
        assert told[0]["question"]["issues"] == ["BOR-20"]
        assert told[0]["answer"]["probability"] == kept["probability"]


@pytest.mark.parametrize("owes", [True, False], ids=["evaluated again", "owes nothing any more"])
async def test_an_answer_names_the_inputs_it_was_drawn_from(
    postgres: str, monkeypatch: pytest.MonkeyPatch, *, owes: bool
) -> None:
    """An evaluation ends between the two looks into the store."""
    async with counter(postgres) as (engine, client):
        team = f"{it.site}:2"
        question: dict[str, Any] = {"date": LATER.isoformat(), "effort": {"team": "Borealis", "points": 5}}
        digest = await engine.value("SELECT inputs_digest FROM outlooks WHERE team = %s", team)
        if not owes:
            async with engine.database.transaction() as connection:
                await connection.execute("UPDATE outlooks SET inputs = NULL WHERE team = %s", (team,))

        async def before(_connection: object, _teams: object) -> dict[str, str]:
            return {team: "of an earlier evaluation"}

        monkeypatch.setattr(desk, "read_digests", before)
        told = (await ask(client, **question))["basis"]["inputs"][team]
        assert told != "of an earlier evaluation"
        assert (told == digest) is owes


async def test_the_same_question_gives_the_same_answer_and_new_inputs_another(postgres: str) -> None:
    """Drawn capacity is kept between questions, but never longer than the inputs it was drawn from."""
    question: dict[str, Any] = {"date": SOON.isoformat(), "effort": {"team": "Borealis", "points": 25}}
    async with counter(postgres) as (engine, client):
        first = await ask(client, **question)
        assert await ask(client, **question) == first
        more = it.deal("more", custom=promise(SOON, "BOR-60"))
        await engine.take([it.issue(260, "BOR-60", estimate=Decimal(25)), more])
        await engine.evaluate()
        second = await ask(client, **question)
        assert second["probability"] < first["probability"]
        assert second["basis"]["inputs"] != first["basis"]["inputs"]


async def test_a_team_that_owes_nothing_yet_can_be_asked(postgres: str) -> None:
    async with counter(postgres) as (engine, client):
        await engine.take([it.board(7, "Gale", "FOX"), *it.closed_sprints(700, 7, [10] * 6)])
        await engine.evaluate()
        found = await ask(client, date=NEXT.isoformat(), effort={"team": "Gale", "points": 5})
        assert found["verdict"] == "safe"
        assert found["basis"]["cold_teams"] == []


async def test_work_on_no_board_is_told_and_not_counted(postgres: str) -> None:
    async with counter(postgres) as (engine, client):
        await engine.take([it.board(2, "Borealis", "ELK", minutes=5), it.issue(299, "BOR-99", minutes=5)])
        await engine.evaluate()
        found = await ask(client, date=NEXT.isoformat(), issues=["BOR-99"])
        assert (found["verdict"], found["probability"], found["not_counted"]) == ("unknown", None, ["BOR-99"])


GOOD: dict[str, Any] = {"date": LATER.isoformat(), "effort": {"team": "Atlas", "points": 5}}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"date": LATER.isoformat(), "issues": ["ATL-1", "ATL-4711"]}, "issues.1"),
    ({"date": LATER.isoformat(), "issues": [f"{it.site}:4711"]}, "issues.0"),
    (GOOD | {"date": (NOW.date() - timedelta(days=1)).isoformat()}, "date"),
    (GOOD | {"date": "4000-12-31"}, "date"),
    (GOOD | {"date": "soon"}, "date"),
    (GOOD | {"effort": {"team": "Atlas", "points": -5}}, "effort.points"),
    (GOOD | {"effort": {"team": "Atlas", "points": "much"}}, "effort.points"),
    (GOOD | {"effort": {"team": "Nobody", "points": 5}}, "effort.team"),
    ({"date": LATER.isoformat(), "sized": {"team": "Atlas", "size": "XXL"}}, "sized.size"),
    (GOOD | {"amount": {"amount": "5", "currency": "XTS"}}, "amount.currency"),
    (GOOD | {"amount": {"amount": "5", "currency": "euro"}}, "amount.currency"),
    (GOOD | {"amount": {"amount": "-5", "currency": "EUR"}}, "amount.amount"),
    (GOOD | {"issues": ["ATL-1"]}, "effort"),
    ({"date": LATER.isoformat()}, "issues"),
    (GOOD | {"deal": "00D:none"}, "deal"),
    ({"date": LATER.isoformat(), "deal": it.deal_key("unlinked")}, "issues"),
    (GOOD | {"store": True}, "deal"),
    (GOOD | {"colour": "red"}, "colour"),
    ({"date": LATER.isoformat(), "issues": ["ATL-1"], "values": {"ATL-2": "5"}}, "values.ATL-2"),
]


async def test_a_bad_question_is_told_its_field_and_the_fix(postgres: str) -> None:
    async with counter(postgres) as (engine, client):
        for question, field in BAD:
            answer = await client.post("/promise-check", json=question)
            problem = answer.json()
            assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
            assert problem["field"] == field, question
            assert problem["detail"], question
            assert problem["fix"], question
        assert await engine.value("SELECT count(*) FROM promise_answers") == 0


async def test_an_oversized_or_broken_body_is_refused(postgres: str) -> None:
    async with counter(postgres) as (_, client):
        large = await client.post("/promise-check", content=b'{"issues": ["' + b"A" * 70_000 + b'"]}')
        assert (large.status_code, large.headers["content-type"]) == (413, "application/problem+json")
        assert large.json()["fix"]

        async def in_pieces() -> AsyncIterator[bytes]:
            for _ in range(80):
                yield b" " * 1024

        assert (await client.post("/promise-check", content=in_pieces())).status_code == 413
        broken = await client.post(
            "/promise-check", content=b"{", headers={"content-type": "application/json"}
        )
        assert (broken.status_code, broken.json()["fix"]) == (422, "send valid JSON")
