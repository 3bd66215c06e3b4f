"""Every dialect and login against the simulator: the same small site, read the same way."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.jira_sync import small_site
from tests.jira_sync.reader_contract import ALL_IDS, EVERYTHING, ReaderContract
from tests.jira_sync.simulator import LocalSimulator, Steering, settings_of, settings_with

from jira_sync.domain.fields import discover
from jira_sync.domain.issue import read_issue
from jira_sync.errors import ConsentLostError, CredentialsError, NotSupportedError
from jira_sync.login_choice import LoginKind
from jira_sync.opening import open_reader
from jira_sync.parse import optional_part, text
from jira_sync.probe import greet
from jira_sync.reader import JiraReader
from jira_sync.scan import issue_pages
from jira_sync.settings import JiraSettings
from troth_chassis.clock import AutoClock, SystemClock

TOKEN = small_site.AUTH["token"]
APP = {"client_id": "app", "client_secret": "app-secret-of-tests", "refresh_token": "first-refresh-token"}
PLANNING = ("summary", "project", "issuetype", "status", "parent", "creator", "assignee")


def virtual() -> AutoClock:
    return AutoClock(SystemClock().now())


def oauth(simulator: Steering, path: Path, **changes: str) -> JiraSettings:
    login = {
        "TROTH_JIRA_OAUTH_CLIENT_ID": APP["client_id"],
        "TROTH_JIRA_OAUTH_CLIENT_SECRET": APP["client_secret"],
        "TROTH_JIRA_OAUTH_REFRESH_TOKEN": APP["refresh_token"],
        "TROTH_JIRA_OAUTH_TOKEN_PATH": str(path),
        "TROTH_JIRA_OAUTH_URL": f"{simulator.url}/oauth/token",
        **changes,
    }
    return settings_with(f"{simulator.url}/ex/jira/cloud-1", **login)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Steering]:
    seed = small_site.seed()
    seed["site"]["cloud_id"] = "cloud-1"
    running = LocalSimulator(seed)
    yield running
    running.stop()


@pytest.fixture
def app() -> Iterator[Steering]:
    """A site of its own for each test: a refresh token is good once."""
    seed = small_site.seed()
    seed["site"]["cloud_id"] = "cloud-1"
    seed["auth"] = {**small_site.AUTH, "app": APP}
    running = LocalSimulator(seed)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def data_center() -> Iterator[Steering]:
    running = LocalSimulator(small_site.data_center_seed())
    yield running
    running.stop()


class TestScopedToken(ReaderContract):
    """A person's scoped API token, which works through the gateway only."""

    @pytest.fixture
    async def reader(self, cloud: Steering) -> AsyncIterator[JiraReader]:
        async with open_reader(settings_of(f"{cloud.url}/ex/jira/cloud-1"), virtual()) as found:
            yield found


class TestServiceAccount(ReaderContract):
    """A token without an e-mail, as bearer through the gateway."""

    @pytest.fixture
    async def reader(self, cloud: Steering) -> AsyncIterator[JiraReader]:
        settings = settings_with(f"{cloud.url}/ex/jira/cloud-1", TROTH_JIRA_API_TOKEN=TOKEN)
        assert settings.site_id == "cloud-1"
        async with open_reader(settings, virtual()) as found:
            yield found


class TestOAuth(ReaderContract):
    """An app."""

    @pytest.fixture
    async def reader(self, app: Steering, tmp_path: Path) -> AsyncIterator[JiraReader]:
        async with open_reader(oauth(app, tmp_path / "token"), virtual()) as found:
            yield found


class TestDataCenter(ReaderContract):
    """A personal access token."""

    deployment = "Server"

    @pytest.fixture
    async def reader(self, data_center: Steering) -> AsyncIterator[JiraReader]:
        async with open_reader(personal(data_center), virtual()) as found:
            yield found


