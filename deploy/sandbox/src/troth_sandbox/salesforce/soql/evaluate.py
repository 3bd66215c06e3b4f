"""Run a parsed query over the org: which rows, in which order, and how each looks in the answer."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from troth_sandbox.salesforce.access import Source
from troth_sandbox.salesforce.schema import Field, ObjectType
from troth_sandbox.salesforce.soql.binding import Binding, Column
from troth_sandbox.salesforce.soql.conditions import compile_condition, indexed_times, indexed_values
from troth_sandbox.salesforce.soql.tree import Aggregate, Order, Query
from troth_sandbox.salesforce.values import Row, Scalar

Record = dict[str, Any]
Render = Callable[[Row], Record]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Result:
    """`ids` are to be rendered page by page; `records` are complete already (aggregates); COUNT() has neither."""

    total: int
    object: str
    ids: Sequence[str] = ()
    records: Sequence[Record] = ()
    render: Render = dict
    rows: Sequence[Row] = ()
    """The rows as they were when the query ran, in the order of `ids`."""
    columns: Sequence[tuple[str, Column]] = ()
    """What was selected, by its full spelling such as `Account.Name`."""


def run(org: Source, query: Query, *, include_deleted: bool, prefix: str) -> Result:
    """The answer to a query; `prefix` starts the records' URLs. Raises ApiError for what the org cannot answer."""
    binding = Binding(org, query.text, query.source)
    render = _renderer(binding, query, prefix)
    order = [(key, _sortable(binding, key)) for key in query.order]
    rows, sorted_by = _matching(binding, query, include_deleted=include_deleted)
    name = binding.kind.name
    if query.aggregates or query.group:
        records = _window(_aggregated(binding, query, rows), query)
        return Result(len(records), name, records=records)
    if not _is_ordered(order, sorted_by):
        for key, column in reversed(order):
            rows.sort(key=_sort_key(key, column), reverse=key.descending)
    rows = _window(rows, query)
    if query.count_only:
        return Result(len(rows), name)
    ids = [str(row["Id"]) for row in rows]
    columns = [(column.spelling, column) for column in map(binding.column, query.fields)]
    return Result(len(rows), name, ids=ids, render=render, rows=rows, columns=columns)


def _matching(binding: Binding, query: Query, *, include_deleted: bool) -> tuple[list[Row], str | None]:
    """The rows, and the audit date (then the id) by which they are in order already, if they are."""
    rows, sorted_by = _candidates(binding, query)
    if not include_deleted and "IsDeleted" in binding.kind.fields:
        rows = (row for row in rows if not row["IsDeleted"])
    if query.where is not None:
        rows = filter(compile_condition(binding, query.where), rows)
    return list(rows), sorted_by


def _candidates(binding: Binding, query: Query) -> tuple[Iterable[Row], str | None]:
    """As few rows as an index can tell."""
    table = binding.org.table(binding.kind.name)
    narrowed = indexed_values(binding, query.where)
    found = table.having(*narrowed) if narrowed else None
    if found is not None:
        return found, None
    field, low, high = indexed_times(binding, query.where) or (_first_name(query.order), "", None)
    dated = table.dated(field, low, high)
    return (table, None) if dated is None else (dated, field)


def _first_name(order: Sequence[Order]) -> str:
    return order[0].path.parts[0] if order and len(order[0].path.parts) == 1 else ""


def _is_ordered(order: list[tuple[Order, Column]], sorted_by: str | None) -> bool:
    """Whether rows in the order of an audit date and the id need no sorting."""
    names = [column.spelling for key, column in order if not key.descending and not key.nulls_last]
    return (
        len(names) == len(order) > 0 and sorted_by is not None and names in ([sorted_by], [sorted_by, "Id"])
    )


def _window(items: list[Item], query: Query) -> list[Item]:
    end = None if query.limit is None else query.offset + query.limit
    return items[query.offset : end]


def _sortable(binding: Binding, key: Order) -> Column:
    column = binding.column(key.path)
    if not column.field.sortable:
        raise binding.error("not_sortable", key.path.start, name=column.field.name)
    return column


def _sort_key(order: Order, column: Column) -> Callable[[Row], Any]:
    """Empty values come first unless NULLS LAST was asked for, whatever the direction."""
    empty = 1 if order.nulls_last is not order.descending else -1

    def key(row: Row) -> tuple[int, Any]:
        value = column.key(column.read(row))
        return (empty, 0) if value is None else (0, value)

    return key


@dataclass(frozen=True, slots=True)
class _Shape:
    """Which fields of an object are shown, and which of its parents with which of theirs."""

    kind: ObjectType
    names: dict[str, None] = field(default_factory=dict)
    parents: "dict[Field, _Shape]" = field(default_factory=dict)


def _renderer(binding: Binding, query: Query, prefix: str) -> Render:
    top = _Shape(binding.kind)
    for path in query.fields:
        column = binding.column(path)
        shape = top
        for step in column.steps:
            parent = binding.org.schema.get(str(step.target)) or shape.kind
            shape = shape.parents.setdefault(step, _Shape(parent))
        if column.field.name in shape.names:
            raise binding.error("duplicate_field", path.start, name=column.field.name)
        shape.names[column.field.name] = None
    return lambda row: _record(binding.org, top, row, prefix)


def _record(org: Source, shape: _Shape, row: Row, prefix: str) -> Record:
    name = shape.kind.name
    record: Record = {"attributes": {"type": name, "url": f"{prefix}/sobjects/{name}/{row['Id']}"}}
    for each in shape.names:
        # A field may have gone since the query that a page belongs to.
        record[each] = row.get(each)
    for step, inner in shape.parents.items():
        parent = org.table(inner.kind.name).get(str(row[step.name]))
        record[str(step.relationship)] = None if parent is None else _record(org, inner, parent, prefix)
    return record


def _aggregated(binding: Binding, query: Query, rows: list[Row]) -> list[Record]:
    group = binding.column(query.group) if query.group else None
    if group is not None and query.group is not None and not group.field.groupable:
        raise binding.error("not_groupable", query.group.start, name=group.field.name)
    for path in query.fields:
        if group is None or binding.column(path).field != group.field:
            raise binding.error("ungrouped", path.start, name=str(path))
    groups: dict[Hashable, list[Row]] = {} if group else {None: []}
    for row in rows:
        groups.setdefault(group.key(group.read(row)) if group else None, []).append(row)
    columns = [(each, binding.column(each.path)) for each in query.aggregates]
    shown = group if query.fields else None
    return [_aggregate_record(shown, members, columns) for members in groups.values()]


def _aggregate_record(
    group: Column | None, members: list[Row], columns: list[tuple[Aggregate, Column]]
) -> Record:
    record: Record = {"attributes": {"type": "AggregateResult"}}
    if group is not None:
        record[group.field.name] = group.read(members[0])
    for place, (aggregate, column) in enumerate(columns):
        record[aggregate.alias or f"expr{place}"] = _figure(aggregate, column, members)
    return record


def _figure(aggregate: Aggregate, column: Column, members: list[Row]) -> Scalar:
    values = [value for row in members if (value := column.read(row)) is not None]
    if aggregate.function == "COUNT":
        return len(values)
    choose: Callable[..., Any] = min if aggregate.function == "MIN" else max
    best: Scalar = choose(values, key=column.key, default=None)
    return best
