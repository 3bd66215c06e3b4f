"""WHERE: from a condition to a test of rows, and to the few rows worth testing."""

import re
from collections.abc import Callable, Hashable
from datetime import timedelta
from typing import Any

from troth_sandbox.salesforce.clock import parse_moment, stamp
from troth_sandbox.salesforce.errors import ApiError
from troth_sandbox.salesforce.ids import long_id
from troth_sandbox.salesforce.schema import ID_TYPES, NUMBER_TYPES, TEXT_TYPES
from troth_sandbox.salesforce.soql.binding import Binding, Column
from troth_sandbox.salesforce.soql.tree import All, Comparison, Condition, Literal, Not
from troth_sandbox.salesforce.time_index import INDEXED, SECOND
from troth_sandbox.salesforce.values import Row

Test = Callable[[Row], bool]
Span = tuple[Any, Any]
"""First and last key that a literal means; both the same for all but TODAY and its kin."""


def compile_condition(binding: Binding, condition: Condition) -> Test:
    """A test of rows. Raises ApiError for unknown, unfilterable or mistyped fields."""
    if isinstance(condition, Comparison):
        return _comparison(binding, condition)
    if isinstance(condition, Not):
        inner = compile_condition(binding, condition.part)
        return lambda row: not inner(row)
    tests = tuple(compile_condition(binding, part) for part in condition.parts)
    if isinstance(condition, All):
        return lambda row: all(test(row) for test in tests)
    return lambda row: any(test(row) for test in tests)


def indexed_values(binding: Binding, condition: Condition | None) -> tuple[str, list[str]] | None:
    """An id or reference field of the object itself and its only possible values, if the condition says so."""
    if isinstance(condition, All):
        return next((found for part in condition.parts if (found := indexed_values(binding, part))), None)
    if not isinstance(condition, Comparison) or condition.operator not in {"=", "IN"}:
        return None
    field = binding.column(condition.path).field
    plain = len(condition.path.parts) == 1 and field.type in ID_TYPES
    if not plain or any(value.kind != "string" for value in condition.values):
        return None
    return field.name, sorted({long_id(value.text) for value in condition.values})


def indexed_times(binding: Binding, condition: Condition | None) -> tuple[str, str, str | None] | None:
    """An audit date of the object itself and the first and last second it can have, if the condition says so."""
    if isinstance(condition, All):
        return _narrowest([found for part in condition.parts if (found := indexed_times(binding, part))])
    if not isinstance(condition, Comparison) or condition.operator not in {"=", "<", "<=", ">", ">="}:
        return None
    column = binding.column(condition.path)
    span = _span(binding, column, condition.values[0])
    if column.steps or column.field.name not in INDEXED or span is None:
        return None
    low, high = span
    return (
        column.field.name,
        "" if condition.operator in {"<", "<="} else low,
        None if condition.operator in {">", ">="} else high,
    )


def _narrowest(found: list[tuple[str, str, str | None]]) -> tuple[str, str, str | None] | None:
    """The common part of the ranges of the field that is named first."""
    if not found:
        return None
    own = [(low, high) for field, low, high in found if field == found[0][0]]
    ends = [high for _, high in own if high is not None]
    return found[0][0], max(low for low, _ in own), min(ends) if ends else None


def _comparison(binding: Binding, comparison: Comparison) -> Test:
    column = binding.column(comparison.path)
    start = comparison.path.start
    if not column.field.filterable:
        raise binding.error("not_filterable", start, name=column.field.name)
    if comparison.operator == "LIKE":
        return _like(binding, column, comparison)
    if column.field.type == "boolean" and comparison.operator not in {"=", "!="}:
        raise binding.error("wrong_operator", start, type="boolean")
    spans = [_span(binding, column, value) for value in comparison.values]
    if comparison.operator in {"IN", "NOT IN"}:
        return _membership(column, spans, wanted=comparison.operator == "IN")
    return _ordering(column, comparison.operator, spans[0])


def _membership(column: Column, spans: list[Span | None], *, wanted: bool) -> Test:
    read, key = column.read, column.key
    points = frozenset(span[0] if span else None for span in spans if span is None or span[0] == span[1])
    ranges = [span for span in spans if span is not None and span[0] != span[1]]

    def test(row: Row) -> bool:
        value: Any = key(read(row))
        inside = value in points or any(value is not None and low <= value <= high for low, high in ranges)
        return inside is wanted

    return test


