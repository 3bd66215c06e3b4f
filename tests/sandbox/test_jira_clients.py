"""Two unmodified public clients against both dialects, each as a process: what they see must be what is there.

They are `jira` 3.10.5 and `atlassian-python-api` 5; the Cloud half of `jira` stands in `test_jira_client.py`.
"""

import subprocess
import sys
from collections.abc import Iterator
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


@pytest.mark.parametrize("version", [2, 3])
def test_the_cloud_client_reads_the_platform(cloud: Running, version: int) -> None:
    client: Any = JiraCloud(cloud.api, username=sample.EMAIL, password=sample.TOKEN, api_version=version)
    token, histories = None, 0
    while True:
        asked = {"issueIdsOrKeys": [str(i) for i in EVERY_ID], "maxResults": 400}
        page = client.get_bulk_changelogs(data=asked | ({"nextPageToken": token} if token else {}))
        histories += sum(len(group["changeHistories"]) for group in page["issueChangeLogs"])
        token = page.get("nextPageToken")
        if token is None:
            break

    assert client.get_current_user()["accountId"] == "account-reader"
    assert sample.SPRINT_FIELD in {field["id"] for field in client.get_fields()}
    assert ids(client.enhanced_jql_get_list_of_tickets(ALL, fields="summary")) == EVERY_ID
    assert histories == ISSUES * HISTORIES
    assert [v["name"] for v in client.get_project_versions_paginated("APA")["values"]] == ["1.0", "1.1"]
    assert client.get_server_info()["deploymentType"] == "Cloud"


def test_the_cloud_client_reads_boards_and_sprints(cloud: Running) -> None:
    client: Any = JiraSoftware(cloud.api, username=sample.EMAIL, password=sample.TOKEN)
    sprints = client.get_all_sprints(1)

    assert [board["type"] for board in client.get_all_boards()["values"]] == ["scrum", "scrum", "kanban"]
    assert [sprint["id"] for sprint in sprints["values"]] == [76, 77, 78, 90, 79]
    assert client.get_configuration(1)["estimation"]["field"]["fieldId"] == sample.POINTS_FIELD
    found = client.get_issues_for_sprint(78, max_results=100)
    assert (found["total"], len(found["issues"])) == (ISSUES, 100)


def test_the_compatible_client_reads_cloud_too(cloud: Running) -> None:
    client: Any = Jira(cloud.api, username=sample.EMAIL, password=sample.TOKEN, cloud=True)

    assert client.myself()["timeZone"] == "UTC"
    assert ids(client.enhanced_jql_get_list_of_tickets(ALL, fields="summary")) == EVERY_ID
    assert client.get_issue_changelog("APA-1")["total"] == HISTORIES
    assert [sprint["id"] for sprint in client.get_all_sprints_from_board(1)["values"]][:2] == [76, 77]


def test_the_server_client_reads_data_center(server: Running) -> None:
    client: Any = Jira(server.api, token=sample.TOKEN)
    issue = client.issue("APA-1", expand="changelog")

    assert client.myself()["name"] == "account-reader"
    assert sample.POINTS_FIELD in {field["id"] for field in client.get_all_fields()}
    assert ids(client.jql_get_list_of_tickets(ALL, fields="summary")) == EVERY_ID
    assert [project["key"] for project in client.projects()] == ["APA", "PEA"]
    assert [board["id"] for board in client.get_all_agile_boards()["values"]] == [1, 2, 3]
    assert [sprint["id"] for sprint in client.get_all_sprints_from_board(1)["values"]][:2] == [76, 77]
    assert [version["name"] for version in client.get_project_versions("APA")] == ["1.0", "1.1"]
    assert issue["changelog"]["total"] == HISTORIES


def test_the_jira_package_reads_data_center(server: Running) -> None:
    client = JIRA(server=server.api, token_auth=sample.TOKEN, max_retries=0, timeout=10)
    found = client.search_issues(ALL, maxResults=False, fields="summary", json_result=False)
    issue = client.issue("APA-1", expand="changelog")

    assert client.server_info()["deploymentType"] == "Server"
    assert client.myself()["key"] == "account-reader"
    assert {field["id"] for field in client.fields()} >= {sample.SPRINT_FIELD, sample.POINTS_FIELD}
    assert sorted(int(one.id) for one in found) == EVERY_ID
    assert [project.key for project in client.projects()] == ["APA", "PEA"]
    assert [board.id for board in client.boards()] == [1, 2, 3]
    assert [sprint.id for sprint in client.sprints(1)] == [76, 77, 78, 90, 79]
    assert [version.name for version in client.project_versions("APA")] == ["1.0", "1.1"]
    assert len(issue.changelog.histories) == HISTORIES
    client.close()  # type: ignore[no-untyped-call]


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
