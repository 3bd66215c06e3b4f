"""Reads promises from CSV, line by line: what can be read is, and every line that cannot is named with the fix."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from risk_engine.declare.body import Promise
from risk_engine.problems import ProblemError, fault

COLUMNS = (
    "deal",
    "promised_date",
    "deliverable",
    "need",
    "issues",
    "evidence",
    "declared_by",
    "amount",
    "currency",
)
REQUIRED = ("deal", "promised_date")
MOST_ROWS = 20_000
_SEPARATORS = re.compile(r"[\s;,]+")
_QUOTE = "write quotation marks inside a value twice, and close every one"


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that was left out, and why; ``line`` counts from 1, the header is line 1."""

    line: int
    field: str
    detail: str
    fix: str


@dataclass(frozen=True, slots=True)
class Read:
    """A line that says what it means."""

    line: int
    promise: Promise


def read_table(content: bytes) -> Iterator[Read | Refused]:
    """Every line that is not empty. Raises ProblemError where the header already is wrong."""
    text = content.decode("utf-8-sig", "surrogateescape")
    rows = _rows(io.StringIO(text, newline="").readlines(), _delimiter(text))
    header = _header(next(rows, None))
    count = 0
    for line, row in rows:
        if isinstance(row, Refused):
            yield row
        elif any(cell.strip() for cell in row):
            count += 1
            if count > MOST_ROWS:
                raise ProblemError(
                    f"the file has more than {MOST_ROWS} lines", field="file", fix="import it in parts"
                )
            yield _read(line, row, header)


def _rows(lines: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str] | Refused]]:
    """Rows with the line each begins on; a quotation mark that nothing closes costs its own line only.

    It swallows what follows it up to the next quotation mark, so reading goes on with the line after its own.
    """
    at = width = 0
    while at < len(lines):
        following = map(lines.__getitem__, range(at, len(lines)))
        reader = csv.reader(following, delimiter=delimiter, strict=True)
        try:
            row = next(reader)
        except csv.Error as error:
            yield at + 1, Refused(at + 1, "", str(error), _QUOTE)
            at += 1
            continue
        width = width or len(row)
        if reader.line_num > 1 and len(row) != width:
            yield at + 1, Refused(at + 1, "", "a quotation mark is not closed", _QUOTE)
            at += 1
        else:
            yield at + 1, row
            at += reader.line_num


def _delimiter(text: str) -> str:
    first = text.lstrip().partition("\n")[0]
    return max(",;\t", key=first.count)


def _header(first: tuple[int, list[str] | Refused] | None) -> list[str]:
    if first is None or isinstance(first[1], Refused):
        raise ProblemError("the file has no header", field="file", fix=f"begin it with {','.join(COLUMNS)}")
    names = [name.strip().lower() for name in first[1]]
    unknown = sorted(set(names) - set(COLUMNS))
    if any("\0" in name or not name.isprintable() for name in unknown):
        raise ProblemError("the file is not UTF-8", field="file", fix="save it as CSV in UTF-8")
    if unknown:
        raise ProblemError(
            f"there is no column {unknown[0] or '(empty)'}",
            field=unknown[0],
            fix=f"known: {', '.join(COLUMNS)}",
        )
    for name in REQUIRED:
        if name not in names:
            raise ProblemError(f"the column {name} is missing", field=name, fix="add it")
    if len(set(names)) < len(names):
        raise ProblemError("a column stands twice", field="file", fix="remove one of the two")
    return names


def _read(line: int, row: Sequence[str], header: Sequence[str]) -> Read | Refused:
    if len(row) != len(header):
        detail = f"it has {len(row)} values, the header has {len(header)}"
        return Refused(line, "", detail, "quote values that hold the separator, and fill the line")
    told = {name: cell.strip() for name, cell in zip(header, row, strict=True) if cell.strip()}
    if any("\udc80" <= character <= "\udcff" for cell in told.values() for character in cell):
        return Refused(line, "", "it is not UTF-8", "save the file as UTF-8")
    try:
        return Read(line, Promise.model_validate(_body(told)))
    except ValidationError as error:
        field, detail, fix = fault(error.errors()[0])
        return Refused(line, field, detail, fix)


def _body(told: dict[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = dict(told)
    if "issues" in body:
        body["issues"] = [name for name in _SEPARATORS.split(told["issues"]) if name]
    amount, currency = body.pop("amount", None), body.pop("currency", None)
    if amount is not None:
        body["amount"] = {"amount": amount} | ({"currency": currency} if currency else {})
    if "need" in body:
        body["need"] = told["need"].lower()
    return body
