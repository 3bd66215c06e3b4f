"""What the risk-engine is told by its environment."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import ssl
from pathlib import Path
from typing import Self

import holidays
import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, field_validator, model_validator

from risk_engine.domain.calendar import IsWorkingDay, working_days
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
    def is_working_day(self) -> IsWorkingDay:
        """The working calendar."""
        return working_days(holidays.country_holidays(self.risk_holidays) if self.risk_holidays else ())


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def _is_key(text: str) -> bool:
    """By Standard Webhooks, "Signature scheme": 24 to 64 random bytes."""
    try:
        return len(base64.b64decode(text.removeprefix("whsec_"), validate=True)) >= 24
    except binascii.Error:
        return False
