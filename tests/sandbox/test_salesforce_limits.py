"""What an org allows, how it moves to another instance, and what it forgets."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.sandbox.salesforce_org import DATA, NOT_FOUND, ControlledOrg, a_site, controlled, deal_id


@pytest.fixture
async def org() -> AsyncIterator[ControlledOrg]:
    async with controlled(a_site()) as running:
        yield running


def relogin(org: ControlledOrg) -> None:
    org.client.headers["Authorization"] = f"Bearer {org.site.sessions.open()}"


async def test_the_daily_allowance_can_be_set_and_comes_back_with_the_clock(org: ControlledOrg) -> None:
    await org.admin.post("/admin/limits", json={"daily": 15_000, "used": 15_000})
    refused = await org.client.get(f"{DATA}/limits")
    body = [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    assert (refused.status_code, refused.json()) == (403, body)
    assert refused.headers["sforce-limit-info"] == "api-usage=15000/15000"
    await org.admin.post("/admin/clock", json={"advance_seconds": 24 * 3600})
    relogin(org)
    allowed = await org.client.get(f"{DATA}/limits")
    assert allowed.json()["DailyApiRequests"] == {"Max": 15_000, "Remaining": 14_999}


async def test_too_many_long_calls_at_once_keep_others_out(org: ControlledOrg) -> None:
    """25 concurrent calls of 20 s and more in production, 5 in a Developer Edition."""
    await org.admin.post("/admin/limits", json={"concurrent_long": 2})
    running = [org.site.long_calls.enter() for _ in range(2)]
    assert (await org.client.get(f"{DATA}/sobjects")).status_code == 200
    org.site.clock.advance(timedelta(seconds=20))
    refused = await org.client.get(f"{DATA}/sobjects")
    assert refused.status_code == 403
    assert refused.json()[0]["message"] == "ConcurrentPerOrgLongTxn Limit exceeded."
    assert org.site.usage.used == 1
    org.site.long_calls.leave(running[0] or 0)
    assert (await org.client.get(f"{DATA}/sobjects")).status_code == 200


async def test_a_query_over_a_wide_window_can_time_out(org: ControlledOrg) -> None:
    await org.admin.post("/admin/limits", json={"query_window_seconds": 60})
    text = "SELECT Id FROM Opportunity"
    assert len(await org.rows(text)) == 3
    org.site.clock.advance(timedelta(seconds=61))
    org.site.org.write("Opportunity", {"Id": deal_id(0), "Name": "Later"})
    assert await org.refusal(text) == (400, "QUERY_TIMEOUT")
    assert len(await org.rows(f"{text} WHERE SystemModstamp >= 2026-11-25T12:01:00Z")) == 1
    await org.admin.post("/admin/limits", json={"query_window_seconds": None})
    assert len(await org.rows(text)) == 3


async def test_a_share_of_requests_can_fail_the_same_ones_in_every_run(org: ControlledOrg) -> None:
    fault = {
        "match": {"path": "/limits", "probability": 0.2, "method": "GET"},
        "act": {"status": 503, "html": True},
    }
    runs = []
    for _ in range(2):
        org.site.faults.clear()
        org.site.faults.add([fault])
        runs.append([(await org.client.get(f"{DATA}/limits")).status_code for _ in range(50)])
    assert runs[0] == runs[1]
    assert 3 <= runs[0].count(503) <= 20


@pytest.mark.parametrize("body", [{"daily": "many"}, {"query_window_seconds": "x"}])
async def test_misspelt_limits_are_refused(org: ControlledOrg, body: dict[str, Any]) -> None:
    assert (await org.admin.post("/admin/limits", json=body)).status_code == 422


@pytest.mark.parametrize("status", [301, 404])
async def test_an_org_that_moved_ends_sessions_and_answers_at_its_new_host(
    org: ControlledOrg, status: int
) -> None:
    moved = {"host": "new.example:9443", "old_host": status}
    await org.admin.post("/admin/migrate", json=moved)
    old = await org.client.get(f"{DATA}/query", params={"q": "SELECT Id FROM User"})
    assert old.status_code == status
    if status == 301:
        assert old.headers["location"] == f"https://new.example:9443{DATA}/query?q=SELECT+Id+FROM+User"
    else:
        assert old.json() == NOT_FOUND
    form = {"grant_type": "client_credentials", "client_id": "id", "client_secret": "secret"}
    token = (await org.client.post("/services/oauth2/token", data=form)).json()
    assert token["instance_url"] == "https://new.example:9443"
    query = {"q": "SELECT InstanceName FROM Organization"}
    url = f"{token['instance_url']}{DATA}/query"
    header = {"Authorization": f"Bearer {token['access_token']}"}
    new = await org.client.get(url, params=query, headers=header)
    assert new.json()["records"][0]["InstanceName"] == "SIM2"


WINDOW = {"start": "2026-11-25T11:00:00Z", "end": "2026-11-25T12:30:00Z"}


async def test_a_pruned_deleted_log_refuses_windows_that_begin_before_it(org: ControlledOrg) -> None:
    """Outside the log: INVALID_REPLICATION_DATE, and a full comparison is needed (getDeleted)."""
    org.site.org.delete("Opportunity", deal_id(0))
    org.site.clock.advance(timedelta(minutes=10))
    org.site.org.delete("Opportunity", deal_id(1))
    org.site.clock.advance(timedelta(minutes=10))
    pruned = await org.admin.post("/admin/deleted-log/prune", json={"before": "2026-11-25T12:05:00Z"})
    assert pruned.json()["pruned"] == 1
    url = f"{DATA}/sobjects/Opportunity/deleted"
    refused = await org.client.get(url, params=WINDOW)
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_REPLICATION_DATE")
    page = (await org.client.get(url, params=WINDOW | {"start": "2026-11-25T12:05:00Z"})).json()
    assert page["earliestDateAvailable"] == "2026-11-25T12:05:00.000+0000"
    assert [each["id"] for each in page["deletedRecords"]] == [deal_id(1)]
    assert (await org.admin.post("/admin/deleted-log/prune", json={})).status_code == 422


async def test_an_emptied_recycle_bin_leaves_only_the_log(org: ControlledOrg) -> None:
    line = org.site.org.write("OpportunityLineItem", {"OpportunityId": deal_id(0), "Quantity": 1})
    org.site.org.delete("Opportunity", deal_id(0))
    assert len(await org.rows("SELECT Id FROM Opportunity", "queryAll")) == 3
    assert (await org.admin.post("/admin/recycle-bin/empty", params={"name": "Opportunity"})).json() == {
        "purged": 1
    }
    assert len(await org.rows("SELECT Id FROM Opportunity", "queryAll")) == 2
    assert await org.rows("SELECT Id FROM OpportunityLineItem", "queryAll") == []
    assert deal_id(0) in org.site.org.deletions("Opportunity")
    assert line["Id"] in org.site.org.deletions("OpportunityLineItem")


async def test_the_recycle_bin_empties_itself_after_15_days(org: ControlledOrg) -> None:
    org.site.org.delete("Opportunity", deal_id(0))
    for days, rows in ((14, 3), (2, 2)):
        await org.admin.post("/admin/clock", json={"advance_seconds": days * 86_400})
        relogin(org)
        assert len(await org.rows("SELECT Id FROM Opportunity", "queryAll")) == rows
