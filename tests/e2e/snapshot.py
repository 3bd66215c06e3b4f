"""What a run leaves behind, without what no two runs share, so that two runs can be compared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord
from tests.e2e.play import Play

from troth_chassis.topic_reader import read_topic
from troth_contracts.codec import decode
from troth_contracts.topics import (
    ALERTS,
    ASSESSMENTS,
    BOARDS,
    ISSUE_EVENTS,
    ISSUES,
    OPPORTUNITIES,
    REFERENCE,
    SPRINT_EVENTS,
    SPRINTS,
    VERSIONS,
    Topic,
)
from troth_sandbox.demo.story import Finding

STATES = (OPPORTUNITIES, REFERENCE, ISSUES, SPRINTS, BOARDS, VERSIONS, ASSESSMENTS)
EVENTS = (ISSUE_EVENTS, SPRINT_EVENTS, ALERTS)
STORED = {
    OPPORTUNITIES.name: "deals",
    REFERENCE.name: "crm_references",
    ISSUES.name: "issues",
    SPRINTS.name: "sprints",
    BOARDS.name: "boards",
    VERSIONS.name: "versions",
}
_OF_THE_MOMENT = {"as_of", "at", "fresh_at"}
"""When something was said is not what was said."""
_FORECAST = {"p_on_time", "forecast_p50", "forecast_p85", "drivers"}
"""Capacity begins now, and no two runs have the same now."""
_SHOWN = 3
Json = Any


@dataclass(frozen=True)
class Snapshot:
    """Topics folded by key, ids of events as often as they were told, tables of the store, alerts, notices."""

    states: Mapping[str, Mapping[str, Json]]
    events: Mapping[str, tuple[str, ...]]
    alerts: Mapping[str, tuple[int, ...]]
    """Sequence numbers of each alert's transitions in Kafka, in the order of the topic."""
    store: Mapping[str, Mapping[str, Json]]
    commitments: Mapping[str, Json]
    firing: frozenset[Finding]
    notices: tuple[tuple[str, str, int], ...]
    """Webhook id, alert id and sequence of every accepted notice."""


def take_snapshot(play: Play) -> Snapshot:
    """Reads everything; the play must have settled."""
    states, events = asyncio.run(_topics(play.stage.broker.bootstrap))
    return Snapshot(
        states={name: {key: stable(body) for key, body in fold.items()} for name, fold in states.items()},
        events={name: tuple(identity for identity, _, _ in told) for name, told in events.items()},
        alerts=_sequences(events[ALERTS.name]),
        store={table: _table(play, table) for table in STORED.values()},
        commitments=_commitments(play),
        firing=frozenset(play.verdict().found),
        notices=tuple((hook, notice.alert_id, notice.sequence) for hook, notice in play.notices()),
    )


def differences(one: Snapshot, other: Snapshot) -> list[str]:
    """A few sentences on where the final states of two runs differ; none when they are the same."""
    told = [
        sentence
        for name in one.states
        for sentence in _differing(f"topic {name}", one.states[name], other.states[name])
    ]
    told += [
        sentence
        for table in one.store
        for sentence in _differing(f"table {table}", one.store[table], other.store[table])
    ]
    told += _differing("table commitments", one.commitments, other.commitments)
    for name in one.events:
        missing = sorted(set(one.events[name]) ^ set(other.events[name]))
        told += [f"topic {name}: only one run tells {missing[:_SHOWN]}"] if missing else []
    only = sorted(one.firing ^ other.firing)
    return told + [f"only one run fires {finding}" for finding in only]


def _differing(what: str, one: Mapping[str, Json], other: Mapping[str, Json]) -> list[str]:
    keys = [key for key in sorted({*one, *other}) if one.get(key) != other.get(key)]
    shown = [
        f"{what}: {key}{place}" for key in keys[:_SHOWN] for place in _places(one.get(key), other.get(key))
    ]
    return [*shown, f"{what}: {len(keys)} keys differ"] if keys else []


def _places(one: Json, other: Json) -> list[str]:
    """Where inside a document two runs differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
        return [f".{name}{rest}" for name in names for rest in _places(one.get(name), other.get(name))]
    return [f" is {one!s:.300} or {other!s:.300}"]


def stable(body: Json) -> Json:
    """The content two runs share."""
    if isinstance(body, dict):
        kept = {name: value for name, value in body.items() if name not in _OF_THE_MOMENT | _FORECAST}
        return {name: stable(value) for name, value in kept.items()}
    return [stable(item) for item in body] if isinstance(body, list) else body


def stored_as_published(play: Play) -> bool:
    """True when every table of the store holds exactly what its topic folds to."""
    states, _ = asyncio.run(_topics(play.stage.broker.bootstrap))
    return all(
        {key: stable(body) for key, body in states[name].items()} == _table(play, table)
        for name, table in STORED.items()
    )


Told = tuple[str, str, Json]


async def _topics(bootstrap: str) -> tuple[dict[str, dict[str, Json]], dict[str, list[Told]]]:
    states = {topic.name: await _fold(bootstrap, topic) for topic in STATES}
    return states, {topic.name: await _events(bootstrap, topic) for topic in EVENTS}


async def _fold(bootstrap: str, topic: Topic) -> dict[str, Json]:
    latest: dict[str, Json] = {}
    for record in await _records(bootstrap, topic):
        key = record.key.decode()
        latest.pop(key, None)
        if record.value is not None:
            latest[key] = json.loads(record.value)
    return latest


async def _events(bootstrap: str, topic: Topic) -> list[Told]:
    found = []
    for record in await _records(bootstrap, topic):
        read = decode(topic.name, record.key, record.value, record.headers)
        found.append((read.id, read.key, json.loads(record.value)))
    return found


async def _records(bootstrap: str, topic: Topic) -> list[ConsumerRecord]:
    return [record async for page in read_topic(bootstrap, topic) for record in page]


def _sequences(told: list[Told]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for _, alert, body in told:
        found[alert] = (*found.get(alert, ()), body["sequence"])
    return found


def _table(play: Play, table: str) -> dict[str, Json]:
    return {key: stable(body) for key, body in play.rows(f"SELECT key, body FROM {table} WHERE NOT deleted")}


def _commitments(play: Play) -> dict[str, Json]:
    rows = play.rows("SELECT commitment, to_jsonb(commitments) FROM commitments")
    return {key: stable(body) for key, body in rows}
