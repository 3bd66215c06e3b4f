"""Reads deals whole: the opportunity and all its parts, in a few queries for many deals at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from crm_sync.changes import deal_id
from crm_sync.deal import DealRecords
from crm_sync.describe import CONTACT_ROLE, HISTORY, LINE_ITEM, TEAM_MEMBER, ObjectSchema, OrgSchema
from crm_sync.fields import Record
from crm_sync.paging import rows
from crm_sync.salesforce import SalesforceReader
from crm_sync.soql import Query, by_ids
from troth_chassis.together import together

_Parts = Mapping[str, Sequence[Record]]


async def read_deals(
    reader: SalesforceReader, schema: OrgSchema, ids: Sequence[str]
) -> dict[str, DealRecords]:
    """By id, what Salesforce has of those deals now, deleted ones included; a missing id is not there."""
    headers, *parts = await together(
        _rows_by(reader, schema.deal, "Id", ids),
        *(_rows_by(reader, child, child.parent or "Id", ids) for child in schema.children),
    )
    by_object = {child.name: found for child, found in zip(schema.children, parts, strict=True)}
    return whole(schema, headers, by_object)


def whole(
    schema: OrgSchema, headers: Sequence[Record], parts: Mapping[str, Sequence[Record]]
) -> dict[str, DealRecords]:
    """Deals by id from their rows and those of their parts; parts of other deals are left out."""
    by_object = {child.name: _by_deal(child, parts[child.name]) for child in schema.children}
    return {
        deal_id: DealRecords(
            opportunity=header,
            line_items=_part(by_object, LINE_ITEM.name, deal_id),
            contact_roles=_part(by_object, CONTACT_ROLE.name, deal_id),
            team=_part(by_object, TEAM_MEMBER.name, deal_id),
            history=_part(by_object, HISTORY.name, deal_id),
            related={each.name: _part(by_object, each.name, deal_id) for each in schema.related},
        )
        for header in headers
        for deal_id in [str(header["Id"])]
    }


def rows_of(records: DealRecords) -> Mapping[str, Sequence[Record]]:
    """The deal's rows by object name."""
    return {
        "Opportunity": (records.opportunity,),
        LINE_ITEM.name: records.line_items,
        CONTACT_ROLE.name: records.contact_roles,
        TEAM_MEMBER.name: records.team,
        HISTORY.name: records.history,
        **records.related,
    }


def _part(by_object: Mapping[str, _Parts], name: str, deal_id: str) -> Sequence[Record]:
    return by_object.get(name, {}).get(deal_id, ())


def _by_deal(child: ObjectSchema, rows: Sequence[Record]) -> _Parts:
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for row in rows:
        deal = deal_id(child, row)
        if deal is not None:
            found[deal].append(row)
    return found


async def _rows_by(
    reader: SalesforceReader, schema: ObjectSchema, field: str, ids: Sequence[str]
) -> list[Record]:
    queries = by_ids(Query(schema.name, schema.fields), field, ids)
    chunks = await together(*(rows(reader, query) for query in queries))
    return [row for chunk in chunks for row in chunk]
