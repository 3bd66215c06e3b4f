"""The ledger over its API: declared, changed, withdrawn, forecast apart, and told as it stood at any moment."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from tests.risk_engine.company import LATER, NOW, SOON, Company, promise, records
from tests.risk_engine.counter import api_of, client_of, counter
from tests.risk_engine.engine import Engine, open_engine

from risk_engine.domain.ledger import part_of
from risk_engine.store.ledger_reads import LedgerQuery, read_ledger
from risk_engine.store.tables import read_deal_rows
from troth_chassis.clock import AutoClock
from troth_contracts import crm, topics
from troth_contracts.values import Money

it = Company()
LIKELY = it.deal_key("likely")
FAR = date(2027, 3, 1)


async def told(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


async def declare(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = await told(await client.post("/commitments", json=fields), 201)
    return found


async def ledger(client: httpx.AsyncClient, **asked: str) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in await told(await client.get("/commitments", params=asked))}


async def test_a_declared_deliverable_is_forecast_on_its_own(postgres: str) -> None:
    """Borealis does 30 points a fortnight; 4 of the deal's 9 points are promised early, on top of the whole."""
    async with counter(postgres) as (engine, client):
        row = await declare(
            client,
            deal=LIKELY,
            deliverable="Role mapping",
            promised_date=SOON.isoformat(),
            issues=["BOR-11"],
            need="blocker",
            evidence="Minutes, item 4",
            amount={"amount": "250.50", "currency": "EUR"},
        )
        assert (row["key"], row["state"]) == (f"{LIKELY}~{part_of('role MAPPING')}", "in_force")
        assert (row["basis"], row["declared_by"], row["need"]) == ("declared", "local", "blocker")
        await engine.evaluate()
        rows = await ledger(client, deal=LIKELY)
        assert {key: one["promised_date"] for key, one in rows.items()} == {
            LIKELY: LATER.isoformat(),
            row["key"]: SOON.isoformat(),
        }
        part = rows[row["key"]]
        assert part["forecast_p50"] <= rows[LIKELY]["forecast_p50"]
        assert part["p_on_time"] == 1.0
        deal = await told(await client.get(f"/deals/{LIKELY}"))
        assert [one["key"] for one in deal["commitments"]] == [row["key"], LIKELY]
        assert deal["promised_date"] == LATER.isoformat()
        assert deal["commitments"][0]["links"][0]["confidence"] == 1.0
        team = await told(await client.get(f"/teams/{it.site}:2"))
        own = [one for one in team["deals"] if one["deal"] == LIKELY]
        assert {one["commitment"] for one in own} == {LIKELY, row["key"]}
        stakes = await told(await client.get("/issues", params={"deal": LIKELY}))
        since = {}
        for key in rows:
            steps = await told(await client.get(f"/commitments/{key}/history"))
            since[key] = next(one["since"] for one in steps if one["what"] == "promised")
        assert since[LIKELY].startswith("2026-08-20"), "when its deal came into force"
        assert datetime.fromisoformat(since[row["key"]]) == engine.clock.now(), "when it was declared"
        links = await told(await client.get("/links", params={"deal": LIKELY}))
        assert [one["issue_key"] for one in links] == ["BOR-1"], "once, however much the deal promises"
        by_issue = {one["issue"]: Decimal(one["at_stake"]) for one in stakes}
        assert by_issue == {"BOR-10": Decimal("750.00"), "BOR-11": Decimal("250.50")}


async def test_two_dates_of_one_deal_load_a_team_once(postgres: str) -> None:
    """A leaf that two promises of a deal need is due at the earlier one, and counts once."""
    async with counter(postgres) as (engine, client):
        before = (await told(await client.get(f"/teams/{it.site}:2")))["dates"][-1]["load"]
        await declare(
            client, deal=LIKELY, deliverable="All again", promised_date=FAR.isoformat(), issues=["BOR-1"]
        )
        await engine.evaluate()
        after = (await told(await client.get(f"/teams/{it.site}:2")))["dates"]
        assert after[-1]["load"] == before
        assert LIKELY in after[-1]["deals"]


