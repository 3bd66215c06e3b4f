"""Which objects and fields the org has, read from objects.yaml plus what a seed adds."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from typing import Any

import yaml

from troth_sandbox.errors import SeedError

TEXT_TYPES = frozenset({"string", "textarea", "picklist", "email", "phone", "url"})
ID_TYPES = frozenset({"id", "reference"})
NUMBER_TYPES = frozenset({"currency", "percent", "double", "int"})
TYPES = TEXT_TYPES | ID_TYPES | NUMBER_TYPES | {"boolean", "date", "datetime"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a picklist and what a person reads."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field; `flags` are the letters explained at the top of objects.yaml."""

    name: str
    type: str
    label: str
    flags: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    target: str | None = None
    relationship: str | None = None
    cascade: bool = False
    restricted: bool = False
    choices: tuple[Choice, ...] = ()
    formula: str = ""
    """Computed at read time from this; see formulas.py."""

    @property
    def custom(self) -> bool:
        """True for a field that an administrator added."""
        return self.name.endswith("__c")

    @property
    def filterable(self) -> bool:
        """True when WHERE may name it."""
        return "F" in self.flags

    @property
    def sortable(self) -> bool:
        """True when ORDER BY may name it."""
        return "S" in self.flags

    @property
    def groupable(self) -> bool:
        """True when GROUP BY may name it."""
        return "G" in self.flags


@dataclass(frozen=True)
class ObjectType:
    """One object with its fields by exact name; `money` objects get CurrencyIsoCode in multi-currency orgs."""

    name: str
    prefix: str
    label: str
    plural: str
    traits: frozenset[str]
    fields: Mapping[str, Field]
    children: str | None = None

    @cached_property
    def _by_lower(self) -> Mapping[str, Field]:
        return {name.lower(): field for name, field in self.fields.items()}

    @cached_property
    def _by_relationship(self) -> Mapping[str, Field]:
        return {field.relationship.lower(): field for field in self.fields.values() if field.relationship}

    @cached_property
    def references(self) -> tuple[Field, ...]:
        """The fields that point to other objects."""
        return tuple(field for field in self.fields.values() if field.type == "reference")

    def field(self, name: str) -> Field | None:
        """The field of that name, in any spelling of case."""
        return self._by_lower.get(name.lower())

    def step(self, relationship: str) -> Field | None:
        """The reference field behind a relationship name such as `Owner`, in any spelling of case."""
        return self._by_relationship.get(relationship.lower())


class Schema:
    """All objects of the org; names are looked up in any spelling of case."""

    def __init__(self, types: Iterable[ObjectType]) -> None:
        self._types = {kind.name.lower(): kind for kind in types}

    def __iter__(self) -> Iterator[ObjectType]:
        return iter(self._types.values())

    def get(self, name: str) -> ObjectType | None:
        """The object of that name, or None."""
        return self._types.get(name.lower())

    def put(self, kind: ObjectType) -> None:
        """Add or replace an object."""
        self._types[kind.name.lower()] = kind

    def child_references(self, parent: str) -> list[tuple[ObjectType, Field]]:
        """Every (child object, reference field) that points to `parent`."""
        return [
            (kind, field)
            for kind in self._types.values()
            for field in kind.references
            if field.target == parent
        ]


def standard() -> Mapping[str, Any]:
    """The parsed objects.yaml."""
    return dict(yaml.safe_load(files(__package__).joinpath("objects.yaml").read_text("utf-8")))


def build_schema(
    custom_fields: Mapping[str, Iterable[Field]],
    custom_objects: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    multi_currency: bool,
    seeded: Container[str] = (),
) -> Schema:
    """The standard objects plus custom objects and fields. Raises SeedError for an unknown object.

    An object that only some orgs have is there when it is among the ``seeded`` ones.
    """
    document = standard()
    entries = document["objects"] | {
        name: _custom_entry(name, place, each)
        for place, (name, each) in enumerate((custom_objects or {}).items())
    }
    unknown = sorted(set(custom_fields) - set(entries))
    if unknown:
        raise SeedError(f"custom_fields names objects that this org does not have: {', '.join(unknown)}")
    return Schema(
        _object(name, entry, document, custom_fields.get(name, ()), multi_currency)
        for name, entry in entries.items()
        if (multi_currency or not entry.get("multi_currency_only"))
        and (name in seeded or not entry.get("seeded_only"))
    )


