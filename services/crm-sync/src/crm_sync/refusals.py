"""What Salesforce describes and yet refuses in a query: left out, so that everything else goes on.

A description can lag behind field-level security and sharing, or show what the API has no query for. What was refused
is asked for again each hour, by itself.
"""

from __future__ import annotations

import re

from crm_sync.describe import OrgSchema
from crm_sync.errors import ObjectRefused, QueryRefused, SchemaChanged
from crm_sync.faults import hidden_field
from crm_sync.salesforce import SalesforceReader
from crm_sync.soql import Condition, Query
from troth_chassis.clock import Clock

RETRY = 3_600.0
"""Seconds until a refused object or field is asked for again."""
_NOBODY = "000000000000000AAA"
"""An id that no record has."""
_RELATIONSHIP = re.compile(r"understand relationship '([^']+)'")


class Refusals:
    """Objects, and fields of objects, that are left out for now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str | None], float] = {}
        """When each was last refused, by object and field; None for the whole object."""

    def note(self, error: ObjectRefused) -> None:
        """Finds out what was refused: the fields that the answer names, or else the whole object."""
        for field in _refused_fields(error) or (None,):
            self._known[error.source, field] = self._clock.monotonic()

    async def left_out(self, schema: OrgSchema, reader: SalesforceReader) -> OrgSchema:
        """``schema`` without what is refused; what was refused long ago is tried first."""
        for (name, field), since in list(self._known.items()):
            if self._clock.monotonic() - since >= RETRY:
                if await _given(reader, schema, name, field):
                    del self._known[name, field]
                    continue
                self._known[name, field] = self._clock.monotonic()
            schema = schema.without(name, field)
        return schema


def _refused_fields(error: ObjectRefused) -> tuple[str, ...]:
    """Fields as the query spelt them; a field of another record is named there without the way to it."""
    hidden, relationship = hidden_field(error), _RELATIONSHIP.search(str(error))
    if hidden:
        entity, name = hidden
        own = entity == error.source
        return tuple(each for each in error.fields if (each == name if own else each.endswith(f".{name}")))
    if relationship:
        return tuple(each for each in error.fields if each.startswith(f"{relationship[1]}."))
    return ()


async def _given(reader: SalesforceReader, schema: OrgSchema, name: str, field: str | None) -> bool:
    """Whether a query that finds nothing is taken. What is no longer described is not missed."""
    item = schema.objects.get(name)
    if item is None or (field and field not in item.fields):
        return True
    fields = ("Id", field) if field else item.fields
    try:
        await reader.query(Query(name, fields, (Condition("Id", "=", _NOBODY),)))
    except (SchemaChanged, QueryRefused):
        return False
    return True
