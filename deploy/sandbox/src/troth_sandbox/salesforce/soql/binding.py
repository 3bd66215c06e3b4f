"""What the names of a query mean in this org: columns that read a value from a row, through parents if need be."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from operator import itemgetter

from troth_sandbox.salesforce.access import Rows, Source
from troth_sandbox.salesforce.errors import ApiError, api_error
from troth_sandbox.salesforce.schema import TEXT_TYPES, Field, ObjectType
from troth_sandbox.salesforce.soql.tokens import place
from troth_sandbox.salesforce.soql.tree import Name, Path
from troth_sandbox.salesforce.time_index import SECOND
from troth_sandbox.salesforce.values import Row, Scalar

Read = Callable[[Row], Scalar]


@dataclass(frozen=True, slots=True)
class Column:
    """A resolved path: the relationships walked, the field at its end, and how to read it."""

    steps: tuple[Field, ...]
    field: Field
    read: Read

    @property
    def spelling(self) -> str:
        """The path as the describe spells it."""
        return ".".join([*(str(step.relationship) for step in self.steps), self.field.name])

    def key(self, value: Scalar) -> Hashable:
        """What comparisons and sorting see of a value."""
        if isinstance(value, str):
            if self.field.type == "datetime":
                return value[:SECOND]
            if self.field.type in TEXT_TYPES:
                return value.casefold()
        return value


class Binding:
    """Looks names up for one query over one object."""

    def __init__(self, org: Source, text: str, source: Name) -> None:
        self.org = org
        self._text = text
        kind = org.schema.get(source.text)
        if kind is None:
            raise self.error("unknown_object", source.start, name=source.text)
        self.kind: ObjectType = kind

    def column(self, path: Path) -> Column:
        """The column of a path. Raises ApiError INVALID_FIELD for a name the org does not know."""
        kind, steps = self.kind, []
        for part in self._relative(path)[:-1]:
            step = kind.step(part)
            parent = self.org.schema.get(step.target) if step and step.target else None
            if step is None or parent is None:
                raise self.error("unknown_relationship", path.start, name=part)
            steps.append(step)
            kind = parent
        field = kind.field(path.parts[-1])
        if field is None:
            raise self.error("unknown_field", path.start, name=path.parts[-1], object=kind.name)
        return Column(tuple(steps), field, self._reader(tuple(steps), field))

    def error(self, entry: str, start: int, /, **values: object) -> ApiError:
        """A catalogued refusal that points to `start`."""
        return api_error(entry, place=place(self._text, start), **values)

    def _relative(self, path: Path) -> tuple[str, ...]:
        """`Opportunity.Name` in a query over Opportunity is its own `Name`."""
        first, *rest = path.parts
        own = first.lower() == self.kind.name.lower() and self.kind.step(first) is None
        return tuple(rest) if rest and own else path.parts

    def _reader(self, steps: tuple[Field, ...], field: Field) -> Read:
        if not steps:
            return itemgetter(field.name)
        tables = [(step.name, self.org.table(str(step.target))) for step in steps]
        return lambda row: _walk(row, tables, field.name)


def _walk(row: Row, tables: list[tuple[str, Rows]], name: str) -> Scalar:
    for reference, table in tables:
        parent = table.get(str(row[reference]))
        if parent is None:
            return None
        row = parent
    return row[name]
