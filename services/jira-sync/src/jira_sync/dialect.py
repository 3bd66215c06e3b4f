"""Data Center's documents in Cloud's words: users by key, epic links as parents, changelog items with their field ids.

Pure. Behind this nothing knows the difference; what cannot be said in Cloud's words stays as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jira_sync.domain.fields import EPIC_TYPE
from jira_sync.parse import Json, optional_part, optional_text, parts

_KEY = re.compile(r"[A-Z][A-Z0-9_]*-[1-9][0-9]*")
_PEOPLE = ("creator", "assignee", "reporter")


@dataclass(frozen=True, slots=True)
class FieldNames:
    """What the site's list of fields says about names."""

    epic: str | None = None
    """The field that holds the key of an issue's epic."""
    ids: Mapping[str, str] = field(default_factory=dict)
    """Custom field ids by lower-case name, where the name is one field's alone."""


def field_names(fields: Iterable[Json]) -> FieldNames:
    """Changelog items of Data Center name the field only: ``fieldId`` is Cloud's."""
    custom = [
        (_name(entry), str(entry["id"]), optional_part(entry, "schema").get("custom")) for entry in fields
    ]
    custom = [entry for entry in custom if entry[2]]
    often = Counter(name for name, _, _ in custom)
    return FieldNames(
        epic=next((field_id for _, field_id, kind in custom if kind == EPIC_TYPE), None),
        ids={name: field_id for name, field_id, _ in custom if often[name] == 1},
    )


def person(document: Json) -> Json:
    """A user by ``key``, which stays when the login name changes; by ``name`` on versions that have no key."""
    found = optional_text(document, "key") or optional_text(document, "name")
    return document if found is None or "accountId" in document else {**document, "accountId": found}


def histories(changelog: Json, names: FieldNames) -> list[Json]:
    """The histories of an expanded changelog, oldest first."""
    found = [_history(history, names) for history in parts(changelog, "histories")]
    return sorted(found, key=lambda history: int(history["id"]) if str(history.get("id")).isdigit() else 0)


def issue(document: Json, names: FieldNames, ids_by_key: Mapping[str, str | None]) -> Json:
    """The whole issue; an epic whose id is not known leaves it without a parent."""
    told: dict[str, Any] = dict(document)
    changelog = document.get("changelog")
    if isinstance(changelog, Mapping):
        told["changelog"] = {**changelog, "histories": histories(changelog, names)}
    if isinstance(document.get("fields"), Mapping):
        told["fields"] = _fields(document["fields"], names, ids_by_key)
    return told


def epic_keys(documents: Sequence[Json], names: FieldNames) -> set[str]:
    """The keys of all epics these issues point to."""
    found = (_epic(optional_part(document, "fields"), names) for document in documents)
    return {key for key in found if key}


def _fields(values: Json, names: FieldNames, ids_by_key: Mapping[str, str | None]) -> Json:
    told = {
        name: person(value) if name in _PEOPLE and isinstance(value, Mapping) else value
        for name, value in values.items()
    }
    epic = _epic(values, names)
    if epic and ids_by_key.get(epic) and not values.get("parent"):
        told["parent"] = {"id": ids_by_key[epic], "key": epic}
    return told


def _epic(values: Json, names: FieldNames) -> str | None:
    value = values.get(names.epic) if names.epic else None
    return value if isinstance(value, str) and _KEY.fullmatch(value) else None


def _history(history: Json, names: FieldNames) -> Json:
    told = {**history, "items": [_item(item, names) for item in parts(history, "items")]}
    author = history.get("author")
    return {**told, "author": person(author)} if isinstance(author, Mapping) else told


def _item(item: Json, names: FieldNames) -> Json:
    known = names.ids.get(str(item.get("field", "")).lower())
    return item if known is None or item.get("fieldId") is not None else {**item, "fieldId": known}


def _name(entry: Json) -> str:
    return str(entry.get("name") or "").strip().lower()
