"""The search index: a second, possibly older view of the issues, as Jira's search is eventually consistent.

Rule: recent updates might not be visible in search; ids given as `reconcileIssues` are read from the store
(https://developer.atlassian.com/cloud/jira/platform/search-and-reconcile). The index holds whole issue versions, so a
late answer is consistent in itself. Pages are cut by sort value, not by offset: under concurrent writes an issue that
did not move in the order is neither skipped nor repeated (stability on the live site is unverified).
"""

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

import msgspec

from troth_sandbox.jira import matching
from troth_sandbox.jira.jql import Condition, Query
from troth_sandbox.jira.matching import Bounds, Column, Predicate, Reading, SortValue
from troth_sandbox.jira.records import Issue

_CACHED_RESULTS = 16
_Result = tuple[list[Any], list[Issue]]
Versions = Mapping[int, Issue | None]


class Slice(msgspec.Struct, frozen=True):
    """One page of issues; `resume` is the sort value to go on after, None on the last page."""

    issues: list[Issue]
    resume: SortValue | None


class SearchIndex:
    """Issue versions that search can see; `offer` makes a write visible `lag` milliseconds later."""

    def __init__(self, visible: Predicate) -> None:
        self._visible = visible
        self._issues: dict[int, Issue] = {}
        self._by_project: defaultdict[str, set[int]] = defaultdict(set)
        self._by_updated: list[tuple[int, int]] = []
        self._pending: list[tuple[int, int, int, Issue | None]] = []
        self._applied: dict[int, int] = {}
        self._sequence = 0
        self._results: OrderedDict[object, _Result] = OrderedDict()

    def load(self, issues: Iterable[Issue]) -> None:
        """Fill an empty index at once."""
        for issue in issues:
            self._issues[issue.id] = issue
            self._by_project[issue.project_id].add(issue.id)
        self._by_updated = sorted((issue.updated, issue.id) for issue in self._issues.values())

    def offer(self, issue_id: int, version: Issue | None, visible_at: int) -> None:
        """Queue a version (None = deleted); a later offer for the same issue always wins."""
        self._sequence += 1
        heapq.heappush(self._pending, (visible_at, self._sequence, issue_id, version))

    def forget_results(self) -> None:
        """Something outside the issues changed what is visible."""
        self._results.clear()

    def refresh(self, now: int) -> None:
        """Apply every queued version whose time has come."""
        while self._pending and self._pending[0][0] <= now:
            _, sequence, issue_id, version = heapq.heappop(self._pending)
            if sequence > self._applied.get(issue_id, 0):
                self._applied[issue_id] = sequence
                self._replace(issue_id, version)
                self._results.clear()

    def search(
        self, query: Query, reading: Reading, after: SortValue | None, limit: int, reconcile: Versions
    ) -> Slice:
        """The next `limit` matches after `after`; `reconcile` versions replace what the index holds."""
        keys, issues = self._matches(query, reading, reconcile)
        columns = matching.sort_columns(query.order)
        start = 0 if after is None else bisect_right(keys, _comparable(columns, after))
        page = issues[start : start + limit]
        more = start + limit < len(issues)
        return Slice(page, tuple(column.read(page[-1]) for column in columns) if more else None)

    def window(self, query: Query, reading: Reading, start: int, limit: int) -> tuple[list[Issue], int]:
        """Matches from an offset on, and how many there are: Data Center's paging, which shifts under writes."""
        issues = self._matches(query, reading, {})[1]
        return issues[start : start + limit], len(issues)

    def count(self, query: Query, reading: Reading) -> int:
        """How many issues match."""
        return len(self._matches(query, reading, {})[1])

    def _matches(self, query: Query, reading: Reading, reconcile: Versions) -> _Result:
        if reconcile:
            return self._sorted(query, reading, reconcile)
        asked = (query, reading.now, str(reading.zone))
        if asked not in self._results:
            self._results[asked] = self._sorted(query, reading, reconcile)
            if len(self._results) > _CACHED_RESULTS:
                self._results.popitem(last=False)
        self._results.move_to_end(asked)
        return self._results[asked]

    def _sorted(self, query: Query, reading: Reading, reconcile: Versions) -> _Result:
        found = self._filtered(query.where, reading, reconcile) if query.where else []
        values = (
            [_directed(column.read(issue), column.descending) for issue in found]
            for column in matching.sort_columns(query.order)
        )
        rows = sorted(zip(zip(*values, strict=True), found, strict=True), key=itemgetter(0))
        return [key for key, _ in rows], [issue for _, issue in rows]

    def _filtered(self, where: Condition, reading: Reading, reconcile: Versions) -> list[Issue]:
        tests = [*matching.predicates(where, reading), self._visible]
        indexed = (self._issues[i] for i in self._candidates(matching.bounds(where, reading)))
        found = [issue for issue in indexed if issue.id not in reconcile]
        found += [version for version in reconcile.values() if version is not None]
        for test in tests:
            found = [issue for issue in found if test(issue)]
        return found

    def _candidates(self, bound: Bounds) -> Iterable[int]:
        if bound.updated_from is not None:
            at = bisect_left(self._by_updated, (bound.updated_from, 0))
            return [issue_id for _, issue_id in self._by_updated[at:]]
        if bound.project_ids is not None:
            return [i for project in bound.project_ids for i in self._by_project.get(project, ())]
        return self._issues

    def _replace(self, issue_id: int, version: Issue | None) -> None:
        if old := self._issues.pop(issue_id, None):
            self._by_project[old.project_id].discard(issue_id)
            del self._by_updated[bisect_left(self._by_updated, (old.updated, issue_id))]
        if version is not None:
            self._issues[issue_id] = version
            self._by_project[version.project_id].add(issue_id)
            insort(self._by_updated, (version.updated, issue_id))


class _Backwards(msgspec.Struct, frozen=True, order=False):
    """A text that sorts in reverse."""

    text: str

    def __lt__(self, other: "_Backwards") -> bool:
        return other.text < self.text


def _directed(value: int | str, descending: bool) -> Any:
    if not descending:
        return value
    return -value if isinstance(value, int) else _Backwards(value)


def _comparable(columns: list[Column], values: SortValue) -> tuple[Any, ...]:
    return tuple(_directed(value, column.descending) for column, value in zip(columns, values, strict=True))
