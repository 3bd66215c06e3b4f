"""Rows in little memory: the values alone, with one set of names for all rows that have the same fields."""

from collections.abc import Iterator, Mapping

from troth_sandbox.salesforce.values import Row, Scalar


class PackedRow(Mapping[str, Scalar]):
    """An immutable row; a dict of the forty fields of an opportunity would take six times as much."""

    __slots__ = ("_places", "_values")

    def __init__(self, places: Mapping[str, int], values: tuple[Scalar, ...]) -> None:
        self._places = places
        self._values = values

    def __getitem__(self, name: str) -> Scalar:
        return self._values[self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: str, default: Scalar = None) -> Scalar:  # type: ignore[override]
        """The value of a field, or `default` when the row has no such field."""
        place = self._places.get(name)
        return default if place is None else self._values[place]


class Packer:
    """Packs rows and remembers which sets of names it has met."""

    def __init__(self) -> None:
        self._met: dict[tuple[str, ...], Mapping[str, int]] = {}

    def pack(self, row: Row) -> PackedRow:
        """The same row in little memory."""
        names = tuple(row)
        places = self._met.get(names)
        if places is None:
            places = self._met[names] = {name: place for place, name in enumerate(names)}
        return PackedRow(places, tuple(row.values()))
