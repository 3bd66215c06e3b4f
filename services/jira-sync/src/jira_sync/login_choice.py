"""Which settings mean which login, and the sentence for a combination that means none."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from urllib.parse import urlsplit

GATEWAY = "/ex/jira/"
_API = {"JIRA_API_TOKEN"}
_DATA_CENTER = {"JIRA_PERSONAL_ACCESS_TOKEN"}
_OAUTH = {
    "JIRA_OAUTH_CLIENT_ID",
    "JIRA_OAUTH_CLIENT_SECRET",
    "JIRA_OAUTH_REFRESH_TOKEN",
    "JIRA_OAUTH_TOKEN_PATH",
}


class LoginKind(Enum):
    """The value says for people what the settings mean."""

    API_TOKEN = "e-mail with API token"  # noqa: S105  (a name for people)
    SERVICE_ACCOUNT = "API token of a service account"
    OAUTH = "OAuth 2.0"
    PERSONAL_ACCESS_TOKEN = "personal access token"  # noqa: S105

    @property
    def deployment(self) -> str:
        """What a site must call itself where this login works."""
        return "Server" if self is LoginKind.PERSONAL_ACCESS_TOKEN else "Cloud"

    @property
    def is_signed(self) -> bool:
        """True where webhooks are signed; only an administrator's of Cloud are documented to be."""
        return self in (LoginKind.API_TOKEN, LoginKind.SERVICE_ACCOUNT)

    @property
    def settings(self) -> str:
        """The settings to look at when it is not accepted."""
        return {
            LoginKind.API_TOKEN: "TROTH_JIRA_EMAIL and TROTH_JIRA_API_TOKEN",
            LoginKind.SERVICE_ACCOUNT: "TROTH_JIRA_API_TOKEN and the cloud id in TROTH_JIRA_URL",
            LoginKind.OAUTH: "the TROTH_JIRA_OAUTH_* settings and the cloud id in TROTH_JIRA_URL",
            LoginKind.PERSONAL_ACCESS_TOKEN: "TROTH_JIRA_PERSONAL_ACCESS_TOKEN",
        }[self]


def is_gateway(url: str) -> bool:
    """True for the address under which scoped tokens and apps reach a Cloud site."""
    return urlsplit(url).path.startswith(GATEWAY)


def login_problem(given: Collection[str], through_gateway: bool) -> str | None:
    """What is wrong with the settings of the login (names without ``TROTH_``); None when they mean exactly one."""
    begun = [group for group in (_API, _DATA_CENTER, _OAUTH) if group.intersection(given)]
    if not begun:
        return (
            "no login is set: TROTH_JIRA_EMAIL and TROTH_JIRA_API_TOKEN for Cloud,"
            " TROTH_JIRA_PERSONAL_ACCESS_TOKEN for Data Center, or TROTH_JIRA_OAUTH_*"
        )
    if len(begun) > 1:
        names = sorted(name for group in begun for name in group.intersection(given))
        return f"more than one login is set ({_told(names)}): keep one"
    if begun[0] is _OAUTH:
        return _oauth_problem(given, through_gateway)
    if begun[0] is _API and "JIRA_EMAIL" not in given and not through_gateway:
        return (
            "TROTH_JIRA_API_TOKEN needs TROTH_JIRA_EMAIL (a service account's has none and needs the gateway)"
        )
    return None


def _oauth_problem(given: Collection[str], through_gateway: bool) -> str | None:
    if missing := sorted(_OAUTH.difference(given)):
        return f"the OAuth login also needs {_told(missing)}"
    return (
        None if through_gateway else f"an OAuth app needs the gateway in TROTH_JIRA_URL (…{GATEWAY}CLOUD-ID)"
    )


def _told(names: Collection[str]) -> str:
    return ", ".join(f"TROTH_{name}" for name in names)
