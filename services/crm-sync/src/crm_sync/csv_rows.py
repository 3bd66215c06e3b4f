"""Rows of a bulk page in the shape REST gives them, so that a deal is the same whichever way it was read.

An empty cell is null; times end in Z where REST says +0000.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import IO, Any

from crm_sync.errors import SalesforceUnavailable
from crm_sync.fields import Record

_NUMBERS = frozenset({"currency", "double", "int", "long", "percent"})
_FLAGS = {"true": True, "false": False}
_LONGEST_CELL = 64 * 1024 * 1024
"""Characters; the library's own bound is what one long text area of Salesforce may hold."""
Convert = Callable[[str], Any]


def csv_rows(file: IO[bytes], types: Mapping[str, str], declared: int) -> Iterator[Record]:
    """Rows with typed values; ``types`` is Salesforce's type by column.

    The last row is given only when all ``declared`` ones are there: a page that was cut off ends in half a row.
    SalesforceUnavailable then, and for a row of another width.
    """
    csv.field_size_limit(_LONGEST_CELL)
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
    lines = csv.reader(text)
    names = next(lines, [])
    read = _reader(names, types)
    held: list[str] | None = None
    count = 0
    for cells in lines:
        if len(cells) != len(names):
            raise SalesforceUnavailable("a row of a bulk page is cut off")
        if held is not None:
            yield read(held)
        held, count = cells, count + 1
    if count != declared:
        raise SalesforceUnavailable(f"a bulk page has {count:,} of {declared:,} rows")
    if held is not None:
        yield read(held)


def _reader(names: Sequence[str], types: Mapping[str, str]) -> Callable[[Sequence[str]], Record]:
    """How to read a row; ``Account.Name`` becomes a record within the record, as in REST."""
    kinds = ((name, _CONVERTERS.get(types.get(name, "string"))) for name in names)
    typed = [(name, convert) for name, convert in kinds if convert]
    nested = [(name, name.split(".")) for name in names if "." in name]

    def read(cells: Sequence[str]) -> Record:
        record: dict[str, Any] = dict(zip(names, [cell or None for cell in cells], strict=True))
        for name, convert in typed:
            cell = record[name]
            if cell is not None:
                record[name] = convert(cell)
        for name, path in nested:
            value = record.pop(name)
            if value is not None:
                _inner(record, path)[path[-1]] = value
        return record

    return read


def _inner(record: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    for name in path[:-1]:
        record = record.setdefault(name, {})
    return record


@lru_cache(8_192)
def _number(cell: str) -> object:
    """Text that is no number stays, for the reader of the field to name it."""
    try:
        return Decimal(cell)
    except InvalidOperation:
        return cell


def _time(cell: str) -> str:
    return f"{cell[:-1]}+0000" if cell.endswith("Z") else cell


def _flag(cell: str) -> object:
    return _FLAGS.get(cell, cell)


_CONVERTERS: Mapping[str, Convert] = {
    "boolean": _flag,
    "datetime": _time,
    **dict.fromkeys(_NUMBERS, _number),
}
