"""Changes of the schema while the org runs: fields that come, go or get another type; no stamp moves."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from troth_sandbox.errors import SeedError
from troth_sandbox.salesforce.org import Org
from troth_sandbox.salesforce.schema import NUMBER_TYPES, TEXT_TYPES, Field, ObjectType, field_from
from troth_sandbox.salesforce.values import Row, Scalar, normal

KEPT = frozenset({"Id", "Name", "IsDeleted", "SystemModstamp", "CreatedDate"})


def put_field(org: Org, name: str, document: Mapping[str, Any]) -> Field:
    """Add a custom field, or give an existing one another type, label or formula. Raises ValueError."""
    kind = _kind(org, name)
    try:
        field = field_from(document)
        after = replace(kind, fields={**kind.fields, field.name: field})
        org.alter(after, lambda given: _retyped(kind, field, given))
    except (SeedError, KeyError, TypeError) as error:
        raise ValueError(f"the field cannot be: {error}") from error
    return field


def drop_field(org: Org, name: str, field_name: str) -> None:
    """Remove a field and its values. Raises ValueError."""
    kind = _kind(org, name)
    field = kind.field(field_name)
    if field is None or field.name in KEPT:
        raise ValueError(f"{name} has no field {field_name} that could be removed")
    rest = {key: each for key, each in kind.fields.items() if key != field.name}
    org.alter(replace(kind, fields=rest), lambda given: {k: v for k, v in given.items() if k != field.name})


def _kind(org: Org, name: str) -> ObjectType:
    kind = org.schema.get(name)
    if kind is None:
        raise ValueError(f"this org has no object {name}")
    return kind


def _retyped(kind: ObjectType, field: Field, given: Row) -> Row:
    """What was said about a row, the field's old value in the new type or, where that cannot be, empty."""
    if field.name not in given:
        return given
    if field.name in kind.fields and kind.fields[field.name].type == field.type and not field.formula:
        return given
    rest = {key: value for key, value in given.items() if key != field.name}
    return rest if field.formula else rest | {field.name: _converted(field, given[field.name])}


def _converted(field: Field, value: Scalar) -> Scalar:
    try:
        if field.type in TEXT_TYPES and not isinstance(value, str):
            return normal(field, None if value is None else str(value))
        if field.type in NUMBER_TYPES and isinstance(value, str):
            return normal(field, float(value))
        return normal(field, value)
    except (ValueError, TypeError, AttributeError):
        return None
