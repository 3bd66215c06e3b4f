"""What a parsed query says, before anybody asks whether the org has such fields."""

from dataclasses import dataclass
from typing import Literal as OneOf

Operator = OneOf["=", "!=", "<", "<=", ">", ">=", "LIKE", "IN", "NOT IN"]
Function = OneOf["COUNT", "MIN", "MAX"]


@dataclass(frozen=True, slots=True)
class Path:
    """A field, perhaps through parents: `Account.Owner.Name`; `start` is its offset in the text."""

    parts: tuple[str, ...]
    start: int

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as written; `kind` is string, number, boolean, null, date, datetime or range.

    A range such as TODAY is `days` whole days from `first_day`, counted from today.
    """

    kind: OneOf["string", "number", "boolean", "null", "date", "datetime", "range"]
    text: str
    start: int
    first_day: int = 0
    days: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """`path operator value`; only IN and NOT IN have more than one value."""

    path: Path
    operator: Operator
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class All:
    """Conditions joined by AND."""

    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Conditions joined by OR."""

    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """A denied condition."""

    part: "Condition"


Condition = Comparison | All | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`COUNT(Id)`, `MIN(CloseDate)`; without an alias it is answered as expr0, expr1 and so on."""

    function: Function
    path: Path
    alias: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """One key of ORDER BY."""

    path: Path
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Name:
    """An object's name and where it stands."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query; `count_only` is `SELECT COUNT()`."""

    text: str
    source: Name
    fields: tuple[Path, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    count_only: bool = False
    where: Condition | None = None
    group: Path | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
