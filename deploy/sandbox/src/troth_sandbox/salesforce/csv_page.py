"""One page of a bulk result: every value in quotes, the header row on every page, null as an empty cell."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from troth_sandbox.salesforce.soql import Column
from troth_sandbox.salesforce.values import Row, Scalar

PIECE = 500
"""Rows made at a time."""


def csv_page(
    columns: Sequence[tuple[str, Column]], rows: Sequence[Row], delimiter: str, line_ending: str
) -> Iterator[str]:
    """The text of a page, in pieces."""
    yield delimiter.join(_quoted(name) for name, _ in columns) + line_ending
    for start in range(0, len(rows), PIECE):
        lines = (
            delimiter.join(_cell(column, row) for _, column in columns) for row in rows[start : start + PIECE]
        )
        yield "".join(line + line_ending for line in lines)


def _cell(column: Column, row: Row) -> str:
    value = column.read(row)
    if isinstance(value, str) and column.field.type == "datetime":
        # Bulk results spell the offset as Z, where REST says +0000 (U).
        return _quoted(value.removesuffix("+0000") + "Z")
    return _quoted(_text(value))


def _text(value: Scalar) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    text = repr(value)
    return format(Decimal(text), "f") if "e" in text else text


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
