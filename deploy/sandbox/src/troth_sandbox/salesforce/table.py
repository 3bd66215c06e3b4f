"""The rows of one object, found by id and by every reference field."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from troth_sandbox.salesforce.schema import ObjectType
from troth_sandbox.salesforce.values import Row


class Table:
    """Immutable rows by 18-character id; a write replaces a row."""

    def __init__(self, kind: ObjectType) -> None:
        self.kind = kind
        self._rows: dict[str, Row] = {}
        self._references = tuple(field.name for field in kind.references)
        self._index: dict[str, defaultdict[str, set[str]]] = {
            name: defaultdict(set) for name in self._references
        }

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, row_id: str) -> Row | None:
        """The row of that id, deleted or not, or None."""
        return self._rows.get(row_id)

    def put(self, row_id: str, row: Row) -> None:
        """Add or replace a row."""
        self.remove(row_id)
        self._rows[row_id] = row
        for name in self._references:
            target = row[name]
            if isinstance(target, str):
                self._index[name][target].add(row_id)

    def remove(self, row_id: str) -> None:
        """Forget a row, if it is there."""
        row = self._rows.pop(row_id, None)
        if row is None:
            return
        for name in self._references:
            target = row[name]
            if isinstance(target, str):
                self._index[name][target].discard(row_id)

    def having(self, field: str, values: Iterable[str]) -> list[Row] | None:
        """The rows whose id or reference field is one of `values`; None when the field is not indexed."""
        if field == "Id":
            return [row for value in values if (row := self._rows.get(value)) is not None]
        if field not in self._index:
            return None
        found = self._index[field]
        return [self._rows[row_id] for value in values for row_id in sorted(found.get(value, ()))]
