"""How many webhooks jira-sync takes, how late it answers them, and that none of them is lost.

Two loads: 500 valid ones a second, and 2,000 a second of which three in four are forged or unsigned.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from tests.bench import jira_world
from tests.bench.group import Bench, Figures
from tests.bench.jira_stage import ONCE_A_DAY, SECRET, Service, open_kafka, open_service, open_site
from tests.bench.latency import spread
from tests.bench.load import Answers, Call, steadily

from troth_chassis.topic_reader import read_topic
from troth_contracts.topics import JIRA_INBOX

PATH = "/webhooks/jira"
MOST_SECONDS = 0.3
_FORGED = "a-secret-that-is-not-ours"


@dataclass(frozen=True)
class Load:
    """So many webhooks a second for so long; ``valid`` of every four are signed by us."""

    name: str
    per_second: int
    seconds: int
    valid: int

    def calls(self) -> list[Call]:
        """In turn, each with an identifier of its own."""
        kinds = ("valid", "forged", "unsigned", "forged")
        return [
            _call(self.name, number, "valid" if number % 4 < self.valid else kinds[number % 4])
            for number in range(self.per_second * self.seconds)
        ]


FULL = (Load("valid", 500, 30, valid=4), Load("mixed", 2_000, 60, valid=1))
QUICK = (Load("valid", 100, 5, valid=4), Load("mixed", 200, 5, valid=1))


def _call(load: str, number: int, kind: str) -> Call:
    body = json.dumps(
        {
            "timestamp": 1_700_000_000_000 + number,
            "webhookEvent": "jira:issue_updated",
            "issue": {"id": str(jira_world.FIRST_ISSUE + number % 50), "fields": {"summary": "x" * 3_000}},
        }
    ).encode()
    headers = [("content-type", "application/json"), ("x-atlassian-webhook-identifier", f"{load}-{number}")]
    if kind != "unsigned":
        secret = SECRET if kind == "valid" else _FORGED
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers.append(("x-hub-signature", f"sha256={digest}"))
    return Call("valid" if kind == "valid" else "rejected", body, tuple(headers))


def measure(bench: Bench) -> Figures:
    """Both loads on one service that has nothing else to do than to follow what came in."""
    quiet = {"TROTH_JIRA_POLL_SECONDS": ONCE_A_DAY, "TROTH_JIRA_CENSUS_SECONDS": ONCE_A_DAY}
    numbers: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory(prefix="troth-bench-") as folder,
        open_kafka(Path(folder)) as bootstrap,
        open_site(Path(folder), jira_world.seed(jira_world.SMALL)) as site,
        open_service(bootstrap, site.url, **quiet, TROTH_JIRA_WEBHOOK_SECRET=SECRET) as service,
    ):
        service.until("backfill", lambda: service.metric("jira_sync_scans_total") >= 1, seconds=120)
        for load in QUICK if bench.quick else FULL:
            with bench.console.status(f"{load.per_second} webhooks a second"):
                calls = load.calls()
                answers = asyncio.run(steadily(service.url_of(PATH), calls, load.per_second))
                numbers[load.name] = _numbers(load, answers, asyncio.run(_stored(bootstrap, service, load)))
    return Figures(numbers, [_table(numbers)], [] if bench.quick else _broken(numbers))


async def _stored(bootstrap: str, service: Service, load: Load) -> int:
    """Different identifiers of this load in the inbox."""
    prefix, found = f"{service.site_id}:{load.name}-".encode(), set()
    async for page in read_topic(bootstrap, JIRA_INBOX):
        ids = [dict(record.headers).get("ce_id", b"") for record in page]
        found |= {name for name in ids if name.startswith(prefix)}
    return len(found)


def _numbers(load: Load, answers: Answers, stored: int) -> dict[str, Any]:
    valid = answers.seconds["valid"]
    found = spread(valid)
    return {
        "per_second": load.per_second,
        "seconds": load.seconds,
        "valid": len(valid),
        "answered_200": answers.statuses.get(("valid", 200), 0),
        "stored": stored,
        "rejected": len(answers.seconds.get("rejected", ())),
        "answered_401": answers.statuses.get(("rejected", 401), 0),
        "p50_ms": round(found.p50 * 1000, 1),
        "p95_ms": round(found.p95 * 1000, 1),
        "p99_ms": round(found.p99 * 1000, 1),
    }


def _broken(numbers: dict[str, Any]) -> list[str]:
    broken = []
    for name, found in numbers.items():
        if found["p99_ms"] >= MOST_SECONDS * 1000:
            broken.append(f"Jira webhooks, {name}: p99 is {found['p99_ms']} ms, more than 300")
        if not found["stored"] == found["answered_200"] == found["valid"]:
            broken.append(
                f"Jira webhooks, {name}: {found['valid']} valid, {found['answered_200']} taken, {found['stored']} stored"
            )
        if found["answered_401"] != found["rejected"]:
            broken.append(f"Jira webhooks, {name}: {found['answered_401']} of {found['rejected']} refused")
    return broken


def _table(numbers: dict[str, Any]) -> Table:
    table = Table("load", "valid", "stored", "refused", "p50", "p95", "p99", title="Webhooks taken in")
    for found in numbers.values():
        table.add_row(
            f"{found['per_second']:,}/s for {found['seconds']} s",
            f"{found['valid']:,}",
            f"{found['stored']:,}",
            f"{found['answered_401']:,} of {found['rejected']:,}",
            *(f"{found[name]} ms" for name in ("p50_ms", "p95_ms", "p99_ms")),
        )
    return table
