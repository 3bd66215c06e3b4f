"""What jira-sync is told by its environment: where Jira is, whom to be there, and how gently to ask."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from jira_sync.scope import Scope
from troth_chassis.settings import ChassisSettings

SHORTEST_SECRET = 16


class JiraSettings(ChassisSettings):
    """``TROTH_JIRA_*``. The default budget is under a tenth of what Jira Cloud publishes for everybody together."""

    own_prefix: str = Field(default="TROTH_JIRA_", exclude=True)
    jira_url: str = Field(min_length=8)
    jira_email: str = Field(min_length=3)
    jira_api_token: SecretStr
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
    jira_webhook_secret: SecretStr | None = None
    """Signs the webhooks; without it none are received."""
    jira_webhook_secret_before: SecretStr | None = None
    """The former secret, accepted too while the new one is being rolled out."""
    jira_webhook_path: str = Field(default="/webhooks/jira", pattern=r"^/[A-Za-z0-9/_-]+$")
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
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not a URL such as https://your-site.atlassian.net")
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("the token may only travel over https")
        return value.rstrip("/")

    @field_validator("jira_webhook_secret", "jira_webhook_secret_before")
    @classmethod
    def _strong(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError(f"needs at least {SHORTEST_SECRET} characters")
        return value

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.jira_webhook_url and self.jira_webhook_secret is None:
            raise ValueError(
                "TROTH_JIRA_WEBHOOK_URL needs TROTH_JIRA_WEBHOOK_SECRET: unsigned is not received"
            )
        return self

    @property
    def webhook_secrets(self) -> tuple[bytes, ...]:
        """The secrets a signature may be made with, the present one first; none: no webhooks."""
        given = (self.jira_webhook_secret, self.jira_webhook_secret_before)
        return tuple(secret.get_secret_value().encode() for secret in given if secret is not None)

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
    def site_id(self) -> str:
        """The site's name in every key."""
        return self.jira_site_id or str(urlsplit(self.jira_url).hostname)