def _custom_entry(name: str, place: int, document: Mapping[str, Any]) -> dict[str, Any]:
    """A custom object in the form of objects.yaml; its own fields are custom fields."""
    if not name.endswith("__c"):
        raise SeedError(f"custom object {name!r} needs a __c name")
    plural = document.get("plural", document.get("label", name))
    return {
        "prefix": document.get("prefix", f"a{place:02d}"),
        "label": document.get("label", name),
        "plural": plural,
        "children": document.get("children", f"{str(plural).replace(' ', '_').removesuffix('__c')}__r"),
        "traits": [
            "createable",
            "custom",
            "deletable",
            "undeletable",
            "updateable",
            "replicateable",
            "triggerable",
        ],
        "audit": list(standard()["audit"]),
        "money": True,
        "fields": {
            "Id": "id, FSGD, Record ID",
            "OwnerId": "reference User, FSGCUD, Owner ID",
            "Name": "string 80, NFSGCUD, Name",
        },
    }


def custom_field(
    name: str, kind: str, label: str, target: str | None = None, formula: str = "", *, master: bool = False
) -> Field:
    """A field as an administrator adds it; `master` deletes the row with its target. Raises SeedError."""
    if kind not in TYPES or (kind == "reference") != (target is not None) or not name.endswith("__c"):
        raise SeedError(
            f"custom field {name!r} of type {kind!r} cannot be added; it needs a __c name and a known type"
        )
    flags = "NFSG" if formula else "FSGC" if master else "NFSGCU"
    spec = f"{kind} {target or _DEFAULT_SIZES.get(kind, '')}{' cascade' if master else ''}"
    return replace(_field(name, f"{spec}, {flags}, {label}", {}), formula=formula)


def field_from(document: Mapping[str, Any]) -> Field:
    """A custom field from its JSON. Raises SeedError, KeyError or TypeError."""
    return custom_field(
        document["name"],
        document["type"],
        document.get("label", document["name"]),
        document.get("target"),
        document.get("formula", ""),
        master=bool(document.get("master_detail", False)),
    )


_DEFAULT_SIZES = {
    "string": "255",
    "picklist": "255",
    "textarea": "255",
    "url": "255",
    "email": "80",
    "phone": "40",
} | {
    "currency": "18.2",
    "percent": "18.2",
    "double": "18.2",
}


def _object(
    name: str,
    entry: Mapping[str, Any],
    document: Mapping[str, Any],
    extra: Iterable[Field],
    multi_currency: bool,
) -> ObjectType:
    lines = entry["fields"] | {key: document["audit"][key] for key in entry["audit"]}
    if multi_currency and entry.get("money"):
        lines |= {"CurrencyIsoCode": document["currency"]}
    fields = [_field(key, line, document["choices"]) for key, line in lines.items()]
    return ObjectType(
        name=name,
        prefix=entry["prefix"],
        label=entry.get("label", name),
        plural=entry["plural"],
        traits=frozenset(entry["traits"]),
        fields={field.name: field for field in [*fields, *extra]},
        children=entry.get("children"),
    )


def _field(name: str, line: str, choices: Mapping[str, list[str]]) -> Field:
    spec, flags, label = (part.strip() for part in line.split(",", 2))
    kind, *rest = spec.split()
    size = next((word for word in rest if word[0].isdigit()), "")
    words = set(rest)
    target = rest[0] if kind == "reference" else None
    precision, _, scale = size.partition(".")
    return Field(
        name=name,
        type=kind,
        label=label,
        flags=flags,
        length=18 if kind in ID_TYPES else int(size or 0) if kind in TEXT_TYPES else 0,
        precision=int(precision or 0) if kind in NUMBER_TYPES else 0,
        scale=int(scale or 0),
        target=target,
        relationship=_relationship(name) if target and "nameless" not in words else None,
        cascade="cascade" in words,
        restricted="restricted" in words,
        choices=tuple(_choice(text) for word in rest for text in choices.get(word, ()) if kind == "picklist"),
    )


def _relationship(name: str) -> str:
    return name.removesuffix("__c") + "__r" if name.endswith("__c") else name.removesuffix("Id")


def _choice(text: str) -> Choice:
    value, _, label = text.partition("=")
    return Choice(value, label or value)
