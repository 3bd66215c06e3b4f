"""What the risk-engine is told by its environment."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import ssl
from pathlib import Path
from typing import Literal, Self

import holidays
import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, field_validator, model_validator

from risk_engine.domain.calendar import FiscalYear, IsWorkingDay, working_days
from risk_engine.domain.commitments import CommitPolicy
from risk_engine.serve.gate import Sight
from risk_engine.serve.tokens import ROLES
from troth_chassis.guard import Network
from troth_chassis.settings import ChassisSettings

HTTP_PORT = 8080
"""Where the command line looks for a running engine, so where one listens unless it is told otherwise."""


class EngineSettings(ChassisSettings):
    """Settings named ``TROTH_RISK_*``, and DATABASE_URL."""

    own_prefix: str = "TROTH_RISK_"
    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    http_port: int = Field(default=HTTP_PORT, ge=0, le=65535)
    risk_consumer_group: str = "risk-engine"
    risk_trials: int = Field(default=2_000, ge=100, le=20_000)
    risk_currency: str = Field(default="", pattern=r"^([A-Z]{3})?$")
    """ISO 4217 code that sums are told in; empty: the corporate currency of the CRM."""
    risk_tokens_path: Path | None = None
    """File of bearer tokens (risk-engine token makes lines for it); None: only this machine is answered."""
    risk_url: str = ""
    risk_token: SecretStr | None = None
    """Where the command line asks, and the token it shows; a running engine uses neither."""
    risk_hide_amounts_from: str = "viewer"
    """Comma list of roles that see no amounts; empty: all see them."""
    risk_hide_names_from: str = "viewer"
    """Comma list of roles that see neither customers nor people."""
    risk_fiscal_year_start: int = Field(default=1, ge=1, le=12)
    """The month in which the fiscal year begins."""
    risk_fiscal_year_named_by: Literal["start", "end"] = "end"
    """Which calendar year gives a fiscal year its name, as Salesforce lets choose."""
    risk_won_days: int = Field(default=365, ge=1, le=3_650)
    """A won deal stays in force so long after its close date."""
    risk_commit_probability: float = Field(default=0.70, gt=0, le=1)
    """An open deal as likely as this is in force."""
    risk_committing_products: str = ""
    """Comma list of products (id, code or name) whose service date engineering has to keep."""
    risk_holidays: str = ""
    """Country code of the package ``holidays`` (SE, US …); empty: every weekday is worked."""
    risk_teams: Path | None = None
    """A TOML file that says of teams what their boards do not tell: `registry_file`."""
    risk_deal_share: float = Field(default=1.0, gt=0, le=1)
    """What part of a team's capacity may serve deals, where the teams file does not say."""
    risk_webhook_url: str | None = None
    risk_webhook_secret: SecretStr | None = None
    """``whsec_`` and base64, by Standard Webhooks."""
    risk_webhook_allowed_networks: str = ""
    """Comma list of private networks the webhook may reach, such as 10.1.0.0/16."""
    risk_webhook_ca_bundle: str | None = None
    risk_sales_fallback: str = Field(default="Sales operations", min_length=1)
    risk_engineering_fallback: str = Field(default="Scrum master", min_length=1)

    @field_validator("risk_webhook_allowed_networks")
    @classmethod
    def _readable_networks(cls, value: str) -> str:
        _networks(value)
        return value

    @field_validator("risk_hide_amounts_from", "risk_hide_names_from")
    @classmethod
    def _known_roles(cls, value: str) -> str:
        if unknown := set(_parts(value)) - set(ROLES):
            raise ValueError(f"{min(unknown)} is no role; take of {', '.join(ROLES)}")
        return value

    @field_validator("risk_holidays")
    @classmethod
    def _known_country(cls, value: str) -> str:
        if value and value not in holidays.list_supported_countries():
            raise ValueError("not a country code the package holidays knows")
        return value

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must start with postgresql://")
        try:
            conninfo_to_dict(value.get_secret_value())
        except psycopg.ProgrammingError as error:
            raise ValueError(
                "is not a URL PostgreSQL understands: postgresql://user@host:5432/name"
            ) from error
        return value

    @field_validator("risk_webhook_url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        try:
            url = httpx.URL(value or "https://none")
        except httpx.InvalidURL as error:
            raise ValueError(f"is not a URL: {error}") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("must be a URL such as https://hooks.example.com/troth")
        return value

    @field_validator("risk_webhook_secret")
    @classmethod
    def _signs(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_key(value.get_secret_value()):
            raise ValueError("must be whsec_ and at least 24 bytes in base64")
        return value

    @field_validator("risk_webhook_ca_bundle")
    @classmethod
    def _readable_bundle(cls, value: str | None) -> str | None:
        try:
            ssl.create_default_context(cafile=value)
        except OSError as error:
            raise ValueError(f"{value} cannot be read as certificates") from error
        return value

    @model_validator(mode="after")
    def _whole_webhook(self) -> Self:
        if (self.risk_webhook_url is None) != (self.risk_webhook_secret is None):
            raise ValueError("TROTH_RISK_WEBHOOK_URL and TROTH_RISK_WEBHOOK_SECRET go together")
        return self

    @property
    def allowed_networks(self) -> tuple[Network, ...]:
        """Private networks the webhook may reach."""
        return _networks(self.risk_webhook_allowed_networks)

    @property
    def sight(self) -> Sight:
        """Which roles see less."""
        amounts, names = _parts(self.risk_hide_amounts_from), _parts(self.risk_hide_names_from)
        return Sight([one for one in ROLES if one in amounts], [one for one in ROLES if one in names])

    @property
    def fiscal_year(self) -> FiscalYear:
        """The fiscal calendar."""
        return FiscalYear(self.risk_fiscal_year_start, self.risk_fiscal_year_named_by)

    @property
    def commit_policy(self) -> CommitPolicy:
        """When a deal is in force."""
        return CommitPolicy(
            won_days=self.risk_won_days,
            probability=self.risk_commit_probability,
            committing_products=frozenset(_parts(self.risk_committing_products)),
        )

    @property
    def is_working_day(self) -> IsWorkingDay:
        """The working calendar."""
        return working_days(holidays.country_holidays(self.risk_holidays) if self.risk_holidays else ())


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(part) for part in _parts(text))


def _is_key(text: str) -> bool:
    """By Standard Webhooks, "Signature scheme": 24 to 64 random bytes."""
    try:
        return len(base64.b64decode(text.removeprefix("whsec_"), validate=True)) >= 24
    except binascii.Error:
        return False
