"""Brings outbox rows to Kafka: alerts as events, assessments as states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from troth_chassis.writer import ScopeWriter
from troth_contracts.codec import OutRecord, encode_event, encode_state, encode_tombstone
from troth_contracts.risk import AlertTransition, Assessment
from troth_contracts.topics import ALERTS, ASSESSMENTS

SOURCE = "risk-engine"


def assessment_row(assessment: Assessment, version: int) -> dict[str, Any]:
    """The outbox body of an assessment; ``version`` in ms, growing per deal."""
    return {"topic": ASSESSMENTS.name, "version": version, "value": msgspec.to_builtins(assessment)}


def withdrawn_row(deal: str, version: int) -> dict[str, Any]:
    """The outbox body for a deal that promises nothing any more."""
    return {"topic": ASSESSMENTS.name, "version": version, "key": deal, "value": None}


def transition_row(transition: AlertTransition) -> dict[str, Any]:
    """The outbox body of an alert's transition."""
    return {"topic": ALERTS.name, "value": msgspec.to_builtins(transition)}


def to_record(body: Mapping[str, Any]) -> OutRecord:
    """The Kafka record of an outbox row."""
    if body["topic"] == ASSESSMENTS.name and body["value"] is None:
        return encode_tombstone(ASSESSMENTS, body["key"], version=int(body["version"]), source=SOURCE)
    if body["topic"] == ASSESSMENTS.name:
        assessment = msgspec.convert(body["value"], Assessment)
        return encode_state(
            ASSESSMENTS, assessment.deal_key, assessment, version=int(body["version"]), source=SOURCE
        )
    transition = msgspec.convert(body["value"], AlertTransition)
    return encode_event(
        ALERTS,
        transition.alert_id,
        transition,
        event_id=transition.notice_id,
        at=transition.at,
        source=SOURCE,
    )


async def publish(writer: ScopeWriter, bodies: Sequence[Mapping[str, Any]]) -> None:
    """Returns when all are acknowledged."""
    await writer.publish([to_record(body) for body in bodies])
