"""The publisher's mirror: nothing twice, nothing old after new, whatever order things are read in."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest
from aiokafka import ConsumerRecord
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given, settings
from hypothesis import strategies as st

from troth_chassis import publisher as module
from troth_chassis.errors import TransientError
from troth_chassis.publisher import Publisher
from troth_chassis.writer import ScopeWriter, place
from troth_contracts import crm, jira
from troth_contracts.codec import OutRecord, decode
from troth_contracts.topics import ISSUE_EVENTS, OPPORTUNITIES, Topic, dead_letter_topic

AT = datetime(2026, 10, 1, tzinfo=UTC)
KEY = "o:1"


class FakeWriter(ScopeWriter):
    """Keeps what is published in a list; fails when told."""

    def __init__(self) -> None:
        super().__init__("nowhere", "crm-sync", "test", "transactional")
        self.published: list[OutRecord] = []
        self.transactions = 0
        self.failing = False

    async def ready(self) -> None:
        """There is nothing to connect to."""

    async def publish(self, records: Sequence[OutRecord]) -> None:
        if self.failing:
            raise TransientError("Kafka did not acknowledge")
        self.published += records
        self.transactions += 1


@pytest.fixture
def writer() -> FakeWriter:
    return FakeWriter()


@pytest.fixture
def publisher(writer: FakeWriter) -> Publisher:
    return Publisher("nowhere", writer, "/crm-sync/o")


def deal(name: str = "Renewal") -> crm.Deal:
    return crm.Deal(org_id="o", id="1", name=name)


def event(index: int = 0) -> jira.IssueEvent:
    return jira.IssueEvent(
        site_id="s", issue_id="9", issue_key="A-9", history_id="7", item_index=index, field="status", at=AT
    )


async def say(publisher: Publisher, name: str, version: int) -> bool:
    """Publishes the deal when it is news."""
    record = publisher.state(OPPORTUNITIES, KEY, deal(name), version)
    if record is not None:
        await publisher.commit([record])
    return record is not None


class TestState:
    async def test_what_was_never_published_is_news(self, publisher: Publisher) -> None:
        assert await say(publisher, "Renewal", 1)

    async def test_equal_content_is_not_published_again(
        self, publisher: Publisher, writer: FakeWriter
    ) -> None:
        await say(publisher, "Renewal", 1)
        assert not await say(publisher, "Renewal", 2)
        assert len(writer.published) == 1

    async def test_changed_content_is(self, publisher: Publisher) -> None:
        await say(publisher, "Renewal", 1)
        assert await say(publisher, "Renewal (2 years)", 2)

    @pytest.mark.parametrize("version", [4, 5])
    async def test_a_read_that_began_earlier_never_follows_a_newer_one(
        self, publisher: Publisher, version: int
    ) -> None:
        await say(publisher, "new", 5)
        assert not await say(publisher, "old", version)

    async def test_asking_alone_remembers_nothing(self, publisher: Publisher) -> None:
        first = publisher.state(OPPORTUNITIES, KEY, deal(), 1)
        assert publisher.state(OPPORTUNITIES, KEY, deal(), 1) == first

    async def test_it_says_who_wrote_it(self, publisher: Publisher) -> None:
        record = publisher.state(OPPORTUNITIES, KEY, deal(), 1)
        assert record is not None
        assert dict(record.headers)["ce_source"] == b"/crm-sync/o"


class TestDeletion:
    async def test_what_was_never_published_is_not_deleted(self, publisher: Publisher) -> None:
        assert publisher.tombstone(OPPORTUNITIES, KEY, 9) is None

    async def test_a_key_is_deleted_once(self, publisher: Publisher) -> None:
        await say(publisher, "Renewal", 1)
        gone = publisher.tombstone(OPPORTUNITIES, KEY, 2)
        assert gone is not None
        await publisher.commit([gone])
        assert publisher.tombstone(OPPORTUNITIES, KEY, 3) is None
        assert list(publisher.keys(OPPORTUNITIES)) == []

    async def test_an_older_read_neither_deletes_nor_revives(self, publisher: Publisher) -> None:
        await say(publisher, "Renewal", 5)
        assert publisher.tombstone(OPPORTUNITIES, KEY, 4) is None
        gone = publisher.tombstone(OPPORTUNITIES, KEY, 6)
        assert gone is not None
        await publisher.commit([gone])
        assert not await say(publisher, "from before the deletion", 5)
        assert await say(publisher, "undeleted", 7)
        assert list(publisher.keys(OPPORTUNITIES)) == [KEY]


class TestEvents:
    async def test_are_told_once(self, publisher: Publisher) -> None:
        record = publisher.event(ISSUE_EVENTS, "s:9", event(), event().event_id, AT)
        assert record is not None
        await publisher.commit([record])
        assert publisher.event(ISSUE_EVENTS, "s:9", event(), event().event_id, AT) is None
        assert publisher.event(ISSUE_EVENTS, "s:9", event(1), event(1).event_id, AT) is not None

    async def test_also_when_one_batch_holds_them_twice(
        self, publisher: Publisher, writer: FakeWriter
    ) -> None:
        twice = [publisher.event(ISSUE_EVENTS, "s:9", event(), event().event_id, AT) for _ in range(2)]
        await publisher.commit([record for record in twice if record is not None])
        assert len(writer.published) == 1


class TestCommit:
    async def test_is_one_transaction(self, publisher: Publisher, writer: FakeWriter) -> None:
        records = [publisher.state(OPPORTUNITIES, f"o:{n}", deal(), 1) for n in range(5)]
        await publisher.commit([record for record in records if record is not None])
        assert (writer.transactions, len(writer.published)) == (1, 5)

    async def test_after_a_failure_nothing_is_remembered(
        self, publisher: Publisher, writer: FakeWriter
    ) -> None:
        writer.failing = True
        with pytest.raises(TransientError):
            await say(publisher, "Renewal", 1)
        writer.failing = False
        assert publisher.is_empty(OPPORTUNITIES)
        assert await say(publisher, "Renewal", 1)

    async def test_holds_no_old_state_after_a_new_one(self, publisher: Publisher, writer: FakeWriter) -> None:
        records = [publisher.state(OPPORTUNITIES, KEY, deal(str(version)), version) for version in (5, 3, 6)]
        await publisher.commit([record for record in records if record is not None])
        assert [version_of(record) for record in writer.published] == [5, 6]

    @settings(max_examples=50)
    @given(
        st.lists(st.lists(st.tuples(st.integers(1, 4), st.text("ab", max_size=1) | st.none())), max_size=6)
    )
    async def test_whatever_is_read_in_whatever_order_versions_only_grow(
        self, batches: list[list[tuple[int, str | None]]]
    ) -> None:
        writer = FakeWriter()
        publisher = Publisher("nowhere", writer, "/test")
        for batch in batches:
            asked = [
                publisher.tombstone(OPPORTUNITIES, KEY, version)
                if name is None
                else publisher.state(OPPORTUNITIES, KEY, deal(name), version)
                for version, name in batch
            ]
            await publisher.commit([record for record in asked if record is not None])
        versions = [version_of(record) for record in writer.published]
        assert versions == sorted(versions)


class TestLoad:
    """The published topics are the memory: read back, they are what was remembered before."""

    async def test_what_was_published_is_known_again(self, bus: dict[str, list[OutRecord]]) -> None:
        first, writer = fresh()
        await say(first, "Renewal", 5)
        record = first.event(ISSUE_EVENTS, "s:9", event(), event().event_id, AT)
        assert record is not None
        await first.commit([record])
        keep(bus, writer)
        second, _ = fresh()
        await second.load([OPPORTUNITIES, ISSUE_EVENTS])
        assert not await say(second, "Renewal", 9)
        assert not await say(second, "older", 4)
        assert second.event(ISSUE_EVENTS, "s:9", event(), event().event_id, AT) is None
        assert list(second.keys(OPPORTUNITIES)) == [KEY]

    async def test_the_newest_version_counts_wherever_it_stands(
        self, bus: dict[str, list[OutRecord]], publisher: Publisher
    ) -> None:
        records = [publisher.state(OPPORTUNITIES, KEY, deal(str(version)), version) for version in (1, 5, 3)]
        bus[OPPORTUNITIES.name] = [record for record in records if record is not None]
        await publisher.load([OPPORTUNITIES])
        assert not await say(publisher, "between", 4)
        assert await say(publisher, "newer", 6)

    async def test_what_was_remembered_before_is_forgotten(
        self, bus: dict[str, list[OutRecord]], publisher: Publisher
    ) -> None:
        """After a failed commit only the topics know what took effect."""
        await say(publisher, "Renewal", 5)
        await publisher.load([OPPORTUNITIES])
        assert publisher.is_empty(OPPORTUNITIES)

    async def test_a_record_somebody_else_broke_does_not_stop_the_writer(
        self, bus: dict[str, list[OutRecord]], publisher: Publisher
    ) -> None:
        bus[OPPORTUNITIES.name] = [OutRecord(OPPORTUNITIES.name, KEY, b"{}", (("ce_version", b"soon"),))]
        await publisher.load([OPPORTUNITIES])
        assert await say(publisher, "Renewal", 1)

    async def test_a_topic_with_nothing_but_a_deletion_was_used_before(
        self, bus: dict[str, list[OutRecord]]
    ) -> None:
        """So that a lost state topic is told from a first start."""
        first, writer = fresh()
        await say(first, "Renewal", 1)
        gone = first.tombstone(OPPORTUNITIES, KEY, 2)
        assert gone is not None
        writer.published = [gone]
        keep(bus, writer)
        await first.load([OPPORTUNITIES])
        assert not first.is_empty(OPPORTUNITIES)
        assert list(first.keys(OPPORTUNITIES)) == []

    async def test_dead_letters_are_nothing_to_remember(self, publisher: Publisher) -> None:
        topic = dead_letter_topic("crm-sync")
        await publisher.commit([OutRecord(topic.name, "k", b"bytes", (("ce_id", b"1"),))] * 2)
        assert publisher.is_empty(topic)


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[OutRecord]]:
    """What stands on each topic, for a publisher that reads it back."""
    topics: dict[str, list[OutRecord]] = {}

    async def read_topic(_bootstrap: str, topic: Topic) -> AsyncIterator[list[ConsumerRecord]]:
        yield [consumed(record) for record in topics.get(topic.name, [])]

    monkeypatch.setattr(module, "read_topic", read_topic)
    return topics


def fresh() -> tuple[Publisher, FakeWriter]:
    writer = FakeWriter()
    return Publisher("nowhere", writer, "/crm-sync/o"), writer


def keep(bus: dict[str, list[OutRecord]], writer: FakeWriter) -> None:
    for record in writer.published:
        bus.setdefault(record.topic, []).append(record)


def consumed(record: OutRecord) -> ConsumerRecord:
    key = record.key.encode()
    return ConsumerRecord(record.topic, 0, 0, 0, 0, key, record.value, None, 0, 0, record.headers)


def version_of(record: OutRecord) -> int:
    return decode(record.topic, record.key.encode(), record.value, record.headers).version


@given(st.binary(min_size=1, max_size=40), st.integers(1, 50))
def test_a_key_lies_where_the_client_itself_would_put_it(key: bytes, partitions: int) -> None:
    """Otherwise another producer's records of the same key would lie elsewhere."""
    numbers = list(range(partitions))
    assert place(key, numbers, numbers) == DefaultPartitioner()(key, numbers, numbers)
