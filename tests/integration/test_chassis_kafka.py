"""The chassis on a real Kafka: who may write, what a reader sees, and every record taking effect once."""

import asyncio
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from tests.integration.chassis_kafka import (
    DEADLINE,
    Member,
    Store,
    admin,
    numbered,
    own_topic,
    tell_kafka_wrongly,
    until,
    until_async,
    until_visible,
    values,
    writing,
)

from troth_chassis.errors import ConfigurationError, FencedError, PoisonError, TransientError
from troth_chassis.publisher import Publisher
from troth_chassis.topic_reader import read_bodies
from troth_chassis.topics_admin import ensure_topics
from troth_chassis.writer import Mode, ScopeWriter
from troth_contracts import sync
from troth_contracts.codec import OutRecord, encode_state
from troth_contracts.topics import BY_NAME, TOPICS, Topic
from troth_sandbox.brokers import Broker, BrokerKind, open_broker
from troth_sandbox.errors import BrokerError

Require = Callable[[bool, str], None]
AT = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.fixture
async def topic(kafka: str) -> Topic:
    return await created(kafka)


async def created(kafka: str, partitions: int = 1) -> Topic:
    """Waits for the leaders: the broker answers a creation before everybody knows of it."""
    topic = own_topic(partitions)
    await ensure_topics(kafka, [topic])
    async with admin(kafka) as client:

        async def led() -> bool:
            (described,) = await client.describe_topics([topic.name])
            return all(part["leader"] >= 0 for part in described["partitions"] or [{"leader": -1}])

        await until_async(led)
    return topic


def mark(stream: str = "deals", *, complete: bool = False) -> sync.Watermark:
    return sync.Watermark(service="crm-sync", stream=stream, position=AT, backfill_complete=complete)


class TestTopics:
    async def test_missing_ones_are_created_as_declared(self, kafka: str) -> None:
        topic = replace(own_topic(), partitions=3)
        await ensure_topics(kafka, [topic])
        async with admin(kafka) as client:
            (described,) = await client.describe_topics([topic.name])
        assert len(described["partitions"]) == 3

    async def test_asking_again_changes_nothing(self, kafka: str, topic: Topic) -> None:
        await ensure_topics(kafka, [topic])
        await ensure_topics(kafka, [topic, own_topic()])

    async def test_two_services_may_ask_at_once(self, kafka: str) -> None:
        topics = [own_topic() for _ in range(3)]
        await asyncio.gather(*(ensure_topics(kafka, topics) for _ in range(3)))

    async def test_one_with_another_cleanup_policy_is_refused_with_the_next_step(
        self, kafka: str, topic: Topic
    ) -> None:
        """Compaction where events are kept, or deletion where states are, loses data quietly."""
        other = replace(topic, cleanup="delete")
        with pytest.raises(ConfigurationError) as caught:
            await ensure_topics(kafka, [other])
        assert f"{topic.name} has cleanup.policy=compact, needs delete" in str(caught.value)
        assert "alter them or remove them" in str(caught.value)

    async def test_all_of_the_product_can_be_created(self, kafka: str) -> None:
        await ensure_topics(kafka, TOPICS)


