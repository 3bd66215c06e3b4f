"""Records on the wire: what is written is read back, and the same fact always looks the same."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.strategies import CARRYING, bodies, records

from troth_contracts import crm, jira
from troth_contracts.codec import (
    OutRecord,
    content_hash,
    decode,
    encode_body,
    encode_event,
    encode_state,
    encode_tombstone,
    read_version,
)
from troth_contracts.topics import ISSUE_EVENTS, OPPORTUNITIES, Topic
from troth_contracts.values import Contract, Money

AT = datetime(2026, 10, 1, 12, 0, 0, 250_000, tzinfo=UTC)
VERSION = int(AT.timestamp() * 1000)
DEAL = crm.Deal(org_id="00D1", id="0061", name="Renewal")
MOVED = jira.IssueEvent(
    site_id="s", issue_id="1", issue_key="APA-1", history_id="7", item_index=0, field="status", at=AT
)


def encode(topic: Topic, body: Contract, key: str = "scope:1") -> OutRecord:
    if topic.kind == "event":
        return encode_event(topic, key, body, event_id="id-1", at=AT, source="/test")
    return encode_state(topic, key, body, version=VERSION, source="/test")


def read(record: OutRecord) -> Any:
    return decode(record.topic, record.key.encode(), record.value, record.headers)


@pytest.mark.parametrize("topic", CARRYING, ids=lambda topic: topic.name)
def test_every_type_comes_back_as_it_was_written(topic: Topic) -> None:
    @settings(max_examples=25)
    @given(body=bodies(topic))
    def comes_back(body: Contract) -> None:
        assert read(encode(topic, body)).body == body

    comes_back()


@settings(max_examples=40)
@given(records())
def test_written_again_after_reading_it_is_the_same_record(example: tuple[Topic, Contract]) -> None:
    topic, body = example
    first = encode(topic, body)
    assert encode(topic, read(first).body) == first


@given(st.text(min_size=1))
def test_any_key_comes_back(key: str) -> None:
    assert read(encode(OPPORTUNITIES, DEAL, key)).key == key


def test_a_field_this_version_does_not_know_is_ignored() -> None:
    """A newer writer of the same major may add optional fields, also inside nested values."""
    record = encode(OPPORTUNITIES, DEAL)
    newer = json.loads(record.value or b"")
    newer |= {"invented": [1], "amount": {"amount": "1", "currency": "EUR", "invented": True}}
    found = decode(record.topic, b"k", json.dumps(newer).encode(), record.headers)
    assert found.body == msgspec.structs.replace(DEAL, amount=Money(amount=Decimal(1), currency="EUR"))


def test_what_has_its_default_is_left_out_of_the_value() -> None:
    assert json.loads(encode_body(DEAL)) == {"org_id": "00D1", "id": "0061", "name": "Renewal"}


def test_the_order_in_which_custom_fields_were_found_does_not_change_the_bytes() -> None:
    one, other = (
        msgspec.structs.replace(DEAL, custom=dict(pairs))
        for pairs in ([("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")])
    )
    assert encode_body(one) == encode_body(other)


class TestIdentity:
    """ce_id is deterministic: the same fact told again has the same id, another fact another one."""

    def test_a_state_is_named_by_key_version_and_content(self) -> None:
        record = encode(OPPORTUNITIES, DEAL, "00D1:0061")
        assert read(record).id == f"00D1:0061:{VERSION}:{content_hash(record.value)}"

    @pytest.mark.parametrize(
        "other",
        [
            encode_state(OPPORTUNITIES, "k", DEAL, version=2, source="/test"),
            encode_state(OPPORTUNITIES, "l", DEAL, version=1, source="/test"),
            encode_state(
                OPPORTUNITIES, "k", msgspec.structs.replace(DEAL, name="New"), version=1, source="/test"
            ),
            encode_tombstone(OPPORTUNITIES, "k", version=1, source="/test"),
        ],
        ids=["version", "key", "content", "deletion"],
    )
    def test_another_fact_has_another_id(self, other: OutRecord) -> None:
        first = encode_state(OPPORTUNITIES, "k", DEAL, version=1, source="/test")
        assert read(first).id != read(other).id

    def test_an_event_is_named_by_its_writer(self) -> None:
        assert read(encode(ISSUE_EVENTS, MOVED)).id == "id-1"


class TestHeaders:
    """CloudEvents 1.0, Kafka protocol binding, binary mode."""

    @pytest.mark.parametrize("topic", CARRYING, ids=lambda topic: topic.name)
    def test_the_required_attributes_are_there(self, topic: Topic) -> None:
        """https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md"""
        record = encode(topic, DEAL)
        headers = dict(record.headers)
        assert headers["ce_specversion"] == b"1.0"
        assert headers["ce_type"] == topic.ce_type.encode()
        assert headers["ce_source"] == b"/test"
        assert headers["ce_subject"] == record.key.encode()
        assert headers["ce_time"] == b"2026-10-01T12:00:00.250Z"
        assert headers["content-type"] == b"application/json"
        assert headers["ce_id"]

    def test_each_header_is_given_once(self) -> None:
        names = [name for name, _ in encode(OPPORTUNITIES, DEAL).headers]
        assert len(names) == len(set(names))

    def test_version_and_content_are_readable_without_the_value(self) -> None:
        record = encode(OPPORTUNITIES, DEAL)
        assert read_version(record.headers) == (VERSION, content_hash(record.value))

    def test_an_event_has_no_version(self) -> None:
        record = encode(ISSUE_EVENTS, DEAL)
        assert "ce_version" not in dict(record.headers)

    @given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)))  # noqa: DTZ001
    def test_the_time_of_an_event_is_told_to_the_millisecond(self, at: datetime) -> None:
        record = encode_event(ISSUE_EVENTS, "k", DEAL, event_id="e", at=at, source="/test")
        told = datetime.fromisoformat(dict(record.headers)["ce_time"].decode())
        assert timedelta(0) <= at - told < timedelta(milliseconds=1)


class TestTombstone:
    def test_a_deletion_has_no_value_and_carries_its_version(self) -> None:
        """So that an older record which arrives later cannot bring the key back."""
        record = encode_tombstone(OPPORTUNITIES, "00D1:0061", version=VERSION, source="/test")
        found = read(record)
        assert record.value is None
        assert (found.body, found.version, found.content_hash) == (None, VERSION, "-")

    def test_its_version_is_readable_from_the_headers(self) -> None:
        record = encode_tombstone(OPPORTUNITIES, "k", version=7, source="/test")
        assert read_version(record.headers) == (7, "-")


@given(st.binary(), st.binary())
def test_the_content_hash_tells_contents_apart(one: bytes, other: bytes) -> None:
    assert (content_hash(one) == content_hash(other)) == (one == other)


def test_no_content_hashes_like_a_deletion() -> None:
    assert content_hash(None) == "-"
    assert content_hash(b"") != "-"
