"""The simulated org over HTTP, in process: sessions, pages, replication, composites, limits and their refusals."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from troth_sandbox.salesforce.api import build_api
from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.gateway import Gateway
from troth_sandbox.salesforce.seed import parse_seed
from troth_sandbox.salesforce.simulation import Site, open_site

DATA = "/services/data/v66.0"
ORG = "00D000000000001EAA"
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
NO_LOCATOR = [{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}]
NOT_FOUND = [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]


def deal_id(number: int) -> str:
    return f"006000000{number:06d}AAA"


def a_site(deals: int = 3, **settings: Any) -> Site:
    records = [
        {"Id": deal_id(number), "Name": f"Deal {number}", "StageName": "Prospecting"}
        for number in range(deals)
    ]
    document = {
        "org_id": ORG,
        "objects": {"Opportunity": records, "User": [{"Id": "005000000000001AAA", "LastName": "Robot"}]},
        "auth": {"client_id": "id", "client_secret": "secret"},
    }
    clock = SettableClock()
    clock.set(datetime(2026, 11, 25, 12, tzinfo=UTC), frozen=True)
    return open_site(parse_seed(document | settings), clock)


@pytest.fixture
def site() -> Site:
    return a_site()


def connect(site: Site) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Gateway(build_api(site), site))
    client = httpx.AsyncClient(transport=transport, base_url="https://org.example:8443")
    client.headers["Authorization"] = f"Bearer {site.sessions.open()}"
    return client


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(site) as client:
        yield client


async def query(
    client: httpx.AsyncClient, text: str, resource: str = "query", **headers: str
) -> dict[str, Any]:
    response = await client.get(f"{DATA}/{resource}", params={"q": text}, headers=headers)
    assert response.status_code == 200, response.text
    return dict(response.json())


def names(page: dict[str, Any]) -> list[str]:
    return [record["Name"] for record in page["records"]]


GRANT = {"grant_type": "client_credentials"}
APP = {"client_id": "id", "client_secret": "secret"}


async def test_a_token_comes_by_body_and_by_basic_without_a_lifetime(client: httpx.AsyncClient) -> None:
    by_body = (
        await client.post("/services/oauth2/token", data=GRANT | APP, headers={"Authorization": ""})
    ).json()
    by_basic = (await client.post("/services/oauth2/token", data=GRANT, auth=("id", "secret"))).json()
    assert by_body["access_token"] != by_basic["access_token"]
    assert "expires_in" not in by_body
    assert by_body["instance_url"] == "https://org.example:8443"
    assert by_body["id"].endswith(f"/id/{ORG}/005000000000001AAA")
    for token in (by_body["access_token"], by_basic["access_token"]):
        me = await client.get("/services/oauth2/userinfo", headers={"Authorization": f"Bearer {token}"})
        assert me.json()["organization_id"] == ORG
        assert me.json()["name"] == "Robot"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        (APP, "unsupported_grant_type"),
        (GRANT | APP | {"grant_type": "password"}, "unsupported_grant_type"),
        (GRANT | APP | {"client_id": "other"}, "invalid_client_id"),
        (GRANT | APP | {"client_secret": "other"}, "invalid_client"),
    ],
)
async def test_a_wrong_token_request_is_told_why(
    client: httpx.AsyncClient, form: dict[str, str], error: str
) -> None:
    response = await client.post("/services/oauth2/token", data=form)
    assert (response.status_code, response.json()["error"]) == (400, error)


async def test_without_a_run_as_user_there_is_no_token() -> None:
    """Client credentials need a Run-As user (help page of the client credentials flow)."""
    async with connect(a_site(auth=APP | {"run_as_user": False})) as client:
        response = await client.post("/services/oauth2/token", data=GRANT | APP)
    body = {"error": "invalid_grant", "error_description": "no client credentials user enabled"}
    assert (response.status_code, response.json()) == (400, body)


@pytest.mark.parametrize(
    "path", ["", "/", "/query", "/query/", "/sobjects", "/sobjects/Opportunity/describe", "/limits"]
)
async def test_without_a_session_every_resource_answers_401(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(f"{DATA}{path}", headers={"Authorization": "Bearer nobody"})
    assert (response.status_code, response.json()) == (401, EXPIRED)
    assert "sforce-limit-info" not in response.headers


async def test_versions_need_no_session_and_tell_no_limits(client: httpx.AsyncClient) -> None:
    response = await client.get("/services/data/", headers={"Authorization": ""})
    assert response.json()[-1] == {"label": "Summer '26", "url": "/services/data/v67.0", "version": "67.0"}
    assert "sforce-limit-info" not in response.headers
    assert (
        await client.get("/services/data/v30.0/query", params={"q": "SELECT Id FROM User"})
    ).json() == NOT_FOUND


async def test_a_session_slides_with_use_and_ends_after_two_hours_of_rest(
    site: Site, client: httpx.AsyncClient
) -> None:
    for _ in range(3):
        site.clock.advance(timedelta(minutes=110))
        assert (await client.get(f"{DATA}/limits")).status_code == 200
    site.clock.advance(timedelta(minutes=121))
    assert (await client.get(f"{DATA}/limits")).json() == EXPIRED


async def test_every_answer_carries_the_orgs_date_and_the_use_of_its_allowance(
    client: httpx.AsyncClient,
) -> None:
    await query(client, "SELECT Id FROM User")
    response = await client.get(f"{DATA}/query", params={"q": "SELECT Nothing FROM User"})
    assert response.headers["date"] == "Wed, 25 Nov 2026 12:00:00 GMT"
    assert response.headers["sforce-limit-info"] == "api-usage=2/100000"
    limits = (await client.get(f"{DATA}/limits/")).json()
    assert limits["DailyApiRequests"] == {"Max": 100_000, "Remaining": 99_997}


async def test_over_the_daily_allowance_everything_is_refused_until_the_next_day() -> None:
    site = a_site(daily_api_limit=2)
    async with connect(site) as client:
        statuses = [(await client.get(f"{DATA}/sobjects")).status_code for _ in range(3)]
        assert statuses == [200, 200, 403]
        refused = await client.get(f"{DATA}/limits")
        assert refused.json()[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
        assert refused.json()[0]["message"] == "TotalRequests Limit exceeded."
        site.clock.advance(timedelta(hours=24))
        client.headers["Authorization"] = f"Bearer {site.sessions.open()}"
        assert (await client.get(f"{DATA}/limits")).status_code == 200


@pytest.mark.parametrize("resource", ["query", "query/", "queryAll", "queryAll/"])
async def test_both_spellings_of_a_query_answer_without_a_redirect(
    client: httpx.AsyncClient, resource: str
) -> None:
    assert names(await query(client, "SELECT Name FROM Opportunity ORDER BY Id", resource)) == [
        "Deal 0",
        "Deal 1",
        "Deal 2",
    ]


async def test_a_count_has_no_records(client: httpx.AsyncClient) -> None:
    assert await query(client, "select count() from Opportunity") == {
        "totalSize": 3,
        "done": True,
        "records": [],
    }


async def test_an_unknown_object_is_refused_as_recorded(client: httpx.AsyncClient) -> None:
    """Recorded by CumulusCI, cassette TestCountSObjects errors."""
    response = await client.get(f"{DATA}/query/", params={"q": "select count() from XYZZY"})
    message = (
        "\nselect count() from XYZZY\n                    ^\nERROR at Row:1:Column:21\nsObject type 'XYZZY' is not"
        " supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name."
        " Please reference your WSDL or the describe call for the appropriate names."
    )
    assert (response.status_code, response.json()) == (
        400,
        [{"message": message, "errorCode": "INVALID_TYPE"}],
    )


async def walk(client: httpx.AsyncClient, page: dict[str, Any]) -> list[int]:
    sizes = [len(page["records"])]
    while not page["done"]:
        page = (await client.get(page["nextRecordsUrl"])).json()
        sizes.append(len(page["records"]))
    return sizes


@pytest.mark.parametrize(
    ("asked", "sizes"),
    [
        (None, [2000, 500]),
        ("batchSize=1000", [1000, 1000, 500]),
        ("batchSize=5", [200] * 12 + [100]),
        ("batchSize=9999", [2000, 500]),
    ],
)
async def test_pages_are_as_large_as_asked_within_200_and_2000(asked: str | None, sizes: list[int]) -> None:
    async with connect(a_site(deals=2_500)) as client:
        headers = {"Sforce-Query-Options": asked} if asked else {}
        page = await query(client, "SELECT Id FROM Opportunity", **headers)
        assert page["totalSize"] == 2_500
        assert await walk(client, page) == sizes


async def test_a_locator_dies_with_the_token_that_opened_it() -> None:
    """Refreshing the token and going on with nextRecordsUrl is not enough (airbyte pull request 84302)."""
    site = a_site(deals=2_500)
    async with connect(site) as client:
        page = await query(client, "SELECT Id FROM Opportunity", "queryAll")
        assert page["nextRecordsUrl"].startswith(f"{DATA}/query/0r8")
        site.sessions.expire_all()
        assert (await client.get(page["nextRecordsUrl"])).json() == EXPIRED
        client.headers["Authorization"] = f"Bearer {site.sessions.open()}"
        refused = await client.get(page["nextRecordsUrl"])
        assert (refused.status_code, refused.json()) == (400, NO_LOCATOR)


async def test_a_locator_lives_two_days_and_answers_under_both_resources() -> None:
    site = a_site(deals=2_500)
    async with connect(site) as client:
        page = await query(client, "SELECT Id FROM Opportunity")
        other = page["nextRecordsUrl"].replace("/query/", "/queryAll/")
        assert len((await client.get(other)).json()["records"]) == 500
        site.clock.advance(timedelta(hours=49))
        client.headers["Authorization"] = f"Bearer {site.sessions.open()}"
        assert (await client.get(page["nextRecordsUrl"])).json() == NO_LOCATOR
    async with connect(site) as client:
        assert (await client.get(f"{DATA}/query/nonsense")).json() == NO_LOCATOR


async def test_a_page_shows_the_ids_of_the_query_with_the_values_of_now() -> None:
    site = a_site(deals=2_003)
    async with connect(site) as client:
        page = await query(client, "SELECT Name FROM Opportunity ORDER BY Id")
        site.org.write("Opportunity", {"Id": deal_id(2_000), "Name": "Renamed"})
        site.org.delete("Opportunity", deal_id(2_001))
        assert names((await client.get(page["nextRecordsUrl"])).json()) == ["Renamed", "Deal 2002"]


async def test_deleted_rows_are_only_in_query_all(site: Site, client: httpx.AsyncClient) -> None:
    site.org.delete("Opportunity", deal_id(1))
    text = "SELECT Name, IsDeleted FROM Opportunity ORDER BY Id"
    assert names(await query(client, text)) == ["Deal 0", "Deal 2"]
    everything = await query(client, text, "queryAll")
    assert [record["IsDeleted"] for record in everything["records"]] == [False, True, False]
    response = await client.get(f"{DATA}/sobjects/Opportunity/{deal_id(1)}")
    assert (response.status_code, response.json()[0]["errorCode"]) == (404, "ENTITY_IS_DELETED")


async def test_a_record_is_read_whole_or_by_fields(client: httpx.AsyncClient) -> None:
    whole = (await client.get(f"{DATA}/sobjects/opportunity/{deal_id(0)[:15]}/")).json()
    assert whole["attributes"]["url"] == f"{DATA}/sobjects/Opportunity/{deal_id(0)}"
    assert len(whole) == 41
    part = (
        await client.get(f"{DATA}/sobjects/Opportunity/{deal_id(0)}", params={"fields": "name,Id"})
    ).json()
    assert list(part) == ["attributes", "Name", "Id"]
    wrong = await client.get(f"{DATA}/sobjects/Opportunity/{deal_id(0)}", params={"fields": "foo"})
    message = "No such column 'foo' on sobject of type Opportunity"
    assert (wrong.status_code, wrong.json()) == (400, [{"message": message, "errorCode": "INVALID_FIELD"}])


@pytest.mark.parametrize(
    "path", [f"sobjects/Opportunity/{deal_id(9)}", "sobjects/Foo", "sobjects/Foo/describe", "nowhere"]
)
async def test_what_does_not_exist_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(f"{DATA}/{path}")
    assert (response.status_code, response.json()) == (404, NOT_FOUND)


async def test_describe_is_not_sent_twice_unless_it_changed(client: httpx.AsyncClient) -> None:
    first = await client.get(f"{DATA}/sobjects/Opportunity/describe")
    since = {"If-Modified-Since": first.headers["last-modified"]}
    second = await client.get(f"{DATA}/sobjects/Opportunity/describe", headers=since)
    assert (second.status_code, second.content) == (304, b"")
    older = {"If-Modified-Since": "Wed, 25 Nov 2026 11:59:59 GMT"}
    assert (await client.get(f"{DATA}/sobjects/Opportunity/describe", headers=older)).status_code == 200


WINDOW = {"start": "2026-11-25T11:00:30+00:00", "end": "2026-11-25T12:05:59Z"}


@pytest.mark.parametrize("slash", ["", "/"])
async def test_updated_and_deleted_cover_whole_minutes(
    site: Site, client: httpx.AsyncClient, slash: str
) -> None:
    """Seconds are ignored; the next window starts at latestDateCovered (getUpdated, getDeleted)."""
    site.clock.advance(timedelta(minutes=3, seconds=30))
    site.org.write("Opportunity", {"Id": deal_id(0), "NextStep": "in the last, uncovered minute"})
    site.org.delete("Opportunity", deal_id(1), hard=True)
    covered = "2026-11-25T12:03:00.000+0000"
    updated = (await client.get(f"{DATA}/sobjects/Opportunity/updated{slash}", params=WINDOW)).json()
    assert updated == {"ids": [deal_id(2)], "latestDateCovered": covered}
    site.clock.advance(timedelta(minutes=1))
    following = {"start": covered, "end": "2026-11-25T12:04:00.000+0000"}
    updated = (await client.get(f"{DATA}/sobjects/Opportunity/updated{slash}", params=following)).json()
    assert updated["ids"] == [deal_id(0)]
    deleted = (await client.get(f"{DATA}/sobjects/Opportunity/deleted{slash}", params=following)).json()
    assert deleted == {
        "deletedRecords": [{"deletedDate": "2026-11-25T12:03:30.000+0000", "id": deal_id(1)}],
        "earliestDateAvailable": "2026-11-10T12:04:00.000+0000",
        "latestDateCovered": "2026-11-25T12:04:00.000+0000",
    }


@pytest.mark.parametrize(
    ("resource", "window", "code"),
    [
        (
            "Opportunity/deleted",
            {"start": "2026-11-10T11:00:00Z", "end": "2026-11-25T12:00:00Z"},
            "INVALID_REPLICATION_DATE",
        ),
        (
            "Opportunity/updated",
            {"start": "2026-10-26T11:00:00Z", "end": "2026-11-25T12:00:00Z"},
            "INVALID_REPLICATION_DATE",
        ),
        (
            "Opportunity/deleted",
            {"start": "2026-11-25T11:00:00Z", "end": "2026-11-25T11:00:40Z"},
            "INVALID_REPLICATION_DATE",
        ),
        ("Opportunity/updated", {"start": "2026-11-25T11:00:00Z"}, "MISSING_ARGUMENT"),
        ("Opportunity/updated", {"start": "yesterday", "end": "today"}, "INVALID_REPLICATION_DATE"),
        ("OpportunityStage/updated", WINDOW, "INVALID_TYPE_FOR_OPERATION"),
    ],
)
async def test_windows_outside_the_log_are_refused(
    client: httpx.AsyncClient, resource: str, window: dict[str, str], code: str
) -> None:
    response = await client.get(f"{DATA}/sobjects/{resource}/", params=window)
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)


def subrequests(*urls: str) -> dict[str, Any]:
    parts = [{"referenceId": f"ref{place}", "method": "GET", "url": url} for place, url in enumerate(urls)]
    return {"compositeRequest": parts}


async def test_a_composite_answers_each_part_and_counts_as_one_call(
    site: Site, client: httpx.AsyncClient
) -> None:
    plus_for_space = "SELECT+Id+FROM+Opportunity+LIMIT+1"
    body = subrequests(
        f"{DATA}/query/?q=select count() from Opportunity",
        f"{DATA}/queryAll?q={plus_for_space}",
        f"{DATA}/sobjects/Foo",
    )
    response = await client.post(f"{DATA}/composite", json=body)
    first, second, third = response.json()["compositeResponse"]
    assert first == {
        "body": {"totalSize": 3, "done": True, "records": []},
        "httpHeaders": {},
        "httpStatusCode": 200,
        "referenceId": "ref0",
    }
    assert second["body"]["totalSize"] == 1
    assert (third["httpStatusCode"], third["body"]) == (404, NOT_FOUND)
    assert site.usage.used == 1
    assert response.headers["sforce-limit-info"] == "api-usage=1/100000"


@pytest.mark.parametrize(
    "body",
    [
        subrequests(*[f"{DATA}/limits"] * 26),
        subrequests(*[f"{DATA}/query?q=SELECT+Id+FROM+User"] * 6),
        {"compositeRequests": []},
    ],
)
async def test_a_composite_too_large_or_misspelt_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    assert (await client.post(f"{DATA}/composite/", json=body)).status_code == 400


async def test_faults_hit_the_requests_they_name_and_then_stop(site: Site, client: httpx.AsyncClient) -> None:
    site.faults.add(
        [
            {
                "match": {"path": "/query.*FROM User", "nth": 2, "times": 1},
                "act": {"status": 503, "html": True},
            },
            {"match": {"path": "/limits$", "times": None}, "act": {"status": 403, "body": EXPIRED}},
        ]
    )
    url, params = f"{DATA}/query/", {"q": "SELECT Id FROM User"}
    responses = [await client.get(url, params=params) for _ in range(3)]
    assert [each.status_code for each in responses] == [200, 503, 200]
    assert responses[1].headers["content-type"].startswith("text/html")
    assert "Service Not Available" in responses[1].text
    assert [(await client.get(f"{DATA}/limits")).status_code for _ in range(3)] == [403, 403, 403]
    site.faults.clear()
    assert (await client.get(f"{DATA}/limits")).status_code == 200


async def test_a_fault_can_cut_the_json_in_half(site: Site, client: httpx.AsyncClient) -> None:
    site.faults.add([{"match": {"path": "sobjects"}, "act": {"truncate": True}}])
    broken = await client.get(f"{DATA}/sobjects")
    whole = await client.get(f"{DATA}/sobjects")
    assert broken.status_code == 200
    assert whole.content.startswith(broken.content)
    assert len(broken.content) == len(whole.content) // 2


def test_a_misspelt_fault_is_refused(site: Site) -> None:
    with pytest.raises(ValueError, match="fault"):
        site.faults.add([{"match": {"path": "("}, "act": {}}])
    with pytest.raises(ValueError, match="fault"):
        site.faults.add([{"act": {"staus": 500}}])


async def test_the_journal_has_every_request_and_no_secret(site: Site, client: httpx.AsyncClient) -> None:
    await client.post("/services/oauth2/token", data=GRANT | APP)
    await query(client, "SELECT Id FROM User WHERE Name = 'a+b'")
    await client.get(f"{DATA}/nowhere")
    entries = [entry.as_json() for entry in site.journal]
    assert [(entry["method"], entry["path"], entry["status"]) for entry in entries] == [
        ("POST", "/services/oauth2/token", 200),
        ("GET", f"{DATA}/query", 200),
        ("GET", f"{DATA}/nowhere", 404),
    ]
    assert entries[1]["query"] == "q=SELECT Id FROM User WHERE Name = 'a+b'"
    assert "secret" not in str(entries)
    assert client.headers["Authorization"].split()[1] not in str(entries)


@pytest.mark.parametrize(
    ("name_length", "header_length", "status"), [(15_900, 1, 200), (17_000, 1, 414), (9_000, 9_000, 431)]
)
async def test_request_line_and_headers_together_are_bounded(
    client: httpx.AsyncClient, name_length: int, header_length: int, status: int
) -> None:
    """At most 16,384 bytes: https://help.salesforce.com/s/articleView?id=000386264&type=1."""
    params = {"q": "SELECT Id FROM User", "padding": "x" * name_length}
    response = await client.get(f"{DATA}/query", params=params, headers={"X-Padding": "x" * header_length})
    assert response.status_code == status
