"""Judges a schema change: inside a major version only optional additions are allowed.

``python -m troth_contracts.compatibility`` compares the types as they are now with every released schema in
``contracts/schemas/released``. A difference it cannot classify fails, too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from troth_contracts.generate import ROOT, schemas

RELEASED = ROOT / "schemas" / "released"
_PROSE = frozenset(
    {"description", "title", "$schema", "examples"}
)  # not "default": it is left out when written
_STRUCTURE = frozenset({"properties", "required", "$defs", "anyOf", "type", "enum"})


def breaks(old: Any, new: Any, where: str = "$") -> Iterator[str]:
    """Sentences about each change that a reader of ``old`` data or an older reader could not follow."""
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _object_breaks(old, new, where)
    elif old != new:
        yield f"{where}: {_short(old)} became {_short(new)}"


def _object_breaks(old: dict[str, Any], new: dict[str, Any], where: str) -> Iterator[str]:
    yield from _property_breaks(old, new, where)
    yield from _required_breaks(old, new, where)
    yield from _named_breaks(old.get("$defs", {}), new.get("$defs", {}), f"{where}/$defs/")
    yield from _choice_breaks(old, new, where)
    for name in sorted((old.keys() | new.keys()) - _PROSE - _STRUCTURE):
        if old.get(name) != new.get(name):
            yield from breaks(old.get(name), new.get(name), f"{where}/{name}")


def _property_breaks(old: dict[str, Any], new: dict[str, Any], where: str) -> Iterator[str]:
    yield from _named_breaks(old.get("properties", {}), new.get("properties", {}), f"{where}.")


def _named_breaks(old: dict[str, Any], new: dict[str, Any], where: str) -> Iterator[str]:
    for name, schema in old.items():
        if name not in new:
            yield f"{where}{name}: removed"
        else:
            yield from breaks(schema, new[name], f"{where}{name}")


def _required_breaks(old: dict[str, Any], new: dict[str, Any], where: str) -> Iterator[str]:
    for name in sorted(set(new.get("required", [])) - set(old.get("required", []))):
        yield f"{where}.{name}: is required now; older records lack it"
    for name in sorted(set(old.get("required", [])) - set(new.get("required", []))):
        yield f"{where}.{name}: is optional now; older readers need it"


def _choice_breaks(old: dict[str, Any], new: dict[str, Any], where: str) -> Iterator[str]:
    """``anyOf``, ``type`` and ``enum`` must stay: an older reader cannot read a new choice."""
    for name in ("anyOf", "type", "enum"):
        if name in old or name in new:
            before, after = _sorted(old.get(name)), _sorted(new.get(name))
            if before != after:
                yield f"{where}/{name}: {_short(before)} became {_short(after)}"


def _sorted(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(json.dumps(_without_prose(item), sort_keys=True) for item in value)
    return value


def _without_prose(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: item for name, item in value.items() if name not in _PROSE}


def _short(value: Any) -> str:
    return json.dumps(value, sort_keys=True)[:80]


def check(released: Path = RELEASED) -> list[str]:
    """Every break against every released schema; a type that disappeared is a break."""
    now = json.loads(json.dumps(schemas()))  # as the released files hold it: tuples are lists
    found: list[str] = []
    for path in sorted(released.glob("*/*.json")):
        name = path.stem
        old = json.loads(path.read_text(encoding="utf-8"))
        if name not in now:
            found.append(f"{path.parent.name} {name}: the type is gone")
        else:
            found += [f"{path.parent.name} {name} {sentence}" for sentence in breaks(old, now[name])]
    return found


def main() -> int:
    """Exit code 1 when a change breaks readers."""
    found = check()
    for sentence in found:
        print(sentence, file=sys.stderr)  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
