"""Queries that run too long: here those whose rows were changed over too long a time, so that halving helps.

A query for given ids, its own or those of a parent, is never slow: ids are indexed. The documentation does not say how
long such a query may take (U).
"""

from collections.abc import Sequence
from datetime import timedelta

from troth_sandbox.salesforce.clock import parse_moment
from troth_sandbox.salesforce.errors import api_error
from troth_sandbox.salesforce.soql.tree import All, Comparison, Condition, Query
from troth_sandbox.salesforce.values import Row

TIMES = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
"""What a window of time may be of; the first one unless the query is ordered by another."""


class SlowQueries:
    """No query is slow until a `window` is set."""

    def __init__(self) -> None:
        self.window: timedelta | None = None

    def check(self, query: Query, rows: Sequence[Row]) -> None:
        """Raises ApiError QUERY_TIMEOUT when the stamps of the rows lie further apart than the window."""
        if self.window is None or _by_ids(query.where):
            return
        ordered = str(query.order[0].path) if query.order else ""
        field = next((name for name in TIMES if name.lower() == ordered.lower()), TIMES[0])
        stamps = [str(row[field]) for row in rows if row.get(field)]
        if not stamps:
            return
        if parse_moment(max(stamps)) - parse_moment(min(stamps)) > self.window:
            raise api_error("query_timeout")


def _by_ids(condition: Condition | None) -> bool:
    if isinstance(condition, All):
        return any(map(_by_ids, condition.parts))
    return (
        isinstance(condition, Comparison)
        and condition.operator in {"=", "IN"}
        and str(condition.path).lower().endswith("id")
    )
