"""Every answer recorded from real orgs goes through the functions that read it in the service.

`CUMULUSCI` and `RESTFORCE` say per file what is asserted. What the service never asks for must be refused as no
usable answer, never taken for one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from crm_sync.answers import read_deletions, read_described, read_page
from crm_sync.composite import Subanswer
from crm_sync.composite import _answers as read_composite
from crm_sync.describe import ACCOUNT, ACCOUNT_NAME, CONTACT_ROLE, OPPORTUNITY, Wanted, object_schema
from crm_sync.errors import SalesforceUnavailable, SchemaChanged
from crm_sync.faults import error_of, read_fault
from crm_sync.fields import as_text, day, flag, moment, number, own_id, reference, required_text, text
from crm_sync.salesforce import Page
from crm_sync.tokens import read_token
from troth_chassis.errors import PoisonError

NOON = datetime(2022, 3, 17, 16, 21, 26, tzinfo=UTC)
HEADERS = {"Date": "Thu, 17 Mar 2022 16:21:26 GMT"}


@dataclass(frozen=True)
class Answer:
    """One recorded answer."""

    status: int
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text, parse_float=Decimal) if self.text else None


Check = Callable[[list[Answer]], None]


def page(answer: Answer) -> Page:
    found = read_page(answer.body, HEADERS)
    assert found.server_time == NOON
    assert found.next_url is None
    return found


def is_no_result(answer: Answer) -> None:
    """Neither a page nor a description nor deletions: asked again, at last told, never taken for empty."""
    for read in (read_page, read_described, read_deletions):
        with pytest.raises(SalesforceUnavailable, match="the answer is not"):
            read(answer.body, HEADERS)


def describes(wanted: Wanted, fields: int) -> Check:
    """A describe with that many fields, among them every one that is wanted; times can be filtered by."""

    def check(answers: list[Answer]) -> None:
        (answer,) = answers
        described = read_described(answer.body, HEADERS)
        assert len(described) == len({item.name for item in described}) == fields
        schema = object_schema(wanted, described)
        assert schema.missing == ()
        assert schema.stamp == "SystemModstamp"
        assert "CurrencyIsoCode" not in schema.fields  # the recorded org has a single currency
        assert (ACCOUNT_NAME in schema.fields) == (wanted is OPPORTUNITY)
        assert schema.custom == tuple(item.name for item in described if item.custom and wanted.custom)

    return check


def answers_of(*expected: int | type[Exception]) -> Check:
    """A composite: per subanswer the rows of its page, or the error it means; one does not spoil the others."""

    def check(answers: list[Answer]) -> None:
        found = list(_subanswers(answers[-1]))
        assert len(found) == len(expected)
        for subanswer, wanted in zip(found, expected, strict=True):
            if isinstance(wanted, int):
                assert subanswer.error is None
                assert read_page(subanswer.body, subanswer.headers).total == wanted
            else:
                assert isinstance(subanswer.error, wanted)

    return check


def _subanswers(answer: Answer) -> Iterator[Subanswer]:
    """The service names its subrequests q0, q1 and so on; whoever was recorded named them otherwise."""
    document = answer.body
    named = [{**each, "referenceId": f"q{place}"} for place, each in enumerate(document["compositeResponse"])]
    yield from read_composite({"compositeResponse": named}, HEADERS)


def pages_of(*totals: int | None) -> Check:
    """Query results with so many rows whose ids and names can be read; None: something that is no result."""

    def check(answers: list[Answer]) -> None:
        assert len(answers) == len(totals)
        for answer, total in zip(answers, totals, strict=True):
            if total is None:
                is_no_result(answer)
                continue
            found = page(answer)
            assert len(found.records) == found.total == total
            for row in found.records:
                if "Id" in row:
                    assert own_id(row) == row["Id"]
                if "Name" in row:
                    assert required_text(row, "Name")

    return check


def is_organization(answers: list[Answer]) -> None:
    """A record asked for by its id; its texts, flags and times are readable, and an absent field is empty."""
    (answer,) = answers
    assert required_text(answer.body, "Name") == "CumulusCI - Dev Workspace"
    assert flag(answer.body, "IsSandbox") is True
    assert isinstance(moment(answer.body, "CreatedDate"), datetime)
    assert text(answer.body, "Division") is None
    is_no_result(answer)


def is_global_describe(answers: list[Answer]) -> None:
    """The list of objects is not the description of one."""
    is_no_result(answers[0])
    assert {"Opportunity", "OpportunityContactRole"} <= {each["name"] for each in answers[0].body["sobjects"]}


def is_outage(answers: list[Answer]) -> None:
    """500 without a body is tried again."""
    (answer,) = answers
    assert (answer.status, answer.text) == (500, "")
    assert isinstance(error_of(read_fault(answer.status, answer.text)), SalesforceUnavailable)


CUMULUSCI: Mapping[str, Check] = {
    "GET_sobjects_Account_describe": describes(ACCOUNT, 68),
    "GET_sobjects_Contact_describe": describes(Wanted("Contact", ("Id", "Name", "SystemModstamp")), 59),
    "GET_sobjects_Global_describe": is_global_describe,
    "GET_sobjects_OpportunityContactRole_describe": describes(CONTACT_ROLE, 11),
    "GET_sobjects_Opportunity_describe": describes(OPPORTUNITY, 40),
    "GET_sobjects_Organization": is_organization,
    "ManualEdit_TestCountSObjects.test_count_sobjects__network_errors": is_outage,
    "TestCompositeParallelSalesforce.test_composite_parallel_salesforce": answers_of(1, 1, 1, 1),
    "TestCompositeParallelSalesforce.test_errors": answers_of(SchemaChanged),
    "TestCountSObjects.test_count_sobjects__errors": answers_of(17, SchemaChanged),
    "TestCountSObjects.test_count_sobjects_simple": answers_of(17, 0),
    "TestDatasetsE2E.test_datasets_extract_standard_objects": pages_of(None, 6, 1, None, 0, None, 0),
    "TestSnowfakery.test_snowfakery_query_salesforce": pages_of(1),
    "TestUpsert.test_upsert_complex_external_id_field_rest__duplicate_error": pages_of(
        None, 0, None, None, 0, None, None, 0, 1, None, None, 2
    ),
}


def is_token(answers: list[Answer]) -> None:
    """The org is read out of the id URL, in 18 characters."""
    token = read_token(answers[0].text.encode())
    assert token.org_id == "00Dx0000000BV7zEAG"
    assert token.instance_url == "https://na1.salesforce.com"
    assert "PLACEHOLDER_TOKEN" not in repr(token)


def is_token_of_no_org(answers: list[Answer]) -> None:
    """Whoever shortened this answer put a word in the org's place: that is told, not used as a key."""
    with pytest.raises(PoisonError, match="'foo' is not a Salesforce id"):
        read_token(answers[0].text.encode())


