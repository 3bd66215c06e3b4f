"""Several requests in one: references between them, batches, and many records by id."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.sandbox.salesforce_org import DATA, NOT_FOUND, ControlledOrg, a_site, controlled, deal_id


@pytest.fixture
async def org() -> AsyncIterator[ControlledOrg]:
    async with controlled(a_site()) as running:
        yield running


def sub(reference: str, url: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    return {"referenceId": reference, "url": f"{DATA}{url}", "method": method} | more


async def composite(org: ControlledOrg, *parts: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    response = await org.client.post(f"{DATA}/composite", json={"compositeRequest": list(parts)} | more)
    assert response.status_code == 200, response.text
    return list(response.json()["compositeResponse"])


async def test_a_subrequest_may_name_what_an_earlier_one_answered(org: ControlledOrg) -> None:
    first, second, third = await composite(
        org,
        sub("deals", "/query?q=SELECT Id, Name FROM Opportunity ORDER BY Id DESC"),
        sub("deal", "/sobjects/Opportunity/@{deals.records[0].Id}?fields=Name"),
        sub(
            "many",
            "/composite/sobjects/Opportunity",
            "POST",
            body={"ids": ["@{deals.records[1].Id}"], "fields": ["Name"]},
        ),
    )
    assert first["httpStatusCode"] == 200
    assert second["body"]["Name"] == "Deal 2"
    assert third["body"][0]["Name"] == "Deal 1"
    assert org.site.usage.used == 1


async def test_a_reference_to_nothing_fails_only_what_depends_on_it(org: ControlledOrg) -> None:
    lost, orphan, fine = await composite(
        org,
        sub("lost", f"/sobjects/Opportunity/{deal_id(9)}"),
        sub("orphan", "/sobjects/Account/@{lost.AccountId}"),
        sub("fine", "/limits"),
    )
    assert (lost["httpStatusCode"], lost["body"]) == (404, NOT_FOUND)
    assert (orphan["httpStatusCode"], orphan["body"][0]["errorCode"]) == (400, "PROCESSING_HALTED")
    assert fine["httpStatusCode"] == 200


async def test_all_or_none_stops_at_the_first_refusal(org: ControlledOrg) -> None:
    parts = [sub("lost", "/sobjects/Foo"), sub("rest", "/limits")]
    lost, rest = await composite(org, *parts, allOrNone=True)
    assert lost["httpStatusCode"] == 404
    assert rest["body"][0]["errorCode"] == "PROCESSING_HALTED"


async def test_collections_count_as_queries(org: ControlledOrg) -> None:
    """At most 5 queries and collections in one composite."""
    url = f"/composite/sobjects/Opportunity?ids={deal_id(0)}&fields=Name"
    query = "/query?q=SELECT Id FROM User"
    parts = [sub(f"r{place}", url if place % 2 else query) for place in range(6)]
    response = await org.client.post(f"{DATA}/composite", json={"compositeRequest": parts})
    assert response.status_code == 400


async def test_each_part_of_a_batch_counts_as_a_call(org: ControlledOrg) -> None:
    """`/composite/batch` is not cheaper than its parts."""
    body = {"batchRequests": [{"method": "GET", "url": "v66.0/limits"}] * 4 + [{"url": "v66.0/sobjects/Foo"}]}
    response = await org.client.post(f"{DATA}/composite/batch", json=body)
    assert response.json()["hasErrors"] is True
    assert [each["statusCode"] for each in response.json()["results"]] == [200] * 4 + [404]
    assert org.site.usage.used == 5


async def test_a_batch_may_halt_at_its_first_error(org: ControlledOrg) -> None:
    parts = [{"url": "v66.0/sobjects/Foo"}, {"url": "v66.0/limits"}]
    response = await org.client.post(
        f"{DATA}/composite/batch", json={"batchRequests": parts, "haltOnError": True}
    )
    assert [each["statusCode"] for each in response.json()["results"]] == [404, 412]


async def test_a_retrieve_answers_in_order_with_null_for_what_is_not_there(org: ControlledOrg) -> None:
    org.site.org.delete("Opportunity", deal_id(1))
    ids = [deal_id(2)[:15], deal_id(9), deal_id(1), deal_id(0)]
    url = f"{DATA}/composite/sobjects/Opportunity"
    posted = (await org.client.post(url, json={"ids": ids, "fields": ["name", "Id"]})).json()
    got = (await org.client.get(url, params={"ids": ",".join(ids), "fields": "name,Id"})).json()
    assert posted == got
    assert [each and each["Name"] for each in posted] == ["Deal 2", None, None, "Deal 0"]
    assert posted[0]["attributes"]["url"] == f"{DATA}/sobjects/Opportunity/{deal_id(2)}"
    assert org.site.usage.used == 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"ids": [deal_id(0)] * 2_001, "fields": ["Id"]}, "EXCEEDED_ID_LIMIT"),
        ({"ids": [deal_id(0)], "fields": ["Foo"]}, "INVALID_FIELD"),
        ({"ids": [deal_id(0)]}, "JSON_PARSER_ERROR"),
        ({"ids": [], "fields": ["Id"]}, "MISSING_ARGUMENT"),
    ],
)
async def test_a_wrong_retrieve_is_refused(org: ControlledOrg, body: dict[str, Any], code: str) -> None:
    response = await org.client.post(f"{DATA}/composite/sobjects/Opportunity", json=body)
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)


async def test_a_retrieve_takes_2000_records_in_one_call(org: ControlledOrg) -> None:
    body = {"ids": [deal_id(0)] * 2_000, "fields": ["Id"]}
    response = await org.client.post(f"{DATA}/composite/sobjects/Opportunity", json=body)
    assert len(response.json()) == 2_000