async def test_the_first_promise_of_a_deal_is_made_when_it_is_declared(postgres: str) -> None:
    """The deal came into force long before, and promised nothing yet."""
    async with counter(postgres) as (engine, client):
        bare = it.deal("bare", created_at=NOW - timedelta(days=90), custom={})
        await engine.take([bare])
        await engine.evaluate()
        key = it.deal_key("bare")
        assert await engine.value("SELECT count(*) FROM commitment_history WHERE deal_key = %s", key) == 0
        row = await declare(client, deal=key, promised_date=FAR.isoformat())
        steps = await told(await client.get(f"/commitments/{row['key']}/history"))
        since = next(one["since"] for one in steps if one["what"] == "promised")
        assert datetime.fromisoformat(since) == engine.clock.now()


async def test_a_withdrawal_while_the_store_is_filled_again_ends_nothing_else(postgres: str) -> None:
    """During a rebuild the ledger is kept and the deals are not there yet: what they promise has not ended."""
    async with counter(postgres) as (engine, client):
        row = await declare(client, deal=LIKELY, deliverable="Apart", promised_date=FAR.isoformat())
        await engine.evaluate()
        async with engine.database.transaction() as connection:
            await connection.execute("DELETE FROM deals")
        answer = await client.delete(f"/commitments/{row['key']}", params={"reason": "not now"})
        assert answer.status_code == 200, answer.text
        async with engine.database.transaction() as connection:
            result = await connection.execute("SELECT commitment FROM commitment_history WHERE entry IS NULL")
            assert await result.fetchall() == []


async def test_a_declaration_speaks_above_the_field_until_it_is_withdrawn(postgres: str) -> None:
    async with counter(postgres) as (engine, client):
        late = it.deal_key("late")
        row = await declare(client, deal=late, promised_date=LATER.isoformat(), declared_by="Ada")
        assert (row["key"], row["promised_date"], row["first_promised_date"]) == (
            late,
            LATER.isoformat(),
            SOON.isoformat(),
        )
        await engine.evaluate()
        assert (await told(await client.get(f"/deals/{late}")))["promised_date"] == LATER.isoformat()
        changed = await told(
            await client.patch(f"/commitments/{late}", json={"promised_date": FAR.isoformat()})
        )
        assert (changed["promised_date"], changed["declared_by"]) == (FAR.isoformat(), "Ada")
        back = await told(await client.delete(f"/commitments/{late}", params={"reason": "a mistake"}))
        assert (back["promised_date"], back["basis"]) == (SOON.isoformat(), "field")
        await engine.evaluate()
        assert (await told(await client.get(f"/deals/{late}")))["promised_date"] == SOON.isoformat()
        steps = await told(await client.get(f"/commitments/{late}/history"))
        said = [(one["what"], one["promised_date"], one["who"]) for one in steps if one["what"] != "forecast"]
        assert sorted(said, key=str) == sorted(
            [
                ("promised", SOON.isoformat(), None),
                ("declared", LATER.isoformat(), "local"),
                ("promised", LATER.isoformat(), None),
                ("declared", FAR.isoformat(), "local"),
                ("promised", FAR.isoformat(), None),
                ("withdrawn", None, "local"),
                ("promised", SOON.isoformat(), None),
            ],
            key=str,
        )
        assert [one["withdrawn_because"] for one in steps if one["what"] == "withdrawn"] == ["a mistake"]


async def test_a_withdrawn_deliverable_leaves_nothing_behind_but_its_history(postgres: str) -> None:
    async with counter(postgres) as (engine, client):
        row = await declare(client, deal=LIKELY, deliverable="SSO", promised_date=SOON.isoformat())
        await engine.evaluate()
        assert await told(await client.delete(f"/commitments/{row['key']}")) is None
        await engine.evaluate()
        assert row["key"] not in await ledger(client)
        await told(await client.get(f"/commitments/{row['key']}"), 404)
        assert len(await told(await client.get(f"/commitments/{row['key']}/history"))) >= 4
        for table in ("commitments", "deal_issues", "finish_vectors"):
            found = await engine.value(f"SELECT count(*) FROM {table} WHERE commitment = %s", row["key"])
            assert found == 0, table
        again = await declare(client, deal=LIKELY, deliverable="sso", promised_date=LATER.isoformat())
        assert (again["key"], again["first_promised_date"]) == (row["key"], SOON.isoformat())


