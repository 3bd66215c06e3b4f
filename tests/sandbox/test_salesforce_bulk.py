"""Bulk API 2.0 query jobs: snapshots in CSV pages that can be read again after a crash."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.sandbox.salesforce_org import DATA, ControlledOrg, a_site, controlled, deal_id

JOBS = f"{DATA}/jobs/query"


@pytest.fixture
async def org() -> AsyncIterator[ControlledOrg]:
    async with controlled(a_site(deals=5)) as running:
        yield running


async def a_job(org: ControlledOrg, query: str, **options: Any) -> dict[str, Any]:
    response = await org.client.post(JOBS, json={"operation": "queryAll", "query": query} | options)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def results(org: ControlledOrg, job_id: str, **params: Any) -> httpx.Response:
    response = await org.client.get(f"{JOBS}/{job_id}/results", params=params)
    assert response.status_code == 200, response.text
    return response


def table(response: httpx.Response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(response.text)))


async def test_a_job_goes_through_its_states_by_the_clock(org: ControlledOrg) -> None:
    await org.admin.post("/admin/bulk", json={"seconds": 60})
    made = await a_job(org, "SELECT Id FROM Opportunity")
    assert (made["state"], made["object"], made["apiVersion"]) == ("UploadComplete", "Opportunity", 66.0)
    org.site.clock.advance(timedelta(seconds=30))
    assert (await org.client.get(f"{JOBS}/{made['id']}")).json()["state"] == "InProgress"
    early = await org.client.get(f"{JOBS}/{made['id']}/results")
    assert early.status_code == 400
    org.site.clock.advance(timedelta(seconds=30))
    done = (await org.client.get(f"{JOBS}/{made['id']}/")).json()
    assert (done["state"], done["jobType"], done["numberRecordsProcessed"]) == ("JobComplete", "V2Query", 5)
    assert [job["id"] for job in (await org.client.get(JOBS)).json()["records"]] == [made["id"]]


async def test_a_job_can_be_made_to_fail(org: ControlledOrg) -> None:
    await org.admin.post("/admin/bulk", json={"failing": 1})
    failed = await a_job(org, "SELECT Id FROM Opportunity")
    fine = await a_job(org, "SELECT Id FROM Opportunity")
    told = (await org.client.get(f"{JOBS}/{failed['id']}")).json()
    assert (told["state"], told["numberRecordsProcessed"]) == ("Failed", 0)
    assert told["errorMessage"]
    assert (await org.client.get(f"{JOBS}/{failed['id']}/results")).status_code == 400
    assert (await org.client.get(f"{JOBS}/{fine['id']}")).json()["state"] == "JobComplete"


async def test_pages_repeat_the_header_and_a_locator_can_be_read_again(org: ControlledOrg) -> None:
    """Headers Sforce-Locator (`null` at the end) and Sforce-NumberOfRecords: get results for a query job."""
    job = (await a_job(org, "SELECT Name FROM Opportunity ORDER BY Id"))["id"]
    first = await results(org, job, maxRecords=2)
    second = await results(org, job, maxRecords=2, locator=first.headers["sforce-locator"])
    third = await results(org, job, maxRecords=2, locator=second.headers["sforce-locator"])
    assert [table(page) for page in (first, second, third)] == [
        [["Name"], ["Deal 0"], ["Deal 1"]],
        [["Name"], ["Deal 2"], ["Deal 3"]],
        [["Name"], ["Deal 4"]],
    ]
    assert [page.headers["sforce-numberofrecords"] for page in (first, second, third)] == ["2", "2", "1"]
    assert third.headers["sforce-locator"] == "null"
    assert (
        await results(org, job, maxRecords=2, locator=first.headers["sforce-locator"])
    ).text == second.text
    org.site.sessions.expire_all()
    org.client.headers["Authorization"] = f"Bearer {org.site.sessions.open()}"
    again = await results(org, job, maxRecords=2, locator=first.headers["sforce-locator"])
    assert again.text == second.text


async def test_a_page_may_hold_less_than_was_asked_for(org: ControlledOrg) -> None:
    """The request is still subject to limits of size: get results for a query job."""
    await org.admin.post("/admin/bulk", json={"page_rows": 3})
    job = (await a_job(org, "SELECT Name FROM Opportunity ORDER BY Id"))["id"]
    page = await results(org, job, maxRecords=4)
    assert page.headers["sforce-numberofrecords"] == "3"
    rest = await results(org, job, maxRecords=4, locator=page.headers["sforce-locator"])
    assert table(rest)[1:] == [["Deal 3"], ["Deal 4"]]


async def test_a_job_shows_what_was_there_when_it_was_made(org: ControlledOrg) -> None:
    job = (await a_job(org, "SELECT Name FROM Opportunity ORDER BY Id"))["id"]
    org.site.org.write("Opportunity", {"Id": deal_id(0), "Name": "Renamed"})
    org.site.org.delete("Opportunity", deal_id(1), hard=True)
    assert table(await results(org, job))[1:3] == [["Deal 0"], ["Deal 1"]]


async def test_values_of_every_kind_survive(org: ControlledOrg) -> None:
    account = org.site.org.write("Account", {"Name": 'He said "no",\n twice\x00 🙂'})
    org.site.org.write(
        "Opportunity",
        {"Id": deal_id(0), "Amount": 12345678901234.5, "AccountId": account["Id"], "CloseDate": "2026-12-01"},
    )
    query = (
        "SELECT Account.Name, Amount, NextStep, IsWon, CloseDate, SystemModstamp FROM Opportunity"
        f" WHERE Id = '{deal_id(0)}'"
    )
    header, row = table(await results(org, (await a_job(org, query))["id"]))
    assert header == ["Account.Name", "Amount", "NextStep", "IsWon", "CloseDate", "SystemModstamp"]
    stamp = "2026-11-25T12:00:00.000Z"
    assert row == [account["Name"], "12345678901234.5", "", "false", "2026-12-01", stamp]


async def test_delimiters_and_line_endings_are_the_clients_choice(org: ControlledOrg) -> None:
    options = {"columnDelimiter": "TAB", "lineEnding": "CRLF"}
    job = (await a_job(org, "SELECT Id, Name FROM Opportunity ORDER BY Id LIMIT 1", **options))["id"]
    assert (await results(org, job)).text == f'"Id"\t"Name"\r\n"{deal_id(0)}"\t"Deal 0"\r\n'


async def test_query_hides_deleted_rows_and_query_all_shows_them(org: ControlledOrg) -> None:
    org.site.org.delete("Opportunity", deal_id(1))
    for operation, rows in (("query", 4), ("queryAll", 5)):
        job = await a_job(org, "SELECT Id FROM Opportunity", operation=operation)
        assert (await results(org, job["id"])).headers["sforce-numberofrecords"] == str(rows)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT COUNT() FROM Opportunity",
        "SELECT StageName, COUNT(Id) FROM Opportunity GROUP BY StageName",
        "SELECT Id FROM Opportunity LIMIT 10 OFFSET 5",
        "SELECT Id, (SELECT Id FROM OpportunityLineItems) FROM Opportunity",
        "SELECT TYPEOF Owner WHEN User THEN Id END FROM Opportunity",
        "SELECT Foo FROM Opportunity",
        "SELECT Id FROM Foo",
    ],
)
async def test_what_bulk_cannot_read_is_refused(org: ControlledOrg, query: str) -> None:
    """https://developer.salesforce.com/docs: Bulk API query processing."""
    response = await org.client.post(JOBS, json={"operation": "query", "query": query})
    assert response.status_code == 400