def personal(simulator: Steering) -> JiraSettings:
    return settings_with(simulator.url, TROTH_JIRA_PERSONAL_ACCESS_TOKEN=TOKEN)


@pytest.fixture
def own_data_center() -> Iterator[Steering]:
    """One that a test changes."""
    running = LocalSimulator(small_site.data_center_seed())
    yield running
    running.stop()


async def test_a_page_of_data_center_costs_one_request_with_all_its_changelogs(
    own_data_center: Steering,
) -> None:
    async with open_reader(personal(own_data_center), virtual()) as reader:
        await reader.fields()
        before = len(own_data_center.asked(""))
        pages = [page async for page in issue_pages(reader, EVERYTHING, ("summary",))]
    asked = own_data_center.asked("")[before:]
    assert [entry["path"] for entry in asked] == ["/rest/api/2/search"]
    histories = {text(raw.document, "id"): len(raw.histories) for page in pages for raw in page.issues}
    assert {issue_id for issue_id, count in histories.items() if count} == {
        "10001",
        "10002",
        "10003",
        "10101",
    }


async def test_epics_users_and_changed_fields_of_data_center_are_told_in_clouds_words(
    own_data_center: Steering,
) -> None:
    """The epic comes on a later page, or never: its project may be another."""
    own_data_center.tell("/issues/10002", {"fields": {"parent": {"key": "APA-1"}}})
    async with open_reader(personal(own_data_center), virtual()) as reader:
        fields = discover(await reader.fields())
        page = await reader.search("id in (10002)", fields.requested(), None, 100)
        by_id = {text(document, "id"): document for document in page.items}
        direct = await reader.find("issue", "10002", fields.requested())
    issue = read_issue("site", by_id["10002"], fields)
    assert (issue.parent_id, issue.creator_id) == ("10001", "JIRAUSER10100")
    assert read_issue("site", direct, fields) == issue
    histories = optional_part(by_id["10002"], "changelog")["histories"]
    assert [item.get("fieldId") for history in histories for item in history["items"]] == [
        small_site.SPRINT_FIELD,
        small_site.SPRINT_FIELD,
        small_site.EPIC_FIELD,
    ]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("write", ["delete", "insert"])
async def test_issues_that_go_or_come_between_two_pages_of_data_center_hide_none(
    own_data_center: Steering, size: int, write: str
) -> None:
    """https://support.atlassian.com/jira/kb/inconsistent-paginated-api-search-result-while-using-jql"""
    bound = "updated >= 1791000000000" if write == "insert" else 'project in ("APA", "BET")'
    async with open_reader(personal(own_data_center), virtual()) as reader:
        everything = await reader.search(bound, ("id",), None, 100)
        seen: Counter[str] = Counter()
        token: str | None = None
        wrote = False
        while True:
            page = await reader.search(bound, ("id",), token, size)
            seen.update(text(issue, "id") for issue in page.items)
            if not wrote and len(seen) >= (3 if write == "delete" else 2):
                wrote = True
                if write == "delete":
                    for gone in list(seen)[:2]:  # more than the overlap of one issue hides
                        own_data_center.delete(f"/issues/{gone}")
                else:
                    own_data_center.tell("/issues/10005", {"fields": {"summary": "Changed meanwhile"}})
            if page.is_last:
                break
            token = page.token
    assert wrote
    assert {text(issue, "id") for issue in everything.items} <= seen.keys()


async def test_archived_projects_of_data_center_are_known_as_such(own_data_center: Steering) -> None:
    own_data_center.tell("/projects/BET", {"state": "archived"})
    async with open_reader(personal(own_data_center), virtual()) as reader:
        found = {
            status: [project["key"] for project in await reader.projects(status)]
            for status in ("live", "archived", "deleted")
        }
    assert found == {"live": ["APA"], "archived": ["BET"], "deleted": []}


