"""The ledger as of any moment is what an engine tells that was fed up to that moment and no further."""

import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from tests.integration.test_risk_order import forget_everything
from tests.risk_engine.company import SOON, Company, promise, records
from tests.risk_engine.counter import api_of, client_of
from tests.risk_engine.engine import Engine, open_engine

from risk_engine.domain.ledger import part_of
from troth_contracts import crm, topics
from troth_contracts.codec import OutRecord

RUNS, STEPS, LOOKS = 4, 14, 2
it = Company()
DEALS = ("likely", "late", "subtask", "newcomer")
DAYS = [SOON + timedelta(days=30 * n) for n in range(6)]
WORK = ("BOR-1", "DEN-1, ELK-1", "ATL-2, BOR-10", "")
WORDS = ("", "SSO", "Role mapping")
Step = Callable[[Engine, httpx.AsyncClient], Awaitable[None]]


def a_deal(rng: random.Random, number: int) -> OutRecord:
    name = rng.choice(DEALS)
    if rng.random() < 0.15:
        return it.gone(topics.OPPORTUNITIES, it.deal_key(name), -number)
    won = rng.random() < 0.6
    line = crm.LineItem(id="l1", service_date=rng.choice(DAYS), description=rng.choice(("", "ATL-3")))
    return it.deal(
        name,
        minutes=-number,
        custom=promise(rng.choice(DAYS), rng.choice(WORK)) if rng.random() < 0.8 else {},
        is_won=won,
        is_closed=won,
        probability=Decimal(rng.choice((10, 75, 90))),
        next_step=f"reports by {rng.choice(DAYS)}" if rng.random() < 0.3 else None,
        line_items=(line,) if rng.random() < 0.3 else (),
    )


def fed(record: OutRecord) -> Step:
    async def step(engine: Engine, client: httpx.AsyncClient) -> None:
        await engine.take([record])

    return step


def said(method: str, path: str, **content: Any) -> Step:
    """What cannot be said (twice, of nothing, of an unknown deal) is refused, the same in every replay."""

    async def step(engine: Engine, client: httpx.AsyncClient) -> None:
        answer = await client.request(method, path, **content)
        assert answer.status_code < 500, answer.text

    return step


def a_saying(rng: random.Random) -> Step:
    deal, words, day = it.deal_key(rng.choice(DEALS)), rng.choice(WORDS), rng.choice(DAYS).isoformat()
    key = f"{deal}~{part_of(words)}" if words else deal
    match rng.randrange(4):
        case 0:
            return said("PATCH", f"/commitments/{key}", json={"promised_date": day, "need": "nice"})
        case 1:
            return said("DELETE", f"/commitments/{key}")
        case 2:
            lines = [f"{it.deal_key(name)},{rng.choice(DAYS)},{words}" for name in rng.sample(DEALS, 2)]
            return said(
                "POST", "/commitments/import", content="\n".join(["deal,promised_date,deliverable", *lines])
            )
        case _:
            return said(
                "POST", "/commitments", json={"deal": deal, "deliverable": words, "promised_date": day}
            )


def a_life(rng: random.Random) -> list[Step]:
    """The company as it is, then changes in the CRM, in Jira and by people, in any order."""
    steps = []
    for number in range(1, STEPS):
        kind = rng.random()
        if kind < 0.4:
            steps.append(fed(a_deal(rng, number)))
        elif kind < 0.55:
            size, due = Decimal(rng.choice((1, 5, 60))), rng.choice([None, *DAYS])
            issue = it.issue(210, "BOR-10", parent_id="201", estimate=size, due_date=due, minutes=-number)
            steps.append(fed(issue))
        else:
            steps.append(a_saying(rng))
    return steps


async def told(client: httpx.AsyncClient, **as_of: str) -> list[Any]:
    """Every commitment with its whole history; names are today's, so they are left out."""
    rows = (await client.get("/commitments", params={"limit": "1000"} | as_of)).json()
    histories = [
        (await client.get(f"/commitments/{row['key']}/history", params=as_of)).json() for row in rows
    ]
    kept = [{name: row[name] for name in row.keys() - {"deal_name", "account"}} for row in rows]
    return [kept, histories]


async def live(engine: Engine, client: httpx.AsyncClient, steps: list[Step]) -> list[str]:
    """Takes the steps an hour apart; the moments after each."""
    await engine.take(records(it))
    await engine.go_live()
    await engine.evaluate()
    moments = []
    for step in steps:
        await engine.outside.clock.advance(3600)
        await step(engine, client)
        await engine.evaluate()
        moments.append((engine.clock.now() + timedelta(minutes=1)).isoformat())
    return moments


@pytest.mark.parametrize("seed", range(RUNS))
async def test_the_ledger_as_of_a_moment_is_what_a_replay_up_to_it_tells(postgres: str, seed: int) -> None:
    rng = random.Random(seed)
    steps = a_life(rng)
    async with open_engine(postgres) as engine, client_of(api_of(engine)) as client:
        moments = await live(engine, client, steps)
        looks = sorted(rng.sample(range(len(steps) - 1), LOOKS))
        then = [await told(client, as_of=moments[look]) for look in looks]
        assert await told(client, as_of=moments[0]) != await told(client)
        await forget_everything(engine)
    for look, as_it_was in zip(looks, then, strict=True):
        async with open_engine(postgres) as engine, client_of(api_of(engine)) as client:
            await live(engine, client, steps[: look + 1])
            assert await told(client) == as_it_was, look
            await forget_everything(engine)