class TestWriter:
    async def test_what_is_published_becomes_visible_all_at_once(self, kafka: str, topic: Topic) -> None:
        async with writing(kafka, topic.name) as writer:
            await writer.publish(numbered(topic, range(100)))
            await until_visible(kafka, topic, 1)
            assert len(await values(kafka, topic)) == 100

    async def test_a_batch_that_holds_an_impossible_record_leaves_nothing(
        self, kafka: str, topic: Topic
    ) -> None:
        huge = OutRecord(topic.name, "huge", b"x" * 5_000_000, ())
        async with writing(kafka, topic.name) as writer:
            with pytest.raises(PoisonError, match="larger than the broker accepts"):
                await writer.publish([*numbered(topic, range(3)), huge])
            await writer.publish(numbered(topic, range(10, 12)))
            await until_visible(kafka, topic, 1)
        assert await values(kafka, topic) == [b"10", b"11"]

    async def test_a_newer_writer_of_the_scope_fences_the_older(self, kafka: str, topic: Topic) -> None:
        async with writing(kafka, topic.name) as older, writing(kafka, topic.name) as newer:
            await older.publish(numbered(topic, range(1)))
            await newer.publish(numbered(topic, range(1, 2)))
            with pytest.raises(FencedError, match="another instance writes chassis-test"):
                await older.publish(numbered(topic, range(2, 3)))
            await newer.publish(numbered(topic, range(3, 4)))
            await until_visible(kafka, topic, 3)
        assert await values(kafka, topic) == [b"0", b"1", b"3"]

    async def test_a_fenced_writer_does_not_fence_back(self, kafka: str, topic: Topic) -> None:
        """Two instances that take turns would both believe to be the only one."""
        async with writing(kafka, topic.name) as older, writing(kafka, topic.name) as newer:
            await older.publish(numbered(topic, range(1)))
            await newer.start()
            for _ in range(2):
                with pytest.raises(FencedError):
                    await older.publish(numbered(topic, range(1, 2)))
            with pytest.raises(FencedError):
                await older.start()
            await newer.publish(numbered(topic, range(2, 3)))

    async def test_two_scopes_do_not_fence_each_other(self, kafka: str, topic: Topic) -> None:
        async with writing(kafka, f"{topic.name}.a") as one, writing(kafka, f"{topic.name}.b") as other:
            for turn in range(3):
                await one.publish(numbered(topic, range(turn * 2, turn * 2 + 1)))
                await other.publish(numbered(topic, range(turn * 2 + 1, turn * 2 + 2)))
            await until_visible(kafka, topic, 6)

    async def test_a_stopped_writer_connects_again_when_asked_to_publish(
        self, kafka: str, topic: Topic
    ) -> None:
        async with writing(kafka, topic.name) as writer:
            await writer.publish(numbered(topic, range(1)))
            await writer.stop()
            await writer.publish(numbered(topic, range(1, 2)))
            await until_visible(kafka, topic, 2)

    @pytest.mark.parametrize("mode", ["idempotent", "plain"])
    async def test_several_replicas_may_write_without_transactions(
        self, kafka: str, topic: Topic, mode: Mode
    ) -> None:
        writers = [ScopeWriter(kafka, "chassis-test", topic.name, mode) for _ in range(2)]
        for number, writer in enumerate(writers):
            await writer.publish(numbered(topic, range(number, number + 1)))
            await writer.stop()
        assert await values(kafka, topic) == [b"0", b"1"]

    async def test_nothing_to_publish_needs_no_broker(self) -> None:
        await ScopeWriter("127.0.0.1:1", "chassis-test", "nowhere", "transactional").publish([])