async def test_a_deal_promises_since_its_first_promise_whatever_took_its_place(postgres: str) -> None:
    """Its history tells nothing: a promise of the whole, then of a line instead, then none, then one again."""
    line = crm.LineItem(id="l1", service_date=LATER, description="ATL-3")
    lives = [
        it.deal("silent", history=(), custom=promise(LATER), minutes=40),
        it.deal("silent", history=(), line_items=(line,), minutes=30),
        it.deal("silent", history=(), is_won=False, probability=Decimal(0), minutes=20),
        it.deal("silent", history=(), custom=promise(LATER), minutes=10),
    ]
    found, moments = [], []
    async with open_engine(postgres) as engine:
        await engine.go_live()
        for record in lives:
            await engine.outside.clock.advance(3600)
            await engine.take([record])
            await engine.evaluate()
            moments.append(engine.clock.now())
            found.append(await engine.value("SELECT max(entered_at) FROM commitments"))
    assert found == [moments[0], moments[0], None, moments[3]]


async def test_every_question_to_the_ledger_is_planned_for_itself(postgres: str) -> None:
    """One plan for all of them read the whole history of 30,000 commitments to tell those of one deal."""
    async with open_engine(postgres) as engine, engine.database.transaction() as connection:
        for number in range(12):
            await read_ledger(connection, LedgerQuery(deal=it.deal_key(str(number))))
            await read_deal_rows(connection, after="", limit=1, deal=it.deal_key(str(number)))
        told = await connection.execute("SELECT statement FROM pg_prepared_statements")
        assert not [text for (text,) in await told.fetchall() if "AS told" in text or "AS stands" in text]


async def test_what_a_replica_with_a_faster_clock_recorded_stands(postgres: str) -> None:
    async with counter(postgres) as (engine, client):
        ahead = Engine(engine.database, engine.outside, clock=AutoClock(NOW + timedelta(seconds=5)))
        async with client_of(api_of(ahead)) as other:
            row = await declare(other, deal=LIKELY, deliverable="SSO", promised_date=LATER.isoformat())
        assert row["key"] in await ledger(client)
        assert row["key"] not in await ledger(client, as_of=NOW.isoformat())
        await ahead.sender.close()


Step = Callable[[Engine, httpx.AsyncClient], Awaitable[None]]


def takes(*changed: Any) -> Step:
    async def step(engine: Engine, client: httpx.AsyncClient) -> None:
        await engine.take(changed)
        await engine.evaluate()

    return step


def says(method: str, path: str, body: dict[str, Any] | None = None) -> Step:
    async def step(engine: Engine, client: httpx.AsyncClient) -> None:
        answer = await client.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        await engine.evaluate()

    return step


PART = f"{LIKELY}~{part_of('SSO')}"
STEPS: list[Step] = [
    takes(*records(it)),
    says("POST", "/commitments", {"deal": LIKELY, "deliverable": "SSO", "promised_date": SOON.isoformat()}),
    takes(it.issue(210, "BOR-10", parent_id="201", estimate=Decimal(80), minutes=20)),
    says("PATCH", f"/commitments/{PART}", {"promised_date": FAR.isoformat(), "need": "nice"}),
    takes(it.deal("late", custom=promise(FAR, "DEN-1, ELK-1"), minutes=15)),
    takes(it.deal("unlinked", is_won=False, probability=Decimal(0), minutes=10)),
    takes(it.issue(201, "BOR-1", type_name="Epic", due_date=FAR, minutes=10)),
    takes(it.gone(topics.OPPORTUNITIES, it.deal_key("cold"), 5)),
    says("DELETE", f"/commitments/{PART}"),
    takes(it.deal("unlinked", custom=promise(LATER), minutes=4)),
]


async def test_the_ledger_as_of_a_moment_is_what_it_told_then(postgres: str) -> None:
    """Each step an hour after the last; every moment is compared with what was told at it.

    Names are today's: a deal that was deleted since has none.
    """

    async def dates(client: httpx.AsyncClient, **asked: str) -> list[dict[str, Any]]:
        rows = await told(await client.get("/commitments", params=asked))
        return [{name: value for name, value in row.items() if name != "deal_name"} for row in rows]

    moments = []
    whole: list[list[dict[str, Any]]] = []
    async with open_engine(postgres) as engine, client_of(api_of(engine)) as client:
        await engine.go_live()
        for step in STEPS:
            await step(engine, client)
            moments.append(engine.clock.now() + timedelta(minutes=1))
            whole.append(await dates(client))
            await engine.outside.clock.advance(3600)
        for moment, then in zip(moments, whole, strict=True):
            assert await dates(client, as_of=moment.isoformat()) == then, moment
        assert whole[0] != whole[1] != whole[3] != whole[4] != whole[5]
        assert await told(await client.get("/commitments", params={"as_of": "2020-01-01T00:00:00Z"})) == []
        one = await told(await client.get(f"/commitments/{PART}", params={"as_of": moments[2].isoformat()}))
        assert one["promised_date"] == SOON.isoformat()


