"""The unmodified `jira` client and plain HTTP against the simulator as a process of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from jira import JIRA

from troth_sandbox.jira import sample

AUTH = (sample.EMAIL, sample.TOKEN)


class Process(msgspec.Struct):
    """A running simulator and where it listens."""

    api: str
    admin: str
    child: subprocess.Popen[str]


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "troth_sandbox.jira", "--port", "0", "--admin-port", "0", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    seed = tmp_path_factory.mktemp("jira") / "jira.json"
    seed.write_bytes(sample.content(250))
    child = start("--seed", str(seed))
    assert child.stdout is not None
    word, api, admin = child.stdout.readline().split()
    assert word == "ready"
    ports = [part.split("=")[1] for part in (api, admin)]
    yield Process(f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}/admin", child)
    child.terminate()
    child.communicate(timeout=10)


@pytest.fixture
def client(process: Process) -> Iterator[JIRA]:
    client = JIRA(server=process.api, basic_auth=AUTH, max_retries=0, timeout=10)
    yield client
    client.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def web(process: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=process.api, auth=AUTH) as web:
        yield web


@pytest.fixture
def steer(process: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=process.admin) as steer:
        yield steer
        steer.delete("/faults")


def test_the_client_sees_a_cloud_site(client: JIRA) -> None:
    info = client.server_info()

    assert info["deploymentType"] == "Cloud"
    assert info["versionNumbers"][0] >= 1001
    assert client.myself()["timeZone"] == "UTC"
    kinds = {field["id"]: field["schema"].get("custom") for field in client.fields()}
    assert kinds[sample.SPRINT_FIELD] == "com.pyxis.greenhopper.jira:gh-sprint"


@pytest.mark.parametrize("post", [False, True])
def test_the_client_pages_through_all_issues(client: JIRA, post: bool) -> None:
    seen: list[str] = []
    token = None
    while True:
        page = client.enhanced_search_issues(
            "project in (APA, PEA) ORDER BY updated ASC, id ASC",
            nextPageToken=token,
            maxResults=70,
            fields=["summary", sample.SPRINT_FIELD],
            json_result=True,
            use_post=post,
        )
        seen += [issue["id"] for issue in page["issues"]]
        token = page.get("nextPageToken")
        if token is None:
            break

    assert sorted(seen) == [str(10_001 + at) for at in range(250)]


def test_the_client_reads_all_issues_at_once_and_an_issue_with_its_changelog(client: JIRA) -> None:
    everything = client.enhanced_search_issues("project = APA", maxResults=0, fields="summary")
    issue = client.issue("APA-1", expand="changelog")

    assert len(everything) == 188
    assert issue.fields.summary == "Sample issue 1"
    assert [history.items[0].toString for history in issue.changelog.histories] == ["4", "3", "2", "1", "0"]
    assert issue.fields.customfield_10020[0].boardId == 1


def test_the_client_reads_boards_sprints_and_versions(client: JIRA) -> None:
    assert [(board.id, board.type) for board in client.boards()] == [
        (1, "scrum"),
        (2, "scrum"),
        (3, "kanban"),
    ]
    assert [sprint.id for sprint in client.sprints(1)] == [76, 77, 78, 90, 79]
    assert [sprint.id for sprint in client.sprints(1, state="active,future")] == [78, 90, 79]
    assert client.sprint(78).goal == "Ripe"
    assert [version.name for version in client.project_versions("APA")] == ["1.0", "1.1"]
    assert client.approximate_issue_count("project = PEA") == 62


@pytest.mark.parametrize("size", [1, 7, 1000, 10_000])
def test_bulk_changelogs_give_every_history_once_oldest_first(web: httpx.Client, size: int) -> None:
    """Rule: sorted by date, then issue id, oldest first (platform OpenAPI, changelog/bulkfetch)."""
    asked: dict[str, object] = {"issueIdsOrKeys": ["10001", "APA-2", "10003", "404404"], "maxResults": size}
    seen: list[tuple[str, int, int]] = []
    while True:
        answer = web.post("/rest/api/3/changelog/bulkfetch", json=asked).json()
        page = [
            (history["created"], int(group["issueId"]), int(history["id"]))
            for group in answer["issueChangeLogs"]
            for history in group["changeHistories"]
        ]
        assert len(page) <= size
        seen += sorted(page)
        if "nextPageToken" not in answer:
            break
        asked["nextPageToken"] = answer["nextPageToken"]

    assert seen == sorted(seen)
    assert len(set(seen)) == len(seen) == 15


def test_bulk_changelogs_refuse_too_much(web: httpx.Client) -> None:
    path = "/rest/api/3/changelog/bulkfetch"
    many = [str(number) for number in range(1_001)]

    assert web.post(path, json={"issueIdsOrKeys": many}).status_code == 400
    assert web.post(path, json={"issueIdsOrKeys": []}).status_code == 400
    assert web.post(path, json={"issueIdsOrKeys": ["1"], "maxResults": 10_001}).status_code == 400
    assert web.post(path, json={"issueIdsOrKeys": ["1"], "fieldIds": ["f"] * 11}).status_code == 400
    assert web.post(path, json={"issueIdsOrKeys": ["1"], "startAt": 0}).status_code == 400


@pytest.mark.parametrize(("form", "value"), [("seconds", 1793610060), ("milliseconds", 1793610060000)])
def test_bulk_created_can_be_an_integer(
    web: httpx.Client, steer: httpx.Client, form: str, value: int
) -> None:
    """Type trap: schema says date-time string, the official example has an integer."""
    steer.post("/switches", json={"bulk_created": form})
    answer = web.post("/rest/api/3/changelog/bulkfetch", json={"issueIdsOrKeys": ["10001"]}).json()
    steer.post("/switches", json={"bulk_created": "string"})

    assert answer["issueChangeLogs"][0]["changeHistories"][0]["created"] == value


def test_bulk_changelogs_can_be_narrowed_to_fields(web: httpx.Client) -> None:
    def histories(field: str) -> int:
        body = {"issueIdsOrKeys": ["10001"], "fieldIds": [field]}
        groups = web.post("/rest/api/3/changelog/bulkfetch", json=body).json()["issueChangeLogs"]
        return sum(len(group["changeHistories"]) for group in groups)

    assert histories(sample.POINTS_FIELD) == 5
    assert histories("status") == 0


def test_one_issues_changelog_is_paged_oldest_first(web: httpx.Client) -> None:
    first = web.get("/rest/api/3/issue/APA-1/changelog", params={"maxResults": 3}).json()
    last = web.get("/rest/api/3/issue/APA-1/changelog", params={"maxResults": 3, "startAt": 3}).json()
    ids = [int(history["id"]) for history in first["values"] + last["values"]]

    assert (first["total"], first["isLast"], last["isLast"]) == (5, False, True)
    assert ids == sorted(ids)


def test_the_clock_moves_server_time_and_date_header_together(web: httpx.Client, steer: httpx.Client) -> None:
    steer.post("/clock", json={"now": "2027-03-01T08:00:00Z", "frozen": True})
    answer = web.get("/rest/api/3/serverInfo")
    steer.post("/clock", json={"now": "2026-11-25T12:00:00Z"})

    assert answer.json()["serverTime"] == "2027-03-01T08:00:00.000+0000"
    assert answer.headers["Date"] == "Mon, 01 Mar 2027 08:00:00 GMT"


def test_planned_faults_strike_the_chosen_request_only(web: httpx.Client, steer: httpx.Client) -> None:
    body = {"errorMessages": ["slow down"]}
    act = {"status": 429, "headers": {"Retry-After": "7"}, "body": body}
    steer.post("/faults", json=[{"match": {"path": "/field$", "nth": 2, "times": 1}, "act": act}])
    answers = [web.get("/rest/api/3/field") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 429, 200]
    assert answers[1].headers["Retry-After"] == "7"
    assert answers[1].json() == body
    assert web.get("/rest/api/3/status").status_code == 200
    assert [entry["status"] for entry in steer.get("/journal").json()[-4:]] == [200, 429, 200, 200]


def test_answers_can_be_html_truncated_delayed_or_cut_off(web: httpx.Client, steer: httpx.Client) -> None:
    def plan(**act: object) -> None:
        steer.post("/faults", json=[{"match": {"path": "/field$"}, "act": act}])

    plan(html=True)
    page = web.get("/rest/api/3/field")
    plan(truncate=True)
    half = web.get("/rest/api/3/field")
    plan(delay=0.05)
    begun = time.monotonic()
    late = web.get("/rest/api/3/field")
    plan(reset=True)

    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html")
    assert half.status_code == 200
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        half.json()
    assert (late.status_code, time.monotonic() - begun >= 0.05) == (200, True)
    with pytest.raises(httpx.TransportError):
        web.get("/rest/api/3/field")
    assert web.get("/rest/api/3/field").status_code == 200


def test_a_seed_that_is_not_usable_is_one_sentence_and_78(tmp_path: Path) -> None:
    seed = tmp_path / "jira.json"
    seed.write_text('{"site": {}}')
    child = start("--seed", str(seed))
    out, err = child.communicate(timeout=30)

    assert child.returncode == 78
    assert out == ""
    assert "The Jira seed is not usable" in err
    assert "Traceback" not in err
