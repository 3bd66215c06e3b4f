"""What jira-sync is told by its environment: where Jira is, whom to be there, and how gently to ask."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from jira_sync.domain.places import LinkReading, ReferenceRules
from jira_sync.domain.structure import StartBy
from jira_sync.login_choice import LoginKind, is_gateway, login_problem
from jira_sync.scope import Scope
from troth_chassis.settings import ChassisSettings

SHORTEST_SECRET = 16
_URL_SAFE = re.compile(r"[A-Za-z0-9_-]+")


class JiraSettings(ChassisSettings):
    """``TROTH_JIRA_*``. The default budget is under a tenth of what Jira Cloud publishes for everybody together."""

    own_prefix: str = Field(default="TROTH_JIRA_", exclude=True)
    jira_url: str = Field(min_length=8)
    """The site, a Data Center's base address, or https://api.atlassian.com/ex/jira/CLOUD-ID (the gateway)."""
    jira_email: str = ""
    jira_api_token: SecretStr | None = None
    """With the e-mail: a person's. Without: a service account's, through the gateway."""
    jira_personal_access_token: SecretStr | None = None
    """Of Data Center."""
    jira_oauth_client_id: str = ""
    jira_oauth_client_secret: SecretStr | None = None
    jira_oauth_refresh_token: SecretStr | None = None
    """Of the consent; what follows from it is kept in the file."""
    jira_oauth_token_path: Path | None = Field(default=None, validate_default=True)
    """The file that keeps the refresh token, which changes with every use; of this service alone."""
    jira_oauth_url: str = "https://auth.atlassian.com/oauth/token"
    jira_projects: Annotated[tuple[str, ...], NoDecode] = ()
    """Project keys; empty means every project the account sees."""
    jira_exclude_projects: Annotated[tuple[str, ...], NoDecode] = ()
    jira_boards: Annotated[tuple[str, ...], NoDecode] = ()
    """Board ids; empty means every board that shows a wanted project."""
    jira_exclude_boards: Annotated[tuple[str, ...], NoDecode] = ()
    jira_issue_types: Annotated[tuple[str, ...], NoDecode] = ()
    """Names of issue types; empty means all."""
    jira_exclude_issue_types: Annotated[tuple[str, ...], NoDecode] = ()
    jira_test_labels: Annotated[tuple[str, ...], NoDecode] = ()
    """Issues with one of these labels are test data."""
    jira_include_test_data: bool = False
    jira_crm_pattern: str = ""
    """A regular expression for a deal's own number, such as ``\\bDEAL-[0-9]+\\b``; its first group where it has one."""
    jira_crm_comments: bool = False
    """Comments are searched for CRM references too."""
    jira_remote_links: LinkReading = "announced"
    """Links to places outside Jira: of issues whose changelog speaks of one, of ``every`` issue, or of ``none``."""
    jira_site_id: str = ""
    """Part of every key; the host of the URL when empty."""
    jira_poll_seconds: float = Field(default=60.0, gt=0)
    jira_structure_seconds: float = Field(default=900.0, gt=0)
    """How often fields, boards, closed sprints and versions are read again."""
    jira_overlap_seconds: int = Field(default=300, ge=0)
    jira_deep_seconds: float = Field(default=3600.0, gt=0)
    """How often everything of the last 26 hours is read again."""
    jira_census_seconds: float = Field(default=86_400.0, gt=0)
    """How often the ids of every project are compared with what is published."""
    jira_requests_per_second: float = Field(default=5.0, gt=0)
    jira_burst: int = Field(default=10, ge=1)
    jira_max_in_flight: int = Field(default=4, ge=1, le=32)
    jira_request_timeout_seconds: float = Field(default=30.0, gt=0)
    jira_commitment_instant: StartBy = "activatedDate"
    """Which of a sprint's dates is the moment of commitment when they differ; the other where it is missing."""
    jira_webhook_secret: SecretStr | None = None
    """Signs the webhooks; without it none are received."""
    jira_webhook_secret_before: SecretStr | None = None
    """The former secret, accepted too; while it is set, every start registers the webhook anew with the new one."""
    jira_webhook_path: str = Field(default="/webhooks/jira", pattern=r"^/[A-Za-z0-9/_-]+$")
    jira_webhook_path_secret: SecretStr | None = None
    """The last part of the address where unsigned webhooks come in: those of Data Center and of OAuth apps."""
    jira_webhook_url: str = ""
    """Where Jira reaches this service; when set, exactly one webhook is registered there."""
    jira_webhook_name: str = "troth jira-sync"
    jira_rebuild: bool = False
    """Read everything again although the own state is lost; the command line's ``--rebuild``."""

    @field_validator(
        "jira_projects",
        "jira_exclude_projects",
        "jira_boards",
        "jira_exclude_boards",
        "jira_issue_types",
        "jira_exclude_issue_types",
        "jira_test_labels",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("jira_crm_pattern")
    @classmethod
    def _expression(cls, value: str) -> str:
        try:
            is_wide = bool(value) and re.compile(value).search("") is not None
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from error
        if is_wide:
            raise ValueError("finds something in an empty text: it would find a reference everywhere")
        return value

    @field_validator("jira_projects", "jira_exclude_projects")
    @classmethod
    def _keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [key for key in value if not key.replace("_", "").isalnum()]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is not a project key")
        return value

    @field_validator("jira_boards", "jira_exclude_boards")
    @classmethod
    def _ids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [board for board in value if not board.isdigit()]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is not a board id")
        return value

    @field_validator("jira_url")
    @classmethod
    def _site(cls, value: str) -> str:
        return _https(value).rstrip("/")

    @field_validator("jira_oauth_url")
    @classmethod
    def _safe(cls, value: str) -> str:
        return _https(value)

    @field_validator("jira_webhook_path_secret")
    @classmethod
    def _part_of_a_path(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _URL_SAFE.fullmatch(value.get_secret_value()):
            raise ValueError("letters, digits, - and _ only: it is a part of an address")
        return value

    @field_validator("jira_webhook_secret", "jira_webhook_secret_before", "jira_webhook_path_secret")
    @classmethod
    def _strong(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError(f"needs at least {SHORTEST_SECRET} characters")
        return value

    @field_validator("jira_oauth_token_path")
    @classmethod
    def _one_login(cls, value: Path | None, others: ValidationInfo) -> Path | None:
        """The last of its settings checks the login, so that it is told with every other wrong setting."""
        given = {
            name.upper() for name, found in {**others.data, "jira_oauth_token_path": value}.items() if found
        }
        problem = login_problem(given, is_gateway(str(others.data.get("jira_url", ""))))
        if problem:
            raise ValueError(problem)
        return value

    @field_validator("jira_webhook_url")
    @classmethod
    def _received(cls, value: str, others: ValidationInfo) -> str:
        """Who cannot sign needs a secret path, who can needs the secret."""
        unsigned = bool(
            others.data.get("jira_personal_access_token") or others.data.get("jira_oauth_client_id")
        )
        needed = "jira_webhook_path_secret" if unsigned else "jira_webhook_secret"
        if value and others.data.get(needed) is None:
            raise ValueError(f"needs TROTH_{needed.upper()}")
        return value

    @property
    def webhook_secrets(self) -> tuple[bytes, ...]:
        """The secrets a signature may be made with, the present one first; none: no webhooks."""
        given = (self.jira_webhook_secret, self.jira_webhook_secret_before)
        return tuple(secret.get_secret_value().encode() for secret in given if secret is not None)

    @property
    def webhook_place(self) -> str:
        """The secret part of the address where unsigned webhooks come in; empty: none are taken."""
        secret = self.jira_webhook_path_secret
        return "" if secret is None else secret.get_secret_value()

    @property
    def scope(self) -> Scope:
        """What of the site is wanted."""
        return Scope(
            projects=self.jira_projects,
            excluded_projects=self.jira_exclude_projects,
            boards=self.jira_boards,
            excluded_boards=self.jira_exclude_boards,
            issue_types=self.jira_issue_types,
            excluded_issue_types=self.jira_exclude_issue_types,
            test_labels=self.jira_test_labels,
            include_test_data=self.jira_include_test_data,
        )

    @property
    def reference_rules(self) -> ReferenceRules:
        """What counts as a CRM reference, and where it is looked for."""
        pattern = re.compile(self.jira_crm_pattern) if self.jira_crm_pattern else None
        return ReferenceRules(pattern, self.jira_crm_comments, self.jira_remote_links)

    @property
    def site_id(self) -> str:
        """The site's name in every key."""
        if self.jira_site_id:
            return self.jira_site_id
        parts = urlsplit(self.jira_url)
        return parts.path.rpartition("/")[2] if is_gateway(self.jira_url) else str(parts.hostname)

    @property
    def login_kind(self) -> LoginKind:
        """Which login the settings mean."""
        if self.jira_personal_access_token is not None:
            return LoginKind.PERSONAL_ACCESS_TOKEN
        if self.jira_oauth_client_id:
            return LoginKind.OAUTH
        return LoginKind.API_TOKEN if self.jira_email else LoginKind.SERVICE_ACCOUNT


def _https(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not a URL such as https://your-site.atlassian.net")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError("the token may only travel over https")
    return value
