"""Two unmodified public clients against both dialects, each as a process: what they see must be what is there.

They are `jira` 3.10.5 and `atlassian-python-api` 5; one table says what each of them must see.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from atlassian import Jira, JiraCloud, JiraSoftware
from jira import JIRA

from troth_sandbox.jira import sample

ISSUES = 130
ALL = "project in (APA, PEA)"
HISTORIES = 5


class Running(msgspec.Struct):
    """Where a simulator listens."""

    api: str
    admin: str


def served(folder: Path, deployment: str) -> Iterator[Running]:
    seed = folder / "jira.json"
    seed.write_bytes(sample.content(ISSUES))
    command = [sys.executable, "-m", "troth_sandbox.jira", "--port", "0", "--admin-port", "0"]
    command += ["--seed", str(seed), "--deployment", deployment]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    api, admin = (part.split("=")[1] for part in child.stdout.readline().split()[1:])
    yield Running(f"http://127.0.0.1:{api}", f"http://127.0.0.1:{admin}/admin")
    child.terminate()
    child.communicate(timeout=10)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from served(tmp_path_factory.mktemp("cloud"), "Cloud")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from served(tmp_path_factory.mktemp("server"), "Server")


def ids(issues: list[Any]) -> list[int]:
    return sorted(int(issue["id"]) for issue in issues)


EVERY_ID = [10_001 + at for at in range(ISSUES)]


BOARDS = [1, 2, 3]
SPRINTS = [76, 77, 78, 90, 79]
VERSIONS = ["1.0", "1.1"]


class Seen(msgspec.Struct, frozen=True):
    """What a client makes of the sample site; each client reads it by its own calls."""

    account: str
    fields: set[str]
    issues: list[int]
    boards: list[int]
    sprints: list[int]
    versions: list[str]
    histories: int


def by_jira_package(client: JIRA, account: str) -> Seen:
    """Pages of the search are its own to follow; the changelog comes with the issue."""
    if client.server_info()["deploymentType"] == "Cloud":
        found = client.enhanced_search_issues(ALL, maxResults=0, fields="summary")
    else:
        found = client.search_issues(ALL, maxResults=False, fields="summary", json_result=False)
    seen = Seen(
        client.myself()[account],
        {field["id"] for field in client.fields()},
        sorted(int(issue.id) for issue in found),
        [board.id for board in client.boards()],
        [sprint.id for sprint in client.sprints(1)],
        [version.name for version in client.project_versions("APA")],
        len(client.issue("APA-1", expand="changelog").changelog.histories),
    )
    client.close()  # type: ignore[no-untyped-call]
    return seen


def jira_on_cloud(site: str) -> Seen:
    login = (sample.EMAIL, sample.TOKEN)
    return by_jira_package(JIRA(server=site, basic_auth=login, max_retries=0, timeout=10), "accountId")


def jira_on_data_center(site: str) -> Seen:
    return by_jira_package(JIRA(server=site, token_auth=sample.TOKEN, max_retries=0, timeout=10), "key")


def atlassian_on_cloud(site: str, version: int) -> Seen:
    """The client split for Cloud: the platform and boards are two of them, changelogs come in bulk."""
    login: dict[str, Any] = {"username": sample.EMAIL, "password": sample.TOKEN}
    platform: Any = JiraCloud(site, api_version=version, **login)
    boards: Any = JiraSoftware(site, **login)
    asked = {"issueIdsOrKeys": ["APA-1"], "maxResults": HISTORIES}
    return Seen(
        platform.get_current_user()["accountId"],
        {field["id"] for field in platform.get_fields()},
        ids(platform.enhanced_jql_get_list_of_tickets(ALL, fields="summary")),
        [board["id"] for board in boards.get_all_boards()["values"]],
        [sprint["id"] for sprint in boards.get_all_sprints(1)["values"]],
        [v["name"] for v in platform.get_project_versions_paginated("APA")["values"]],
        len(platform.get_bulk_changelogs(data=asked)["issueChangeLogs"][0]["changeHistories"]),
    )


def atlassian_as_before(client: Any, *, cloud: bool) -> Seen:
    """The client as it was before the split; it still serves both dialects."""
    search = client.enhanced_jql_get_list_of_tickets if cloud else client.jql_get_list_of_tickets
    if cloud:
        histories = client.get_issue_changelog("APA-1")["total"]
    else:
        histories = client.issue("APA-1", expand="changelog")["changelog"]["total"]
    return Seen(
        client.myself()["accountId" if cloud else "name"],
        {field["id"] for field in client.get_all_fields()},
        ids(search(ALL, fields="summary")),
        [board["id"] for board in client.get_all_agile_boards()["values"]],
        [sprint["id"] for sprint in client.get_all_sprints_from_board(1)["values"]],
        [version["name"] for version in client.get_project_versions("APA")],
        histories,
    )


def before_on_cloud(site: str) -> Seen:
    client = Jira(site, username=sample.EMAIL, password=sample.TOKEN, cloud=True)
    return atlassian_as_before(client, cloud=True)


def before_on_data_center(site: str) -> Seen:
    return atlassian_as_before(Jira(site, token=sample.TOKEN), cloud=False)


CLIENTS: tuple[tuple[str, str, Callable[[str], Seen]], ...] = (
    ("cloud", "jira", jira_on_cloud),
    ("cloud", "atlassian-python-api, version 2", partial(atlassian_on_cloud, version=2)),
    ("cloud", "atlassian-python-api, version 3", partial(atlassian_on_cloud, version=3)),
    ("cloud", "atlassian-python-api, before the split", before_on_cloud),
    ("server", "jira", jira_on_data_center),
    ("server", "atlassian-python-api", before_on_data_center),
)


@pytest.mark.parametrize(("dialect", "client", "look"), CLIENTS, ids=[f"{d}: {c}" for d, c, _ in CLIENTS])
def test_an_unmodified_client_sees_what_is_there(
    request: pytest.FixtureRequest, dialect: str, client: str, look: Callable[[str], Seen]
) -> None:
    """Account, fields, every page of a search, boards, sprints, versions and a changelog."""
    site: Running = request.getfixturevalue(dialect)
    seen = look(site.api)
    assert seen.fields >= {sample.SPRINT_FIELD, sample.POINTS_FIELD}, client
    assert msgspec.structs.replace(seen, fields=set()) == Seen(
        "account-reader", set(), EVERY_ID, BOARDS, SPRINTS, VERSIONS, HISTORIES
    )


def test_the_split_client_pages_through_bulk_changelogs(cloud: Running) -> None:
    client: Any = JiraCloud(cloud.api, username=sample.EMAIL, password=sample.TOKEN, api_version=3)
    token, histories = None, 0
    while True:
        asked = {"issueIdsOrKeys": [str(i) for i in EVERY_ID], "maxResults": 400}
        page = client.get_bulk_changelogs(data=asked | ({"nextPageToken": token} if token else {}))
        histories += sum(len(group["changeHistories"]) for group in page["issueChangeLogs"])
        token = page.get("nextPageToken")
        if token is None:
            break
    assert histories == ISSUES * HISTORIES


def test_the_split_client_reads_a_boards_configuration_and_a_sprints_issues(cloud: Running) -> None:
    client: Any = JiraSoftware(cloud.api, username=sample.EMAIL, password=sample.TOKEN)
    assert client.get_configuration(1)["estimation"]["field"]["fieldId"] == sample.POINTS_FIELD
    found = client.get_issues_for_sprint(78, max_results=100)
    assert (found["total"], len(found["issues"])) == (ISSUES, 100)


def test_a_running_simulator_delivers_webhooks_to_an_address_of_this_machine(cloud: Running) -> None:
    """The simulator itself is the receiver here: it answers 401, which is final, and its journal shows the request."""
    hook = {"name": "self", "url": f"{cloud.api}/rest/hooks", "events": ["jira:issue_updated"]}
    with httpx.Client(base_url=cloud.admin) as admin:
        assert admin.post("/webhooks", json=hook).status_code == 201
        admin.post("/issues/10001", json={"fields": {"summary": "Told"}})
        admin.post("/deliveries/flush")
        (entry,) = admin.get("/deliveries").json()
        reached = [one for one in admin.get("/journal").json() if one["path"] == "/rest/hooks"]

    assert (entry["outcome"], [attempt["status"] for attempt in entry["attempts"]]) == ("refused", [401])
    assert [one["method"] for one in reached] == ["POST"]