async def test_another_version_of_the_api_is_a_conflict(org: ControlledOrg) -> None:
    job = (await a_job(org, "SELECT Id FROM Opportunity"))["id"]
    other = await org.client.get(f"/services/data/v65.0/jobs/query/{job}/results")
    assert other.status_code == 409


async def test_a_job_is_aborted_deleted_or_forgotten_after_a_week(org: ControlledOrg) -> None:
    await org.admin.post("/admin/bulk", json={"seconds": 60})
    job = (await a_job(org, "SELECT Id FROM Opportunity"))["id"]
    assert (await org.client.delete(f"{JOBS}/{job}")).status_code == 400
    aborted = await org.client.patch(f"{JOBS}/{job}", json={"state": "Aborted"})
    assert aborted.json()["state"] == "Aborted"
    assert (await org.client.delete(f"{JOBS}/{job}")).status_code == 204
    assert (await org.client.get(f"{JOBS}/{job}")).status_code == 404
    kept = (await a_job(org, "SELECT Id FROM Opportunity"))["id"]
    org.site.clock.advance(timedelta(days=7, seconds=1))
    org.client.headers["Authorization"] = f"Bearer {org.site.sessions.open()}"
    assert (await org.client.get(f"{JOBS}/{kept}")).status_code == 404


async def test_a_finished_job_cannot_be_aborted(org: ControlledOrg) -> None:
    job = (await a_job(org, "SELECT Id FROM Opportunity"))["id"]
    assert (await org.client.patch(f"{JOBS}/{job}", json={"state": "Aborted"})).status_code == 400


@pytest.mark.parametrize("params", [{"locator": "nonsense!"}, {"locator": "OTk5"}, {"maxRecords": "0"}])
async def test_a_wrong_page_is_refused(org: ControlledOrg, params: dict[str, str]) -> None:
    job = (await a_job(org, "SELECT Id FROM Opportunity"))["id"]
    response = await org.client.get(f"{JOBS}/{job}/results", params=params)
    assert response.status_code == 400
