"""The same records in any order, twice, with the oldest last, whenever evaluated: the same state."""

import random
import re
from decimal import Decimal

import pytest
from tests.risk_engine.company import LATER, NOW, Company, promise, records, version_of
from tests.risk_engine.engine import Engine, State, differences, final_state, open_engine

from troth_contracts.codec import OutRecord, decode, encode_state, encode_tombstone
from troth_contracts.jira import SprintFigures
from troth_contracts.topics import BY_NAME, SPRINTS

RUNS = 25
_in_order: State = {}


async def test_the_company_shows_every_kind_of_finding(postgres: str) -> None:
    async with open_engine(postgres) as engine:
        await run_in_order(engine)
        assert await engine.firing() == {
            ("oversold", "Atlas"),
            ("late_forecast", "Denali, Elk, Fox"),
            ("unlinked_commitment", "unlinked"),
        }
        assert engine.outside.letters.sent == []


@pytest.mark.parametrize("seed", range(RUNS))
async def test_any_order_gives_the_same_state(postgres: str, seed: int) -> None:
    rng = random.Random(seed)
    async with open_engine(postgres) as engine:
        if not _in_order:
            _in_order.update(await run_in_order(engine))
            await forget_everything(engine)
        await engine.go_live()
        for batch in batches(shuffled(rng), rng):
            await engine.take(batch)
            if rng.random() < 0.2:
                await engine.evaluate()
        await engine.evaluate()
        assert differences(await final_state(engine), _in_order) == {}


async def test_every_departure_and_return_of_a_record_is_noticed(postgres: str) -> None:
    """Whatever goes or comes marks all that depend on it: evaluating everything anew finds nothing more."""
    async with open_engine(postgres) as engine:
        await run_in_order(engine)
        version = max(version_of(record) for record in records(Company()))
        for record in latest_of_each_key():
            for again in (True, False):
                version += 1
                await engine.take([with_version(record, version, deleted=again)])
                await engine.evaluate()
                noticed = await final_state(engine)
                await mark_everything(engine)
                await engine.evaluate()
                assert differences(noticed, await final_state(engine)) == {}, (
                    record.topic,
                    record.key,
                    again,
                )


async def test_every_change_that_moves_work_is_noticed(postgres: str) -> None:
    """An issue moves between epics, projects and sprints, a board between projects, a sprint between boards."""
    it = Company()
    changes = [
        it.issue(102, "ATL-2", parent_id="201", estimate=Decimal(20), minutes=-1),
        it.issue(102, "BOR-2", parent_id=None, estimate=Decimal(20), former_keys=("ATL-2",), minutes=-2),
        it.issue(130, "ATL-30", estimate=Decimal(13), sprint_ids=("250",), minutes=-3),
        it.issue(130, "ATL-30", sprint_ids=("270",), minutes=-4),
        it.sprint(270, 1, state="active", minutes=-5),
        it.sprint(270, 2, state="closed", result=None, minutes=-6),
        it.board(2, "Borealis", "ELK", minutes=-7),
        it.board(2, "Borealis", "BOR", "ATL", minutes=-8),
        it.board(2, "Borealis", "BOR", kind="kanban", minutes=-9),
        it.sprint(
            301, 3, state="closed", result=figures(12), completed_at=NOW, planned_start_at=NOW, minutes=-10
        ),
        it.sprint(
            412, 4, state="closed", result=figures(99), completed_at=NOW, planned_start_at=NOW, minutes=-11
        ),
        it.issue(201, "BOR-1", parent_id="101", type_name="Epic", minutes=-12),
        it.deal("unlinked", custom=promise(LATER, "FOX-1 ATL-1"), minutes=-13),
        it.issue(900, "ATL-999", estimate=Decimal(5), minutes=-14),
        it.deal("unlinked", custom=promise(LATER, "ATL-999"), minutes=-15),
        it.issue(901, "ATL-998", parent_id="900", estimate=Decimal(5), minutes=-16),
    ]
    async with open_engine(postgres) as engine:
        await run_in_order(engine)
        for change in changes:
            await engine.take([change])
            await engine.evaluate()
            noticed = await final_state(engine)
            await mark_everything(engine)
            await engine.evaluate()
            assert differences(noticed, await final_state(engine)) == {}, (change.topic, change.value)


async def run_in_order(engine: Engine) -> State:
    """What a calm first start does: everything is stored, then evaluated once."""
    await engine.take(records(Company()))
    assert await engine.evaluator.go_live()
    await engine.evaluate()
    return await final_state(engine)


def shuffled(rng: random.Random) -> list[OutRecord]:
    """Every record twice and the oldest version of each key a third time at the end."""
    known = records(Company())
    oldest: dict[tuple[str, str], OutRecord] = {}
    for record in sorted(known, key=version_of, reverse=True):
        oldest[record.topic, record.key] = record
    last = list(oldest.values())
    twice = [*known, *known]
    rng.shuffle(twice)
    rng.shuffle(last)
    return [*twice, *last]


def batches(stream: list[OutRecord], rng: random.Random) -> list[list[OutRecord]]:
    found = []
    while stream:
        size = rng.choice((1, 10, 40, 120))
        found.append(stream[:size])
        stream = stream[size:]
    return found


def latest_of_each_key() -> list[OutRecord]:
    """Without what differs from another record in its number only: most closed sprints, two of three like teams."""
    latest: dict[tuple[str, str], OutRecord] = {}
    for record in sorted(records(Company()), key=version_of):
        if BY_NAME[record.topic].kind == "state":
            latest[record.topic, record.key] = record
    dull = re.compile(r":([1-6](0[0-9]|10)|[56][0-9]*)$")
    return [
        record
        for record in latest.values()
        if record.topic != SPRINTS.name or record.key.endswith(":300") or not dull.search(record.key)
    ]


def with_version(record: OutRecord, version: int, *, deleted: bool) -> OutRecord:
    topic = BY_NAME[record.topic]
    if deleted or record.value is None:
        return encode_tombstone(topic, record.key, version=version, source="test")
    body = decode(record.topic, record.key.encode(), record.value, record.headers).body
    assert body is not None
    return encode_state(topic, record.key, body, version=version, source="test")


def figures(points: int) -> SprintFigures:
    return SprintFigures(points=Decimal(points), issue_count=points)


async def mark_everything(engine: Engine) -> None:
    async with engine.database.transaction() as connection:
        await connection.execute(
            """
            INSERT INTO marks (kind, subject) SELECT 'deal', key FROM deals UNION SELECT 'link', key FROM deals
            UNION SELECT 'team', key FROM boards UNION SELECT 'team', team FROM outlooks
            """
        )


async def forget_everything(engine: Engine) -> None:
    tables = await engine.rows(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    )
    async with engine.database.transaction() as connection:
        await connection.execute(f"TRUNCATE {', '.join(name for (name,) in tables)}")
