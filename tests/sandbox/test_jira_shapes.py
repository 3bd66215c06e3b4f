"""Every served answer against the official platform schemas and against recordings of real sites."""

import csv
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from openapi_schema_validator import OAS30Validator
from tests.sandbox.jira_official import ERRATA

from troth_sandbox.jira import sample
from troth_sandbox.jira.app import admin_api, api
from troth_sandbox.jira.clock import SettableClock, parse_instant
from troth_sandbox.jira.seed import parse
from troth_sandbox.jira.site import Site

Json = dict[str, Any]


OPERATIONS = (
    ("/rest/api/3/serverInfo", "ServerInformation"),
    ("/rest/api/3/myself", "User"),
    ("/rest/api/3/field", "[FieldDetails]"),
    ("/rest/api/3/status", "[StatusDetails]"),
    ("/rest/api/3/mypermissions?permissions=BROWSE_PROJECTS,ADMINISTER", "Permissions"),
    ("/rest/api/3/project/search?maxResults=1", "PageBeanProject"),
    ("/rest/api/3/project/APA", "Project"),
    ("/rest/api/3/project/APA/version?maxResults=1", "PageBeanVersion"),
    ("/rest/api/3/project/10000/versions", "[Version]"),
    ("/rest/api/3/version/501", "Version"),
    ("/rest/api/3/filter/10001", "Filter"),
    ("/rest/api/3/search/jql?jql=project=APA&maxResults=2", "SearchAndReconcileResults"),
    (
        "/rest/api/3/search/jql?jql=project=APA&fields=*all&expand=changelog,names,schema",
        "SearchAndReconcileResults",
    ),
    ("/rest/api/3/issue/APA-1?expand=changelog,names,schema", "IssueBean"),
    ("/rest/api/3/issue/APA-1/changelog?maxResults=2", "PageBeanChangelog"),
)


@pytest.fixture
def site() -> Site:
    clock = SettableClock()
    clock.set(parse_instant("2026-11-25T12:00:00Z"), frozen=True)
    return Site(parse(sample.content(8)), clock)


@pytest.fixture
async def jira(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=api(site))
    auth = (sample.EMAIL, sample.TOKEN)
    async with httpx.AsyncClient(transport=transport, base_url="http://jira.test", auth=auth) as client:
        yield client


@pytest.fixture(scope="session")
def spec(fixtures_dir: Path) -> Json:
    spec: Json = json.loads((fixtures_dir / "jira/openapi/platform-v3.json").read_text())
    for erratum in ERRATA:
        spec["components"]["schemas"][erratum.schema]["properties"][erratum.field] = erratum.becomes
    return spec


def problems(spec: Json, schema: str, content: Any) -> list[str]:
    name = schema.strip("[]")
    reference: Json = {"$ref": f"#/components/schemas/{name}"}
    wanted = {"type": "array", "items": reference} if schema.startswith("[") else {"allOf": [reference]}
    validator = OAS30Validator(wanted | {"components": spec["components"]})
    return [f"{list(error.absolute_path)}: {error.message[:200]}" for error in validator.iter_errors(content)]


@pytest.mark.parametrize(("path", "schema"), OPERATIONS)
async def test_platform_answers_fit_the_official_schema(
    spec: Json, jira: httpx.AsyncClient, path: str, schema: str
) -> None:
    answer = await jira.get(path)

    assert answer.status_code == 200
    assert problems(spec, schema, answer.json()) == []


@pytest.mark.parametrize("form", ["string", "seconds", "milliseconds"])
async def test_bulk_changelogs_fit_the_official_schema(
    spec: Json, jira: httpx.AsyncClient, site: Site, form: str
) -> None:
    site.switches.bulk_created = form
    body = {"issueIdsOrKeys": ["10001", "10002"], "maxResults": 3}
    answer = await jira.post("/rest/api/3/changelog/bulkfetch", json=body)

    assert problems(spec, "BulkChangelogResponseBean", answer.json()) == []


async def test_remote_links_fit_the_official_schema(spec: Json, jira: httpx.AsyncClient, site: Site) -> None:
    transport = httpx.ASGITransport(app=admin_api(site))
    link = {"url": "https://crm.example.com/0061", "title": "Deal"}
    async with httpx.AsyncClient(transport=transport, base_url="http://admin.test/admin") as admin:
        await admin.post("/issues/APA-1/remote-links", json=link)
    links = (await jira.get("/rest/api/3/issue/10001/remotelink")).json()

    assert [one["object"] for one in links] == [link]
    assert problems(spec, "RemoteIssueLink", links[0]) == []
    assert (await jira.get("/rest/api/3/issue/10002/remotelink")).json() == []


