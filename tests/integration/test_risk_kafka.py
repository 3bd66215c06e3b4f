"""The engine on real Kafka: dead letters, lag, wrong offsets, rebalances, and two replicas, one of them asleep."""

import asyncio
import contextlib
import signal
import sys
import uuid
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from tests.risk_engine.company import LATER, Company, promise, records
from tests.risk_engine.engine import Engine, State, differences, final_state, open_engine
from tests.risk_engine.replica import Replica, StillClock, begin_here, limits, open_replica, publish

from risk_engine.store.states import INGESTED
from troth_chassis.topic_reader import read_topic
from troth_chassis.writer import ScopeWriter
from troth_contracts.codec import OutRecord
from troth_contracts.topics import BY_NAME, SYNC_STATUS, dead_letter_topic

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 60.0
BULK = 4_700


@pytest.fixture
def it() -> Company:
    """A company of this test's own: the broker is shared."""
    name = uuid.uuid4().hex[:8]
    return Company(org=f"00D{name}", site=f"{name}.test")


@pytest.fixture
def group() -> str:
    return f"risk-engine-{uuid.uuid4().hex[:8]}"


async def until(check: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(DEADLINE):
            while not await check():  # noqa: ASYNC110  (what is waited for is in other processes)
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"not within {DEADLINE:g} s: {what}")


async def until_worked_off(replica: Replica) -> None:
    async def done() -> bool:
        marks = int(await replica.engine.value("SELECT count(*) FROM marks"))
        return await replica.consumer.lag() == 0 and marks == 0 and await replica.engine.evaluator.go_live()

    await until(done, "everything stored and evaluated")


async def alone(postgres: str, stream: list[OutRecord]) -> State:
    """What a single uninterrupted run comes to."""
    async with open_engine(postgres, clock=StillClock()) as engine:
        await engine.take(stream)
        await engine.evaluator.go_live()
        await engine.evaluate()
        state = await final_state(engine)
        tables = await engine.rows(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        )
        async with engine.database.transaction() as connection:
            await connection.execute(f"TRUNCATE {', '.join(name for (name,) in tables)}")
    return state


# -- dead letters --------------------------------------------------------------------------------------------------


def malformed(it: Company) -> Iterator[tuple[OutRecord, str]]:
    """For every ingested topic: a record that breaks its contract in each way, and what the reason must say."""
    samples = {record.topic: record for record in records(it) if record.value is not None}
    for topic in INGESTED:
        good = samples[topic]
        value = good.value or b""
        yield replace(good, value=b'{"org_id": "'), "does not match"
        yield replace(good, value=b'{"org_id": 7}'), "does not match"
        yield replace(good, value=value[:-1] + b', "unread": "\xff"}'), "not UTF-8"
        yield replace(good, value=value[:-1] + b', "unread": "a\\u0000b"}'), "PostgreSQL cannot hold it"
        yield replace(good, headers=()), "header ce_type is missing"
        yield replace(good, headers=other_type(good)), "ce_type is 'troth.other.v1'"
        yield replace(good, key=good.key + "\0"), "the value speaks of"
        if BY_NAME[topic].kind == "event":
            yield replace(good, value=None), "an event without a value"
        else:
            yield replace(good, headers=without(good, "ce_version")), "header ce_version is missing"
    yield it.issue(7, "ATL-7", estimate=10**40), "no number anybody can reckon with"


def other_type(record: OutRecord) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, b"troth.other.v1" if name == "ce_type" else value) for name, value in record.headers)


def without(record: OutRecord, header: str) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value) for name, value in record.headers if name != header)


async def test_malformed_records_are_buried_with_their_reason_and_their_neighbours_flow(
    kafka: str, postgres: str, it: Company, group: str
) -> None:
    bad = list(malformed(it))
    good = records(it)
    mixed = [record for pair in zip(good, [record for record, _ in bad], strict=False) for record in pair]
    mixed += [*good[len(bad) :], *[record for record, _ in bad[len(good) :]]]
    await begin_here(kafka, postgres)
    async with open_replica(kafka, postgres, group) as replica:
        engine = replica.engine
        engine.ingest._letters = ScopeWriter(kafka, "risk-engine", "dead-letters", "idempotent")
        await publish(kafka, mixed, scope=group)
        await publish_without_key(kafka, it)
        await until_worked_off(replica)
        await engine.ingest._letters.stop()
        for table, topic in (("deals", "crm.opportunities"), ("issues", "jira.issues"), ("journal", None)):
            stored = await engine.value(f"SELECT count(*) FROM {table}")
            assert stored == len({key_of(record) for record in good if is_of(record, topic)})
    letters = [letter for letter in await dead_letters(kafka) if of_company(letter, it)]
    for record, reason in bad:
        found = [reason_of(letter) for letter in letters if letter.value == record.value]
        assert any(reason in told for told in found), (record.topic, reason, found)
    assert "key is missing" in {reason_of(letter) for letter in letters}
    assert len(letters) == len(bad) + 1


