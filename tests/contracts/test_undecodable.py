"""Records that break their contract: each is refused with one sentence that says what is wrong."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.strategies import CARRYING

from troth_contracts import crm
from troth_contracts.codec import Headers, InRecord, decode, encode_state, read_version
from troth_contracts.errors import UndecodableRecord
from troth_contracts.topics import OPPORTUNITIES, REFERENCE, Topic, dead_letter_topic
from troth_contracts.values import Money

DEAL = crm.Deal(org_id="00D1", id="0061", name="Renewal", amount=Money(amount="1", currency="EUR"))  # type: ignore[arg-type]
GOOD = encode_state(OPPORTUNITIES, "00D1:0061", DEAL, version=1, source="/test")
Change = Callable[[dict[str, Any]], object]


def with_header(name: str, value: bytes | None) -> Headers:
    """Kafka allows a header without value."""
    return (*((key, old) for key, old in GOOD.headers if key != name), (name, value))  # type: ignore[arg-type]


def without_header(name: str) -> Headers:
    return tuple((key, value) for key, value in GOOD.headers if key != name)


def changed(change: Change) -> bytes:
    document = json.loads(GOOD.value or b"")
    change(document)
    return json.dumps(document).encode()


def decoded(
    *,
    topic: str = OPPORTUNITIES.name,
    key: bytes | None = b"00D1:0061",
    value: bytes | None = GOOD.value,
    headers: Headers = GOOD.headers,
) -> InRecord:
    return decode(topic, key, value, headers)


def test_the_record_the_others_are_made_from_is_good() -> None:
    assert decoded().body == decode(GOOD.topic, b"k", GOOD.value, GOOD.headers).body


def test_a_topic_nobody_declared() -> None:
    with pytest.raises(UndecodableRecord, match=r"topic 'crm\.unheard-of' is not declared"):
        decoded(topic="crm.unheard-of")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (without_header("ce_type"), "header ce_type is missing"),
        (with_header("ce_type", None), "header ce_type is missing"),
        (with_header("ce_type", b"\xff"), "header ce_type is not UTF-8"),
        (
            with_header("ce_type", b"troth.jira.issue.v1"),
            "ce_type is 'troth.jira.issue.v1', crm.opportunities carries 'troth.crm.opportunity.v1'",
        ),
        (
            with_header("ce_type", b"troth.crm.opportunity.v2"),
            "ce_type is 'troth.crm.opportunity.v2', crm.opportunities carries",
        ),
        (without_header("ce_id"), "header ce_id is missing"),
        (with_header("ce_id", b""), "header ce_id is missing"),
        (without_header("ce_version"), "header ce_version is missing"),
        (with_header("ce_version", None), "header ce_version is missing"),
        (with_header("ce_version", b"soon"), "ce_version 'soon' is not a number of milliseconds"),
        (with_header("ce_version", b"-1"), "ce_version '-1' is not a number of milliseconds"),
        (with_header("ce_version", "\u00b2".encode()), "is not a number of milliseconds"),
        (with_header("ce_version", b"9" * 5_000), "is not a number of milliseconds"),
    ],
)
def test_headers_that_say_too_little_or_the_wrong_thing(headers: Headers, reason: str) -> None:
    with pytest.raises(UndecodableRecord) as caught:
        decoded(headers=headers)
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("key", "reason"), [(None, "key is missing"), (b"", "key is missing"), (b"\xff", "key is not UTF-8")]
)
def test_a_key_that_names_nothing(key: bytes | None, reason: str) -> None:
    with pytest.raises(UndecodableRecord, match=reason):
        decoded(key=key)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "value does not match troth.crm.opportunity.v1"),
        (b"<html>", "JSON is malformed"),
        (b'{"id": "006', "Input data was truncated"),
        (b"\xff\xfe", "value does not match"),
        (b"null", "Expected `object`, got `null`"),
        (b"[" * 100_000, "value does not match"),
        (changed(lambda deal: deal.pop("name")), "missing required field `name`"),
        (changed(lambda deal: deal.update(name=7)), "Expected `str`, got `int` - at `$.name`"),
        (
            changed(lambda deal: deal.update(probability="high")),
            "Invalid decimal string - at `$.probability`",
        ),
        (changed(lambda deal: deal.update(close_date="30/06/2026")), "Invalid RFC3339 encoded date"),
        (
            changed(lambda deal: deal.update(created_at="2026-10-01T12:00:00")),
            "Expected `datetime` with a timezone component - at `$.created_at`",
        ),
        (
            changed(lambda deal: deal["amount"].pop("currency")),
            "missing required field `currency` - at `$.amount`",
        ),
    ],
)
def test_a_value_that_is_not_what_the_topic_promises(value: bytes, reason: str) -> None:
    with pytest.raises(UndecodableRecord) as caught:
        decoded(value=value)
    assert reason in caught.value.reason
    assert "troth.crm.opportunity.v1" in caught.value.reason


@pytest.mark.parametrize("number", ["NaN", "nan", "sNaN", " nan7", "-Infinity", "inf", "+INF"])
def test_a_number_that_is_none(number: str) -> None:
    """Decimal reads them; the first comparison would then stop the reader instead of this record."""
    with pytest.raises(UndecodableRecord):
        decoded(value=changed(lambda deal: deal["amount"].update(amount=number)))
    with pytest.raises(UndecodableRecord):
        decoded(
            value=changed(
                lambda deal: deal.update(history=[{"at": "2026-10-01T12:00:00Z", "amount": number}])
            )
        )


def test_a_number_that_is_none_in_disguise() -> None:
    value = changed(lambda deal: deal["amount"].update(amount="NaN"))
    with pytest.raises(UndecodableRecord, match="not finite"):
        decoded(value=value.replace(b'"NaN"', b'"\\u004eaN"'))


def test_a_text_that_looks_like_such_a_number_is_only_a_text() -> None:
    """A person called Nan, a deal called Infinity."""
    found = decoded(
        value=changed(lambda deal: deal.update(name="Infinity", owner_id="nan", custom={"a": "inf"}))
    )
    assert isinstance(found.body, crm.Deal)
    assert (found.body.name, found.body.owner_id) == ("Infinity", "nan")


def test_reference_data_of_an_unknown_kind() -> None:
    headers = encode_state(REFERENCE, "k", DEAL, version=1, source="/test").headers
    with pytest.raises(UndecodableRecord, match="Invalid value 'planet'"):
        decode(REFERENCE.name, b"k", b'{"type": "planet", "org_id": "o", "id": "1"}', headers)


def test_a_value_outside_an_enumeration() -> None:
    headers = (("ce_type", b"troth.jira.sprint.v1"), ("ce_id", b"i"), ("ce_version", b"1"))
    value = b'{"site_id": "s", "id": "1", "name": "n", "state": "paused"}'
    with pytest.raises(UndecodableRecord, match="Invalid enum value 'paused'"):
        decode("jira.sprints", b"k", value, headers)


def test_dead_letters_hold_other_peoples_bytes() -> None:
    topic = dead_letter_topic("crm-sync")
    with pytest.raises(UndecodableRecord, match="carries raw bytes"):
        decode(topic.name, b"k", b"anything", (("ce_type", topic.ce_type.encode()), ("ce_id", b"i")))


def test_a_header_without_value_where_none_is_needed_is_no_fault() -> None:
    assert decoded(headers=with_header("ce_contenthash", None)).content_hash == ""


@pytest.mark.parametrize("name", ["ce_version", "ce_contenthash"])
@pytest.mark.parametrize("value", [None, b"", b"\xff"])
def test_the_mirror_of_a_writer_refuses_a_record_without_version_or_hash(
    name: str, value: bytes | None
) -> None:
    with pytest.raises(UndecodableRecord):
        read_version(with_header(name, value))


@given(
    topic=st.sampled_from(CARRYING),
    key=st.none() | st.binary(max_size=8),
    value=st.none() | st.binary(max_size=40) | st.sampled_from([b"{}", b"[]", b'{"id": 1}']),
    headers=st.dictionaries(
        st.sampled_from(["ce_type", "ce_id", "ce_version", "ce_contenthash"]),
        st.none() | st.binary(max_size=8) | st.just(b"1"),
    ),
)
def test_whatever_stands_on_a_topic_it_is_read_or_refused(
    topic: Topic, key: bytes | None, value: bytes | None, headers: dict[str, Any]
) -> None:
    """Never another error: a reader's loop only knows how to bury an undecodable record."""
    try:
        found = decode(topic.name, key, value, {"ce_type": topic.ce_type.encode(), **headers}.items())
    except UndecodableRecord:
        return
    assert found.topic is topic
