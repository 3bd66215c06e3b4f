"""Queries as values: built, rendered, cut to what a request may carry, and continued after a lost page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal
from urllib.parse import quote_plus

LONGEST_URI = 14_000
"""Request line and headers together may be 16,384 bytes; the rest is left to the headers.
https://help.salesforce.com/s/articleView?id=000386264&type=1"""
LONGEST_LITERAL = 4_000
BEGINNING = datetime(1999, 1, 1, tzinfo=UTC)
"""Salesforce has no older record."""
_ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. Times are compared by whole seconds, as Salesforce does."""

    field: str
    operator: Literal[">=", ">", "<", "=", "IN"]
    value: datetime | str | tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.field} {self.operator} {literal(self.value)}"


@dataclass(frozen=True, slots=True)
class Query:
    """A query over one object, always ordered and never limited, so that it can be continued."""

    source: str
    """The object's API name."""
    fields: tuple[str, ...]
    where: tuple[Condition, ...] = ()
    order: tuple[str, ...] = ("Id",)

    def __str__(self) -> str:
        condition = f" WHERE {' AND '.join(map(str, self.where))}" if self.where else ""
        order = ", ".join(self.order)
        return f"SELECT {', '.join(self.fields)} FROM {self.source}{condition} ORDER BY {order}"  # noqa: S608  (SOQL)

    @property
    def uri_length(self) -> int:
        """Characters of the query once it is a URL parameter."""
        return len(quote_plus(str(self)))

    def after(self, row: Mapping[str, object]) -> tuple[Query, ...]:
        """What is still to be read when ``row`` was the last one received.

        In an order by time the row's own second is read whole, by Id, since rows of one second may come in any
        order: such a chain resumes exactly. Rows of that second can therefore come twice.
        """
        if self.order == ("Id",):
            return (self._and(Condition("Id", ">", str(row["Id"]))),)
        stamp = self.order[0]
        second = parse_time(str(value_at(row, stamp)))
        rest = tuple(known for known in self.where if (known.field, known.operator) not in _lower(stamp))
        tie = Condition(stamp, "=", second)
        later = Condition(stamp, ">", second)
        return (
            replace(self, where=(*rest, tie), order=("Id",)),
            replace(self, where=(*rest, later)),
        )

    def halves(self, now: datetime) -> tuple[Query, Query] | None:
        """The same rows by two windows of time; None when the window is a second, or is not by time at all.

        ``now`` stands for the end of a window that has none; the later half stays open then.
        """
        stamp = self.order[0]
        if stamp == "Id":
            return None
        bounds = {known.operator: known.value for known in self.where if known.field == stamp}
        start, end = bounds.get(">=", bounds.get(">", BEGINNING)), bounds.get("<", now)
        if "=" in bounds or not isinstance(start, datetime) or not isinstance(end, datetime):
            return None
        middle = (start + (end - start) / 2).replace(microsecond=0)
        if not start < middle < end:
            return None
        later = tuple(known for known in self.where if (known.field, known.operator) not in _lower(stamp))
        return (
            self._and(Condition(stamp, "<", middle)),
            replace(self, where=(*later, Condition(stamp, ">=", middle))),
        )

    def _and(self, condition: Condition) -> Query:
        kept = tuple(
            known
            for known in self.where
            if (known.field, known.operator) != (condition.field, condition.operator)
        )
        return replace(self, where=(*kept, condition))


def value_at(row: Mapping[str, object], path: str) -> object:
    """The value of a field as queries spell it, such as ``Account.Name``; None where a record on the way is missing."""
    if "." not in path:
        return row.get(path)
    found: object = row
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _lower(stamp: str) -> set[tuple[str, str]]:
    return {(stamp, ">="), (stamp, ">"), (stamp, "=")}


def literal(value: datetime | str | tuple[str, ...]) -> str:
    """A SOQL literal; ValueError for a text longer than Salesforce accepts."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, tuple):
        return f"({','.join(map(literal, value))})"
    if len(value) > LONGEST_LITERAL:
        raise ValueError(f"a SOQL text literal of {len(value)} characters: at most {LONGEST_LITERAL}")
    return f"'{value.translate(_ESCAPES)}'"


def by_ids(template: Query, field: str, ids: Sequence[str]) -> Iterator[Query]:
    """Queries that together ask for all ``ids`` in ``field``, each within the length of a request."""
    step = ids_per_query(template, field)
    for start in range(0, len(ids), step):
        chunk = tuple(ids[start : start + step])
        yield replace(template, where=(Condition(field, "IN", chunk), *template.where))


def ids_per_query(template: Query, field: str) -> int:
    """How many 18-character ids fit beside the rest of the query; at least one."""
    empty = replace(template, where=(Condition(field, "IN", ()), *template.where))
    each = len(quote_plus(literal("x" * 18) + ","))
    resumed = len(quote_plus(f" AND Id > {literal('x' * 18)}"))
    return max(1, (LONGEST_URI - empty.uri_length - resumed) // each)


@lru_cache(8_192)
def parse_time(text: str) -> datetime:
    """A Salesforce time such as 2022-03-17T16:21:26.000+0000, in UTC; ValueError when it is none."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return at.astimezone(UTC)
