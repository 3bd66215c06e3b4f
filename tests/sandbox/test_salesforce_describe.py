"""The simulator describes its objects as a real org was recorded doing."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.describe import description
from troth_sandbox.salesforce.org import open_org
from troth_sandbox.salesforce.seed import parse_seed

RECORDED_BY_OTHERS = {"Primary_Contact__c", "ns__Description__c", "History__c", "ns__LinkedAccount__c"}
"""Custom fields of the recorded org."""

HOST = "https://orgname.my.salesforce.com"
"""Of the recording, its organization's name masked."""


def described(name: str, **settings: Any) -> dict[str, Any]:
    document = {"org_id": "00D000000000001EAA", "auth": {"client_id": "id", "client_secret": "secret"}}
    org = open_org(parse_seed(document | settings), SettableClock())
    kind = org.schema.get(name)
    assert kind is not None
    return description(org, kind, "/services/data/vxx.0", HOST)


def recorded(fixtures_dir: Path, name: str) -> dict[str, Any]:
    place = fixtures_dir / "crm" / "cumulusci" / f"GET_sobjects_{name}_describe.yaml"
    cassette = yaml.safe_load(place.read_text("utf-8"))
    exchange = cassette["interactions"][0] if "interactions" in cassette else cassette
    body = exchange["response"]["body"]["string"]
    return dict(json.loads(body) if isinstance(body, str) else body)


def by_name(description: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {field["name"]: field for field in description["fields"]}


def test_opportunity_has_the_recorded_fields_with_every_recorded_property(fixtures_dir: Path) -> None:
    ours, theirs = by_name(described("Opportunity")), by_name(recorded(fixtures_dir, "Opportunity"))
    assert set(ours) == set(theirs)
    assert len(theirs) == 40
    for name, field in theirs.items():
        assert ours[name] == field, name


def test_contact_roles_have_the_recorded_fields_with_every_recorded_property(fixtures_dir: Path) -> None:
    ours = by_name(described("OpportunityContactRole"))
    theirs = by_name(recorded(fixtures_dir, "OpportunityContactRole"))
    assert set(ours) == set(theirs)
    for name, field in theirs.items():
        assert {key: ours[name][key] for key in field} == field, name


def test_accounts_have_recorded_names_and_types(fixtures_dir: Path) -> None:
    ours, theirs = by_name(described("Account")), by_name(recorded(fixtures_dir, "Account"))
    assert set(ours) <= set(theirs) - RECORDED_BY_OTHERS
    for name, field in ours.items():
        for key in (
            "type",
            "length",
            "nillable",
            "filterable",
            "sortable",
            "createable",
            "referenceTo",
            "label",
        ):
            assert field[key] == theirs[name][key], (name, key)


def shape(value: Any) -> Any:
    """Keys and types all the way down; a list is told by what its items are together."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        together: Any = None
        for each in value:
            together = both(together, shape(each))
        return [together]
    return None if value is None else type(value).__name__


def both(one: Any, other: Any) -> Any:
    """One shape for two items of a list: null may stand for anything."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: both(one.get(key), other.get(key)) for key in one.keys() | other.keys()}
    if isinstance(one, list) and isinstance(other, list):
        return [both(one[0], other[0])]
    assert one is None or other is None or one == other, (one, other)
    return one if other is None else other


def differing(ours: Any, theirs: Any, place: str = "") -> list[str]:
    """Where two shapes have other keys or types; a value that either side only has as null cannot be judged."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        missing = [f"{place}.{key}" for key in ours.keys() ^ theirs.keys()]
        return missing + [
            each
            for key in sorted(ours.keys() & theirs.keys())
            for each in differing(ours[key], theirs[key], f"{place}.{key}")
        ]
    if isinstance(ours, list) and isinstance(theirs, list):
        return differing(ours[0], theirs[0], f"{place}[]")
    return [] if ours is None or theirs is None or ours == theirs else [f"{place}: {ours} for {theirs}"]


def test_describe_has_the_recorded_keys_and_types_at_every_depth(fixtures_dir: Path) -> None:
    ours, theirs = described("Opportunity"), recorded(fixtures_dir, "Opportunity")
    assert differing(shape(ours), shape(theirs)) == []
    assert ours["urls"] == theirs["urls"]


def test_another_key_or_type_would_be_seen(fixtures_dir: Path) -> None:
    theirs = shape(recorded(fixtures_dir, "Opportunity"))
    ours = described("Opportunity")
    ours["fields"][3]["length"] = "255"
    with pytest.raises(AssertionError):
        shape(ours)
    ours["fields"][3].pop("length")
    ours["childRelationships"][0]["more"] = 1
    assert differing(shape(ours), theirs) == [".childRelationships[].more"]


@pytest.mark.parametrize("name", ["Opportunity", "OpportunityContactRole", "Account"])
def test_objects_have_the_recorded_traits(fixtures_dir: Path, name: str) -> None:
    ours, theirs = described(name), recorded(fixtures_dir, name)
    traits = [key for key, value in theirs.items() if isinstance(value, bool | str | None)]
    assert {key: ours[key] for key in traits} == {key: theirs[key] for key in traits}


def test_children_of_an_opportunity_carry_the_recorded_names(fixtures_dir: Path) -> None:
    theirs = {
        (child["childSObject"], child["field"]): (child["relationshipName"], child["cascadeDelete"])
        for child in recorded(fixtures_dir, "Opportunity")["childRelationships"]
    }
    ours = {
        (child["childSObject"], child["field"]): (child["relationshipName"], child["cascadeDelete"])
        for child in described("Opportunity")["childRelationships"]
    }
    shared = set(ours) & set(theirs)
    assert {child for child, _ in shared} == {
        "OpportunityContactRole",
        "OpportunityHistory",
        "OpportunityLineItem",
    }
    assert {key: ours[key] for key in shared} == {key: theirs[key] for key in shared}


def test_custom_fields_and_currencies_come_from_the_seed() -> None:
    promised = {"name": "Promised_Date__c", "type": "date", "label": "Promised date"}
    fields = by_name(described("Opportunity", multi_currency=True, custom_fields={"Opportunity": [promised]}))
    assert fields["CurrencyIsoCode"]["type"] == "picklist"
    added = fields["Promised_Date__c"]
    assert (added["type"], added["label"], added["custom"], added["filterable"]) == (
        "date",
        "Promised date",
        True,
        True,
    )