async def test_every_source_is_in_the_ledger_and_only_some_count(postgres: str) -> None:
    deal = it.deal(
        "many",
        custom=promise(LATER, "BOR-10"),
        next_step="Reports senast 15 januari 2027",
        line_items=(
            crm.LineItem(id="l1", product_id="p1", service_date=SOON, description="ATL-40"),
            crm.LineItem(id="l2", product_id="p1", total_price=Money(amount=Decimal(5), currency="EUR")),
        ),
        related=(
            crm.RelatedRecord(
                object="Promise__c",
                id="a01",
                fields={"Name": "SSO", "Due_Delivery__c": FAR.isoformat(), "Key__c": "BOR-11"},
            ),
        ),
    )
    async with counter(postgres) as (engine, client):
        await engine.take([deal])
        await engine.evaluate()
        key = it.deal_key("many")
        rows = await ledger(client, deal=key)
        assert {one: (row["basis"], row["state"]) for one, row in rows.items()} == {
            key: ("field", "in_force"),
            f"{key}~line-l1": ("line", "in_force"),
            f"{key}~line-l2": ("close_date", "candidate"),
            f"{key}~record-a01": ("record", "in_force"),
            f"{key}~text-NextStep-0": ("text", "candidate"),
        }
        assert rows[f"{key}~line-l2"]["p_on_time"] is None
        assert rows[f"{key}~record-a01"]["forecast_p50"] is not None
        product = crm.Product(org_id=it.org, id="p1", name="Reports", code="RPT")
        await engine.take([it.reference(product)])
        await engine.evaluate()
        assert (await ledger(client, deal=key))[f"{key}~line-l1"]["deliverable"] == "Reports"
        candidates = await ledger(client, state="candidate")
        assert {row["basis"] for row in candidates.values()} == {"close_date", "text"}


GOOD: dict[str, Any] = {"deal": LIKELY, "deliverable": "SSO", "promised_date": LATER.isoformat()}
BAD: list[tuple[dict[str, Any], str]] = [
    (GOOD | {"deal": "00D:none"}, "deal"),
    (GOOD | {"promised_date": (NOW.date() - timedelta(days=1)).isoformat()}, "promised_date"),
    (GOOD | {"promised_date": "4000-12-31"}, "promised_date"),
    (GOOD | {"promised_date": "30 June"}, "promised_date"),
    (GOOD | {"issues": ["BOR-10", "BOR-4711"]}, "issues.1"),
    (GOOD | {"issues": [f"{it.site}:4711"]}, "issues.0"),
    (GOOD | {"issues": ["x\x00"]}, "issues.0"),
    (GOOD | {"need": "must"}, "need"),
    (GOOD | {"amount": {"amount": "-5", "currency": "EUR"}}, "amount.amount"),
    (GOOD | {"amount": {"amount": "5", "currency": "XTS"}}, "amount.currency"),
    (GOOD | {"deliverable": "x" * 201}, "deliverable"),
    (GOOD | {"evidence": "a\x00b"}, "evidence"),
    (GOOD | {"colour": "red"}, "colour"),
    ({"deal": LIKELY}, "promised_date"),
]


