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


def described(name: str, **settings: Any) -> dict[str, Any]:
    document = {"org_id": "00D000000000001EAA", "auth": {"client_id": "id", "client_secret": "secret"}}
    org = open_org(parse_seed(document | settings), SettableClock())
    kind = org.schema.get(name)
    assert kind is not None
    return description(org, kind, "/services/data/v66.0")


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
