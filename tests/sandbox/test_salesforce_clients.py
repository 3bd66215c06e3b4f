"""The simulator as a process: unmodified simple-salesforce over TLS, and its controls."""

import csv
import io
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from simple_salesforce.exceptions import SalesforceExpiredSession, SalesforceMalformedRequest
from tests.sandbox.salesforce_process import (
    DELETED,
    MODULE,
    ROWS,
    VERSION,
    Running,
    deal_id,
    running_simulator,
)

Client = Any
"""simple-salesforce's own annotations are too loose to check a call of an object by name."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_simulator(tmp_path_factory.mktemp("salesforce")) as simulator:
        yield simulator


@pytest.fixture
def salesforce(running: Running) -> Iterator[Client]:
    client = running.connect()
    yield client
    client.session.close()
    running.admin.delete("/admin/faults")


def test_every_row_comes_over_pages(salesforce: Client) -> None:
    everything = list(salesforce.query_all_iter("SELECT Id, Name FROM Opportunity", include_deleted=True))
    assert len(everything) == len({record["Id"] for record in everything}) == ROWS == 4_321
    visible = list(salesforce.query_all_iter("SELECT Id FROM Opportunity ORDER BY SystemModstamp, Id"))
    assert len(visible) == len({record["Id"] for record in visible}) == ROWS - DELETED
    assert all("attributes" in record for record in everything)


def test_pages_are_followed_to_the_end(running: Running, salesforce: Client) -> None:
    running.admin.delete("/admin/journal")
    list(salesforce.query_all_iter("SELECT Id FROM Opportunity", include_deleted=True))
    asked = [entry["path"] for entry in running.admin.get("/admin/journal").json()]
    assert len(asked) == 3
    assert [path.rsplit("-", 1)[-1] for path in asked[1:]] == ["2000", "4000"]


def test_every_row_comes_by_bulk_pages(salesforce: Client) -> None:
    query = "SELECT Id, Name FROM Opportunity ORDER BY Id"
    for read, rows in (
        (salesforce.bulk2.Opportunity.query_all, ROWS),
        (salesforce.bulk2.Opportunity.query, ROWS - DELETED),
    ):
        pages = [list(csv.DictReader(io.StringIO(page))) for page in read(query, max_records=2_000, wait=0)]
        assert [len(page) for page in pages][:-1] == [2_000] * (len(pages) - 1)
        assert sum(map(len, pages)) == len({row["Id"] for page in pages for row in page}) == rows


def test_its_own_refresh_opens_a_session_and_asks_again(running: Running) -> None:
    client: Any = running.log_in()
    running.admin.delete("/admin/journal")
    running.admin.post("/admin/sessions/expire")
    found = [row["Id"] for row in client.query_all_iter("SELECT Id FROM Opportunity", include_deleted=True)]
    assert len(found) == len(set(found)) == ROWS
    asked = [(entry["path"], entry["status"]) for entry in running.admin.get("/admin/journal").json()]
    assert [status for path, status in asked if path.endswith("oauth2/token")] == [200]
    assert [status for path, status in asked if path.endswith("/queryAll/")] == [401, 200]
    client.session.close()


def test_numbers_come_as_numbers(salesforce: Client) -> None:
    page = salesforce.query("SELECT Amount, IsWon, CloseDate FROM Opportunity WHERE Name = 'Deal 7'")
    (record,) = page["records"]
    assert (record["Amount"], record["IsWon"], record["CloseDate"]) == (7.0, False, None)


def test_describe_get_and_limits_work(salesforce: Client) -> None:
    fields = {field["name"] for field in salesforce.Opportunity.describe()["fields"]}
    assert {"StageName", "ForecastCategory", "SystemModstamp"} <= fields
    assert salesforce.Opportunity.get(deal_id(1))["Name"] == "Deal 1"
    assert {"Opportunity", "User"} <= {each["name"] for each in salesforce.describe()["sobjects"]}
    assert salesforce.limits()["DailyApiRequests"]["Max"] == 100_000
    assert salesforce.api_usage["api-usage"].total == 100_000


def test_updated_and_deleted_work(running: Running, salesforce: Client) -> None:
    running.admin.post("/admin/records/Opportunity", json={"Id": deal_id(11), "NextStep": "Call"})
    running.admin.delete(f"/admin/records/Opportunity/{deal_id(12)}", params={"hard": True})
    moved = running.admin.post("/admin/clock", json={"advance_seconds": 120}).json()
    now = datetime.fromisoformat(moved["now"])
    window = (now - timedelta(hours=1), now)
    assert deal_id(11) in salesforce.Opportunity.updated(*window)["ids"]
    gone = {each["id"] for each in salesforce.Opportunity.deleted(*window)["deletedRecords"]}
    assert deal_id(12) in gone


def test_records_are_written(salesforce: Client) -> None:
    new = {"Name": "Written", "StageName": "Prospecting", "CloseDate": "2026-12-01"}
    row_id = salesforce.Opportunity.create(new)["id"]
    assert salesforce.Opportunity.update(row_id, {"Amount": 1}) == 204
    assert salesforce.Opportunity.get(row_id)["Amount"] == 1.0
    assert salesforce.Opportunity.delete(row_id) == 204


def test_an_expired_session_is_the_vendors_401(running: Running, salesforce: Client) -> None:
    assert running.admin.post("/admin/sessions/expire").json()["expired"] >= 1
    with pytest.raises(SalesforceExpiredSession) as caught:
        salesforce.query("SELECT Id FROM User")
    content: Any = caught.value.content
    assert content == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


def test_its_own_refresh_cannot_save_a_locator_of_the_old_session(running: Running) -> None:
    """A locator dies with the token that opened it, so a refreshed token alone does not help [ab-84302]."""
    client: Any = running.log_in()
    page = client.query_all_iter("SELECT Id FROM Opportunity")
    next(page)
    running.admin.post("/admin/sessions/expire")
    with pytest.raises(SalesforceMalformedRequest) as caught:
        list(page)
    content: Any = caught.value.content
    assert content[0]["errorCode"] == "INVALID_QUERY_LOCATOR"
    client.session.close()


def test_a_refused_query_is_the_vendors_400(salesforce: Client) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        salesforce.query("SELECT Foo FROM Opportunity")
    content: Any = caught.value.content
    assert content[0]["errorCode"] == "INVALID_FIELD"


@pytest.mark.parametrize("act", [{"reset": True}, {"reset": True, "truncate": True}])
def test_a_fault_can_break_the_connection(running: Running, salesforce: Client, act: dict[str, bool]) -> None:
    running.admin.post("/admin/faults", json=[{"match": {"path": "/query"}, "act": act}])
    with pytest.raises(requests.exceptions.RequestException):
        salesforce.query("SELECT Id FROM Opportunity")
    assert salesforce.query("SELECT COUNT() FROM User")["totalSize"] == 0


def test_a_fault_can_make_a_request_slow(running: Running, salesforce: Client) -> None:
    running.admin.post("/admin/faults", json=[{"match": {"path": "/limits"}, "act": {"delay": 0.2}}])
    started = datetime.now(UTC)
    salesforce.limits()
    assert datetime.now(UTC) - started >= timedelta(seconds=0.2)


def test_a_fault_can_leave_a_request_without_an_answer(running: Running, salesforce: Client) -> None:
    running.admin.post("/admin/faults", json=[{"match": {"path": "/limits"}, "act": {"hang": True}}])
    with pytest.raises(requests.exceptions.ReadTimeout):
        salesforce.session.get(f"{running.url}/services/data/v{VERSION}/limits", timeout=0.5)
    assert salesforce.limits()["DailyApiRequests"]["Max"] == 100_000


def test_the_controls_write_delete_restore_and_tell_the_truth(running: Running) -> None:
    admin = running.admin
    new = admin.post("/admin/records/Opportunity", json={"Name": "New", "StageName": "Closed Won"}).json()
    assert (new["IsWon"], new["ForecastCategory"]) == (True, "Closed")
    late = admin.post(
        "/admin/records/Opportunity", params={"stamp": "2026-01-01T00:00:00Z"}, json={"Id": new["Id"]}
    )
    assert late.json()["SystemModstamp"] == "2026-01-01T00:00:00.000+0000"
    assert admin.delete(f"/admin/records/Opportunity/{new['Id']}").status_code == 200
    truth = {row["Id"]: row["IsDeleted"] for row in admin.get("/admin/truth/Opportunity").json()}
    assert truth[new["Id"]] is True
    assert admin.post(f"/admin/undelete/Opportunity/{new['Id']}").json()["IsDeleted"] is False
    history = admin.get("/admin/truth/OpportunityHistory").json()
    assert [row["StageName"] for row in history if row["OpportunityId"] == new["Id"]] == ["Closed Won"]
    assert any(entry["path"] == "/services/oauth2/token" for entry in admin.get("/admin/journal").json())


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/admin/records/Nothing", {}, 404),
        ("POST", "/admin/records/Opportunity", {"Nmae": "x"}, 422),
        ("DELETE", "/admin/records/Opportunity/006x", None, 404),
        ("POST", "/admin/undelete/Opportunity/006x", None, 404),
        ("POST", "/admin/faults", [{"act": {"staus": 1}}], 422),
        ("POST", "/admin/clock", {"now": "soon"}, 422),
    ],
)
def test_wrong_controls_are_refused(running: Running, method: str, path: str, body: Any, status: int) -> None:
    assert running.admin.request(method, path, json=body).status_code == status


def test_a_seed_that_cannot_be_read_ends_with_78_and_one_sentence(tmp_path: Path) -> None:
    command: list[str | Path] = [*MODULE, "--seed", tmp_path / "none.json", "--tls-dir", tmp_path]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 78
    assert ended.stderr.count("\n") == 1
