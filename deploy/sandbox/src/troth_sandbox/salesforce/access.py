"""Who may see what: objects, fields and records that are hidden from one user or from all."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.org import Org
from troth_sandbox.salesforce.schema import ObjectType, Schema
from troth_sandbox.salesforce.values import Row

NEVER_HIDDEN = frozenset({"Id", "IsDeleted", "SystemModstamp"})


class Rows(Protocol):
    """The rows of one object that somebody may see."""

    def __iter__(self) -> Iterator[Row]: ...

    def get(self, row_id: str) -> Row | None:
        """The row of that id, deleted or not, or None."""

    def having(self, field: str, values: Iterable[str]) -> list[Row] | None:
        """The rows whose id or reference field is one of `values`; None when the field is not indexed."""

    def dated(self, field: str, low: str, high: str | None) -> Iterator[Row] | None:
        """The rows whose `field` lies between two seconds, ordered by it and the id; None when it is not indexed."""


class Source(Protocol):
    """An org as somebody sees it; the org itself is one that hides nothing."""

    @property
    def schema(self) -> Schema:
        """The objects and fields there are."""

    @property
    def clock(self) -> SettableClock:
        """The org's clock."""

    def table(self, name: str) -> Rows:
        """The rows of the object with that exact name."""

    def deletions(self, name: str) -> Mapping[str, str]:
        """The deleted log of an object: id to the stamp of its deletion."""

    def changed(self, name: str) -> datetime:
        """When the object's description last changed."""


@dataclass(frozen=True, slots=True)
class Denial:
    """An object, or one `field` of it, that `user` (None: nobody) may not read."""

    user: str | None
    object: str
    field: str | None = None


class Access:
    """Everything that is hidden; no more than that, so at first all see all."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._denials: set[Denial] = set()
        self._invisible: defaultdict[tuple[str | None, str], set[str]] = defaultdict(set)

    def __iter__(self) -> Iterator[Denial]:
        return iter(self._denials)

    def permit(self, denial: Denial, *, readable: bool) -> None:
        """Take a permission away, or give it back; either moves the object's description (U). Raises ValueError."""
        kind = self._org.schema.get(denial.object)
        field = kind.field(denial.field) if kind and denial.field else None
        if kind is None or (denial.field and (field is None or field.name in NEVER_HIDDEN)):
            raise ValueError(f"{denial.object} {denial.field or ''} is not there or cannot be hidden")
        exact = Denial(denial.user, kind.name, field.name if field else None)
        (self._denials.discard if readable else self._denials.add)(exact)
        self._org.note_change(kind.name)

    def share(self, user: str | None, name: str, ids: Collection[str], *, visible: bool) -> int:
        """Hide records, or show them again; no stamp moves. Returns how many are hidden now."""
        hidden = self._invisible[user, name]
        (hidden.difference_update if visible else hidden.update)(ids)
        return len(hidden)

    def view(self, user_id: str) -> Source:
        """The org as a user sees it."""
        denials = [each for each in self._denials if each.user in {None, user_id}]
        hidden: dict[str, frozenset[str]] = {}
        for (user, name), ids in self._invisible.items():
            if ids and user in {None, user_id}:
                hidden[name] = hidden.get(name, frozenset()) | ids
        return View(self._org, denials, hidden) if denials or hidden else self._org


class View:
    """An org without what is hidden; children of a hidden record are hidden with it when they cannot be without it."""

    def __init__(self, org: Org, denials: Collection[Denial], hidden: Mapping[str, frozenset[str]]) -> None:
        self._org = org
        self._hidden = hidden
        objects = {each.object for each in denials if each.field is None}
        fields: defaultdict[str, set[str]] = defaultdict(set)
        for each in denials:
            if each.field:
                fields[each.object].add(each.field)
        self.schema = Schema(
            _without(kind, fields[kind.name]) for kind in org.schema if kind.name not in objects
        )
        self.clock = org.clock

    def table(self, name: str) -> Rows:
        """The visible rows."""
        parents = self._parents(name)
        own = self._hidden.get(name, frozenset())
        return VisibleRows(self._org.table(name), own, parents) if own or parents else self._org.table(name)

    def deletions(self, name: str) -> Mapping[str, str]:
        """The deleted log without hidden records."""
        hidden = self._hidden.get(name, frozenset())
        return {key: at for key, at in self._org.deletions(name).items() if key not in hidden}

    def changed(self, name: str) -> datetime:
        """When the object's description last changed."""
        return self._org.changed(name)

    def _parents(self, name: str) -> dict[str, frozenset[str]]:
        """Per reference field that decides about its row: the hidden records it may point to."""
        kind = self._org.schema.get(name)
        references = kind.references if kind else ()
        return {
            field.name: self._hidden[str(field.target)]
            for field in references
            if field.cascade and "N" not in field.flags and str(field.target) in self._hidden
        }


class VisibleRows:
    """A table without the rows that are hidden, themselves or through a parent."""

    def __init__(self, table: Rows, own: frozenset[str], parents: Mapping[str, frozenset[str]]) -> None:
        self._table = table
        self._own = own
        self._parents = parents

    def __iter__(self) -> Iterator[Row]:
        return filter(self._visible, self._table)

    def get(self, row_id: str) -> Row | None:
        """The row of that id, or None."""
        row = self._table.get(row_id)
        return row if row is not None and self._visible(row) else None

    def having(self, field: str, values: Iterable[str]) -> list[Row] | None:
        """The visible ones of the rows that the table finds."""
        rows = self._table.having(field, values)
        return None if rows is None else list(filter(self._visible, rows))

    def dated(self, field: str, low: str, high: str | None) -> Iterator[Row] | None:
        """The visible ones of the rows that the table finds."""
        rows = self._table.dated(field, low, high)
        return None if rows is None else filter(self._visible, rows)

    def _visible(self, row: Row) -> bool:
        return row["Id"] not in self._own and not any(row[name] in ids for name, ids in self._parents.items())


def _without(kind: ObjectType, names: Collection[str]) -> ObjectType:
    if not names:
        return kind
    return replace(kind, fields={name: field for name, field in kind.fields.items() if name not in names})
