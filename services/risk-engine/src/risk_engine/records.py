"""What a Kafka record means for the store, or why it cannot be used: the last look before it is believed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from aiokafka import ConsumerRecord

from risk_engine.store.states import StoredRecord
from troth_chassis.dead_letters import dead_letter
from troth_contracts import crm, jira
from troth_contracts.codec import InRecord, OutRecord, decode
from troth_contracts.errors import UndecodableRecord
from troth_contracts.values import Contract

SERVICE = "risk-engine"
LARGEST_POWER = 30
"""Amounts and estimates have at most this many digits before or after the point."""


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """What can be stored, and the letters for what breaks its contract."""

    records: list[StoredRecord]
    letters: list[OutRecord]


def read_batch(raws: Sequence[ConsumerRecord]) -> ReadBatch:
    """Reads every record; the order is kept."""
    read = ReadBatch([], [])
    for raw in raws:
        try:
            read.records.append(_stored(raw, decode(raw.topic, raw.key, raw.value, raw.headers)))
        except UndecodableRecord as error:
            read.letters.append(letter(raw, error.reason))
    return read


def identity(raw: ConsumerRecord) -> str:
    """Where the record stands in Kafka."""
    return f"{raw.topic}/{raw.partition}@{raw.offset}"


def letter(raw: ConsumerRecord, reason: str) -> OutRecord:
    """The dead letter of the record: its bytes and the reason."""
    key = (raw.key or b"").decode("utf-8", "replace")
    return dead_letter(
        SERVICE, reason=reason, source=raw.topic, key=key, value=raw.value, position=identity(raw)
    )


def _stored(raw: ConsumerRecord, decoded: InRecord) -> StoredRecord:
    is_state = decoded.topic.kind == "state"
    if decoded.body is not None:
        _check(decoded.key, decoded.body)
    elif not is_state:
        raise UndecodableRecord("an event without a value says nothing")
    return StoredRecord(
        topic=raw.topic,
        key=decoded.key if is_state else decoded.id,
        version=decoded.version,
        digest=decoded.content_hash,
        body=_text(raw.value),
        subject=decoded.key,
        position=(raw.partition, raw.offset),
    )


def _check(key: str, body: Contract) -> None:
    """What the codec cannot know. Evaluations rely on it, and a crash there would stop everything."""
    told = _key_of(body)
    if told != key:
        raise UndecodableRecord(f"the key is {key!r}, the value speaks of {told!r}")
    for number in _numbers(body):
        if number is not None and abs(number.adjusted()) > LARGEST_POWER:
            raise UndecodableRecord(f"{number} is no number anybody can reckon with")


def _key_of(body: Contract) -> str:
    if isinstance(body, crm.Stage | crm.CurrencyRate | crm.CrmUser | crm.Product):
        return crm.reference_key(body)
    key: str = getattr(body, "key")  # noqa: B009  (every other content has one; their base has not)
    return key


def _numbers(body: Contract) -> Iterable[Decimal | None]:
    """The numbers that evaluations reckon with."""
    match body:
        case crm.Deal():
            return (body.probability, body.amount.amount if body.amount else None)
        case jira.Issue():
            return (body.estimate,)
        case jira.Sprint():
            shared = [f for share in body.shares for f in (share.commitment, share.result)]
            return [figures.points for figures in (body.commitment, body.result, *shared) if figures]
        case _:
            return ()


def _text(value: bytes | None) -> str | None:
    """Fields nobody reads are passed over when a value is decoded, so they may still be broken."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError as error:
        raise UndecodableRecord("value is not UTF-8") from error
