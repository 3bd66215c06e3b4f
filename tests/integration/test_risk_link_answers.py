"""Suggestions are shown with their reasons, answered once, and the answers are kept."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from tests.risk_engine.company import EPOCH_MS, LATER, SOON, Company, promise
from tests.risk_engine.engine import Engine, differences, final_state, open_engine

from risk_engine.answer.links import LinkDesk
from risk_engine.answer.routes import add_link_routes
from risk_engine.api import add_routes
from troth_contracts import topics
from troth_contracts.codec import OutRecord, encode_state
from troth_contracts.crm import LineItem, Product, reference_key
from troth_contracts.jira import Version

it = Company()


@asynccontextmanager
async def counter(postgres: str, *stream: OutRecord) -> AsyncIterator[tuple[Engine, httpx.AsyncClient]]:
    async with open_engine(postgres) as engine:
        await engine.take(stream)
        await engine.go_live()
        await engine.evaluate()
        app = FastAPI()
        add_routes(app, engine.database)
        add_link_routes(app, LinkDesk(engine.database, clock=engine.clock, on_answer=engine.woken.set))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://engine") as client:
            yield engine, client


async def say(engine: Engine, client: httpx.AsyncClient, path: str, one: dict[str, Any]) -> dict[str, Any]:
    body = {name: one[name] for name in ("kind", "subject", "target")} | {"by": "Ada"}
    answer = await client.post(f"/links/{path}", json=body)
    assert answer.status_code == 200, answer.text
    await engine.evaluate()
    told: dict[str, Any] = answer.json()
    return told


async def links(client: httpx.AsyncClient, **filters: Any) -> dict[tuple[str, str], float]:
    rows = (await client.get("/links", params=filters)).json()
    return {(row["deal"].partition(":")[2], row["issue_key"]): row["confidence"] for row in rows}


def field_deals(count: int) -> list[OutRecord]:
    issues = [it.issue(number, f"ATL-{number}") for number in range(1, count + 1)]
    deals = [
        it.deal(f"deal{number}", custom=promise(LATER) | {"Delivery__c": f"ATL-{number}"})
        for number in range(1, count + 1)
    ]
    return [*issues, *deals]


async def test_a_field_with_few_values_is_suggested_and_confirmed_once(postgres: str) -> None:
    async with counter(postgres, *field_deals(3)) as (engine, client):
        assert await links(client) == {}
        (field,) = (await client.get("/links/suggestions")).json()["fields"]
        assert (field["target"], field["hit_rate"], field["fill_rate"]) == ("field Delivery__c", 1.0, 1.0)
        told = await say(engine, client, "confirm", field)
        assert told["deals"] == 3
        assert await links(client, believed=True) == {
            (f"deal{number}", f"ATL-{number}"): 0.95 for number in (1, 2, 3)
        }
        assert (await client.get("/links/suggestions")).json()["fields"] == []
        (known,) = (await client.get("/links/fields")).json()
        assert (known["standing"], known["answered_by"]) == ("confirmed", "Ada")


async def test_a_field_is_found_when_the_fifth_value_comes_and_rejected_for_good(postgres: str) -> None:
    """The deals that came before are linked with it, and let go again."""
    stream = field_deals(5)
    async with counter(postgres, *stream[:-1]) as (engine, client):
        assert await links(client) == {}
        await engine.take(stream[-1:])
        await engine.evaluate()
        assert len(await links(client, believed=True)) == 5
        (field,) = (await client.get("/links/fields")).json()
        await say(engine, client, "reject", field)
        assert await links(client) == {}
        await engine.take([it.deal("deal6", custom=promise(LATER) | {"Delivery__c": "ATL-1"})])
        await engine.evaluate()
        assert await links(client) == {}
        await say(engine, client, "reopen", field)
        assert len(await links(client, believed=True)) == 6


def product_deals() -> list[OutRecord]:
    product = Product(org_id=it.org, id="01t1", name="Ledger")
    releases = [
        it.state(topics.VERSIONS, Version(site_id=it.site, id=number, project_id="1", name=name), 60)
        for number, name in (("7", "Ledger 2.4"), ("8", "Ledger 2.5"), ("9", "Ledger Pro 1"))
    ]
    return [
        encode_state(topics.REFERENCE, reference_key(product), product, version=EPOCH_MS, source="test"),
        *releases,
        *(it.issue(number, f"ATL-{number}", fix_version_ids=(str(number),)) for number in (7, 8, 9)),
        it.deal("sold", custom=promise(LATER), line_items=(LineItem(id="00k1", product_id="01t1"),)),
    ]


async def test_two_versions_of_a_product_are_a_conflict_until_somebody_says_which(postgres: str) -> None:
    async with counter(postgres, *product_deals()) as (engine, client):
        assert await links(client) == {("sold", "ATL-7"): 0.75, ("sold", "ATL-8"): 0.75}
        first, second = (await client.get("/links/suggestions")).json()["products"]
        assert (first["name"], first["conflict"]) == ("Ledger 2.4", second["target"])
        assert all(row["conflict"] for row in (await client.get("/links")).json())
        await say(engine, client, "confirm", second)
        assert await links(client, believed=True) == {("sold", "ATL-8"): 0.95}
        assert await links(client, believed=False) == {}
        assert (await client.get("/links/suggestions")).json()["products"] == []
        shipped = Version(site_id=it.site, id="8", project_id="1", name="Ledger 2.5", released=True)
        await engine.take([it.state(topics.VERSIONS, shipped, 10)])
        await engine.evaluate()
        assert await links(client) == {("sold", "ATL-8"): 0.95}, "what was confirmed stays when it ships"


async def test_a_link_is_declared_by_key_and_a_wrong_one_is_rejected(postgres: str) -> None:
    stream = [it.issue(1, "ATL-1"), it.issue(2, "ATL-2"), it.deal("one", custom=promise(LATER, "ATL-1"))]
    async with counter(postgres, *stream) as (engine, client):
        deal = it.deal_key("one")
        await say(engine, client, "reject", {"kind": "link", "subject": deal, "target": f"{it.site}:1"})
        await say(engine, client, "confirm", {"kind": "link", "subject": deal, "target": "ATL-2"})
        assert await links(client) == {("one", "ATL-2"): 1.0}
        (row,) = (await client.get("/links", params={"deal": deal})).json()
        assert (row["basis"], row["promises_in_force"]) == (["confirmed by Ada"], True)
        await engine.take([it.deal("one", custom=promise(LATER, "ATL-1, ATL-2"), minutes=10)])
        await engine.evaluate()
        assert await links(client) == {("one", "ATL-2"): 1.0}


THERE = Company(site="beta.test")


async def test_a_key_that_two_sites_have_is_a_conflict_until_somebody_says_which(postgres: str) -> None:
    """Whichever issue came first. One deal writes the key in a field, the other names it on a line of its own."""
    deal, line = it.deal_key("one"), LineItem(id="l1", service_date=SOON, description="ATL-1")
    deals = [
        it.deal("one", custom=promise(LATER, "ATL-1")),
        it.deal("two", line_items=(line,)),
    ]
    twin = THERE.issue(1, "ATL-1")
    async with counter(postgres, *deals, it.issue(1, "ATL-1")) as (engine, client):
        await say(
            engine, client, "confirm", {"kind": "link", "subject": it.deal_key("two"), "target": "ATL-1"}
        )
        alone = await final_state(engine)
        assert await links(client, believed=True) == {("one", "ATL-1"): 0.95, ("two", "ATL-1"): 1.0}
        await engine.take([twin])
        await engine.evaluate()
        rows = (await client.get("/links", params={"deal": deal})).json()
        conflict = "ATL-1 is on several sites: acme.test:1, beta.test:1"
        assert [(row["issue"], row["confidence"], row["conflict"]) for row in rows] == [
            ("acme.test:1", 0.79, conflict),
            ("beta.test:1", 0.79, conflict),
        ]
        assessed = (await client.get(f"/deals/{deal}")).json()
        assert {link["conflict"] for link in assessed["links"]} == {conflict}
        (kept,) = (await client.get(f"/deals/{it.deal_key('two')}")).json()["links"]
        assert kept["issue_id"] == "acme.test:1", "what was confirmed stays"
        assert "conflict" not in kept
        unsure = await client.post(
            "/links/confirm", json={"kind": "link", "subject": deal, "target": "ATL-1", "by": "Ada"}
        )
        assert unsure.json()["fix"] == "write acme.test:1 or beta.test:1"
        await say(engine, client, "reject", {"kind": "link", "subject": deal, "target": "beta.test:1"})
        assert await links(client, believed=True) == {("one", "ATL-1"): 0.95, ("two", "ATL-1"): 1.0}
        await say(engine, client, "reopen", {"kind": "link", "subject": deal, "target": "beta.test:1"})
        await engine.take([THERE.gone(topics.ISSUES, "beta.test:1", 5)])
        await engine.evaluate()
        found = differences(await final_state(engine), alone)
        assert found.keys() == {"issues"}, found


async def test_an_answer_about_nothing_known_names_the_field_and_keeps_nothing(postgres: str) -> None:
    async with counter(postgres, *field_deals(1)) as (engine, client):
        before = await final_state(engine)
        for kind, subject, target, field in (
            ("field", "00Dother", "field Delivery__c", "subject"),
            ("product", f"{it.org}:Ledger", "version nowhere:1", "target"),
            ("product", f"{it.org}:Ledger", "Ledger 2.4", "target"),
            ("link", it.deal_key("nobody"), "ATL-1", "subject"),
            ("link", it.deal_key("deal1"), "ATL-99", "target"),
        ):
            body = {"kind": kind, "subject": subject, "target": target, "by": "Ada"}
            answer = await client.post("/links/confirm", json=body)
            assert (answer.status_code, answer.json()["field"]) == (404, field)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["fix"]
        assert (await client.post("/links/confirm", json={"kind": "link"})).status_code == 422
        assert await engine.value("SELECT count(*) FROM link_answers") == 0
        assert await final_state(engine) == before