class TestReadBack:
    @pytest.fixture
    def declared(self, monkeypatch: pytest.MonkeyPatch, topic: Topic) -> Topic:
        """The topic, known to the codec for the time of the test."""
        monkeypatch.setitem(BY_NAME, topic.name, topic)
        return topic

    async def test_a_publisher_finds_exactly_what_was_committed(self, kafka: str, declared: Topic) -> None:
        async with writing(kafka, declared.name) as writer:
            publisher = Publisher(kafka, writer, "/test")
            for version in range(1, 4):
                record = publisher.state(declared, "deals", mark(f"v{version}"), version)
                assert record is not None
                await publisher.commit([record])
            unseen = encode_state(declared, "unseen", mark("unseen"), version=9, source="/test")
            with pytest.raises(PoisonError):
                await writer.publish([unseen, OutRecord(declared.name, "huge", b"x" * 5_000_000, ())])
            await writer.start()  # settles what was in flight
            successor = Publisher(kafka, writer, "/test")
            await successor.load([declared])
        assert list(successor.keys(declared)) == ["deals"]
        assert successor.state(declared, "deals", mark("v3"), 9) is None
        assert successor.state(declared, "deals", mark("v2"), 2) is None
        assert successor.state(declared, "deals", mark("v4"), 4) is not None

    async def test_reading_back_fences_whoever_wrote_before(self, kafka: str, declared: Topic) -> None:
        """What an older instance committed after the reading would be told a second time."""
        async with writing(kafka, declared.name) as older, writing(kafka, declared.name) as newer:
            first, second = Publisher(kafka, older, "/test"), Publisher(kafka, newer, "/test")
            await first.load([declared])
            record = first.state(declared, "deals", mark("v1"), 1)
            assert record is not None
            await first.commit([record])
            await second.load([declared])
            late = first.state(declared, "deals", mark("v2"), 2)
            assert late is not None
            with pytest.raises(FencedError):
                await first.commit([late])
            assert second.state(declared, "deals", mark("v1"), 9) is None

    async def test_it_ends_although_control_records_stand_at_the_end(
        self, kafka: str, declared: Topic
    ) -> None:
        async with asyncio.timeout(DEADLINE), writing(kafka, declared.name) as writer:
            for number in range(3):
                await writer.publish(numbered(declared, range(number, number + 1)))
            await until_visible(kafka, declared, 3)
            huge = OutRecord(declared.name, "huge", b"x" * 5_000_000, ())
            with pytest.raises(PoisonError):
                await writer.publish([*numbered(declared, range(3, 9)), huge])
            assert await values(kafka, declared) == [b"0", b"1", b"2"]

    async def test_it_ends_on_a_topic_with_nothing_but_an_aborted_transaction(
        self, kafka: str, declared: Topic
    ) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"aborted.{declared.name}")
        await producer.start()
        await producer.begin_transaction()
        await producer.send_and_wait(declared.name, b"half a sweep", key=b"deal")
        await producer.abort_transaction()
        await producer.stop()
        async with asyncio.timeout(DEADLINE):
            assert await values(kafka, declared) == []

    async def test_an_empty_topic_and_a_missing_one_hold_nothing(self, kafka: str, topic: Topic) -> None:
        assert await values(kafka, topic) == []
        assert await values(kafka, own_topic()) == []

    async def test_the_latest_body_of_every_live_key_is_found(self, kafka: str, declared: Topic) -> None:
        async with writing(kafka, declared.name) as writer:
            publisher = Publisher(kafka, writer, "/test")
            first = [publisher.state(declared, key, mark(key), 1) for key in ("deals", "users")]
            await publisher.commit([record for record in first if record is not None])
            second = publisher.state(declared, "deals", mark("deals", complete=True), 2)
            gone = publisher.tombstone(declared, "users", 2)
            assert second is not None
            assert gone is not None
            await publisher.commit([second, gone])
            await until_visible(kafka, declared, 4)
        assert await read_bodies(kafka, declared) == {"deals": mark("deals", complete=True)}

    async def test_every_partition_is_read(self, kafka: str) -> None:
        topic = await created(kafka, partitions=5)
        async with writing(kafka, topic.name) as writer:
            await writer.publish(numbered(topic, range(200)))
            await until_visible(kafka, topic, 200)
        assert sorted(map(int, await values(kafka, topic))) == list(range(200))


class TestBrokerGone:
    """Every use of Kafka ends with a transient fault in bounded time: the supervisor asks again."""

    @pytest.fixture
    def mortal(self, tmp_path: Path, require: Require) -> Iterator[Broker]:
        """A broker of this test's own, to be stopped within it."""
        environ = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
        try:
            broker = open_broker(environ, tmp_path, kinds=(BrokerKind.KAFKA, BrokerKind.DOCKER))
        except BrokerError as error:
            require(False, f"needs a Kafka of its own: {error}")
            raise
        with broker:
            yield broker

    async def test_a_broker_that_goes_away_in_the_middle(self, mortal: Broker) -> None:
        """The client would retry an idempotent write without end, and its stop would wait for it."""
        topic, store = await created(mortal.bootstrap), Store()
        member = Member(mortal.bootstrap, "group", topic, store)
        writer = ScopeWriter(mortal.bootstrap, "chassis-test", topic.name, "transactional", give_up_after=3.0)
        async with asyncio.timeout(2 * DEADLINE):
            async with member.running():
                await writer.publish(numbered(topic, range(10)))
                await until(lambda: len(store.effects) == 10)
                await asyncio.to_thread(mortal.stop)
                with pytest.raises(TransientError, match="Kafka did not acknowledge 1 records"):
                    await writer.publish(numbered(topic, range(10, 11)))
                with pytest.raises(TransientError, match="does not accept a producer"):
                    await writer.publish(numbered(topic, range(10, 11)))
            await writer.stop()
        await until(lambda: other_tasks() == [])

    async def test_nobody_listens(self) -> None:
        nowhere = "127.0.0.1:1"
        writer = ScopeWriter(nowhere, "chassis-test", "gone", "transactional")
        store, topic = Store(), own_topic()
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(TransientError, match=r"Kafka at 127\.0\.0\.1:1 does not accept a producer"):
                await writer.publish(numbered(topic, range(1)))
            with pytest.raises(TransientError, match="could not be read back"):
                await values(nowhere, topic)
            with pytest.raises(TransientError, match=r"Kafka at 127\.0\.0\.1:1 is not reachable"):
                await ensure_topics(nowhere, [topic])
            with pytest.raises(TransientError, match=r"Kafka at 127\.0\.0\.1:1 failed"):
                await Member(nowhere, "group", topic, store).consumer.run(lambda: None)
            assert await Member(nowhere, "group", topic, store).consumer.lag() == -1


