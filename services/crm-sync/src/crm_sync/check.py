"""``crm-sync check``: tries what the service will need, and says of each thing whether it works and how to mend it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from crm_sync.bus import PUBLISHED
from crm_sync.changes import changed_rows
from crm_sync.describe import ALL, OPTIONAL, STAGE, OrgSchema, read_schema
from crm_sync.fields import is_deleted
from crm_sync.paging import rows
from crm_sync.salesforce import SalesforceReader
from crm_sync.soql import Query
from troth_chassis.errors import TransientError, TrothError
from troth_chassis.topics_admin import existing_topics


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    ok: bool
    line: str


async def findings(reader: SalesforceReader) -> AsyncIterator[Finding]:
    """One finding per thing tried; stops at the first that makes the rest pointless."""
    try:
        yield Finding(ok=True, line=f"login: org {await reader.org_id()}")
        schema = await read_schema(reader)
    except TrothError as error:
        yield Finding(ok=False, line=f"{error}{_next_step(error)}")
        return
    for finding in _objects(schema):
        yield finding
    yield await _query(reader, schema)
    async for finding in _stages(reader, schema):
        yield finding


def _next_step(error: TrothError) -> str:
    """What is told beyond the error when Salesforce was not even reached; refusals say their fix themselves."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "; set TROTH_CRM_CA_BUNDLE to the certificates this machine must trust, such as a proxy's"
    if isinstance(error, TransientError):
        return "; check TROTH_CRM_SALESFORCE_URL, and that this machine may reach it"
    return ""


async def kafka_finding(bootstrap: str) -> Finding:
    """Whether Kafka answers; topics are made at the first start."""
    try:
        existing = await existing_topics(bootstrap)
    except TrothError as error:
        return Finding(ok=False, line=f"{error}; check KAFKA_BOOTSTRAP_SERVERS")
    there = sum(topic.name in existing for topic in PUBLISHED)
    return Finding(
        ok=True, line=f"Kafka: {there} of {len(PUBLISHED)} topics are there, others are made by the first run"
    )


def _objects(schema: OrgSchema) -> list[Finding]:
    found = []
    for wanted in ALL:
        item = schema.objects.get(wanted.name)
        if item is not None:
            custom = f", {len(item.custom)} of them custom" if item.custom else ""
            found.append(Finding(ok=True, line=f"{item.name}: {len(item.fields)} fields{custom}"))
        elif wanted.name in OPTIONAL:
            found.append(Finding(ok=True, line=f"{wanted.name}: not in this org, which is fine"))
    return found + [Finding(ok=False, line=problem) for problem in schema.problems()]


async def _query(reader: SalesforceReader, schema: OrgSchema) -> Finding:
    try:
        page = await reader.query(changed_rows(schema.deal, None))
    except TrothError as error:
        return Finding(ok=False, line=f"query: {error}")
    return Finding(
        ok=True, line=f"query: {page.total:,} opportunities, server time {page.server_time:%Y-%m-%d %H:%M:%S}"
    )


async def _stages(reader: SalesforceReader, schema: OrgSchema) -> AsyncIterator[Finding]:
    """Stage values in use that no stage definition has; the deals' own flags decide, so this is only told."""
    if STAGE.name not in schema.objects or "StageName" not in schema.deal.fields:
        return
    try:
        known = {str(row["ApiName"]) for row in await rows(reader, Query(STAGE.name, ("Id", "ApiName")))}
        used = Counter(
            str(row["StageName"])
            for row in await rows(reader, Query(schema.deal.name, ("Id", "StageName", "IsDeleted")))
            if not is_deleted(row)
        )
    except TrothError as error:
        yield Finding(ok=False, line=f"stages: {error}")
        return
    for name, count in sorted(used.items()):
        if name not in known:
            text = f"stage {name!r} is in no stage definition: {count:,} deals count by their own flags"
            yield Finding(ok=True, line=text)