def is_of(record: OutRecord, topic: str | None) -> bool:
    return record.topic == topic or (topic is None and BY_NAME[record.topic].kind == "event")


def key_of(record: OutRecord) -> str:
    return record.key if BY_NAME[record.topic].kind == "state" else dict(record.headers)["ce_id"].decode()


def reason_of(letter: ConsumerRecord) -> str:
    return str(dict(letter.headers)["reason"].decode())


def of_company(letter: ConsumerRecord, it: Company) -> bool:
    told = (letter.key or b"") + (letter.value or b"")
    return it.org.encode() in told or it.site.encode() in told


async def dead_letters(kafka: str) -> list[ConsumerRecord]:
    return [record async for page in read_topic(kafka, dead_letter_topic("risk-engine")) for record in page]


async def publish_without_key(kafka: str, it: Company) -> None:
    record = it.issue_event(99)  # a compacted topic refuses what has no key by itself
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        await producer.send_and_wait(record.topic, value=record.value, headers=list(record.headers))
    finally:
        await producer.stop()


# -- lag and the quiet start ---------------------------------------------------------------------------------------


async def test_the_lag_counts_what_is_fetched_but_not_stored_and_ends_at_zero_after_transactions(
    kafka: str, postgres: str, it: Company, group: str
) -> None:
    gate = asyncio.Event()
    await begin_here(kafka, postgres)
    async with open_replica(kafka, postgres, group) as replica:
        handle = replica.engine.ingest.handle

        async def held(batch: object) -> None:
            await gate.wait()
            await handle(batch)  # type: ignore[arg-type]

        replica.engine.ingest.handle = held  # type: ignore[method-assign]
        await publish(kafka, records(it), scope=group)

        async def fetched() -> bool:
            return await replica.consumer.lag() > 0 and replica.consumer._working.locked()

        await until(fetched, "a batch in hand")
        assert await replica.consumer.lag() > 0, "what is in hand is not stored yet"
        assert not await replica.engine.evaluator.go_live()
        gate.set()
        await until_worked_off(replica)


async def test_a_replica_does_not_go_live_while_another_one_is_behind(
    kafka: str, postgres: str, it: Company, group: str
) -> None:
    """The syncs' words are stored, and somebody else owns the partitions that still wait."""
    await begin_here(kafka, postgres)
    async with open_engine(postgres, clock=StillClock()) as engine:
        await publish(kafka, records(it), scope=group)
        async with group_member(kafka, group) as other:
            await until(lambda: owns(other), "the other member owns partitions")
            replica = Replica(kafka, engine, group, limits())
            running = asyncio.create_task(replica.run())
            try:
                await until(lambda: half_done(replica), "own partitions done")
                for service in ("crm-sync", "jira-sync"):
                    await engine.rows(
                        "INSERT INTO sync_status VALUES (%s, 1, '', false, %s) ON CONFLICT DO NOTHING RETURNING key",
                        service,
                        f'{{"service": "{service}", "state": "complete"}}',
                    )
                assert await replica.consumer.lag() > 0
                assert not await engine.evaluator.go_live()
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running


async def owns(member: AIOKafkaConsumer) -> bool:
    return bool(member.assignment())


async def half_done(replica: Replica) -> bool:
    lag = await replica.consumer.lag()
    await asyncio.sleep(1)
    return bool(replica.consumer._expected) and lag == await replica.consumer.lag()