class TestConsumer:
    @pytest.fixture
    async def shared(self, kafka: str) -> Topic:
        """Four partitions with 1,000 records of several transactions."""
        topic = await created(kafka, partitions=4)
        async with writing(kafka, topic.name) as writer:
            for start in range(0, 1_000, 100):
                await writer.publish(numbered(topic, range(start, start + 100)))
            await until_visible(kafka, topic, 1_000)
        return topic

    @pytest.fixture
    def group(self) -> str:
        return f"group.{uuid.uuid4().hex[:8]}"

    async def test_offsets_come_from_the_store_and_not_from_kafka(
        self, kafka: str, shared: Topic, group: str
    ) -> None:
        """Kafka's committed offsets are deliberately wrong: at the end for some, at the beginning for others."""
        await tell_kafka_wrongly(kafka, group, shared)
        store = Store()
        async with Member(kafka, group, shared, store).running():
            await until(lambda: len(store.effects) == 1_000)
        assert_once(store, 1_000)

    async def test_a_second_life_goes_on_where_the_first_ended(
        self, kafka: str, shared: Topic, group: str
    ) -> None:
        store = Store()
        async with Member(kafka, group, shared, store).running():
            await until(lambda: len(store.effects) >= 200)
        await tell_kafka_wrongly(kafka, group, shared)
        async with Member(kafka, group, shared, store).running():
            await until(lambda: len(store.effects) == 1_000)
        assert_once(store, 1_000)

    async def test_lag_reaches_zero_although_transactions_end_with_control_records(
        self, kafka: str, shared: Topic, group: str
    ) -> None:
        store = Store()
        member = Member(kafka, group, shared, store)
        assert await member.consumer.lag() == -1
        async with member.running():
            await until_async(lambda: lag_is(member, 0))
            assert len(store.effects) == 1_000
        assert await member.consumer.lag() == -1

    async def test_lag_counts_what_is_not_stored_yet(self, kafka: str, shared: Topic, group: str) -> None:
        store = Store()
        member = Member(kafka, group, shared, store)
        member.gate.clear()
        async with member.running():
            await until(lambda: member.waiting)
            assert await member.consumer.lag() >= 1_000
            member.gate.set()
            await until_async(lambda: lag_is(member, 0))

    async def test_an_offset_moved_back_is_read_again_from_there(
        self, kafka: str, shared: Topic, group: str
    ) -> None:
        """Somebody else changed the stored offset: zero rows, so it is read again and sought."""
        store = Store()
        member = Member(kafka, group, shared, store)
        async with member.running():
            await until_async(lambda: lag_is(member, 0))
            place = (shared.name, 2)
            again = [offset for offset in store.order[place] if offset >= 10]
            store.offsets[place] = 10
            async with writing(kafka, shared.name) as writer:
                await writer.publish(numbered(shared, range(1_000, 1_040)))
            await until(lambda: len(store.effects) == 1_040)
            await until_async(lambda: lag_is(member, 0))
        assert store.lost >= 1
        twice = [value for value, count in store.effects.items() if count == 2]
        assert len(twice) == len(again)
        assert max(store.effects.values()) == 2

    async def test_an_error_while_offsets_are_read_at_the_assignment_ends_the_run_with_it(
        self, kafka: str, shared: Topic, group: str
    ) -> None:
        """The client only logs it and would go on from Kafka's own offsets."""
        await tell_kafka_wrongly(kafka, group, shared)
        store = Store()
        store.unreadable = LookupError("relation offsets does not exist")
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(LookupError, match="relation offsets"):
                await Member(kafka, group, shared, store).consumer.run(lambda: None)
        assert not store.effects

    async def test_members_that_come_and_go_make_every_record_take_effect_once(
        self, kafka: str, group: str
    ) -> None:
        topic = await created(kafka, partitions=4)
        await tell_kafka_wrongly(kafka, group, topic)
        store = Store()
        first, total = Member(kafka, group, topic, store), 0
        async with writing(kafka, topic.name) as writer, first.running() as run:
            for _ in range(3):
                second = Member(kafka, group, topic, store)
                async with second.running():
                    await writer.publish(numbered(topic, range(total, total + 300)))
                    total += 300
                    await until(lambda: second.handled > 0)  # noqa: B023 - asked inside its turn
                await writer.publish(numbered(topic, range(total, total + 100)))
                total += 100
            await until(lambda: len(store.effects) == total)
            assert not run.done()
        assert_once(store, total)

    async def test_a_blocked_handler_while_another_member_joins_and_leaves_twice(
        self, kafka: str, shared: Topic, group: str
    ) -> None:
        """Field case G17: partitions come back to a member that never knew it had lost them.

        https://github.com/akka/alpakka-kafka/issues/1036: what was fetched before must not be used after, and the
        position must be the store's, also for a partition that never left.
        """
        await tell_kafka_wrongly(kafka, group, shared)
        store = Store()
        blocked = Member(kafka, group, shared, store)
        blocked.gate.clear()
        async with blocked.running() as run:
            await until(lambda: blocked.waiting)
            for _ in range(2):
                visitor = Member(kafka, group, shared, store)
                async with visitor.running():
                    await until(lambda: visitor.handled > 0)  # noqa: B023 - asked inside its turn
            blocked.gate.set()
            await until(lambda: len(store.effects) == 1_000)
            await until_async(lambda: lag_is(blocked, 0))
            assert not run.done()
        assert_once(store, 1_000)

    async def test_holes_left_by_compaction_are_no_lost_ownership(self, kafka: str, group: str) -> None:
        topic = await compacted(kafka)
        store = Store()
        member = Member(kafka, group, topic, store)
        async with member.running():
            await until_async(lambda: lag_is(member, 0))
        offsets = store.order[(topic.name, 0)]
        assert offsets != list(range(offsets[0], offsets[0] + len(offsets))), "nothing was compacted"
        assert store.lost == 0
        store.offsets[(topic.name, 0)] = 3
        store.order.clear()
        async with member.running():
            await until_async(lambda: lag_is(member, 0))
        again = store.order[(topic.name, 0)]
        assert again[-1] == offsets[-1]
        assert set(again) <= set(offsets), "compaction goes on between the two, it adds nothing"


async def compacted(kafka: str) -> Topic:
    """A topic whose first records are gone: one key written 20 times, cleaned eagerly."""
    topic = own_topic()
    eager = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    async with admin(kafka) as client:
        await client.create_topics([NewTopic(topic.name, 1, 1, topic_configs=eager)])
    async with writing(kafka, topic.name) as writer:
        for n in range(20):
            await writer.publish([OutRecord(topic.name, "deal", f"v{n}".encode(), ())])

        async def cleaned() -> bool:
            # A segment is only closed when something is written after its time.
            await writer.publish([OutRecord(topic.name, "clock", b"tick", ())])
            found = await values(kafka, topic)
            return b"v0" not in found and b"v19" in found

        await until_async(cleaned)
    return topic


def other_tasks() -> list[str]:
    """Whatever the clients left running."""
    return [repr(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def lag_is(member: Member, records: int) -> bool:
    return await member.consumer.lag() == records


def assert_once(store: Store, total: int) -> None:
    assert sorted(map(int, store.effects)) == list(range(total))
    assert set(store.effects.values()) == {1}
    for offsets in store.order.values():
        assert offsets == sorted(offsets)
