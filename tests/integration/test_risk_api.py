"""The whole API: who may ask what, what each role sees, tables page by page and as CSV, and no request that breaks it."""

import contextlib
import csv
import io
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok
from tests.risk_engine.company import LATER, NOW, SOON, Company, promise
from tests.risk_engine.counter import api_of, client_of, counter
from tests.risk_engine.engine import Engine

from risk_engine.serve.tokens import new_token
from troth_contracts import crm
from troth_contracts.values import Money

it = Company()
ACCOUNT = f"{it.org}:acc-1"
SECRETS = ("Canary", "4711", "4,711", "Deal ", "Ada", "1000.50", "1,000")
"""Parts of every name and amount of the planted deals, and of the company's own."""
HIDDEN = {
    "TROTH_RISK_HIDE_AMOUNTS_FROM": "viewer,planner",
    "TROTH_RISK_HIDE_NAMES_FROM": "viewer,planner",
}


def planted() -> list[Any]:
    """A deal whose every name and amount can be told from anything else, oversold, with two commitments."""
    amount = Money(amount=Decimal("4711.17"), currency="EUR")
    return [
        it.user("owner-9", "Canary Seller"),
        it.deal(
            "secret",
            name="Canary deal",
            owner_id="owner-9",
            account_id="acc-1",
            account_name="Canary Foods",
            amount=amount,
            created_at=NOW - timedelta(days=90),
            next_step="Canary reports by 2027-02-01",
            custom=promise(SOON, "ATL-2, ATL-3, BOR-20"),
            line_items=(
                crm.LineItem(id="l1", description="Canary ATL-4", total_price=amount, service_date=LATER),
            ),
        ),
    ]


def copied() -> Any:
    """The deal again, taken for a copy by its name, account and keys."""
    return it.deal(
        "copied",
        name="Canary deal (copy)",
        account_id="acc-1",
        account_name="Canary Foods",
        created_at=NOW - timedelta(days=1),
        custom=promise(SOON, "ATL-2, ATL-3, BOR-20"),
    )


async def plant(engine: Engine, client: httpx.AsyncClient) -> None:
    await engine.take(planted())
    await engine.evaluate()
    said = {
        "deal": it.deal_key("secret"),
        "deliverable": "Canary module",
        "promised_date": LATER.isoformat(),
        "declared_by": "Canary Ann",
        "evidence": "Canary minutes",
        "issues": ["BOR-10"],
        "amount": {"amount": "4711.17", "currency": "EUR"},
    }
    answer = await client.post("/commitments", json=said)
    assert answer.status_code == 201, answer.text
    answered = {"kind": "link", "subject": it.deal_key("secret"), "target": "ATL-5", "by": "Canary Carl"}
    confirmed = await client.post("/links/confirm", json=answered)
    assert confirmed.status_code == 200, confirmed.text
    field = {"kind": "field", "subject": it.org, "target": "field Jira_Key__c", "by": "Canary Carl"}
    assert (await client.post("/links/confirm", json=field)).status_code == 200
    await engine.evaluate()
    check = {"date": LATER.isoformat(), "deal": it.deal_key("secret"), "store": True}
    kept = await client.post("/promise-check", json=check)
    assert kept.status_code == 200, kept.text
    await engine.evaluate()


def paths(app: FastAPI, key: str) -> list[str]:
    """Every route that only reads, with what it is asked about filled in."""
    filled = {
        "{deal_key}": it.deal_key("secret"),
        "{team_key}": f"{it.site}:1",
        "{account_key}": ACCOUNT,
        "{key}": key,
    }
    found = []
    for path, operations in app.openapi()["paths"].items():
        if "get" in operations:
            found.append(re.sub(r"\{\w+\}", lambda name: filled[name[0]], path))
    return found


def tokens_at(path: Path) -> dict[str, dict[str, str]]:
    made = {role: new_token(role, role) for role in ("viewer", "planner", "admin")}
    path.write_text("\n".join(line for _, line in made.values()), encoding="utf-8")
    path.chmod(0o600)
    return {role: {"Authorization": f"Bearer {token}"} for role, (token, _) in made.items()}


