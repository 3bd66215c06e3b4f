"""Transactions that stamp first and commit later, as the API shows them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.sandbox.salesforce_org import DATA, ControlledOrg, a_site, controlled, deal_id


@pytest.fixture
async def org() -> AsyncIterator[ControlledOrg]:
    async with controlled(a_site()) as running:
        yield running


RENAME: dict[str, Any] = {
    "op": "write",
    "object": "Opportunity",
    "fields": {"Id": deal_id(1), "Name": "Late"},
}
STAMP = "SELECT Name, SystemModstamp FROM Opportunity WHERE Name = 'Late'"


async def test_a_late_commit_is_invisible_until_it_happens_and_keeps_its_old_stamp(
    org: ControlledOrg,
) -> None:
    """The stamp is set during the transaction, rows appear at commit: salesforce.stackexchange.com/questions/18734."""
    body = {"commit_after_seconds": 600, "operations": [RENAME]}
    assert (await org.admin.post("/admin/transactions", json=body)).status_code == 200
    org.site.clock.advance(timedelta(seconds=599))
    assert await org.rows(STAMP) == []
    org.site.clock.advance(timedelta(seconds=1))
    (row,) = await org.rows(STAMP)
    assert row["SystemModstamp"] == "2026-11-25T12:00:00.000+0000"


async def test_latest_date_covered_stops_at_the_oldest_open_transaction(org: ControlledOrg) -> None:
    """The id 000199029 help page: latestDateCovered lags behind long transactions, instance-wide."""
    org.site.clock.advance(timedelta(seconds=90))
    begun = (await org.admin.post("/admin/transactions", json={"operations": [RENAME]})).json()
    org.site.clock.advance(timedelta(minutes=30))
    window = {"start": "2026-11-25T11:00:00Z", "end": "2026-11-25T12:30:00Z"}
    for resource in ("Opportunity/updated", "Account/deleted"):
        page = (await org.client.get(f"{DATA}/sobjects/{resource}", params=window)).json()
        assert page["latestDateCovered"] == "2026-11-25T12:01:30.000+0000"
    await org.admin.post(f"/admin/transactions/{begun['id']}/commit")
    page = (await org.client.get(f"{DATA}/sobjects/Opportunity/updated", params=window)).json()
    assert page["latestDateCovered"] == "2026-11-25T12:30:00.000+0000"
    assert deal_id(1) in page["ids"]


async def test_a_transaction_can_create_delete_and_restore(org: ControlledOrg) -> None:
    org.site.org.delete("Opportunity", deal_id(2))
    begun = (await org.admin.post("/admin/transactions", json={})).json()["id"]
    made = await org.admin.post(
        f"/admin/transactions/{begun}", json={"object": "Opportunity", "fields": {"Name": "New"}}
    )
    for operation in (
        {"op": "delete", "object": "Opportunity", "id": deal_id(0)},
        {"op": "undelete", "object": "Opportunity", "id": deal_id(2)},
    ):
        await org.admin.post(f"/admin/transactions/{begun}", json=operation)
    visible = "SELECT Id FROM Opportunity ORDER BY Id"
    assert [row["Id"] for row in await org.rows(visible)] == [deal_id(0), deal_id(1)]
    await org.admin.post(f"/admin/transactions/{begun}/commit")
    assert {row["Id"] for row in await org.rows(visible)} == {made.json()["id"], deal_id(1), deal_id(2)}
    assert org.site.org.deletions("Opportunity") == {deal_id(0): "2026-11-25T12:00:00.000+0000"}


async def test_a_rolled_back_transaction_leaves_nothing(org: ControlledOrg) -> None:
    begun = (await org.admin.post("/admin/transactions", json={"operations": [RENAME]})).json()["id"]
    assert (await org.admin.get("/admin/transactions")).json()[0]["id"] == begun
    await org.admin.delete(f"/admin/transactions/{begun}")
    assert await org.rows(STAMP) == []
    assert (await org.admin.post(f"/admin/transactions/{begun}/commit")).status_code == 404


async def test_a_row_in_a_transaction_is_locked_for_others(org: ControlledOrg) -> None:
    await org.admin.post("/admin/transactions", json={"operations": [RENAME]})
    locked = await org.admin.post("/admin/records/Opportunity", json={"Id": deal_id(1), "Name": "Other"})
    assert locked.status_code == 409
    assert (await org.admin.delete(f"/admin/records/Opportunity/{deal_id(1)}")).status_code == 409
    again = await org.admin.post("/admin/transactions", json={"operations": [RENAME]})
    assert again.status_code == 422
    assert len((await org.admin.get("/admin/transactions")).json()) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"operation": []},
        {"stamp": "soon"},
        {"commit_after_seconds": "long"},
        {"operations": [{"op": "merge", "object": "Opportunity"}]},
        {"operations": [{"object": "Nothing"}]},
        {"operations": [{"object": "Opportunity", "fields": {"Nmae": "x"}}]},
    ],
)
async def test_a_misspelt_transaction_is_refused(org: ControlledOrg, body: dict[str, Any]) -> None:
    assert (await org.admin.post("/admin/transactions", json=body)).status_code == 422
    assert (await org.admin.get("/admin/transactions")).json() == []


async def test_a_transaction_may_begin_in_the_past(org: ControlledOrg) -> None:
    body = {"stamp": "2026-11-25T11:00:00Z", "commit_after_seconds": 0, "operations": [RENAME]}
    await org.admin.post("/admin/transactions", json=body)
    (row,) = await org.rows(STAMP)
    assert row["SystemModstamp"] == "2026-11-25T11:00:00.000+0000"
