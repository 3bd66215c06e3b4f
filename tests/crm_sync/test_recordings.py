"""Answers recorded from real orgs are read without complaint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from crm_sync.answers import read_deletions, read_described, read_page
from crm_sync.describe import ACCOUNT_NAME, CONTACT_ROLE, OPPORTUNITY, Wanted, object_schema
from crm_sync.errors import SchemaChanged
from crm_sync.faults import error_of, read_fault
from crm_sync.fields import long_id, own_id, required_text
from crm_sync.tokens import read_token

DATE = {"Date": "Thu, 17 Mar 2022 16:21:26 GMT"}


def bodies(node: Any) -> Iterator[tuple[int, str]]:
    """Status and text of every recorded answer of a cassette."""
    if isinstance(node, dict):
        response = node.get("response")
        if isinstance(response, dict) and "string" in response.get("body", {}):
            yield response["status"]["code"], response["body"]["string"]
        for value in node.values():
            yield from bodies(value)
    elif isinstance(node, list):
        for value in node:
            yield from bodies(value)


def cassettes(fixtures_dir: Path) -> dict[str, list[tuple[int, str]]]:
    folder = fixtures_dir / "crm" / "cumulusci"
    return {
        path.stem: list(bodies(yaml.safe_load(path.read_text()))) for path in sorted(folder.glob("*.yaml"))
    }


def test_every_cumulusci_answer_is_understood(fixtures_dir: Path) -> None:
    for name, answers in cassettes(fixtures_dir).items():
        assert answers, name
        for status, text in answers:
            _understand(status, text)


def test_every_restforce_answer_is_understood(fixtures_dir: Path) -> None:
    folder = fixtures_dir / "crm" / "restforce"
    paths = sorted(folder.rglob("*.json"))
    assert len(paths) == 17
    for path in paths:
        if "error" in path.name:
            error_of(read_fault(400, json.loads(path.read_text())))
        else:
            _understand(200, path.read_text())


def _understand(status: int, text: str) -> None:
    if not text:
        assert isinstance(error_of(read_fault(status, text)), Exception)
        return
    body = json.loads(text)
    if isinstance(body, list):
        return
    if {"records", "done", "totalSize"} <= body.keys():
        assert len(read_page(body, DATE).records) <= body["totalSize"]
    if "fields" in body and "keyPrefix" in body:
        assert read_described(body, DATE)
    if "access_token" in body:
        _token(text)
    if "id" in body and isinstance(body["id"], str) and len(body["id"]) == 15:
        assert long_id(body["id"]).startswith(body["id"])


def _token(text: str) -> None:
    """Two of the recorded tokens have a placeholder instead of the org."""
    if "00Dx0000000BV7z" in text:
        assert read_token(text.encode()).org_id == "00Dx0000000BV7zEAG"


@pytest.mark.parametrize(
    ("wanted", "file"),
    [
        (OPPORTUNITY, "GET_sobjects_Opportunity_describe"),
        (CONTACT_ROLE, "GET_sobjects_OpportunityContactRole_describe"),
    ],
)
def test_recorded_describe_has_every_field_we_want(fixtures_dir: Path, wanted: Wanted, file: str) -> None:
    ((_, text),) = cassettes(fixtures_dir)[file]
    schema = object_schema(wanted, read_described(json.loads(text), DATE))
    assert schema.missing == ()
    assert schema.stamp == "SystemModstamp"
    assert "CurrencyIsoCode" not in schema.fields
    assert (ACCOUNT_NAME in schema.fields) == (wanted is OPPORTUNITY)


def test_recorded_invalid_type_means_the_object_is_not_there(fixtures_dir: Path) -> None:
    ((_, text),) = cassettes(fixtures_dir)["TestCountSObjects.test_count_sobjects__errors"]
    answer = json.loads(text)["compositeResponse"][1]
    assert isinstance(error_of(read_fault(answer["httpStatusCode"], answer["body"])), SchemaChanged)


def test_recorded_rows_have_ids_and_texts_we_read(fixtures_dir: Path) -> None:
    """The recordings hold no opportunity rows; accounts have the same shapes."""
    answers = cassettes(fixtures_dir)["TestDatasetsE2E.test_datasets_extract_standard_objects"]
    page = next(json.loads(text) for _, text in answers if json.loads(text).get("totalSize") == 6)
    for row in read_page(page, DATE).records:
        assert own_id(row) == row["Id"]
        assert required_text(row, "Name").startswith("Account")


def test_recorded_updated_window_has_a_time_we_read(fixtures_dir: Path) -> None:
    """getUpdated and getDeleted tell their end in the same field."""
    path = fixtures_dir / "crm" / "restforce" / "sobject" / "get_updated_success_response.json"
    end = json.loads(path.read_text())["latestDateCovered"]
    assert read_deletions({"deletedRecords": [], "latestDateCovered": end}, DATE).covered_until.year == 2015
