"""One spelling per value: what a seed or a write says becomes what the API answers."""

import sys
from collections.abc import Mapping
from typing import Any

from troth_sandbox.salesforce.clock import parse_day, parse_moment, stamp
from troth_sandbox.salesforce.ids import long_id
from troth_sandbox.salesforce.schema import NUMBER_TYPES, TEXT_TYPES, Field, ObjectType

Scalar = str | float | bool | None
Row = Mapping[str, Scalar]


def normal_row(kind: ObjectType, fields: Mapping[str, Any]) -> dict[str, Scalar]:
    """Canonical names and values. Raises ValueError that names every field that is wrong."""
    problems: list[str] = []
    row: dict[str, Scalar] = {}
    for name, value in fields.items():
        field = kind.fields.get(name) or kind.field(name)
        if name == "attributes":
            continue
        if field is None:
            problems.append(f"{kind.name} has no field {name}")
            continue
        if field.formula:
            problems.append(f"{kind.name}.{field.name} is computed")
            continue
        try:
            row[field.name] = normal(field, value)
        except (ValueError, TypeError, AttributeError):
            problems.append(f"{kind.name}.{field.name} cannot hold {value!r}")
    if problems:
        raise ValueError("; ".join(problems))
    return row


def normal(field: Field, value: Any) -> Scalar:
    """`value` in the vendor's form; blank text and null are the same. Raises ValueError."""
    if value is None or value == "":
        return False if field.type == "boolean" else None
    if field.type in TEXT_TYPES:
        return _choice(field, _text(value))
    if field.type in NUMBER_TYPES:
        return _number(field, value)
    if field.type == "boolean":
        return _boolean(value)
    if field.type == "date":
        return sys.intern(parse_day(value))
    if field.type == "datetime":
        return stamp(parse_moment(value))
    # Many rows name the same parents and days.
    return sys.intern(long_id(_text(value)))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _choice(field: Field, value: str) -> str:
    if field.restricted and value not in {choice.value for choice in field.choices}:
        raise ValueError(value)
    return sys.intern(value) if field.choices else value


def _number(field: Field, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    return int(value) if field.type == "int" else float(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def blank(kind: ObjectType) -> dict[str, Scalar]:
    """A row of `kind` in which nothing was said."""
    return {field.name: False if field.type == "boolean" else None for field in kind.fields.values()}
