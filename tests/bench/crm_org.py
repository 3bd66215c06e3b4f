"""A large org for the figures of crm-sync: its contents, and colleagues who keep changing them."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from tests.crm_sync.fakes import record_id
from tests.crm_sync.simulated import seed

LINES_EACH = 3
DAILY_CALLS = 300_000
"""Of an Enterprise Edition with 200 licences: 100,000 + 1,000 for each [api-lim]."""
EPOCH = datetime(2026, 1, 5, tzinfo=UTC)
TICK = 0.2
"""Seconds between two transactions of the colleagues."""


def contents(deals: int) -> dict[str, Any]:
    """``deals`` opportunities, three lines and one history row each, last changed over the past months."""
    made = seed(deals, items_each=LINES_EACH)
    for name in ("Opportunity", "OpportunityLineItem"):
        for number, row in enumerate(made["objects"][name]):
            row["SystemModstamp"] = (EPOCH + timedelta(seconds=73 * (number % 200_000))).isoformat()
    # An org id of its own, so that several can share a broker.
    org_id = f"00D{uuid.uuid4().hex[:15]}"
    return made | {"org_id": org_id, "daily_api_limit": DAILY_CALLS, "multi_currency": True}


@dataclass(frozen=True)
class Changed:
    """What the colleagues did."""

    updates: int
    seconds: float

    @property
    def per_second(self) -> float:
        """The rate that was really reached."""
        return self.updates / self.seconds


class Colleagues:
    """Change deals and lines at a steady rate from a process of their own, until the block ends."""

    def __init__(self, admin: str, deals: int, per_second: int) -> None:
        self._arguments = (admin, deals, per_second)
        self.done = Changed(0, 1.0)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Until the block ends; ``done`` says what they did."""
        context = multiprocessing.get_context("spawn")
        ending, made = context.Event(), context.Value("q", 0)
        process = context.Process(target=_work, args=(*self._arguments, ending, made), daemon=True)
        process.start()
        while made.value == 0 and process.is_alive():
            time.sleep(0.05)
        began, first = time.monotonic(), made.value
        try:
            yield
        finally:
            self.done = Changed(made.value - first, time.monotonic() - began)
            ending.set()
            process.join(30)
            if process.exitcode != 0:
                process.kill()
                raise RuntimeError("the colleagues stopped early, so the figures would flatter")


def _work(admin: str, deals: int, per_second: int, ending: Any, made: Any) -> None:
    rng = random.Random(7)
    with httpx.Client(base_url=admin, timeout=120, trust_env=False) as http:
        due = time.monotonic()
        while not ending.wait(max(0.0, due - time.monotonic())):
            due += TICK
            operations = [_change(rng, deals) for _ in range(round(per_second * TICK))]
            body = {"operations": operations, "commit_after_seconds": 0}
            http.post("/transactions", json=body).raise_for_status()
            made.value += len(operations)


def _change(rng: random.Random, deals: int) -> dict[str, Any]:
    """Three of five changes move a deal, the others one of its lines."""
    if rng.random() < 0.6:
        row_id, name = record_id("Opportunity", rng.randint(1, deals)), "Opportunity"
        fields: dict[str, Any] = rng.choice(
            [{"Amount": rng.randint(1, 900_000)}, {"NextStep": f"step {rng.randint(1, 10**9)}"}]
        )
    else:
        row_id = record_id("OpportunityLineItem", rng.randint(1, deals * LINES_EACH))
        name, fields = "OpportunityLineItem", {"Quantity": rng.randint(1, 10_000)}
    return {"object": name, "fields": {"Id": row_id, **fields}}