async def test_what_a_role_may_not_see_is_in_no_answer_of_any_route(postgres: str, tmp_path: Path) -> None:
    """Every reading route there is, as JSON and as CSV, with a deal whose names and amounts are canaries."""
    bearer = tokens_at(tmp_path / "tokens")
    async with counter(postgres) as (engine, local):
        await engine.take([copied()])
        await plant(engine, local)
        told = (await local.get("/commitments", params={"basis": "declared"})).json()
        app = api_of(engine, TROTH_RISK_TOKENS_PATH=str(tmp_path / "tokens"))
        seen = {"viewer": "", "planner": ""}
        async with client_of(app) as client:
            for path in paths(app, told[0]["key"]):
                assert (await client.get(path)).status_code == 401, path
                for role in seen:
                    for form in ("json", "csv"):
                        answer = await client.get(path, params={"format": form}, headers=bearer[role])
                        expected = 403 if path == "/tokens" else 200
                        assert answer.status_code == expected, (path, answer.text)
                        said = f"{answer.headers} {answer.text}"
                        found = [one for one in SECRETS if one in said]
                        assert role != "viewer" or not found, (path, form, found, said)
                        seen[role] += answer.text
        assert all(one in seen["planner"] for one in ("Canary", "4711.17", "(copy)", "Carl", "looks copied"))
        assert all(word in seen["viewer"] for word in ("Jira_Key__c", '"basis":"declared"', "ATL-5"))


async def test_neither_order_nor_place_in_a_table_tells_an_amount(postgres: str, tmp_path: Path) -> None:
    bearer = tokens_at(tmp_path / "tokens")
    async with counter(postgres) as (engine, local):
        await plant(engine, local)
        app = api_of(engine, TROTH_RISK_TOKENS_PATH=str(tmp_path / "tokens"))
        async with client_of(app, **bearer["viewer"]) as client:
            keys: list[str] = []
            page: str | None = "/issues?limit=1"
            while page:
                answer = await client.get(page)
                keys += [row["key"] for row in answer.json()]
                page = answer.links["next"]["url"] if "next" in answer.links else None
                assert page is None or "%7C" not in page, "a place by amount"
            assert len(keys) > 3
            assert keys == sorted(keys)
            guesses = [(await client.get("/issues", params={"after": f"{n}|"})).json() for n in (1, 999_999)]
            assert guesses[0] == guesses[1]
        async with client_of(app, **bearer["planner"]) as client:
            stakes = [Decimal(row["at_stake"]) for row in (await client.get("/issues")).json()]
            assert stakes == sorted(stakes, reverse=True)


async def test_what_a_role_may_not_see_is_in_no_answer_to_what_it_does(postgres: str, tmp_path: Path) -> None:
    """Here planners see neither amounts nor names, in what they read back after writing no more than elsewhere."""
    bearer = tokens_at(tmp_path / "tokens")
    async with counter(postgres) as (engine, local):
        await engine.take([copied()])
        await plant(engine, local)
        key, line = it.deal_key("secret"), f"{it.deal_key('secret')}~line-l1"
        told = (await local.get("/commitments", params={"basis": "declared"})).json()
        day, late = LATER.isoformat(), it.deal_key("late")
        link = {"kind": "link", "subject": key, "target": "ATL-6", "by": "me"}
        asked: list[tuple[str, str, Any, int]] = [
            ("POST", "/promise-check", {"date": SOON.isoformat(), "issues": ["BOR-10", "ATL-2"]}, 200),
            ("POST", "/promise-check", {"date": SOON.isoformat(), "deal": key}, 200),
            ("POST", "/commitments", {"deal": key, "promised_date": day}, 201),
            ("PATCH", f"/commitments/{told[0]['key']}", {"need": "nice"}, 200),
            ("PATCH", f"/commitments/{line}", {"need": "nice"}, 404),
            ("DELETE", f"/commitments/{line}", None, 404),
            ("DELETE", f"/commitments/{key}", None, 200),
            ("POST", "/commitments/import", f"deal,promised_date\n{late},{day}\n{key},2020-01-01\n", 200),
            *(("POST", f"/links/{answer}", link, 200) for answer in ("confirm", "reject", "reopen")),
        ]
        app = api_of(engine, TROTH_RISK_TOKENS_PATH=str(tmp_path / "tokens"), **HIDDEN)
        async with client_of(app, **bearer["planner"]) as client:
            for method, path, body, status in asked:
                sent = {"content": body} if isinstance(body, str) else {"json": body}
                answer = await client.request(method, path, **sent)
                assert answer.status_code == status, (path, answer.text)
                found = [one for one in SECRETS if one in answer.text]
                assert not found, (method, path, found, answer.text)