@contextlib.asynccontextmanager
async def group_member(kafka: str, group: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Takes partitions and reads nothing: somebody who is slow."""
    consumer = AIOKafkaConsumer(
        *INGESTED,
        bootstrap_servers=kafka,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="latest",
        partition_assignment_strategy=(RangePartitionAssignor,),
        heartbeat_interval_ms=300,
        session_timeout_ms=6_000,
        rebalance_timeout_ms=10_000,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


# -- rebalances ----------------------------------------------------------------------------------------------------


async def test_the_stored_offset_counts_whatever_kafka_and_rebalances_say(
    kafka: str, postgres: str, it: Company, group: str
) -> None:
    """Kafka's own offsets are wrong, the database stands still while a member joins and leaves twice."""
    stream = [*records(it), *bulk(it, 1_500)]
    expected = await alone(postgres, stream)
    seen: list[str] = []
    await begin_here(kafka, postgres)
    await publish(kafka, stream, scope=group)
    await commit_ends(kafka, group)
    async with open_replica(kafka, postgres, group, probe=seen.append) as replica:
        await until(lambda: stored_some(replica.engine, it), "ingest began")
        async with await psycopg.AsyncConnection.connect(postgres) as blocker:
            await blocker.execute("LOCK TABLE stored_offsets IN ACCESS EXCLUSIVE MODE")
            for _ in range(2):
                async with group_member(kafka, group) as joiner:
                    await until(lambda member=joiner: owns(member), "the joiner owns partitions")  # type: ignore[misc]
            assert await is_blocked(replica.engine), "the loop was to stand still"
        await until_worked_off(replica)
        assert differences(await final_state(replica.engine), expected) == {}
        assert replica.consumer._expected == {
            TopicPartition(topic, number): offset
            for topic, number, offset in await replica.engine.rows("SELECT * FROM stored_offsets")
        }
    assert replica.engine.metrics.ingested._value.get() == len(stream), (
        "some records took effect twice, or never"
    )


async def stored_some(engine: Engine, _it: Company) -> bool:
    return int(await engine.value("SELECT count(*) FROM deals")) > 0


async def is_blocked(engine: Engine) -> bool:
    waiting = await engine.value(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'stored_offsets'::regclass"
    )
    return int(waiting) > 0


async def commit_ends(kafka: str, group: str) -> None:
    async with group_member(kafka, group) as member:
        await until(lambda: owns(member), "partitions to commit")
        await member.commit(await member.end_offsets(member.assignment()))


def bulk(it: Company, count: int) -> Iterator[OutRecord]:
    """Deals and issues of every sort in several versions; every tenth deal promises and names an issue."""
    for number in range(count):
        place, round_ = number % (count // 3 + 1), number // (count // 3 + 1)
        minutes = 50 - 10 * round_
        if place % 2:
            yield it.issue(10_000 + place, f"BOR-{10_000 + place}", estimate=round_, minutes=minutes)
        else:
            custom = promise(LATER, f"BOR-{10_001 + place}") if place % 10 == 0 else {}
            yield it.deal(f"bulk{place}", custom=custom, name=f"Bulk {place} {round_}", minutes=minutes)


async def test_two_replicas_one_of_them_asleep_come_to_the_state_of_one(
    kafka: str, postgres: str, it: Company, group: str
) -> None:
    """A real process is stopped past its session's end and wakes up with a batch in hand; members come and go."""
    syncs = [record for record in records(it) if record.topic == SYNC_STATUS.name]
    stream = [record for record in records(it) if record not in syncs] + list(bulk(it, BULK))
    expected = await alone(postgres, [*stream, *syncs])
    await begin_here(kafka, postgres)
    async with open_replica(kafka, postgres, group) as replica:
        await replica.engine.go_live()  # evaluated all the while, not once at the end
        async with child(kafka, postgres, group) as sleeper:
            await publish(kafka, stream[:1_500], scope=group)
            await until(lambda: stored_some(replica.engine, it), "ingest began")
            sleeper.send_signal(signal.SIGSTOP)
            await publish(kafka, stream[1_500:3_000], scope=group)
            await until(lambda: owns_everything(replica), "the session of the sleeper ends")
            sleeper.send_signal(signal.SIGCONT)
            async with group_member(kafka, group) as joiner:
                await until(lambda: owns(joiner), "a third member joins")
                await publish(kafka, [*stream[3_000:], *syncs], scope=group)
            await until_worked_off(replica)
            assert sleeper.returncode is None
        assert differences(await final_state(replica.engine), expected) == {}
        firing = "SELECT alert_id, count(*) FROM alert_transitions WHERE body->>'reason' = 'first' GROUP BY alert_id"
        assert {count for _, count in await replica.engine.rows(firing)} == {1}, "no alert was told twice"
        assert await holes_in_sequences(replica.engine) == []


async def owns_everything(replica: Replica) -> bool:
    return len(replica.consumer._expected) == sum(BY_NAME[topic].partitions for topic in INGESTED)


async def holes_in_sequences(engine: Engine) -> list[tuple[object, ...]]:
    return await engine.rows(
        "SELECT alert_id FROM alert_transitions GROUP BY alert_id HAVING max(sequence) <> count(*) OR min(sequence) <> 1"
    )


@contextlib.asynccontextmanager
async def child(
    kafka: str, postgres: str, group: str, session_ms: int = 6_000
) -> AsyncIterator[asyncio.subprocess.Process]:
    command = ["-m", "tests.risk_engine.replica", kafka, postgres, group, str(session_ms)]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT, stdout=PIPE)
    try:
        async with asyncio.timeout(DEADLINE):
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        await process.wait()
