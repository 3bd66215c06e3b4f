"""What the command line asks of the running service: through the inbox, so that nobody else writes its topics."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from jira_sync.hints import Hint, HintKind
from jira_sync.publication import SERVICE, by_project, census_stream
from jira_sync.settings import JiraSettings
from jira_sync.webhooks.inbox import inbox_record, request_body
from troth_chassis.topic_reader import read_bodies
from troth_chassis.topics_admin import ensure_topics
from troth_chassis.writer import Mode, ScopeWriter
from troth_contracts.sync import SyncStatus, Watermark
from troth_contracts.topics import JIRA_INBOX, JIRA_STATE, SYNC_STATUS


async def ask(settings: JiraSettings, kind: HintKind, **what: str) -> None:
    """Returns when the request is safe on Kafka; it is followed now, or when the service runs again.

    ``what``: the ``issue`` of a repair, the ``projects`` of a backfill or census (keys with commas, empty for all).
    """
    await ensure_topics(settings.kafka_bootstrap_servers, [JIRA_INBOX])
    writer = inbox_writer(settings)
    given = {name: value for name, value in what.items() if value}
    hint = Hint(kind, ",".join(given.values()))
    body = request_body(f"troth:{kind}", **given)
    record = inbox_record(settings.site_id, body, hint, identifier=uuid.uuid4().hex)
    try:
        await writer.publish([record])
    finally:
        await writer.stop()


async def status_lines(settings: JiraSettings) -> Sequence[str]:
    """What the service last said of itself on Kafka; works while it is down too."""
    bootstrap, site = settings.kafka_bootstrap_servers, settings.site_id
    told = (await read_bodies(bootstrap, SYNC_STATUS)).get(f"{SERVICE}:{site}")
    marks = await read_bodies(bootstrap, JIRA_STATE)
    if not isinstance(told, SyncStatus):
        return [f"{site}: nothing published yet"]
    lines = [f"{site}: {told.state}, {told.records} issues, last heard {told.at:%Y-%m-%d %H:%M:%S} UTC"]
    lines += [
        f"{name}: {value}" for name, value in (("reason", told.reason), ("detail", told.detail)) if value
    ]
    for name, stream in (("watermark", site), ("last census", census_stream(site))):
        mark = marks.get(stream)
        if isinstance(mark, Watermark):
            lines.append(f"{name}: {mark.position:%Y-%m-%d %H:%M:%S} UTC")
    return lines


async def project_marks(settings: JiraSettings) -> Mapping[str, Watermark]:
    """How far the backfill of every project is, by project id."""
    marks = await read_bodies(settings.kafka_bootstrap_servers, JIRA_STATE)
    return by_project(
        {key: mark for key, mark in marks.items() if isinstance(mark, Watermark)}, settings.site_id
    )


def inbox_writer(settings: JiraSettings) -> ScopeWriter:
    """A producer that several processes may have at once."""
    mode: Mode = "plain" if settings.kafka_producer_mode == "plain" else "idempotent"
    return ScopeWriter(settings.kafka_bootstrap_servers, SERVICE, f"{settings.site_id}.inbox", mode)
