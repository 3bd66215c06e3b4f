"""What changed between two descriptions of the org, told as events: a field or object added, removed or back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from crm_sync.describe import OrgSchema


@dataclass(frozen=True, slots=True)
class SchemaEvent:
    """One change. ``field`` is empty for a whole object."""

    kind: Literal["added", "removed", "retyped"]
    object: str
    field: str = ""


def drift(before: OrgSchema, after: OrgSchema) -> tuple[SchemaEvent, ...]:
    """Every change, by object and field."""
    return tuple(sorted(_events(before, after), key=lambda event: (event.object, event.field, event.kind)))


def _events(before: OrgSchema, after: OrgSchema) -> Iterator[SchemaEvent]:
    yield from (SchemaEvent("removed", name) for name in before.objects.keys() - after.objects.keys())
    yield from (SchemaEvent("added", name) for name in after.objects.keys() - before.objects.keys())
    for name in before.objects.keys() & after.objects.keys():
        old, new = before.objects[name], after.objects[name]
        yield from (SchemaEvent("removed", name, each) for each in set(old.fields) - set(new.fields))
        yield from (SchemaEvent("added", name, each) for each in set(new.fields) - set(old.fields))
        both = old.types.keys() & new.types.keys()
        yield from (SchemaEvent("retyped", name, each) for each in both if old.types[each] != new.types[each])