async def test_a_bad_declaration_names_its_field_and_the_fix_and_nothing_is_written(postgres: str) -> None:
    async with counter(postgres) as (engine, client):
        before = await engine.value("SELECT count(*) FROM commitment_history")
        for body, field in BAD:
            answer = await client.post("/commitments", json=body)
            problem = answer.json()
            assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
            assert problem["field"] == field, (body, problem)
            assert problem["detail"], body
            assert problem["fix"], body
        large = await client.post("/commitments", content=b'{"deal": "' + b"x" * 70_000 + b'"}')
        assert large.status_code == 413
        unread = await told(
            await client.patch(f"/commitments/{it.deal_key('late')}", json={"need": "nice"}), 404
        )
        assert "it is read from Promised_Date__c" in unread["fix"]
        await told(await client.delete("/commitments/none"), 404)
        assert await engine.value("SELECT count(*) FROM declarations") == 0
        assert await engine.value("SELECT count(*) FROM commitment_history") == before
        await declare(client, **GOOD)
        await engine.take([Company(site="beta.test").issue(10, "BOR-10")])
        asked = GOOD | {"deliverable": "Twin", "issues": ["BOR-11", "BOR-10"]}
        twins = await told(await client.post("/commitments", json=asked), 422)
        assert (twins["field"], twins["fix"]) == ("issues.1", "write acme.test:210 or beta.test:10")
        checked = {"date": LATER.isoformat(), "issues": ["BOR-10"]}
        assert (await told(await client.post("/promise-check", json=checked), 422))["fix"] == twins["fix"]
        twice = await told(await client.post("/commitments", json=GOOD), 409)
        assert twice["fix"] == f"PATCH /commitments/{LIKELY}~{part_of('SSO')}"
        wrong = await told(
            await client.patch(f"/commitments/{LIKELY}~{part_of('SSO')}", json={"issues": ["NO-1"]}), 422
        )
        assert wrong["field"] == "issues.0"


FILE = f"""deal,promised_date,deliverable,need,issues,amount,currency
{LIKELY},{LATER},SSO,blocker,BOR-10,100.00,EUR
{LIKELY},2020-01-01,Reports,,,,
{LIKELY},{LATER},Reports,,NO-1,,
00D:none,{LATER},,,,,
{LIKELY},{LATER},Reports,,,-5,EUR
{LIKELY},{LATER},Reports,,,5,XTS
{LIKELY},{LATER},too,many,values,here,,,
{it.deal_key("late")},{LATER},,,,,
{LIKELY},{FAR},sso,nice,,,
"""


async def test_an_import_keeps_the_good_lines_and_names_every_other(postgres: str) -> None:
    async with counter(postgres) as (engine, client):

        async def sent(content: str, **asked: str) -> dict[str, Any]:
            answer = await client.post("/commitments/import", content=content.encode(), params=asked)
            found: dict[str, Any] = await told(answer)
            return found

        dry = await sent(FILE, dry_run="true")
        assert await engine.value("SELECT count(*) FROM declarations") == 0
        report = await sent(FILE)
        assert report == dry | {"dry_run": False}
        assert (report["lines"], report["refused"], report["added"], report["changed"]) == (9, 6, 2, 1)
        assert [(one["line"], one["field"]) for one in report["problems"]] == [
            (3, "promised_date"),
            (4, "issues.0"),
            (5, "deal"),
            (6, "amount.amount"),
            (7, "amount.currency"),
            (8, ""),
        ]
        assert all(one["fix"] and one["detail"] for one in report["problems"])
        rows = await ledger(client, basis="declared")
        assert {key: (row["promised_date"], row["need"]) for key, row in rows.items()} == {
            f"{LIKELY}~{part_of('SSO')}": (FAR.isoformat(), "nice"),
            it.deal_key("late"): (LATER.isoformat(), "strong"),
        }
        again = await sent(FILE)
        assert (again["added"], again["changed"], again["unchanged"]) == (0, 2, 1)
        header = await told(await client.post("/commitments/import", content=b"deal,when\n"), 422)
        assert header["field"] == "when"
        large = await client.post("/commitments/import", content=b"x" * (8 * 1024 * 1024 + 1))
        assert large.status_code == 413


async def test_declarations_wait_for_no_evaluation_and_are_evaluated(postgres: str) -> None:
    """Two people declare at once while the deal is being evaluated: all is kept, no mark is left."""
    async with counter(postgres) as (engine, client):
        await asyncio.gather(
            engine.take([it.deal("likely", custom=promise(LATER, "BOR-1"), is_won=True, minutes=1)]),
            engine.evaluate(),
            *(
                declare(client, deal=LIKELY, deliverable=f"Part {n}", promised_date=LATER.isoformat())
                for n in range(6)
            ),
            engine.evaluate(),
        )
        await engine.evaluate()
        assert await engine.value("SELECT count(*) FROM commitments WHERE deal_key = %s", LIKELY) == 7
        assert await engine.value("SELECT count(*) FROM marks") == 0
        rows = await ledger(client, deal=LIKELY)
        assert all(row["p_on_time"] is not None for row in rows.values())


pytestmark = pytest.mark.timeout(600)
