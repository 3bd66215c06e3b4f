"""Examples of every released version decode for ever: they are what lies on customers' topics."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from tests.contracts.strategies import CARRYING, content_types

from troth_contracts.codec import decode, encode_body, encode_event, encode_state
from troth_contracts.generate import ROOT, schema_of
from troth_contracts.topics import Topic
from troth_contracts.values import Contract

EXAMPLES = ROOT / "examples"
FILES = sorted(EXAMPLES.glob("*/*/*.json"))
AT = datetime(2026, 10, 1, tzinfo=UTC)
BY_TYPE: dict[str, Topic] = {topic.ce_type: topic for topic in CARRYING}


def name(path: Path) -> str:
    return str(path.relative_to(EXAMPLES))


def decoded(path: Path) -> Contract:
    """The example as a reader of today sees it."""
    topic = BY_TYPE[path.parent.name]
    headers = (("ce_type", topic.ce_type.encode()), ("ce_id", b"example"), ("ce_version", b"1"))
    body = decode(topic.name, b"key", path.read_bytes(), headers).body
    assert body is not None
    return body


@pytest.mark.parametrize("path", FILES, ids=name)
def test_an_example_decodes_and_is_written_again_with_equal_content(path: Path) -> None:
    assert json.loads(encode_body(decoded(path))) == json.loads(path.read_bytes())


@pytest.mark.parametrize("path", FILES, ids=name)
def test_an_example_is_valid_by_the_published_schema(path: Path) -> None:
    schema = json.loads(json.dumps(schema_of(BY_TYPE[path.parent.name])))
    jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(json.loads(path.read_bytes()))


def test_the_published_schema_refuses_what_the_codec_refuses() -> None:
    for path in FILES:
        document = json.loads(path.read_bytes())
        schema = json.loads(json.dumps(schema_of(BY_TYPE[path.parent.name])))
        for required in [key for key in document if key in ("id", "at", "org_id", "site_id", "alert_id")]:
            broken = {key: value for key, value in document.items() if key != required}
            assert not jsonschema.Draft202012Validator(schema).is_valid(broken), (name(path), required)


@pytest.mark.parametrize("ce_type", sorted(BY_TYPE))
def test_every_type_has_a_minimal_and_a_rich_example(ce_type: str) -> None:
    for kind in content_types(BY_TYPE[ce_type]):
        examples = [body for body in map(decoded, files_of(ce_type)) if isinstance(body, kind)]
        assert any(is_minimal(body) for body in examples), f"{kind.__name__} has no minimal example"
        assert any(is_rich(body) for body in examples), f"{kind.__name__} has no example with every field"


def test_every_example_belongs_to_a_type_that_is_published() -> None:
    folders = {path.name for path in EXAMPLES.glob("*/*") if path.is_dir()}
    assert folders == set(BY_TYPE)
    assert {path.parent.name for path in EXAMPLES.rglob("*.json")} == folders
    assert set(EXAMPLES.rglob("*.json")) == set(FILES), "an example lies outside version/type"


def test_every_released_version_has_its_examples() -> None:
    released = {path.name for path in (ROOT / "schemas" / "released").iterdir()}
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == released


def test_an_example_states_its_own_key() -> None:
    """The key a service publishes under comes from the value, so that a reader can check it."""
    keyless = {"troth.risk.alert.v1", "troth.risk.assessment.v1", "troth.crm.reference.v1"}
    for path in FILES:
        if path.parent.name not in keyless:
            assert key_of(decoded(path)), name(path)


def test_a_state_and_an_event_of_an_example_come_back_from_their_records() -> None:
    for path in FILES:
        topic, body = BY_TYPE[path.parent.name], decoded(path)
        record = (
            encode_state(topic, "key", body, version=1, source="/test")
            if topic.kind == "state"
            else encode_event(topic, "key", body, event_id="e", at=AT, source="/test")
        )
        assert decode(record.topic, b"key", record.value, record.headers).body == body


def key_of(body: Any) -> str:
    return str(body.key)


def files_of(ce_type: str) -> list[Path]:
    return [path for path in FILES if path.parent.name == ce_type]


def is_minimal(body: Contract) -> bool:
    """Only what is required is given."""
    optional = [field for field in msgspec.structs.fields(body) if not field.required]
    return all(is_default(body, field) for field in optional)


def is_rich(body: Contract) -> bool:
    """No field, at any depth, is left at its default in every place it occurs."""
    seen: dict[type, set[str]] = {}
    collect(body, seen)
    return all(
        given == {field.name for field in msgspec.structs.fields(kind)} for kind, given in seen.items()
    )


def collect(item: Any, seen: dict[type, set[str]]) -> None:
    """Which fields of which type carry something of their own."""
    if isinstance(item, tuple):
        for part in item:
            collect(part, seen)
    if isinstance(item, msgspec.Struct):
        given = seen.setdefault(type(item), set())
        for field in msgspec.structs.fields(item):
            if not is_default(item, field):
                given.add(field.name)
            collect(getattr(item, field.name), seen)


def is_default(body: msgspec.Struct, field: msgspec.structs.FieldInfo) -> bool:
    value = getattr(body, field.name)
    if field.default_factory is not msgspec.NODEFAULT:
        return bool(value == field.default_factory())
    return field.default is not msgspec.NODEFAULT and bool(value == field.default)