def _ordering(column: Column, operator: str, span: Span | None) -> Test:
    """`!=` holds for empty fields, `<` and its kin never do; nothing is below or above null (U)."""
    if span is None:
        return _null(column, operator)
    low, high = span
    tests: dict[str, Callable[[Any], bool]] = {
        "=": lambda value: value is not None and low <= value <= high,
        "!=": lambda value: value is None or not low <= value <= high,
        "<": lambda value: value is not None and value < low,
        "<=": lambda value: value is not None and value <= high,
        ">": lambda value: value is not None and value > high,
        ">=": lambda value: value is not None and value >= low,
    }
    holds, read, key = tests[operator], column.read, column.key
    return lambda row: holds(key(read(row)))


def _null(column: Column, operator: str) -> Test:
    if operator == "=":
        return lambda row: column.read(row) is None
    if operator == "!=":
        return lambda row: column.read(row) is not None
    return lambda _row: False


def _like(binding: Binding, column: Column, comparison: Comparison) -> Test:
    value = comparison.values[0]
    if column.field.type not in TEXT_TYPES:
        raise binding.error("wrong_operator", comparison.path.start, type=column.field.type)
    if value.kind != "string":
        raise _mistyped(binding, column, value)
    pattern, read = re.compile(_wildcards(value.text), re.IGNORECASE | re.DOTALL), column.read
    return lambda row: isinstance(text := read(row), str) and pattern.fullmatch(text) is not None


def _wildcards(text: str) -> str:
    """`%` is any text, `_` any character; a backslash before them makes them plain."""
    meanings = {"%": ".*", "_": "."}
    pieces = re.findall(r"\\[%_]|.", text, re.DOTALL)
    return "".join(meanings.get(piece) or re.escape(piece.removeprefix("\\") or piece) for piece in pieces)


def _span(binding: Binding, column: Column, value: Literal) -> Span | None:
    """The keys a literal means for a column; None for null. Raises ApiError when the types do not fit."""
    if value.kind == "null":
        return None
    kind = column.field.type
    point: Hashable = None
    if value.kind == "string" and kind in TEXT_TYPES:
        point = column.key(value.text.replace("\\%", "%").replace("\\_", "_"))
    elif value.kind == "string" and kind in ID_TYPES:
        point = long_id(value.text)
    elif value.kind == "number" and kind in NUMBER_TYPES:
        point = float(value.text)
    elif value.kind == "boolean" and kind == "boolean":
        point = value.text == "TRUE"
    elif value.kind == "range" and kind in {"date", "datetime"}:
        return _range(binding, kind, value)
    elif value.kind == kind in {"date", "datetime"}:
        point = _moment(binding, column, value)
    if point is None and not (value.kind == "string" and not value.text):
        raise _mistyped(binding, column, value)
    # Blank text and null are the same.
    return (point, point) if point not in {None, ""} else None


def _moment(binding: Binding, column: Column, value: Literal) -> str:
    try:
        moment = parse_moment(value.text)
    except ValueError:
        raise _mistyped(binding, column, value) from None
    return value.text if value.kind == "date" else stamp(moment)[:SECOND]


def _range(binding: Binding, kind: str, value: Literal) -> Span:
    """Whole days counted from today in UTC; a real org counts them in the user's time zone."""
    first = binding.org.clock.now().date() + timedelta(days=value.first_day)
    last = first + timedelta(days=value.days - 1)
    if kind == "date":
        return first.isoformat(), last.isoformat()
    return f"{first}T00:00:00", f"{last}T23:59:59"


def _mistyped(binding: Binding, column: Column, value: Literal) -> ApiError:
    """The refusal of a literal of the wrong type; that the caret stands at the value is a guess (U)."""
    quoted = value.kind == "string" and column.field.type not in TEXT_TYPES | ID_TYPES
    hint = " and should not be enclosed in quotes" if quoted else ""
    kind = {"datetime": "dateTime", "picklist": "string", "textarea": "string"}.get(
        column.field.type, column.field.type
    )
    return binding.error("wrong_value", value.start, name=column.field.name, type=kind, hint=hint)
