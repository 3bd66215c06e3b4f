"""Why a promise slips, from the recorded events alone, as a caller meets it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
from fastapi import FastAPI
from tests.risk_engine.company import NOW, Company, promise, records, won
from tests.risk_engine.engine import TRIALS, Engine, final_state, open_engine

from risk_engine.answer.routes import add_slip_routes
from risk_engine.answer.slip import SlipDesk
from risk_engine.api import add_routes
from risk_engine.domain.registry import Registry, TeamEntry
from troth_contracts import jira, topics
from troth_contracts.codec import OutRecord, encode_event

it = Company()
MADE = NOW - timedelta(days=20)
FIRST, PULLED_IN = date(2026, 9, 4), date(2026, 8, 30)
DEAL = it.deal_key("slipping")


@asynccontextmanager
async def counter(postgres: str, *entries: TeamEntry) -> AsyncIterator[tuple[Engine, httpx.AsyncClient]]:
    async with open_engine(postgres) as engine:
        await engine.take(records(it))
        await engine.go_live()
        await engine.evaluate()
        app = FastAPI()
        add_routes(app, engine.database)
        desk = SlipDesk(
            engine.database, clock=engine.clock, zone=UTC, trials=TRIALS, registry=Registry.of(entries)
        )
        add_slip_routes(app, desk)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://engine") as client:
            yield engine, client


def slipping(day: date, minutes: int) -> OutRecord:
    """A deal won twenty days ago that needs two issues of Borealis (30 points a fortnight)."""
    fields: dict[str, Any] = {"history": (won(MADE.date().isoformat()),)}
    return it.deal("slipping", custom=promise(day, "BOR-71, BOR-72"), minutes=minutes, **fields)


def work(**fields: Any) -> Iterator[OutRecord]:
    yield it.issue(271, "BOR-71", estimate=Decimal(15), created_at=MADE - timedelta(days=9), **fields)
    yield it.issue(272, "BOR-72", estimate=Decimal(5), created_at=MADE + timedelta(days=5), **fields)


def issue_event(history: int, issue: str, field: str, at: datetime, **values: str) -> OutRecord:
    body = jira.IssueEvent(
        site_id=it.site,
        issue_id=issue,
        issue_key=f"BOR-{issue}",
        history_id=str(history),
        item_index=0,
        field=field,
        at=at,
        **values,
    )
    return encode_event(topics.ISSUE_EVENTS, body.key, body, event_id=body.event_id, at=at, source="test")


def scope_event(history: int, effect: jira.SprintEffect, issue: str, points: int) -> OutRecord:
    body = jira.SprintEvent(
        site_id=it.site,
        sprint_id="211",
        effect=effect,
        at=MADE + timedelta(days=8),
        issue_id=issue,
        issue_key=f"BOR-{issue}",
        points=Decimal(points),
        history_id=str(history),
        item_index=0,
        in_active_sprint=True,
    )
    return encode_event(
        topics.SPRINT_EVENTS, body.key, body, event_id=body.event_id, at=body.at, source="test"
    )


def happened() -> Iterator[OutRecord]:
    """Begun ten days after the promise ("2" still waits); grown from 10 to 15, and by an issue of 5; 12 points came, 6 left."""
    yield issue_event(0, "271", "status", MADE + timedelta(days=2), from_value="1", to_value="2")
    yield issue_event(1, "271", "status", MADE + timedelta(days=10), from_value="1", to_value="5")
    yield issue_event(2, "271", "estimate", MADE - timedelta(days=3), from_text="2", to_text="10")
    yield issue_event(3, "271", "estimate", MADE + timedelta(days=3), from_text="10", to_text="13")
    yield issue_event(4, "271", "estimate", MADE + timedelta(days=4), from_text="13", to_text="15")
    yield scope_event(5, "scope_added", "299", 12)
    yield scope_event(6, "scope_removed", "298", 6)
    yield scope_event(7, "scope_added", "271", 15)


async def test_a_slip_is_split_by_what_is_on_record(postgres: str) -> None:
    async with counter(postgres) as (engine, client):
        await engine.take([*work(), slipping(FIRST, 40), *happened()])
        await engine.evaluate()
        await engine.take([slipping(PULLED_IN, 20)])
        await engine.evaluate()
        told = (await client.get(f"/deals/{DEAL}/slip")).json()
        assert (told["points_at_promise"], told["points_now"], told["injected_points"]) == (10, 20, 6)
        assert (told["first_promised_date"], told["promised_date"]) == (
            FIRST.isoformat(),
            PULLED_IN.isoformat(),
        )
        assert told["started_on"] == (MADE + timedelta(days=10)).date().isoformat()
        deal = (await client.get(f"/deals/{DEAL}")).json()
        delay = (date.fromisoformat(deal["forecast_p50"]) - PULLED_IN).days
        assert (told["late"], told["delay_days"], told["finish_basis"]) == (True, delay, "forecast_p50")
        assert sum(Decimal(days) for days in told["parts"].values()) == delay
        assert told["parts"]["date_pulled_in"] == "5"
        assert Decimal(told["parts"]["scope_growth"]) > Decimal(told["parts"]["injected_work"]) > 0
        words = " ".join(told["explanation"])
        assert "Borealis is last" in words
        assert "scope grew from 10 to 20 points (BOR-71: 10 to 15, BOR-72: 0 to 5)" in words
        assert "6 points of other work came into running sprints (BOR-299: 12)" in words


async def test_what_was_delivered_late_is_explained_from_the_day_it_was_done(postgres: str) -> None:
    """Done two days after the present date; asking changes nothing."""
    ended = datetime(2026, 9, 1, 6, tzinfo=UTC)
    async with counter(postgres) as (engine, client):
        done = {"status_id": "3", "status_category": "done", "resolved_at": ended}
        await engine.take([*work(**done), slipping(PULLED_IN, 40), *happened()])
        await engine.evaluate()
        before = await final_state(engine)
        told = (await client.get(f"/deals/{DEAL}/slip")).json()
        assert (told["delay_days"], told["finish_basis"], told["finish_date"]) == (2, "done", "2026-09-01")
        assert sum(Decimal(days) for days in told["parts"].values()) == 2
        assert await final_state(engine) == before


async def test_a_team_of_two_boards_is_one_team(postgres: str) -> None:
    """Its work on both counts, and so does what it completes on both."""
    ended = datetime(2026, 9, 1, 6, tzinfo=UTC)
    done: dict[str, Any] = {"status_id": "3", "status_category": "done", "resolved_at": ended}
    atlas = it.issue(
        273,
        "ATL-73",
        estimate=Decimal(8),
        created_at=MADE - timedelta(days=9),
        **done | {"resolved_at": MADE},
    )
    both = it.deal(
        "slipping",
        custom=promise(PULLED_IN, "BOR-71, ATL-73"),
        minutes=40,
        history=(won(MADE.date().isoformat()),),
    )
    told = {}
    for name, entries in {"apart": (), "one": (TeamEntry(("acme.test:2", "acme.test:1")),)}.items():
        async with counter(postgres, *entries) as (engine, client):
            await engine.take([*work(**done), atlas, both, *happened()])
            await engine.evaluate()
            told[name] = (await client.get(f"/deals/{DEAL}/slip")).json()
    assert told["apart"]["team"] == told["one"]["team"] == f"{it.site}:2"
    assert told["one"]["points_now"] == told["apart"]["points_now"] + 8
    assert told["one"]["usual_points_per_day"] > told["apart"]["usual_points_per_day"] > 0


async def test_a_promise_in_time_or_without_a_forecast_says_so(postgres: str) -> None:
    async with counter(postgres) as (_, client):
        calm = (await client.get(f"/deals/{it.deal_key('renamed')}/slip")).json()
        assert (calm["late"], calm["delay_days"]) == (False, 0)
        assert calm["explanation"][0].endswith("not late.")
        nobody = (await client.get(f"/deals/{it.deal_key('unlinked')}/slip")).json()
        assert nobody["late"] is None
        missing = await client.get(f"/deals/{it.deal_key('lost')}/slip")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