async def test_each_role_may_do_what_its_name_says(postgres: str, tmp_path: Path) -> None:
    bearer = tokens_at(tmp_path / "tokens")
    said = {"deal": it.deal_key("likely"), "deliverable": "SSO", "promised_date": LATER.isoformat()}
    async with counter(postgres, TROTH_RISK_TOKENS_PATH=str(tmp_path / "tokens")) as (engine, client):
        refused = await client.post("/commitments", json=said, headers=bearer["viewer"])
        assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")
        unknown = await client.post("/commitments", json=said)
        assert (unknown.status_code, unknown.headers["www-authenticate"]) == (401, "Bearer")
        assert await engine.value("SELECT count(*) FROM declarations") == 0
        declared = await client.post("/commitments", json=said, headers=bearer["planner"])
        assert (declared.status_code, declared.json()["declared_by"]) == (201, "planner")
        link = {"kind": "link", "subject": it.deal_key("likely"), "target": "ATL-2"}
        assert (await client.post("/links/confirm", json=link, headers=bearer["viewer"])).status_code == 403
        await client.post("/links/confirm", json=link, headers=bearer["planner"])
        await client.post("/links/reject", json=link | {"by": "Ada"}, headers=bearer["planner"])
        assert await engine.rows("SELECT answered_by FROM link_answers ORDER BY id") == [
            ("planner",),
            ("Ada",),
        ]
        who = (await client.get("/tokens", headers=bearer["admin"])).json()
        assert {(one["name"], one["role"]) for one in who} == {(role, role) for role in bearer}
        assert all(token["Authorization"][7:] not in json.dumps(who) for token in bearer.values())


async def test_the_money_at_stake_of_every_deal_sums_to_its_amount(postgres: str) -> None:
    """Deals share issues and teams, and one has several commitments and parts with a worth of their own."""
    async with counter(postgres) as (engine, client):
        await plant(engine, client)
        await engine.take(
            [
                it.deal(
                    "odd",
                    custom=promise(LATER, "ATL-2, ATL-3, ATL-4"),
                    amount=Money(amount=Decimal("100.00"), currency="EUR"),
                )
            ]
        )
        await engine.evaluate()
        total = Decimal(0)
        for deal in (await client.get("/deals")).json():
            stakes = (await client.get("/issues", params={"deal": deal["key"]})).json()
            staked = sum((Decimal(one["at_stake"]) for one in stakes), Decimal(0))
            assert staked + Decimal(deal["unplaced"] or 0) == Decimal(deal["converted"]), deal["key"]
            assert deal["unplaced"] is None or not stakes, deal["key"]
            total += staked
        everything = (await client.get("/issues")).json()
        assert sum(Decimal(one["at_stake"]) for one in everything) == total
        assert [Decimal(one["at_stake"]) for one in everything] == sorted(
            (Decimal(one["at_stake"]) for one in everything), reverse=True
        )


async def test_money_is_told_in_one_currency_by_the_rate_of_the_close_date(postgres: str) -> None:
    """G6: https://github.com/SFDO-Community/declarative-lookup-rollup-summaries/issues/730"""
    krona = crm.CurrencyRate(
        org_id=it.org,
        id="c2",
        code="SEK",
        rate=Decimal(11),
        dated=(crm.DatedRate(start=LATER.replace(year=2020), rate=Decimal(10)),),
    )
    sek = Money(amount=Decimal(1000), currency="SEK")
    odd = Money(amount=Decimal(5), currency="XAU")
    async with counter(postgres) as (engine, client):
        await engine.take(
            [
                it.reference(krona),
                it.deal("swedish", account_id="a", amount=sek, custom=promise(LATER, "BOR-10")),
                it.deal("golden", account_id="a", amount=odd, custom=promise(LATER, "BOR-10")),
            ]
        )
        await engine.evaluate()
        deals = {row["key"]: row for row in (await client.get("/deals")).json()}
        swedish, golden = deals[it.deal_key("swedish")], deals[it.deal_key("golden")]
        assert (swedish["converted"], swedish["rate"], swedish["reporting_currency"]) == (
            "100.00",
            "dated",
            "EUR",
        )
        assert (golden["converted"], golden["rate"]) == (None, "unknown")
        account = (await client.get(f"/accounts/{it.org}:a")).json()["total"]
        assert (account["converted"], account["unconverted_deals"]) == ("100.00", 1)


async def test_everything_promised_to_one_customer_is_on_one_page(postgres: str) -> None:
    async with counter(postgres, TROTH_RISK_FISCAL_YEAR_START="7") as (engine, client):
        await plant(engine, client)
        page = (await client.get(f"/accounts/{ACCOUNT}")).json()
        key = it.deal_key("secret")
        assert (page["account"], [one["key"] for one in page["deals"]]) == ("Canary Foods", [key])
        assert {one["basis"] for one in page["commitments"]} == {"field", "line", "declared", "text"}
        dates = [one["promised_date"] for one in page["commitments"]]
        assert dates == sorted(dates)
        assert all(any(deal["key"] == key for deal in alert["deals"]) for alert in page["alerts"])
        assert page["alerts"]
        quarters = {one["fiscal_quarter"]: one for one in page["quarters"]}
        assert {name: one["commitments"] for name, one in quarters.items()} == {
            "FY2027 Q1": 1,
            "FY2027 Q2": 2,
        }
        assert sum(Decimal(one["converted"]) for one in page["quarters"]) == Decimal(
            page["total"]["converted"]
        )
        assert page["total"]["converted"] == "4711.17"
        assert (await client.get("/accounts/none")).status_code == 404
        assert ACCOUNT in [row["key"] for row in (await client.get("/accounts")).json()]


