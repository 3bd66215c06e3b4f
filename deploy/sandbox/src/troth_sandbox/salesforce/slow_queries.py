"""Queries that run too long: here those whose rows were changed over too long a time, so that halving helps."""

from collections.abc import Sequence
from datetime import timedelta

from troth_sandbox.salesforce.clock import parse_moment
from troth_sandbox.salesforce.errors import api_error
from troth_sandbox.salesforce.values import Row


class SlowQueries:
    """No query is slow until a `window` is set."""

    def __init__(self) -> None:
        self.window: timedelta | None = None

    def check(self, rows: Sequence[Row]) -> None:
        """Raises ApiError QUERY_TIMEOUT when the stamps of the rows lie further apart than the window."""
        stamps = [str(row["SystemModstamp"]) for row in rows if row.get("SystemModstamp")]
        if self.window is None or not stamps:
            return
        if parse_moment(max(stamps)) - parse_moment(min(stamps)) > self.window:
            raise api_error("query_timeout")
