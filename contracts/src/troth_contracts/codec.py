"""Contract types to Kafka records and back: JSON value, CloudEvents 1.0 attributes in ``ce_*`` headers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b

import msgspec

from troth_contracts.errors import UndecodableRecord
from troth_contracts.topics import BY_NAME, Topic
from troth_contracts.values import Contract

Headers = tuple[tuple[str, bytes], ...]
_encoder = msgspec.json.Encoder(order="deterministic")
_SPEC_VERSION = b"1.0"
_CONTENT_TYPE = b"application/json"


@dataclass(frozen=True, slots=True)
class OutRecord:
    """A record ready to be produced. ``value`` None is a tombstone."""

    topic: str
    key: str
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class InRecord:
    """A decoded record. ``body`` None is a tombstone; ``version`` is 0 on event topics."""

    topic: Topic
    key: str
    body: Contract | None
    version: int
    """Source server time in ms at which the authoritative read began."""
    id: str
    content_hash: str


def encode_body(body: Contract) -> bytes:
    """Canonical JSON: equal content gives equal bytes."""
    return _encoder.encode(body)


def content_hash(value: bytes | None) -> str:
    """Sixteen hex digits that change when the content does; '-' for a deletion."""
    return "-" if value is None else blake2b(value, digest_size=8).hexdigest()


def encode_state(topic: Topic, key: str, body: Contract, *, version: int, source: str) -> OutRecord:
    """A state record whose id is entity, version and content hash; the same input gives the same record."""
    value = encode_body(body)
    digest = content_hash(value)
    extra = ((_h("version"), str(version).encode()), (_h("contenthash"), digest.encode()))
    return OutRecord(
        topic.name, key, value, _attributes(topic, f"{key}:{version}:{digest}", key, source, version) + extra
    )


def encode_tombstone(topic: Topic, key: str, *, version: int, source: str) -> OutRecord:
    """A deletion: no value, the version in the headers so that an older record cannot resurrect it."""
    extra = ((_h("version"), str(version).encode()), (_h("contenthash"), b"-"))
    return OutRecord(
        topic.name, key, None, _attributes(topic, f"{key}:{version}:-", key, source, version) + extra
    )


def encode_event(
    topic: Topic, key: str, body: Contract, *, event_id: str, at: datetime, source: str
) -> OutRecord:
    """An event record; ``event_id`` must be the same whenever the same thing is told again."""
    stamp = int(at.timestamp() * 1000)
    return OutRecord(topic.name, key, encode_body(body), _attributes(topic, event_id, key, source, stamp))


def decode(
    topic_name: str, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]
) -> InRecord:
    """Reads a consumed record; UndecodableRecord names what is wrong with it."""
    topic = BY_NAME.get(topic_name)
    if topic is None:
        raise UndecodableRecord(f"topic {topic_name!r} is not declared in the contracts")
    found = dict(headers)
    _check_type(topic, found)
    body = None if value is None else _decode_body(topic, value)
    return InRecord(
        topic,
        _text(key, "key"),
        body,
        _version(topic, found),
        _text(found.get(_h("id")), "header ce_id"),
        found.get(_h("contenthash"), b"").decode("ascii", "replace"),
    )


def read_version(headers: Sequence[tuple[str, bytes]]) -> tuple[int, str]:
    """Version and content hash of a state record, without reading its value."""
    found = dict(headers)
    try:
        return int(found[_h("version")]), found[_h("contenthash")].decode("ascii")
    except (KeyError, ValueError) as error:
        raise UndecodableRecord("headers ce_version and ce_contenthash are missing or unreadable") from error


def _h(attribute: str) -> str:
    return f"ce_{attribute}"


def _attributes(topic: Topic, event_id: str, subject: str, source: str, at_ms: int) -> Headers:
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return (
        (_h("specversion"), _SPEC_VERSION),
        (_h("id"), event_id.encode()),
        (_h("source"), source.encode()),
        (_h("type"), topic.ce_type.encode()),
        (_h("subject"), subject.encode()),
        (_h("time"), at.encode()),
        ("content-type", _CONTENT_TYPE),
    )


def _check_type(topic: Topic, headers: dict[str, bytes]) -> None:
    given = _text(headers.get(_h("type")), "header ce_type")
    if given != topic.ce_type:
        raise UndecodableRecord(f"ce_type is {given!r}, {topic.name} carries {topic.ce_type!r}")


def _text(raw: bytes | None, what: str) -> str:
    if not raw:
        raise UndecodableRecord(f"{what} is missing")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise UndecodableRecord(f"{what} is not UTF-8") from error


def _version(topic: Topic, headers: dict[str, bytes]) -> int:
    if topic.kind != "state":
        return 0
    raw = _text(headers.get(_h("version")), "header ce_version")
    if not raw.isdigit():
        raise UndecodableRecord(f"ce_version {raw!r} is not a number of milliseconds")
    return int(raw)


@cache
def _decoder(topic_name: str) -> msgspec.json.Decoder[Contract]:
    content = BY_NAME[topic_name].content
    if content is None:
        raise UndecodableRecord(f"{topic_name} carries raw bytes, there is nothing to decode")
    return msgspec.json.Decoder(content)


def _decode_body(topic: Topic, value: bytes) -> Contract:
    try:
        return _decoder(topic.name).decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableRecord(f"value does not match {topic.ce_type}: {error}") from error
