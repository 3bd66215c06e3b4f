"""``crm-sync check``: tries what the service will need, and says of each thing whether it works and how to mend it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from crm_sync.changes import changed_rows
from crm_sync.describe import ALL, OPTIONAL, OrgSchema, read_schema
from crm_sync.salesforce import SalesforceReader
from troth_chassis.errors import TrothError


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
        yield Finding(ok=False, line=str(error))
        return
    for finding in _objects(schema):
        yield finding
    yield await _query(reader, schema)


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