async def test_dynamic_webhooks_fit_the_official_schema(
    spec: Json, jira: httpx.AsyncClient, site: Site
) -> None:
    site.switches.app = "connect"
    hooks = [
        {"events": ["jira:issue_updated"], "jqlFilter": "project = APA"},
        {"events": [], "jqlFilter": "x"},
    ]
    asked = {"url": "http://127.0.0.1:9/", "webhooks": hooks}
    made = await jira.post("/rest/api/3/webhook", json=asked)
    listed = await jira.get("/rest/api/3/webhook")
    refreshed = await jira.put("/rest/api/3/webhook/refresh", json={"webhookIds": [1000]})
    failed = await jira.get("/rest/api/3/webhook/failed")

    assert problems(spec, "WebhookRegistrationDetails", asked) == []
    assert problems(spec, "ContainerForRegisteredWebhooks", made.json()) == []
    assert problems(spec, "PageBeanWebhook", listed.json()) == []
    assert problems(spec, "WebhooksExpirationDate", refreshed.json()) == []
    assert problems(spec, "FailedWebhooks", failed.json()) == []


async def test_the_count_and_refusals_fit_the_official_schema(spec: Json, jira: httpx.AsyncClient) -> None:
    count = await jira.post("/rest/api/3/search/approximate-count", json={"jql": "project = APA"})
    refused = await jira.get("/rest/api/3/search/jql")

    assert problems(spec, "JQLCountResultsBean", count.json()) == []
    assert problems(spec, "ErrorCollection", refused.json()) == []


def test_each_erratum_changes_the_official_schema_and_the_check_bites(fixtures_dir: Path) -> None:
    official: Json = json.loads((fixtures_dir / "jira/openapi/platform-v3.json").read_text())
    schemas = official["components"]["schemas"]
    changed = [schemas[erratum.schema]["properties"].get(erratum.field) for erratum in ERRATA]

    assert all(before != erratum.becomes for before, erratum in zip(changed, ERRATA, strict=True))
    assert problems(official, "IssueBean", {"id": 7, "surprise": True})


async def test_board_pages_look_like_the_recorded_ones(jira: httpx.AsyncClient, fixtures_dir: Path) -> None:
    recorded = load(fixtures_dir / "jira/go-jira/all_boards.json")
    page = (await jira.get("/rest/agile/1.0/board")).json()

    assert page.keys() == recorded.keys()
    assert page["values"][0].keys() == recorded["values"][-1].keys()
    assert page["values"][0]["location"].keys() == recorded["values"][-1]["location"].keys()


async def test_kanban_configurations_look_like_both_recorded_ones(
    jira: httpx.AsyncClient, fixtures_dir: Path
) -> None:
    """Recorded: `subQuery` and no `estimation` on kanban boards."""
    shown = (await jira.get("/rest/agile/1.0/board/3/configuration")).json()
    limits = {"min", "max"}
    for name in (
        "go-jira/board_configuration.json",
        "jirametrics/testdata/sample_board_1_configuration.json",
    ):
        recorded = load(fixtures_dir / "jira" / name)
        columns = [side["columnConfig"]["columns"][0] for side in (shown, recorded)]
        assert shown.keys() == recorded.keys()
        assert shown["location"].keys() == recorded["location"].keys()
        assert columns[0].keys() == columns[1].keys() - limits
        assert columns[0]["statuses"][0].keys() == columns[1]["statuses"][0].keys()


async def test_scrum_configurations_look_like_the_official_example(
    jira: httpx.AsyncClient, fixtures_dir: Path
) -> None:
    software = load(fixtures_dir / "jira/openapi/software.json")
    operation = software["paths"]["/rest/agile/1.0/board/{boardId}/configuration"]["get"]
    example = json.loads(operation["responses"]["200"]["content"]["application/json"]["example"])
    shown = (await jira.get("/rest/agile/1.0/board/1/configuration")).json()

    assert shown.keys() - {"type"} == example.keys()
    assert shown["estimation"] == {
        "type": "field",
        "field": {"fieldId": sample.POINTS_FIELD, "displayName": "Story Points"},
    }
    assert shown["estimation"]["field"].keys() == example["estimation"]["field"].keys()


async def test_sprints_look_like_the_recorded_ones(jira: httpx.AsyncClient, fixtures_dir: Path) -> None:
    """`activatedDate` exists on some sites only; future sprints have no dates; no `total`."""
    recorded = load(fixtures_dir / "jira/go-jira/sprints.json")
    page = (await jira.get("/rest/agile/1.0/board/1/sprint")).json()
    by_state = {sprint["state"]: sprint for sprint in page["values"]}
    devlake = next(rows(fixtures_dir / "jira/devlake/raw_tables/_raw_jira_api_sprints.csv"))

    assert page.keys() == recorded.keys()
    assert by_state["closed"].keys() - {"activatedDate"} == devlake.keys()
    assert by_state["active"].keys() - {"activatedDate", "goal"} == recorded["values"][3].keys()
    assert by_state["future"].keys() == recorded["values"][4].keys()
    assert by_state["closed"]["completeDate"].endswith("Z")
    assert {key: type(value) for key, value in devlake.items()} == {
        key: type(by_state["closed"][key]) for key in devlake
    }


