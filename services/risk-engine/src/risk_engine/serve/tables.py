"""Tables: one page after the other, as JSON or as CSV that a spreadsheet opens without running anything."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from starlette.datastructures import URL

MOST_ROWS = 1_000
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_RUNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet take a cell for a formula (OWASP, "CSV Injection"), also in full width."""
_RUNS_WITHIN = re.compile("(;\\s*)([=+\\-@\uff1d\uff0b\uff0d\uff20])")

CSV = {
    200: {
        "description": "The rows; the header Link names the next page (rel=next) where there is one.",
        "content": {"text/csv": {"schema": {"type": "string"}}},
        "headers": {"Link": {"description": "the next page", "schema": {"type": "string"}}},
    }
}
"""What every table adds to its description."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows of a table."""

    after: str
    limit: int


def page(
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS, description="Rows on a page")] = 100,
    after: Annotated[
        str, Query(max_length=500, description="Where the last page ended, from its header Link")
    ] = "",
    format: Annotated[  # noqa: A002  (the name people write)
        Literal["json", "csv"] | None, Query(description="csv, or the header Accept: text/csv")
    ] = None,
) -> Page:
    """What every table may be asked."""
    del format  # looked at when the answer is written
    return Page(after, limit)


def next_page(
    request: Request,
    response: Response,
    rows: Sequence[Mapping[str, Any]],
    limit: int,
    place: Callable[[Mapping[str, Any]], str],
) -> None:
    """Names the next page in the header Link (RFC 8288); ``rows`` may be one more than ``limit``.

    ``place`` says where a page that ends with the row is gone on from.
    """
    if len(rows) > limit:
        url = URL(str(request.url)).include_query_params(after=place(rows[limit - 1]))
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'


def wants_csv(request: Request) -> bool:
    """Whether the rows are asked for as CSV."""
    asked = request.query_params.get("format")
    return asked == "csv" or (asked is None and "text/csv" in request.headers.get("accept", ""))


def as_csv(rows: Sequence[Any], columns: Iterable[str]) -> str:
    """The rows by RFC 4180 with a header; nested fields by their path, lists joined by semicolons."""
    flat = [_flat(row if isinstance(row, Mapping) else {"value": row}) for row in rows]
    names = list(dict.fromkeys([*(columns if not flat else ()), *(name for row in flat for name in row)]))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([harmless(name) for name in names])
    writer.writerows([[_cell(row.get(name)) for name in names] for row in flat])
    return out.getvalue()


def harmless(text: str) -> str:
    """The text as a spreadsheet shows it, never as a formula it runs.

    Where a spreadsheet's list separator is the semicolon, a cell ends there, quoted or not.
    """
    text = _RUNS_WITHIN.sub(r"\1'\2", text)
    return f"'{text}" if text.startswith(_RUNS) and not _NUMBER.fullmatch(text) else text


def _flat(row: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{name}.")
        else:
            found[above + name] = value
    return found


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return harmless("; ".join(_item(one) for one in value))
        case _:
            return harmless(str(value))


def _item(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
