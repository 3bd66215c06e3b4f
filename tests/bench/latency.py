"""How long it takes from a change in Salesforce or Jira until the signed notice is accepted."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import quantiles

from tests.e2e.play import Play

from troth_chassis.topic_reader import read_topic
from troth_contracts.topics import ISSUES, OPPORTUNITIES, Topic

POLL_SECONDS = 2.0
"""What the stage tells both sync services."""
HEAVY = 500.0
"""Points no team can deliver."""
_PROMISED_WORK = """
    SELECT boards.body->>'name', commitments.deal_key, issues.body->>'issue_key', issues.body->>'id',
        (issues.body->>'estimate')::float
    FROM deal_issues
        JOIN commitments USING (commitment)
        JOIN issues ON issues.key = deal_issues.issue
        JOIN boards ON boards.key = deal_issues.team
    WHERE issues.body ? 'estimate'
    ORDER BY commitments.promised_date, deal_issues.issue
"""
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Switch:
    """One alert, and how to start (True) and end it (False) at a vendor."""

    source: str
    topic: Topic
    record: str
    """Id of the record that carries the change."""
    kind: str
    deal: str
    turn: Callable[[bool], None]


@dataclass(frozen=True)
class Sample:
    """Seconds from one change, and from its Kafka record, to the receiver."""

    source: str
    from_change: float
    from_record: float


@dataclass(frozen=True)
class Spread:
    """Quantiles of some durations, in seconds."""

    p50: float
    p95: float
    p99: float


def spread(seconds: list[float]) -> Spread:
    """Quantiles by linear interpolation inside the sample."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    return Spread(cuts[49], cuts[94], cuts[98])


def measure(play: Play, count: int, seed: int, advance: Advance) -> list[Sample]:
    """Makes ``count`` changes one after the other, each at a random moment of the poll interval."""
    rng = random.Random(seed)
    switches = (link_switch(play), _weight_switch(play))
    made: list[tuple[Switch, datetime, datetime]] = []
    for number in range(count):
        time.sleep(rng.uniform(0, POLL_SECONDS))
        switch = switches[number % len(switches)]
        made.append((switch, *_throw(play, switch)))
        advance(1)
    stamps = asyncio.run(_stamps(play.stage.broker.bootstrap, {switch.record for switch in switches}))
    return [_sample(switch, began, heard, stamps[switch.record]) for switch, began, heard in made]


def link_switch(play: Play) -> Switch:
    """A sold deal loses, or names, an issue."""
    (deal, *_) = play.planted("unlinked_commitment")[0]["deals"]
    key = play.world.jira["issues"][0]["key"]

    def turn(on: bool) -> None:
        play.change_deal(deal, Jira_Key__c=None if on else key)

    return Switch("salesforce", OPPORTUNITIES, deal, "unlinked_commitment", deal, turn)


def _weight_switch(play: Play) -> Switch:
    """The first promised issue of a team that keeps its promises becomes far too large, or what it was."""
    healthy = set(play.world.truth["healthy_teams"])
    _, deal_key, key, issue_id, points = next(row for row in play.rows(_PROMISED_WORK) if row[0] in healthy)

    def turn(on: bool) -> None:
        play.change_issue(key, customfield_10016=HEAVY if on else points)

    return Switch("jira", ISSUES, issue_id, "oversold", deal_key.partition(":")[2], turn)


def _throw(play: Play, switch: Switch) -> tuple[datetime, datetime]:
    """When the change was made, and when the receiver accepted what came of it."""
    on = play.fires(switch.kind, switch.deal) is None
    began = datetime.now(UTC)
    switch.turn(on)
    play.until(lambda: (play.fires(switch.kind, switch.deal) is not None) == on, f"{switch.kind}: {on}")
    return began, _heard(play, switch)


def _heard(play: Play, switch: Switch) -> datetime:
    for line in reversed(play.stage.notices.read_text(encoding="utf-8").splitlines()):
        notice = json.loads(line)
        told = notice["body"]["data"]
        if told.get("kind") == switch.kind and switch.deal in {deal["id"] for deal in told["deals"]}:
            return datetime.fromisoformat(notice["received_at"])
    raise LookupError(f"no notice of {switch.kind} names {switch.deal}")


async def _stamps(bootstrap: str, records: set[str]) -> dict[str, list[float]]:
    """When each version of these records was produced, by the producer's clock."""
    found: dict[str, list[float]] = {record: [] for record in records}
    for topic in (OPPORTUNITIES, ISSUES):
        async for page in read_topic(bootstrap, topic):
            for raw in page:
                record = raw.key.decode().partition(":")[2]
                if record in found:
                    found[record].append(raw.timestamp / 1000)
    return found


def _sample(switch: Switch, began: datetime, heard: datetime, stamps: list[float]) -> Sample:
    carried = max(stamp for stamp in stamps if stamp <= heard.timestamp())
    return Sample(switch.source, (heard - began).total_seconds(), heard.timestamp() - carried)