async def test_issues_look_like_a_recorded_one(jira: httpx.AsyncClient, fixtures_dir: Path) -> None:
    """Recorded: the sprint object has `boardId` and neither `self` nor `originBoardId`."""
    recorded = load(fixtures_dir / "jira/jirametrics/testdata/SP-13.json")
    issue = (await jira.get("/rest/api/2/issue/APA-1", params={"expand": "changelog"})).json()
    ours, theirs = issue["fields"], recorded["fields"]
    history, real = issue["changelog"]["histories"][0], recorded["changelog"]["histories"][0]

    assert issue.keys() == recorded.keys()
    assert issue["changelog"].keys() == recorded["changelog"].keys()
    assert history.keys() == real.keys()
    assert history["author"].keys() == real["author"].keys()
    assert ours[sample.SPRINT_FIELD][0].keys() == theirs["customfield_10020"][0].keys()
    for name in ("status", "project", "creator"):
        assert ours[name].keys() == theirs[name].keys()
    assert ours["status"]["statusCategory"].keys() == theirs["status"]["statusCategory"].keys()
    assert ours["issuetype"].keys() == theirs["issuetype"].keys() - {"avatarId"}
    assert len(ours["created"]) == len(theirs["created"]) == len("2022-04-19T01:53:42.206+0000")


async def test_rich_text_is_plain_in_version_2_and_a_document_in_version_3(jira: httpx.AsyncClient) -> None:
    plain = (await jira.get("/rest/api/2/issue/APA-1")).json()["fields"]["description"]
    document = (await jira.get("/rest/api/3/issue/APA-1")).json()["fields"]["description"]

    assert plain == "First paragraph of 1.\n\nSecond paragraph."
    assert (document["type"], document["version"]) == ("doc", 1)
    texts = [paragraph["content"][0]["text"] for paragraph in document["content"]]
    assert texts == ["First paragraph of 1.", "Second paragraph."]


async def test_sprint_pages_sort_by_state_and_can_be_short(jira: httpx.AsyncClient, site: Site) -> None:
    """Rule: closed, active, future, then backlog position; pages may be shorter than asked (software OpenAPI)."""
    site.switches.agile_short_pages = True
    seen, start, last = [], 0, False
    while not last:
        page = (
            await jira.get("/rest/agile/1.0/board/1/sprint", params={"startAt": start, "maxResults": 4})
        ).json()
        seen += [(sprint["state"], sprint["id"]) for sprint in page["values"]]
        start, last = start + len(page["values"]), page["isLast"]
        assert len(page["values"]) <= 2

    assert seen == [("closed", 76), ("closed", 77), ("active", 78), ("active", 90), ("future", 79)]


async def test_kanban_boards_answer_400_for_sprints(jira: httpx.AsyncClient) -> None:
    answer = await jira.get("/rest/agile/1.0/board/3/sprint")

    assert answer.status_code == 400
    assert answer.json()["errorMessages"] == ["The board does not support sprints"]


async def test_a_forbidden_board_is_listed_but_not_shown(jira: httpx.AsyncClient, site: Site) -> None:
    board = msgspec.structs.replace(site.store.board(1), denied=403)
    site.store.catalogue.boards[1] = board

    assert (await jira.get("/rest/agile/1.0/board")).json()["total"] == 3
    for part in ("", "/configuration", "/sprint", "/project", "/version"):
        assert (await jira.get(f"/rest/agile/1.0/board/1{part}")).status_code == 403
    assert (await jira.get("/rest/agile/1.0/sprint/78")).status_code == 403
    assert (await jira.get("/rest/agile/1.0/board/99")).status_code == 404


async def test_board_projects_and_versions_are_paged(jira: httpx.AsyncClient) -> None:
    projects = (await jira.get("/rest/agile/1.0/board/2/project", params={"maxResults": 1})).json()
    versions = (await jira.get("/rest/agile/1.0/board/1/version")).json()

    assert (projects["isLast"], projects["values"][0]["key"]) == (False, "APA")
    assert versions["values"][0]["id"] == 500
    assert versions["values"][0]["releaseDate"] == "2026-10-01T00:00:00.000+0000"


def load(path: Path) -> Json:
    content: Json = json.loads(path.read_text())
    return content


def rows(path: Path) -> Iterator[Json]:
    with path.open() as table:
        for row in csv.DictReader(table):
            yield json.loads(row["data"])
