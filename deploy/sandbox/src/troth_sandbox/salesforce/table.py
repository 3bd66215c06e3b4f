"""The rows of one object, found by id, by every reference field and by when they were written."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from troth_sandbox.salesforce.packed import Packer
from troth_sandbox.salesforce.schema import ObjectType
from troth_sandbox.salesforce.time_index import INDEXED, TimeIndex
from troth_sandbox.salesforce.values import Row, Scalar


class Table:
    """Immutable rows by 18-character id; a write replaces a row. Formula fields are computed at each read."""

    def __init__(self, kind: ObjectType) -> None:
        self._rows: dict[str, Row] = {}
        self._formulas: Mapping[str, Callable[[Row], Scalar]] = {}
        self._references: tuple[str, ...] = ()
        self._index: dict[str, defaultdict[str, set[str]]] = {}
        self._times: dict[str, TimeIndex] = {}
        self._packer = Packer()
        self.become(kind)

    def become(self, kind: ObjectType, formulas: Mapping[str, Callable[[Row], Scalar]] | None = None) -> None:
        """Hold rows of `kind` from now on; rows held already are to be put again."""
        self.kind = kind
        self._formulas = formulas or {}
        self._references = tuple(field.name for field in kind.references)
        self._index = {name: defaultdict(set) for name in self._references}
        self._times = {}
        for row_id, row in self._rows.items():
            self._enter(row_id, row)

    def __iter__(self) -> Iterator[Row]:
        return map(self._whole, self._rows.values()) if self._formulas else iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, row_id: str) -> Row | None:
        """The row of that id, deleted or not, or None."""
        row = self._rows.get(row_id)
        return self._whole(row) if row is not None and self._formulas else row

    def stored(self, row_id: str) -> Row | None:
        """The row of that id without its formula fields, or None."""
        return self._rows.get(row_id)

    def put(self, row_id: str, row: Row) -> None:
        """Add or replace a row."""
        old = self._rows.get(row_id)
        if old is not None:
            self._leave(row_id, old)
        packed = self._rows[row_id] = self._packer.pack(row)
        self._enter(row_id, packed)
        for times in self._times.values():
            times.note(packed, old)

    def remove(self, row_id: str) -> None:
        """Forget a row, if it is there."""
        row = self._rows.pop(row_id, None)
        if row is not None:
            self._leave(row_id, row)

    def having(self, field: str, values: Iterable[str]) -> list[Row] | None:
        """The rows whose id or reference field is one of `values`; None when the field is not indexed."""
        if field == "Id":
            return [row for value in values if (row := self.get(value)) is not None]
        if field not in self._index:
            return None
        found = self._index[field]
        return [self._whole(self._rows[key]) for value in values for key in sorted(found.get(value, ()))]

    def dated(self, field: str, low: str, high: str | None) -> Iterator[Row] | None:
        """The rows whose `field` lies between two seconds, ordered by it and the id; None when it is not indexed."""
        if field not in INDEXED or field not in self.kind.fields:
            return None
        if field not in self._times:
            self._times[field] = TimeIndex(field, self._rows)
        return map(self._whole, self._times[field].between(low, high))

    def _whole(self, row: Row) -> Row:
        if not self._formulas:
            return row
        return {**row, **{name: compute(row) for name, compute in self._formulas.items()}}

    def _enter(self, row_id: str, row: Row) -> None:
        for name in self._references:
            target = row.get(name)
            if isinstance(target, str):
                self._index[name][target].add(row_id)

    def _leave(self, row_id: str, row: Row) -> None:
        for name in self._references:
            target = row.get(name)
            if isinstance(target, str):
                self._index[name][target].discard(row_id)