def is_refused(answers: list[Answer]) -> None:
    """INVALID_FIELD: describe again."""
    error = error_of(read_fault(400, answers[0].body))
    assert isinstance(error, SchemaChanged)
    assert "INVALID_FIELD" in str(error)


def is_not_ours(answers: list[Answer]) -> None:
    """An answer to a question the service never asks."""
    is_no_result(answers[0])


def is_updated_window(answers: list[Answer]) -> None:
    """getUpdated and getDeleted tell their end in the same field."""
    end = answers[0].body["latestDateCovered"]
    deletions = read_deletions({"deletedRecords": [], "latestDateCovered": end}, HEADERS)
    assert deletions.covered_until == datetime(2015, 8, 19, 8, 17, tzinfo=UTC)
    is_no_result(answers[0])


def is_aggregate(answers: list[Answer]) -> None:
    """A page of rows without ids, numbers exact."""
    found = page(answers[0])
    assert [number(row, "expr0") for row in found.records] == [Decimal(300), Decimal(100), Decimal(400)]
    assert [reference(row, "CampaignId") for row in found.records][2] is None


def is_last_page(answers: list[Answer]) -> None:
    """A last page holds fewer rows than the total says."""
    found = page(answers[0])
    assert (len(found.records), found.total) == (1, 2)


