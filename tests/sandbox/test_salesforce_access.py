"""What may be seen: permissions, sharing, fields that come and go, and fields computed at read time."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.sandbox.salesforce_org import DATA, NOT_FOUND, ROBOT, ControlledOrg, a_site, controlled, deal_id

from troth_sandbox.errors import SeedError

OTHER = "005000000000002AAA"
FIELDS = {"Opportunity": [{"name": "Promised_Date__c", "type": "string", "label": "Promised"}]}
WINDOW = {"start": "2026-11-25T11:00:00Z", "end": "2026-11-25T13:00:00Z"}


@pytest.fixture
async def org() -> AsyncIterator[ControlledOrg]:
    async with controlled(a_site(custom_fields=FIELDS)) as running:
        yield running


async def described(org: ControlledOrg, name: str = "Opportunity") -> dict[str, dict[str, Any]]:
    response = await org.client.get(f"{DATA}/sobjects/{name}/describe")
    return {field["name"]: field for field in response.json()["fields"]}


async def permit(org: ControlledOrg, **denial: Any) -> None:
    assert (await org.admin.post("/admin/permissions", json=denial)).status_code == 200


async def test_a_hidden_field_is_gone_from_describe_and_an_invalid_field_in_soql(org: ControlledOrg) -> None:
    await permit(org, object="opportunity", field="amount", readable=False)
    assert "Amount" not in await described(org)
    assert await org.refusal("SELECT Amount FROM Opportunity") == (400, "INVALID_FIELD")
    assert await org.refusal("SELECT Id FROM Opportunity WHERE Amount > 1") == (400, "INVALID_FIELD")
    whole = (await org.client.get(f"{DATA}/sobjects/Opportunity/{deal_id(0)}")).json()
    assert "Amount" not in whole
    await permit(org, object="Opportunity", field="Amount", readable=True)
    assert "Amount" in await described(org)


async def test_permissions_are_per_user(org: ControlledOrg) -> None:
    await permit(org, object="Opportunity", field="Amount", readable=False, user=OTHER)
    assert "Amount" in await described(org)
    org.client.headers["Authorization"] = f"Bearer {org.site.sessions.open(OTHER)}"
    assert "Amount" not in await described(org)
    listed = (await org.admin.get("/admin/permissions")).json()
    assert listed == [{"user": OTHER, "object": "Opportunity", "field": "Amount"}]


async def test_a_hidden_object_does_not_exist_for_its_user(org: ControlledOrg) -> None:
    await permit(org, object="Account", readable=False)
    assert await org.refusal("SELECT Id FROM Account") == (400, "INVALID_TYPE")
    assert await org.refusal("SELECT Account.Name FROM Opportunity") == (400, "INVALID_FIELD")
    response = await org.client.get(f"{DATA}/sobjects/Account/describe")
    assert (response.status_code, response.json()) == (404, NOT_FOUND)
    everything = (await org.client.get(f"{DATA}/sobjects")).json()["sobjects"]
    assert "Account" not in {each["name"] for each in everything}


async def test_a_record_that_is_not_shared_vanishes_without_a_trace(org: ControlledOrg) -> None:
    """A record that became invisible cannot be told from a hard delete by its id; getDeleted does not list it."""
    line = org.site.org.write("OpportunityLineItem", {"OpportunityId": deal_id(1), "Quantity": 1})
    body = {"ids": [deal_id(1)], "visible": False}
    assert (await org.admin.post("/admin/sharing/Opportunity", json=body)).json() == {"hidden": 1}
    org.site.clock.advance(timedelta(minutes=2))
    everything = await org.rows("SELECT Id FROM Opportunity ORDER BY Id", "queryAll")
    assert [row["Id"] for row in everything] == [deal_id(0), deal_id(2)]
    assert await org.rows("SELECT Id FROM OpportunityLineItem") == []
    assert await org.rows(f"SELECT Id FROM OpportunityLineItem WHERE Id = '{line['Id']}'") == []
    assert (await org.client.get(f"{DATA}/sobjects/Opportunity/{deal_id(1)}")).status_code == 404
    url = f"{DATA}/composite/sobjects/Opportunity"
    many = await org.client.post(url, json={"ids": [deal_id(1)], "fields": ["Id"]})
    assert many.json() == [None]
    for resource, key in (("updated", "ids"), ("deleted", "deletedRecords")):
        page = await org.client.get(f"{DATA}/sobjects/Opportunity/{resource}", params=WINDOW)
        assert deal_id(1) not in str(page.json()[key])
    await org.admin.post("/admin/sharing/Opportunity", json=body | {"visible": True})
    assert len(await org.rows("SELECT Id FROM OpportunityLineItem")) == 1


async def test_the_truth_can_be_told_as_a_user_sees_it(org: ControlledOrg) -> None:
    await permit(org, object="Opportunity", field="Amount", readable=False)
    await org.admin.post("/admin/sharing/Opportunity", json={"ids": [deal_id(1)], "visible": False})
    truth = (await org.admin.get("/admin/truth/Opportunity")).json()
    visible = (await org.admin.get("/admin/truth/Opportunity", params={"visible": True})).json()
    assert (len(truth), len(visible)) == (3, 2)
    assert "Amount" in truth[0]
    assert "Amount" not in visible[0]
    assert (await org.admin.get("/admin/truth/Opportunity", params={"user": ROBOT})).json() == visible


async def test_a_field_can_come_change_its_type_and_go_and_no_stamp_moves(org: ControlledOrg) -> None:
    text = "SELECT Id, SystemModstamp FROM Opportunity ORDER BY Id"
    stamps = await org.rows(text)
    org.site.clock.advance(timedelta(minutes=1))
    await org.admin.post("/admin/fields/Opportunity", json={"name": "Size__c", "type": "string"})
    org.site.org.write("Opportunity", {"Id": deal_id(0), "Size__c": "12.5"}, at=stamps[0]["SystemModstamp"])
    org.site.org.write("Opportunity", {"Id": deal_id(1), "Size__c": "big"}, at=stamps[1]["SystemModstamp"])
    await org.admin.post("/admin/fields/Opportunity", json={"name": "Size__c", "type": "double"})
    assert (await described(org))["Size__c"]["type"] == "double"
    sizes = await org.rows("SELECT Size__c FROM Opportunity ORDER BY Id")
    assert [row["Size__c"] for row in sizes] == [12.5, None, None]
    await org.admin.delete("/admin/fields/Opportunity/Size__c")
    assert await org.refusal("SELECT Size__c FROM Opportunity") == (400, "INVALID_FIELD")
    assert await org.rows(text) == stamps


async def test_every_change_of_a_description_moves_its_time_and_only_its(org: ControlledOrg) -> None:
    """describe with If-Modified-Since answers 304 until something changed."""

    async def status(name: str) -> int:
        response = await org.client.get(
            f"{DATA}/sobjects/{name}/describe", headers={"If-Modified-Since": since}
        )
        return response.status_code

    changes: list[tuple[str, str, Any]] = [
        ("POST", "/admin/fields/Opportunity", {"name": "Size__c", "type": "string"}),
        ("POST", "/admin/fields/Opportunity", {"name": "Size__c", "type": "date"}),
        ("POST", "/admin/permissions", {"object": "Opportunity", "field": "Size__c", "readable": False}),
        ("POST", "/admin/permissions", {"object": "Opportunity", "field": "Size__c", "readable": True}),
        ("DELETE", "/admin/fields/Opportunity/Size__c", None),
        ("POST", "/admin/records/OpportunityStage", {"MasterLabel": "New", "IsActive": True}),
    ]
    for method, path, body in changes:
        answer = await org.client.get(f"{DATA}/sobjects/Opportunity/describe")
        since = answer.headers["last-modified"]
        assert await status("Opportunity") == 304
        assert (await org.admin.request(method, path, json=body)).status_code == 200
        assert await status("Opportunity") == 200
        assert await status("Account") == 304


async def test_a_page_may_outlive_a_field(org: ControlledOrg) -> None:
    async with controlled(a_site(deals=2_001, custom_fields=FIELDS)) as large:
        query = {"q": "SELECT Promised_Date__c FROM Opportunity"}
        page = (await large.client.get(f"{DATA}/query", params=query)).json()
        await large.admin.delete("/admin/fields/Opportunity/Promised_Date__c")
        last = (await large.client.get(page["nextRecordsUrl"])).json()
    assert last["records"][0]["Promised_Date__c"] is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/admin/fields/Opportunity", {"name": "Amount", "type": "string"}),
        ("/admin/fields/Opportunity", {"name": "X__c", "type": "nonsense"}),
        ("/admin/fields/Opportunity", {"name": "X__c", "type": "string", "formula": "Nothing.Name"}),
        ("/admin/fields/Opportunity", {"name": "X__c", "type": "double", "formula": "Amount * 2"}),
        ("/admin/permissions", {"object": "Opportunity", "field": "Id", "readable": False}),
        ("/admin/permissions", {"object": "Nothing", "readable": False}),
        ("/admin/sharing/Opportunity", {"visible": False}),
    ],
)
async def test_what_cannot_be_changed_is_refused(org: ControlledOrg, path: str, body: dict[str, Any]) -> None:
    assert (await org.admin.post(path, json=body)).status_code == 422
    assert await org.rows("SELECT Amount FROM Opportunity")


FORMULAS = {
    "Opportunity": [
        {"name": "Industry__c", "type": "string", "label": "Industry", "formula": "Account.Industry"},
        {
            "name": "Total__c",
            "type": "currency",
            "label": "T",
            "formula": "SUM(OpportunityLineItem.TotalPrice)",
        },
        {"name": "Lines__c", "type": "double", "label": "Lines", "formula": "COUNT(OpportunityLineItem)"},
    ]
}


async def test_formulas_follow_their_sources_and_move_no_stamp() -> None:
    """Formula, roll-up and cross-object changes do not move the cursor (Databricks and Fivetran documentation)."""
    async with controlled(a_site(custom_fields=FORMULAS)) as org:
        account = org.site.org.write("Account", {"Name": "Acme", "Industry": "Energy"})
        deal = org.site.org.write("Opportunity", {"Id": deal_id(0), "AccountId": account["Id"]})
        org.site.clock.advance(timedelta(minutes=1))
        org.site.org.write("Account", {"Id": account["Id"], "Industry": "Media"})
        for price in (10, 20):
            line = {"OpportunityId": deal_id(0), "Quantity": 1, "UnitPrice": price}
            org.site.org.write("OpportunityLineItem", line)
        (row,) = await org.rows(
            "SELECT Industry__c, Total__c, Lines__c, SystemModstamp FROM Opportunity WHERE Industry__c = 'media'"
        )
        assert (row["Industry__c"], row["Total__c"], row["Lines__c"]) == ("Media", 30.0, 2)
        assert row["SystemModstamp"] == deal["SystemModstamp"]
        field = (await described(org))["Industry__c"]
        assert (field["calculated"], field["updateable"], field["calculatedFormula"]) == (
            True, False, "Account.Industry",
        )  # fmt: skip
        truth = (await org.admin.get("/admin/truth/Opportunity")).json()
        assert truth[0]["Industry__c"] == "Media"
        refused = await org.admin.post("/admin/records/Opportunity", json={"Industry__c": "x"})
        assert refused.status_code == 422


async def test_custom_objects_come_from_the_seed_and_cascade_when_they_are_details() -> None:
    objects = {
        "Delivery__c": {
            "label": "Delivery",
            "plural": "Deliveries",
            "fields": [
                {"name": "Deal__c", "type": "reference", "target": "Opportunity", "master_detail": True},
                {"name": "Due__c", "type": "date"},
            ],
        }
    }
    records = {"Delivery__c": [{"Id": "a00000000000001AAA", "Deal__c": deal_id(0), "Due__c": "2026-12-24"}]}
    async with controlled(a_site(objects=records, custom_objects=objects)) as org:
        (row,) = await org.rows("SELECT Due__c, Deal__r.Name FROM Delivery__c")
        assert (row["Due__c"], row["Deal__r"]["Name"]) == ("2026-12-24", "Deal 0")
        children = (await org.client.get(f"{DATA}/sobjects/Opportunity/describe")).json()[
            "childRelationships"
        ]
        (child,) = [each for each in children if each["childSObject"] == "Delivery__c"]
        assert (child["relationshipName"], child["cascadeDelete"]) == ("Deliveries__r", True)
        await org.admin.delete(f"/admin/records/Opportunity/{deal_id(0)}")
        assert await org.rows("SELECT Id FROM Delivery__c") == []
        (gone,) = await org.rows("SELECT IsDeleted FROM Delivery__c", "queryAll")
        assert gone["IsDeleted"] is True


def test_a_custom_object_needs_a_custom_name() -> None:
    with pytest.raises(SeedError, match="__c"):
        a_site(custom_objects={"Delivery": {}})