@pytest.mark.parametrize("kind", ["Cloud", "Server"])
async def test_a_login_for_the_other_deployment_is_refused_in_one_sentence(
    cloud: Steering, data_center: Steering, kind: str
) -> None:
    cloud.tell("/switches", {"app": "oauth"})
    settings = personal(cloud) if kind == "Cloud" else settings_of(data_center.url)
    async with open_reader(settings, virtual()) as reader:
        with pytest.raises(NotSupportedError, match=f"calls itself '{kind}'"):
            await greet(reader, settings.login_kind)
    cloud.tell("/switches", {"app": "none"})


async def test_a_refresh_token_is_on_disk_before_its_access_token_is_used_and_survives_restarts(
    app: Steering, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    for number in (1, 2, 3):
        async with open_reader(oauth(app, kept), virtual()) as reader:
            await reader.myself()
        assert f"sandbox-refresh-{number}" in kept.read_text()
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    renewals = app.asked("/oauth/token")
    assert [entry["status"] for entry in renewals] == [200, 200, 200]
    assert [path.name for path in tmp_path.glob(".kept*")] == [".kept.lock"]


async def test_a_token_that_ends_in_the_middle_is_renewed_once_for_all_who_ask(
    app: Steering, tmp_path: Path
) -> None:
    async with open_reader(oauth(app, tmp_path / "token"), virtual()) as reader:
        await reader.myself()
        app.tell("/clock", {"advance_seconds": 3_601})
        seen = [raw async for page in issue_pages(reader, EVERYTHING, ("summary",)) for raw in page.issues]
        await reader.board_configuration("1")
    assert {text(raw.document, "id") for raw in seen} == ALL_IDS
    assert len(app.asked("/oauth/token")) == 2


async def test_a_lost_consent_is_one_sentence_and_never_asked_again(app: Steering, tmp_path: Path) -> None:
    kept = tmp_path / "token"
    async with open_reader(oauth(app, kept), virtual()) as reader:
        await reader.myself()
        app.tell("/tokens/revoke", {})
        for _ in range(3):
            with pytest.raises(ConsentLostError, match="new TROTH_JIRA_OAUTH_REFRESH_TOKEN") as caught:
                await reader.myself()
            with pytest.raises(ConsentLostError):
                await reader.board_configuration("1")
    assert "sandbox-refresh" not in str(caught.value)
    assert [entry["status"] for entry in app.asked("/oauth/token")] == [200, 403]


async def test_a_new_consent_replaces_what_the_file_keeps_of_the_old_one(
    app: Steering, tmp_path: Path
) -> None:
    kept = tmp_path / "token"
    async with open_reader(oauth(app, kept), virtual()) as reader:
        await reader.myself()
    current = kept.read_text().split('"')[3]
    async with open_reader(oauth(app, kept, TROTH_JIRA_OAUTH_REFRESH_TOKEN=current), virtual()) as reader:
        await reader.myself()
    assert [entry["status"] for entry in app.asked("/oauth/token")] == [200, 200]


async def test_a_wrong_client_secret_is_named(app: Steering, tmp_path: Path) -> None:
    wrong = oauth(app, tmp_path / "token", TROTH_JIRA_OAUTH_CLIENT_SECRET="wrong-secret")
    async with open_reader(wrong, virtual()) as reader:
        with pytest.raises(CredentialsError, match="TROTH_JIRA_OAUTH_CLIENT_SECRET") as caught:
            await reader.myself()
    assert "wrong-secret" not in str(caught.value)


def test_each_combination_of_settings_means_one_login(app: Steering, tmp_path: Path) -> None:
    gateway = f"{app.url}/ex/jira/cloud-1"
    assert settings_of(app.url).login_kind is LoginKind.API_TOKEN
    assert settings_with(gateway, TROTH_JIRA_API_TOKEN=TOKEN).login_kind is LoginKind.SERVICE_ACCOUNT
    assert personal(app).login_kind is LoginKind.PERSONAL_ACCESS_TOKEN
    assert oauth(app, tmp_path / "token").login_kind is LoginKind.OAUTH
