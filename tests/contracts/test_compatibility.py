"""The gate on schema changes: inside a major only optional additions pass."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from troth_contracts.compatibility import RELEASED, breaks, check, main
from troth_contracts.generate import schemas
from troth_contracts.values import Contract

ADDED_SINCE = {"troth.jira.plan-change.v1", "troth.crm.schema-change.v1"}
"""Types that came after the last release."""


class Part(Contract, frozen=True):
    id: str
    points: Decimal | None = None


class Old(Contract, frozen=True):
    id: str
    state: Literal["open", "done"] = "open"
    points: Decimal | None = None
    parts: tuple[Part, ...] = ()
    provisional: bool = True


def judged(new: type[msgspec.Struct]) -> list[str]:
    """Sentences about `new` in the place of Old."""
    return list(breaks(schema(Old), schema(new)))


def schema(kind: type[msgspec.Struct]) -> Any:
    """Types of different Python names stand for the same wire type here."""
    text = json.dumps(msgspec.json.schema(kind))
    return json.loads(text.replace(kind.__name__, "Thing"))


def test_no_change_passes() -> None:
    assert judged(Old) == []


def test_an_optional_addition_passes() -> None:
    class New(Old, frozen=True):
        owner: str | None = None
        labels: tuple[str, ...] = ()

    assert judged(New) == []


def test_a_new_type_behind_an_optional_addition_passes() -> None:
    class Link(Contract, frozen=True):
        to: str

    class New(Old, frozen=True):
        links: tuple[Link, ...] = ()

    assert judged(New) == []


def test_another_explanation_passes() -> None:
    new = schema(Old)
    new["$defs"]["Thing"]["description"] = "Said better."
    assert list(breaks(schema(Old), new)) == []


def test_a_removed_field_is_reported() -> None:
    class New(Contract, frozen=True):
        id: str
        state: Literal["open", "done"] = "open"
        parts: tuple[Part, ...] = ()
        provisional: bool = True

    assert judged(New) == ["$/$defs/Thing.points: removed"]


def test_a_new_required_field_is_reported() -> None:
    class New(Old, frozen=True, kw_only=True):
        owner: str

    assert judged(New) == ["$/$defs/Thing.owner: is required now; older records lack it"]


def test_a_field_that_becomes_required_is_reported() -> None:
    class New(Old, frozen=True, kw_only=True):
        points: Decimal | None

    assert "$/$defs/Thing.points: is required now; older records lack it" in judged(New)


def test_a_field_that_becomes_optional_is_reported() -> None:
    """It may be left out from now on, and an older reader cannot read a record without it."""

    class New(Old, frozen=True):
        id: str = ""

    assert "$/$defs/Thing.id: is optional now; older readers need it" in judged(New)


@pytest.mark.parametrize("kind", [int, str | None, tuple[str, ...], Part])
def test_a_changed_type_is_reported(kind: Any) -> None:
    new = msgspec.defstruct("New", [("id", kind)], bases=(Old,), kw_only=True, frozen=True)
    assert any("Thing.id" in sentence for sentence in judged(new))


@pytest.mark.parametrize("choices", [Literal["open"], Literal["open", "done", "paused"]])
def test_a_changed_enumeration_is_reported(choices: Any) -> None:
    """Also an addition: an older reader refuses the new value."""
    new = msgspec.defstruct("New", [("state", choices, "open")], bases=(Old,), kw_only=True, frozen=True)
    assert [sentence for sentence in judged(new) if "Thing.state/enum" in sentence]


def test_a_changed_default_is_reported() -> None:
    """Defaults are left out of records, so every stored record would change its meaning."""

    class New(Old, frozen=True):
        provisional: bool = False

    assert judged(New) == ["$/$defs/Thing.provisional/default: true became false"]


def test_a_change_inside_a_nested_type_is_reported() -> None:
    new = schema(Old)
    del new["$defs"]["Part"]["properties"]["points"]
    assert list(breaks(schema(Old), new)) == ["$/$defs/Part.points: removed"]


def test_another_choice_in_a_union_is_reported() -> None:
    new = schema(Old)
    new["$defs"]["Thing"]["properties"]["points"]["anyOf"].append({"type": "boolean"})
    assert any("points/anyOf" in sentence for sentence in breaks(schema(Old), new))


def test_a_change_it_cannot_classify_is_reported() -> None:
    new = schema(Old)
    new["$defs"]["Thing"]["properties"]["id"]["pattern"] = "^APA-"
    assert list(breaks(schema(Old), new)) == ['$/$defs/Thing.id/pattern: null became "^APA-"']


class TestAgainstWhatWasReleased:
    def test_this_version_breaks_no_reader(self) -> None:
        assert check() == []
        assert main() == 0

    def test_every_type_was_released(self) -> None:
        """A type nobody released is not guarded: copy its schema when a version is released."""
        released = {path.stem for path in RELEASED.glob("*/*.json")}
        assert not released & ADDED_SINCE, "released by now: take it off the list"
        assert released | ADDED_SINCE == set(schemas())

    def test_a_type_that_disappeared_is_reported(self, tmp_path: Path) -> None:
        folder = tmp_path / "1.0"
        folder.mkdir()
        (folder / "troth.crm.forgotten.v1.json").write_text("{}")
        assert check(tmp_path) == ["1.0 troth.crm.forgotten.v1: the type is gone"]

    def test_a_break_names_version_and_type(self, tmp_path: Path) -> None:
        folder = tmp_path / "1.0"
        folder.mkdir()
        released = json.loads((RELEASED / "1.0" / "troth.jira.version.v1.json").read_text())
        released["$defs"]["Version"]["properties"]["colour"] = {"type": "string"}
        (folder / "troth.jira.version.v1.json").write_text(json.dumps(released))
        assert check(tmp_path) == ["1.0 troth.jira.version.v1 $/$defs/Version.colour: removed"]