async def pages(client: httpx.AsyncClient, path: str, limit: int) -> AsyncIterator[list[dict[str, Any]]]:
    url: str | None = f"{path}?limit={limit}"
    while url is not None:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        yield answer.json()
        url = answer.links["next"]["url"] if "next" in answer.links else None


@pytest.mark.parametrize(
    "path", ["/deals", "/commitments", "/teams", "/issues", "/alerts", "/accounts", "/assessments"]
)
async def test_a_table_is_the_same_page_by_page_and_as_csv(postgres: str, path: str) -> None:
    async with counter(postgres) as (engine, client):
        await plant(engine, client)
        await engine.take(
            [it.deal("other", account_id="acc-2", account_name="=Other", custom=promise(LATER))]
        )
        await engine.evaluate()
        whole = (await client.get(path)).json()
        assert len(whole) > 1
        paged = [row async for rows in pages(client, path, 1) for row in rows]
        assert paged == whole
        for asked in ({"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}):
            answer = await client.get(path, **asked)  # type: ignore[arg-type]
            assert answer.headers["content-type"] == "text/csv; charset=utf-8"
            lines = list(csv.DictReader(io.StringIO(answer.text, newline="")))
            assert len(lines) == len(whole)
            assert not [cell for line in lines for cell in line.values() if cell.startswith(("=", "@", "\t"))]
        assert (await client.get(path, params={"limit": "0"})).json()["field"] == "limit"
        if path == "/accounts":
            assert "'=Other" in answer.text


FEW = settings(
    max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def drawn(operation: APIOperation[Any, Any, Any, Any], known: dict[str, str]) -> list[Case[Any]]:
    """Requests the description allows, for what is there and for anything else, and some it forbids."""
    path = {one.name: known[one.name] for one in operation.iter_parameters() if one.name in known}
    strategies = [operation.as_strategy(path_parameters=path or None), operation.as_strategy()]
    if any(operation.iter_parameters()) or operation.body:
        strategies.append(operation.as_strategy(GenerationMode.NEGATIVE))
    cases: list[Case[Any]] = []
    for strategy in strategies:

        @FEW
        @given(strategy)
        def take(case: Case[Any]) -> None:
            cases.append(case)

        with contextlib.suppress(Unsatisfiable):  # nothing can be wrong with what may be anything
            take()
    return cases


async def sent(client: httpx.AsyncClient, case: Case[Any]) -> httpx.Response | None:
    """None: HTTP itself cannot carry the request."""
    asked = case.as_transport_kwargs(base_url="http://localhost")
    body = {"content": asked["data"]} if asked.get("data") else {"json": asked.get("json")}
    body = {name: value for name, value in body.items() if value is not None}
    try:
        return await client.request(
            asked["method"], asked["url"], params=asked.get("params"), headers=dict(asked["headers"]), **body
        )
    except (UnicodeEncodeError, httpx.InvalidURL, ValueError, TypeError):
        return None


async def test_no_request_within_or_beside_the_description_breaks_the_api(postgres: str) -> None:
    """Drawn by schemathesis from the API's own description: no defect, no status it does not name, no mute refusal."""
    async with counter(postgres) as (engine, local):
        await plant(engine, local)
        told = (await local.get("/commitments", params={"basis": "declared"})).json()
        known = {"deal_key": it.deal_key("secret"), "team_key": f"{it.site}:1", "account_key": ACCOUNT}
        known["key"] = told[0]["key"]
        app = api_of(engine)
        schema = schemathesis.openapi.from_dict(app.openapi())
        asked: Counter[int] = Counter()
        async with client_of(app) as client:
            for found in schema.get_all_operations():
                operation = cast("Ok[APIOperation[Any, Any, Any, Any]]", found).ok()
                described = operation.definition.raw["responses"]
                for case in drawn(operation, known):
                    answer = await sent(client, case)
                    if answer is None:
                        continue
                    asked[answer.status_code] += 1
                    where = (operation.label, case.path_parameters, case.query, case.body, answer.text)
                    assert str(answer.status_code) in described or answer.status_code in (404, 405), where
                    if answer.headers["content-type"] == "application/problem+json":
                        assert answer.json()["detail"], where
        assert asked[200] > 50, asked
        assert asked[422] > 50, asked


pytestmark = pytest.mark.timeout(600)
