"""A whole play: the product on a stage of its own, the world it is played in, and the hands that change that world."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from rich.console import Console

from troth_contracts.risk import AlertTransition
from troth_sandbox.brokers import BrokerKind
from troth_sandbox.demo.places import SCENARIO
from troth_sandbox.demo.stage import Stage
from troth_sandbox.demo.story import Verdict, firing, judge, read_notices
from troth_sandbox.demo.watch import Expected, Watch
from troth_sandbox.world.build import World, build_world
from troth_sandbox.world.clock import today_utc
from troth_sandbox.world.scenario import read_scenario

SEED = 7
REAL_KAFKA = (BrokerKind.KAFKA, BrokerKind.DOCKER)
SETTLING_SECONDS = 240.0
DEADLINE = 60.0
GIVEN_SERVERS = ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL")
_STILL_TO_DO = """
    SELECT (SELECT count(*) FROM marks)
        + (SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL)
"""


def generated_world() -> World:
    """The world the project ships with, for today."""
    return build_world(today=today_utc(), seed=SEED, scenario=read_scenario(SCENARIO))


@dataclass
class Play:
    """A running stage. Changes go through the simulators' admin APIs, what comes of them is read where users read."""

    stage: Stage
    world: World
    lines: list[tuple[str, str]]
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30, trust_env=False))

    def settle(self) -> None:
        """Waits until the planted stories are told and nobody has anything left to do."""
        watch = Watch(self.stage, self._expected, Console(file=io.StringIO()))
        if not watch.until_settled(SETTLING_SECONDS, lambda: self.verdict().holds):
            raise AssertionError(f"not settled: {self.verdict()}\n{self.last_lines()}")

    def until(self, condition: Callable[[], bool], what: str, *, seconds: float = DEADLINE) -> None:
        """Waits for a condition; AssertionError with the end of the common log after ``seconds``."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise AssertionError(f"{what}: not within {seconds:.0f} s\n{self.last_lines()}")
            time.sleep(0.02)

    def notices(self) -> list[tuple[str, AlertTransition]]:
        """Webhook id and transition of everything the receiver accepted; it accepts only what is signed."""
        return read_notices(self.stage.notices)

    def verdict(self) -> Verdict:
        """What fires against what was planted."""
        return judge(self.world.truth, firing(self.notices()))

    def fires(self, kind: str, deal: str) -> AlertTransition | None:
        """The firing alert of this kind that names the deal."""
        found = (alert for alert in firing(self.notices()) if alert.kind == kind)
        return next((alert for alert in found if deal in {item.id for item in alert.deals}), None)

    def planted(self, kind: str) -> list[dict[str, Any]]:
        """The planted stories of one kind."""
        return [story for story in self.world.truth["planted"] if story["kind"] == kind]

    def get(self, service: str, path: str) -> httpx.Response:
        """An answer of one of the three services."""
        return self.http.get(f"{self.stage.addresses.of(service)}{path}")

    def change_deal(self, deal: str, **fields: Any) -> None:
        """As a seller would."""
        url = f"{self.stage.addresses.salesforce_admin}/admin/records/Opportunity"
        self.http.post(url, json={"Id": deal, **fields}).raise_for_status()

    def change_issue(self, key: str, **fields: Any) -> None:
        """As an engineer would."""
        url = f"{self.stage.addresses.jira_admin}/admin/issues/{key}"
        self.http.post(url, json={"fields": fields}).raise_for_status()

    def forbid_board(self, board: int, status: int | None) -> None:
        """Takes a board away from the account; None gives it back."""
        url = f"{self.stage.addresses.jira_admin}/admin/boards/{board}/forbid"
        self.http.post(url, json={"status": status}).raise_for_status()

    def slow_down(self, vendor: str, seconds: float) -> None:
        """Every answer of this simulator takes this much longer; 0 for as usual."""
        admin = getattr(self.stage.addresses, f"{vendor}_admin")
        self.http.delete(f"{admin}/admin/faults").raise_for_status()
        if seconds:
            fault = {"match": {"path": "/", "times": None}, "act": {"delay": seconds}}
            self.http.post(f"{admin}/admin/faults", json=[fault]).raise_for_status()

    def requests(self, vendor: str) -> int:
        """How many requests this simulator has answered."""
        return len(self.journal(vendor))

    def journal(self, vendor: str) -> list[dict[str, Any]]:
        """Every request this simulator has taken."""
        admin = getattr(self.stage.addresses, f"{vendor}_admin")
        entries: list[dict[str, Any]] = self.http.get(f"{admin}/admin/journal").raise_for_status().json()
        return entries

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the store says."""
        with psycopg.connect(self.stage.database.url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def idle(self) -> bool:
        """True when the engine has neither evaluations nor deliveries left."""
        return bool(self.rows(_STILL_TO_DO)[0][0] == 0)

    def open_issues_of(self, deal: str) -> list[str]:
        """Keys of the unfinished leaves the deal waits for."""
        found = self.rows(
            "SELECT issues.body->>'issue_key', deal_issues.deal_key FROM deal_issues"
            " JOIN issues ON issues.key = deal_issues.issue WHERE team IS NOT NULL ORDER BY 1"
        )
        return [key for key, deal_key in found if deal_key.endswith(f":{deal}")]

    def last_lines(self, count: int = 40) -> str:
        """The end of the common log."""
        return "\n".join(f"{name}: {line}" for name, line in self.lines[-count:])

    @property
    def _expected(self) -> Expected:
        counts = self.world.counts
        return Expected(counts["deals"], counts["issues"], counts["sprints"])


@contextmanager
def open_play(folder: Path) -> Iterator[Play]:
    """Everything but the services runs. Servers of its own: the topics' names are fixed and the store must be empty."""
    world = generated_world()
    world.write(folder / "world")
    lines: list[tuple[str, str]] = []
    environ = {name: value for name, value in os.environ.items() if name not in GIVEN_SERVERS}
    with Stage(
        folder / "world",
        folder,
        listener=lambda name, line: lines.append((name, line)),
        say=lambda sentence: lines.append(("troth", sentence)),
        environ=environ,
        kinds=REAL_KAFKA,
    ) as stage:
        play = Play(stage, world, lines)
        with play.http:
            yield play
