"""Fields that are computed whenever they are read, so that no stamp moves when their sources change."""

import re
from collections.abc import Callable, Iterable

from troth_sandbox.errors import SeedError
from troth_sandbox.salesforce.schema import Field, ObjectType, Schema
from troth_sandbox.salesforce.table import Table
from troth_sandbox.salesforce.values import Row, Scalar

ROLL_UP = re.compile(r"(COUNT|SUM|MIN|MAX)\((\w+)(?:\.(\w+))?\)", re.IGNORECASE)
"""`SUM(OpportunityLineItem.TotalPrice)`: over the rows that are children by their cascading reference."""
PATH = re.compile(r"\w+(?:\.\w+)*")
"""`Account.Industry`: a field of the row itself or of a parent."""

Tables = Callable[[str], Table]
Compute = Callable[[Row], Scalar]


def compute(field: Field, kind: ObjectType, schema: Schema, tables: Tables) -> Compute:
    """How to read a formula field. Raises SeedError for a formula this simulator cannot compute."""
    rolled = ROLL_UP.fullmatch(field.formula)
    if rolled:
        return _roll_up(field, kind, schema, tables, rolled)
    if PATH.fullmatch(field.formula) is None:
        raise SeedError(
            f"{kind.name}.{field.name}: only paths and roll-ups are computed, not {field.formula!r}"
        )
    *steps, last = field.formula.split(".")
    walked: list[tuple[str, Table]] = []
    for step in steps:
        reference = kind.step(step)
        parent = schema.get(str(reference.target)) if reference else None
        if reference is None or parent is None:
            raise SeedError(f"{field.name}: {kind.name} has no relationship {step}")
        walked.append((reference.name, tables(parent.name)))
        kind = parent
    end = kind.field(last)
    if end is None:
        raise SeedError(f"{field.name}: {kind.name} has no field {last}")
    return lambda row: _walk(row, walked, end.name)


def _walk(row: Row, steps: Iterable[tuple[str, Table]], name: str) -> Scalar:
    for reference, table in steps:
        parent = table.get(str(row[reference]))
        if parent is None:
            return None
        row = parent
    return row.get(name)


def _roll_up(field: Field, kind: ObjectType, schema: Schema, tables: Tables, match: re.Match[str]) -> Compute:
    function, child_name, column = match.groups()
    found = [
        (child, reference)
        for child, reference in schema.child_references(kind.name)
        if child.name.lower() == child_name.lower() and reference.cascade
    ]
    source = found[0][0].field(column or "Id") if found else None
    if source is None:
        raise SeedError(f"{field.name}: {kind.name} has no children for {field.formula}")
    child, reference = found[0]
    table, name = tables(child.name), source.name

    def rolled(row: Row) -> Scalar:
        rows = table.having(reference.name, [str(row["Id"])]) or []
        values = [each[name] for each in rows if not each.get("IsDeleted") and each[name] is not None]
        return _figure(function.upper(), values)

    return rolled


def _figure(function: str, values: list[Scalar]) -> Scalar:
    if function == "COUNT":
        return len(values)
    if function == "SUM":
        return float(sum(value for value in values if isinstance(value, int | float)))
    best: Scalar = (min if function == "MIN" else max)(values, default=None)  # type: ignore[type-var]
    return best
