"""One page of a bulk result: every value in quotes, the header row on every page, null as an empty cell."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from troth_sandbox.salesforce.soql import Column
from troth_sandbox.salesforce.values import Row, Scalar


def csv_page(
    columns: Sequence[tuple[str, Column]], rows: Iterable[Row], delimiter: str, line_ending: str
) -> str:
    """The text of a page."""
    lines = [delimiter.join(_quoted(name) for name, _ in columns)]
    lines += [delimiter.join(_cell(column, row) for _, column in columns) for row in rows]
    return line_ending.join(lines) + line_ending


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
    return value if isinstance(value, str) else format(Decimal(repr(value)), "f")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
