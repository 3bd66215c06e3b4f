"""Three times kill -9 in the middle of the ingest, once per service: the end is the same as without.

The moments are seeded: a service that syncs dies after so many requests to its vendor, told by those of the undisturbed
run, the risk-engine while it takes records in, while it evaluates teams, and while it delivers notices.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from tests.e2e.conftest import Settled
from tests.e2e.play import SEED, Play, open_play
from tests.e2e.snapshot import Snapshot, differences, stored_as_published, take_snapshot

from troth_contracts.topics import ALERTS, ISSUE_EVENTS, SPRINT_EVENTS

SLOW = {"crm-sync": ("salesforce", 0.15), "jira-sync": ("jira", 0.05)}
"""Seconds added to each answer, so that there is a middle to be killed in."""
SHARE = 0.3
"""Of what the full read publishes, the most that a life may come to: three of them are not done."""
_TAKEN_IN = (
    "SELECT (SELECT count(*) FROM deals) + (SELECT count(*) FROM issues) + (SELECT count(*) FROM journal)"
)
_COMPLETE = "SELECT count(*) FROM sync_status WHERE body->>'state' = 'complete' AND key LIKE '{}:%'"


@dataclass(frozen=True)
class Moment:
    """When to kill, in words and as a condition that stays true."""

    words: str
    reached: Callable[[], bool]


def moments_of(service: str, play: Play, undisturbed: Settled) -> Iterator[Moment]:
    """The three moments; each is looked at after the service was started (again)."""
    rng = random.Random(f"{SEED}:{service}")
    if service == "risk-engine":
        yield from _moments_of_the_engine(rng, play, undisturbed.snapshot)
        return
    vendor, _ = SLOW[service]
    read = undisturbed.first_reads[service]
    for earliest in (1, read.begun, read.begun):
        count, before = rng.randint(earliest, read.until(SHARE)), play.requests(vendor)
        yield Moment(
            f"after {count} requests to {vendor}, of {read}",
            lambda count=count, before=before: play.requests(vendor) - before >= count,  # type: ignore[misc]
        )


def _moments_of_the_engine(rng: random.Random, play: Play, undisturbed: Snapshot) -> Iterator[Moment]:
    records = sum(len(undisturbed.store[table]) for table in ("deals", "issues"))
    taken_in = rng.randint(records // 10, records * 2)
    teams = rng.randint(1, 10)
    notices = rng.randint(1, 3)
    yield Moment(f"after {taken_in} records", lambda: _count(play, _TAKEN_IN) >= taken_in)
    yield Moment(f"after {teams} teams", lambda: _count(play, "SELECT count(*) FROM outlooks") >= teams)
    yield Moment(f"after {notices} notices", lambda: len(play.notices()) >= notices)


def _count(play: Play, query: str) -> int:
    try:
        return int(play.rows(query)[0][0])
    except psycopg.errors.UndefinedTable:
        return 0


@pytest.fixture(params=["crm-sync", "jira-sync", "risk-engine"])
def killed(request: pytest.FixtureRequest, settled: Settled, tmp_path: Path) -> Iterator[Play]:
    """A play that has settled although one of its services was killed three times."""
    service = request.param
    with open_play(tmp_path) as play:
        for vendor, seconds in SLOW.values():
            play.slow_down(vendor, seconds)
        play.stage.start_services()
        for moment in moments_of(service, play, settled):
            play.until(moment.reached, f"{service}: {moment.words}", seconds=90)
            assert not _count(play, _COMPLETE.format(service)), f"{moment.words} {service} was done already"
            play.stage.services[service].kill()
            play.stage.services[service].start()
        for vendor, _ in SLOW.values():
            play.slow_down(vendor, 0)
        play.settle()
        play.until(lambda: stored_as_published(play), "the store holds what the topics fold to")
        yield play


@pytest.mark.timeout(600)  # two plays, one of them slowed down
def test_a_killed_service_leaves_the_same_world_behind(killed: Play, settled: Settled) -> None:
    after = take_snapshot(killed)

    found = differences(settled.snapshot, after)
    assert not found, "\n".join(found)
    assert killed.verdict().holds
    for topic in (ISSUE_EVENTS, SPRINT_EVENTS):
        assert _repeated(after.events[topic.name]) == [], topic.name
    assert set(after.events[ALERTS.name]) == {webhook_id for webhook_id, _, _ in after.notices}
    assert _ids_per_transition(after) == _ids_per_transition(settled.snapshot)
    assert all(len(ids) == 1 for ids in _ids_per_transition(after).values())


def _repeated(ids: tuple[str, ...]) -> list[str]:
    return [identity for identity, count in Counter(ids).items() if count > 1]


def _ids_per_transition(snapshot: Snapshot) -> dict[tuple[str, int], set[str]]:
    """Under which ids each transition was delivered; an id may come twice, a transition may not have two."""
    found: dict[tuple[str, int], set[str]] = {}
    for webhook_id, alert, sequence in snapshot.notices:
        found.setdefault((alert, sequence), set()).add(webhook_id)
    return found