def is_described_by_hand(answers: list[Answer]) -> None:
    """A describe of an older version, without childRelationships of ours: every field is read."""
    described = read_described(answers[0].body, HEADERS)
    assert len(described) == len(answers[0].body["fields"])
    schema = object_schema(
        Wanted("Whizbang", ("Id", "Name", "Nothing__c"), ("SystemModstamp",), custom=True), described
    )
    assert schema.missing == ("Nothing__c",)


def is_record(answers: list[Answer]) -> None:
    """Each kind of value."""
    row = answers[0].body
    assert flag(row, "Checkbox_Label") is True
    assert number(row, "Currency_Label") == Decimal(23)
    assert day(row, "Date_Label") == date(2010, 1, 1)
    assert moment(row, "DateTime_Label") == datetime(2011, 7, 7, 0, 37, tzinfo=UTC)
    assert moment(row, "OtherDateTime_Label") is None
    assert as_text(row, "Checkbox_Label") == "true"
    with pytest.raises(PoisonError, match="is not a Salesforce id"):
        own_id(row)


RESTFORCE: Mapping[str, Check] = {
    "auth_success_response": is_token,
    "reauth_success_response": is_token_of_no_org,
    "refresh_success_response": is_token_of_no_org,
    "sobject/create_success_response": is_not_ours,
    "sobject/describe_sobjects_success_response": is_not_ours,
    "sobject/get_updated_success_response": is_updated_window,
    "sobject/list_view_results_success_response": is_not_ours,
    "sobject/query_aggregate_success_response": is_aggregate,
    "sobject/query_error_response": is_refused,
    "sobject/query_paginated_last_page_response": is_last_page,
    "sobject/recent_success_response": is_not_ours,
    "sobject/search_success_response": is_not_ours,
    "sobject/sobject_describe_success_response": is_described_by_hand,
    "sobject/sobject_find_success_response": is_record,
    "sobject/upsert_created_success_response": is_not_ours,
    "sobject/upsert_multiple_error_response": is_not_ours,
    "sobject/write_error_response": is_refused,
}


def recorded(node: Any) -> Iterator[Answer]:
    """Every answer of a cassette."""
    if isinstance(node, dict):
        response = node.get("response")
        if isinstance(response, dict) and "string" in response.get("body", {}):
            yield Answer(response["status"]["code"], response["body"]["string"])
        for value in node.values():
            yield from recorded(value)
    elif isinstance(node, list):
        for value in node:
            yield from recorded(value)


@pytest.mark.parametrize("name", CUMULUSCI)
def test_a_cumulusci_recording_is_understood(fixtures_dir: Path, name: str) -> None:
    cassette = fixtures_dir / "crm" / "cumulusci" / f"{name}.yaml"
    answers = list(recorded(yaml.safe_load(cassette.read_text("utf-8"))))
    assert answers
    CUMULUSCI[name](answers)


@pytest.mark.parametrize("name", RESTFORCE)
def test_a_restforce_recording_is_understood(fixtures_dir: Path, name: str) -> None:
    answer = fixtures_dir / "crm" / "restforce" / f"{name}.json"
    RESTFORCE[name]([Answer(200, answer.read_text("utf-8"))])


def test_no_recording_is_left_out(fixtures_dir: Path) -> None:
    crm = fixtures_dir / "crm"
    assert {path.stem for path in (crm / "cumulusci").glob("*.yaml")} == set(CUMULUSCI)
    restforce = crm / "restforce"
    found = {path.relative_to(restforce).with_suffix("").as_posix() for path in restforce.rglob("*.json")}
    assert found == set(RESTFORCE)
