"""Contract types to Kafka records and back: JSON value, CloudEvents 1.0 attributes in ``ce_*`` headers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from hashlib import blake2b

import msgspec
from msgspec import inspect

from troth_contracts.errors import UndecodableRecord
from troth_contracts.topics import BY_NAME, Topic
from troth_contracts.values import Contract

Headers = tuple[tuple[str, bytes], ...]
_encoder = msgspec.json.Encoder(order="deterministic")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPEC_VERSION = ("ce_specversion", b"1.0")
_CONTENT_TYPE = ("content-type", b"application/json")
_LONGEST_NUMBER = 18
"""Digits that a 64-bit column surely holds."""


@dataclass(frozen=True, slots=True)
class OutRecord:
    """A record ready to be produced. ``value`` None is a tombstone.

    What its headers say of it is kept beside them for who made it: id, and version and content hash of a state.
    """

    topic: str
    key: str
    value: bytes | None
    headers: Headers
    id: str = ""
    version: int = 0
    content_hash: str = ""


class InRecord(msgspec.Struct, frozen=True):
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
    return _state(topic, key, encode_body(body), version, source)


def encode_tombstone(topic: Topic, key: str, *, version: int, source: str) -> OutRecord:
    """A deletion: no value, the version in the headers so that an older record cannot resurrect it."""
    return _state(topic, key, None, version, source)


def _state(topic: Topic, key: str, value: bytes | None, version: int, source: str) -> OutRecord:
    digest = content_hash(value)
    record_id = f"{key}:{version}:{digest}"
    extra = (("ce_version", str(version).encode()), ("ce_contenthash", digest.encode()))
    headers = _attributes(topic, record_id, key, source, _stamp(version)) + extra
    return OutRecord(topic.name, key, value, headers, record_id, version, digest)


def encode_event(
    topic: Topic, key: str, body: Contract, *, event_id: str, at: datetime, source: str
) -> OutRecord:
    """An event record; ``event_id`` must be the same whenever the same thing is told again."""
    headers = _attributes(topic, event_id, key, source, _written(at.astimezone(UTC)))
    return OutRecord(topic.name, key, encode_body(body), headers, event_id)


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
        _text(found.get("ce_id"), "header ce_id"),
        (found.get("ce_contenthash") or b"").decode("ascii", "replace"),
    )


def read_version(headers: Sequence[tuple[str, bytes]]) -> tuple[int, str]:
    """Version and content hash of a state record, without reading its value."""
    found = dict(headers)
    return _milliseconds(found), _text(found.get("ce_contenthash"), "header ce_contenthash")


def _attributes(topic: Topic, event_id: str, subject: str, source: str, stamp: bytes) -> Headers:
    origin, kind = _origin(topic.ce_type, source)
    return (
        _SPEC_VERSION,
        ("ce_id", event_id.encode()),
        origin,
        kind,
        ("ce_subject", subject.encode()),
        ("ce_time", stamp),
        _CONTENT_TYPE,
    )


@lru_cache(maxsize=256)
def _origin(ce_type: str, source: str) -> Headers:
    return ("ce_source", source.encode()), ("ce_type", ce_type.encode())


@lru_cache(maxsize=256)
def _stamp(at_ms: int) -> bytes:
    """Exact, where a float of seconds loses the last millisecond; one reading gives its time to many records."""
    return _written(_EPOCH + timedelta(milliseconds=at_ms))


def _written(at: datetime) -> bytes:
    """Of a time in UTC."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()


def _check_type(topic: Topic, headers: dict[str, bytes]) -> None:
    if headers.get("ce_type") != topic.ce_type.encode():
        given = _text(headers.get("ce_type"), "header ce_type")
        raise UndecodableRecord(f"ce_type is {given!r}, {topic.name} carries {topic.ce_type!r}")


def _text(raw: bytes | None, what: str) -> str:
    if not raw:
        raise UndecodableRecord(f"{what} is missing")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise UndecodableRecord(f"{what} is not UTF-8") from error


def _version(topic: Topic, headers: dict[str, bytes]) -> int:
    return _milliseconds(headers) if topic.kind == "state" else 0


def _milliseconds(headers: dict[str, bytes]) -> int:
    raw = headers.get("ce_version") or b""
    if not raw.isdigit() or len(raw) > _LONGEST_NUMBER:
        told = _text(raw, "header ce_version")
        raise UndecodableRecord(f"ce_version {told[:30]!r} is not a number of milliseconds")
    return int(raw)


@cache
def _decoder(topic_name: str) -> msgspec.json.Decoder[Contract]:
    content = BY_NAME[topic_name].content
    if content is None:
        raise UndecodableRecord(f"{topic_name} carries raw bytes, there is nothing to decode")
    return msgspec.json.Decoder(content)


def _decode_body(topic: Topic, value: bytes) -> Contract:
    try:
        body = _decoder(topic.name).decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableRecord(f"value does not match {topic.ce_type}: {error}") from error
    if not _is_finite(body):
        raise UndecodableRecord(f"value does not match {topic.ce_type}: a number is not finite")
    return body


def _is_finite(item: object) -> bool:
    """Decimals also read as NaN and infinity, which break the first comparison far from here."""
    if isinstance(item, Decimal):
        return item.is_finite()
    if isinstance(item, tuple):
        return all(map(_is_finite, item))
    if isinstance(item, msgspec.Struct):
        return all(_is_finite(getattr(item, name)) for name in _numeric_fields(type(item)))
    return True


@cache
def _numeric_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields in which a Decimal can be, at whatever depth."""
    told = inspect.type_info(kind)
    assert isinstance(told, inspect.StructType)  # noqa: S101  (for the types only)
    return tuple(field.name for field in told.fields if _holds_decimal(field.type))


def _holds_decimal(kind: inspect.Type) -> bool:
    match kind:
        case inspect.StructType():
            return bool(_numeric_fields(kind.cls))
        case inspect.UnionType():
            return any(map(_holds_decimal, kind.types))
        case inspect.CollectionType():
            return _holds_decimal(kind.item_type)
        case _:
            return isinstance(kind, inspect.DecimalType)
