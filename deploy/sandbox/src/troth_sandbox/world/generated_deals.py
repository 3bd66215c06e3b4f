"""Deals of the generated world: a year of everyday pipeline in which nobody promises a date to anybody."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from random import Random

from troth_sandbox.world.crm_org import CURRENCIES, CrmOrg, Named
from troth_sandbox.world.deals import DealDraft, Line, Step

DEALS = 600
_PRODUCTS = (
    ("Single Sign-On", "Access", 18_000),
    ("Audit Trail", "Access", 9_500),
    ("Role Manager", "Access", 7_200),
    ("Usage Insights", "Insight", 14_000),
    ("Reporting Pack", "Insight", 11_000),
    ("Realtime Alerts", "Insight", 16_500),
    ("Data Export", "Platform", 6_000),
    ("Workflow Designer", "Platform", 22_000),
    ("Archive Store", "Platform", 12_500),
    ("Billing Connector", "Connect", 19_000),
    ("Partner Portal", "Connect", 25_000),
    ("Mobile Companion", "Connect", 8_800),
)
_REGIONS = ("North", "South", "East", "West", "Central")
_ACCOUNT_FIRST = (
    "Amber",
    "Basalt",
    "Cobalt",
    "Dune",
    "Elm",
    "Fern",
    "Granite",
    "Heather",
    "Indigo",
    "Jade",
    "Kelp",
    "Larch",
)
_ACCOUNT_LAST = ("Logistics", "Foods", "Energy", "Insurance", "Clinics", "Retail", "Marine")
_STAGES = ("Won", "Lost", "Prospecting", "Engaging", "Proposal", "Commit")
_STAGE_WEIGHTS = (36, 24, 12, 16, 8, 4)
_WAY = ("Prospecting", "Engaging", "Proposal", "Commit")


def add_generated_deals(org: CrmOrg, today: date, seed: int) -> None:
    """Sellers, customers, products and deals."""
    rng = Random(f"{seed}:deals")
    for region in _REGIONS:
        for number in range(1, 5):
            org.add_seller(f"Seller {region} {number}")
    for first in _ACCOUNT_FIRST:
        for last in _ACCOUNT_LAST:
            org.add_account(f"{first} {last}", last)
    priced = [(org.add_product(name, family), price) for name, family, price in _PRODUCTS]
    for _ in range(DEALS):
        products = rng.sample(priced, rng.choice((1, 1, 2)))
        org.add_deal(_deal(rng.choice(org.accounts), rng.choice(org.sellers), products, today, rng))


def _deal(
    account: Named, owner_id: str, products: list[tuple[Named, int]], today: date, rng: Random
) -> DealDraft:
    currency = rng.choices(tuple(CURRENCIES), (60, 20, 12, 8))[0]
    lines = tuple(_line(product.id, price, CURRENCIES[currency], rng) for product, price in products)
    stage = rng.choices(_STAGES, _STAGE_WEIGHTS)[0]
    steps = _steps(stage, today, rng)
    closed = stage in {"Won", "Lost"}
    close_date = steps[-1].at.date() if closed else today + timedelta(days=rng.randint(5, 150))
    return DealDraft(
        name=f"{account.name} - {products[0][0].name}",
        owner_id=owner_id,
        amount=round(sum(line.total for line in lines), 2),
        close_date=close_date,
        created=steps[0].at,
        steps=steps,
        account_id=account.id,
        currency=currency,
        lines=lines,
        next_step=None
        if closed
        else rng.choice(("Call back", "Send offer", "Meet purchasing", "Demo for users")),
    )


def _line(product_id: str, price: int, rate: float, rng: Random) -> Line:
    quantity = rng.choice((1, 1, 2, 3, 5))
    return Line(product_id, quantity, round(quantity * price * rate * rng.uniform(0.8, 1.0), 2))


def _steps(stage: str, today: date, rng: Random) -> tuple[Step, ...]:
    """The deal's way to its stage: open stages in order, then perhaps an end; the last step is at most 420 days old."""
    way = (*_WAY[: rng.randint(2, 4)], stage) if stage in {"Won", "Lost"} else _WAY[: _WAY.index(stage) + 1]
    at = datetime.combine(today, time(10), UTC) - timedelta(days=rng.randint(3, 420 if len(way) > 2 else 90))
    steps = []
    for name in reversed(way):
        steps.append(Step(at, name))
        at -= timedelta(days=rng.randint(4, 30), minutes=rng.randint(0, 400))
    return tuple(reversed(steps))
