"""What the environment may say, and the sentence it gets when it says something else."""

from __future__ import annotations

import pytest

from jira_sync.domain.fields import discover, with_boards
from jira_sync.login_choice import LoginKind
from jira_sync.settings import JiraSettings
from troth_chassis.errors import ConfigurationError
from troth_chassis.settings import load_settings

ENVIRON = {
    "KAFKA_BOOTSTRAP_SERVERS": "nowhere:9092",
    "TROTH_JIRA_URL": "https://example.atlassian.net/",
    "TROTH_JIRA_EMAIL": "reader@example.com",
    "TROTH_JIRA_API_TOKEN": "a-secret-token",
}


def test_the_site_is_the_host_and_projects_are_a_list() -> None:
    settings = load_settings(JiraSettings, {**ENVIRON, "TROTH_JIRA_PROJECTS": "APA, BET"})
    assert (settings.site_id, settings.jira_projects) == ("example.atlassian.net", ("APA", "BET"))
    assert settings.jira_url == "https://example.atlassian.net"
    assert "a-secret-token" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TROTH_JIRA_URL", "http://example.atlassian.net"),
        ("TROTH_JIRA_URL", "example"),
        ("TROTH_JIRA_PROJECTS", 'APA") OR (1'),
        ("TROTH_JIRA_BURST", "0"),
        ("TROTH_JIRA_PROJECT", "APA"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        load_settings(JiraSettings, {**ENVIRON, name: value})


def number_field(field_id: str, name: str, custom: str = "x:float") -> dict[str, object]:
    return {"id": field_id, "name": name, "schema": {"type": "number", "custom": custom}}


def test_the_sprint_field_is_found_by_its_type_never_by_its_name() -> None:
    found = discover(
        [
            {"id": "customfield_1", "name": "Sprint", "schema": {"type": "string", "custom": "x:textfield"}},
            {
                "id": "customfield_2",
                "name": "Iteration",
                "schema": {"type": "array", "custom": "com.pyxis.greenhopper.jira:gh-sprint"},
            },
        ]
    )
    assert found.sprint == "customfield_2"


def test_estimate_field_the_board_first_then_the_type_then_the_name() -> None:
    found = discover(
        [
            number_field("customfield_3", "Story Points"),
            number_field("customfield_4", "Poäng", "com.pyxis.greenhopper.jira:jsw-story-points"),
            {"id": "customfield_5", "name": "story points", "schema": {"type": "string"}},
        ]
    )
    assert found.estimates == ("customfield_4", "customfield_3")
    told = with_boards(found, [(["10000"], "customfield_9"), (["10000", "10100"], "customfield_3")])
    assert [told.estimate_of(project) for project in ("10000", "10100", "10200")] == [
        "customfield_9",
        "customfield_3",
        "customfield_4",
    ]


SITE = {name: ENVIRON[name] for name in ("KAFKA_BOOTSTRAP_SERVERS", "TROTH_JIRA_URL")}
GATEWAY = {**SITE, "TROTH_JIRA_URL": "https://api.atlassian.com/ex/jira/cloud-1"}
OAUTH = {
    "TROTH_JIRA_OAUTH_CLIENT_ID": "app",
    "TROTH_JIRA_OAUTH_CLIENT_SECRET": "an-app-secret",
    "TROTH_JIRA_OAUTH_REFRESH_TOKEN": "a-refresh-token",
    "TROTH_JIRA_OAUTH_TOKEN_PATH": "kept-token",
}
PERSONAL = {"TROTH_JIRA_PERSONAL_ACCESS_TOKEN": "a-personal-token"}


@pytest.mark.parametrize(
    ("environ", "kind", "site_id"),
    [
        (ENVIRON, LoginKind.API_TOKEN, "example.atlassian.net"),
        ({**ENVIRON, **GATEWAY}, LoginKind.API_TOKEN, "cloud-1"),
        ({**GATEWAY, "TROTH_JIRA_API_TOKEN": "a-token"}, LoginKind.SERVICE_ACCOUNT, "cloud-1"),
        ({**GATEWAY, **OAUTH}, LoginKind.OAUTH, "cloud-1"),
        ({**SITE, **PERSONAL}, LoginKind.PERSONAL_ACCESS_TOKEN, "example.atlassian.net"),
    ],
)
def test_each_combination_of_settings_means_one_login(
    environ: dict[str, str], kind: LoginKind, site_id: str
) -> None:
    settings = load_settings(JiraSettings, environ)
    assert (settings.login_kind, settings.site_id) == (kind, site_id)
    assert not [
        value
        for name, value in environ.items()
        if name.endswith(("TOKEN", "SECRET")) and f"'{value}'" in repr(settings)
    ]


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        (SITE, "no login is set"),
        ({**SITE, "TROTH_JIRA_API_TOKEN": "a-token"}, "needs TROTH_JIRA_EMAIL"),
        ({**ENVIRON, **PERSONAL}, "more than one login is set"),
        ({**SITE, **OAUTH}, "needs the gateway"),
        ({**GATEWAY, "TROTH_JIRA_OAUTH_CLIENT_ID": "app"}, "also needs TROTH_JIRA_OAUTH_CLIENT_SECRET"),
    ],
)
def test_a_combination_that_means_no_login_is_told_with_every_other_problem(
    environ: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        load_settings(JiraSettings, {**environ, "TROTH_JIRA_BURST": "0"})
    assert "TROTH_JIRA_BURST" in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "needed"),
    [
        (ENVIRON, "TROTH_JIRA_WEBHOOK_SECRET"),
        ({**SITE, **PERSONAL}, "TROTH_JIRA_WEBHOOK_PATH_SECRET"),
        ({**GATEWAY, **OAUTH}, "TROTH_JIRA_WEBHOOK_PATH_SECRET"),
    ],
)
def test_a_webhook_is_signed_or_has_a_secret_address(environ: dict[str, str], needed: str) -> None:
    url = {"TROTH_JIRA_WEBHOOK_URL": "https://troth.example/webhooks/jira"}
    with pytest.raises(ConfigurationError, match=needed):
        load_settings(JiraSettings, {**environ, **url})
    load_settings(JiraSettings, {**environ, **url, needed: "a-secret-of-24-letters--"})
