"""What crm-sync must be told, from ``TROTH_CRM_*`` and the chassis's own variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from troth_chassis.settings import ChassisSettings


class CrmSettings(ChassisSettings):
    """Environment of crm-sync. Durations are seconds."""

    own_prefix: str = Field(default="TROTH_CRM_", exclude=True)
    crm_salesforce_url: str
    """The org's My Domain address, such as https://example.my.salesforce.com."""
    crm_client_id: str = Field(min_length=1)
    crm_client_secret: SecretStr = Field(min_length=1)
    crm_api_version: str = Field(default="66.0", pattern=r"^\d{2,3}\.0$")
    crm_ca_bundle: Path | None = None
    """Certificates to trust instead of the usual ones."""
    crm_default_currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    """Needed where the org has a single currency: the API does not say which."""
    crm_poll_seconds: float = Field(default=30.0, gt=0)
    crm_overlap_seconds: int = Field(default=660, ge=600)
    """How far each poll reads back; a Salesforce transaction may commit 600 s after its stamp."""
    crm_deletes_seconds: float = Field(default=300.0, gt=0)
    crm_reference_seconds: float = Field(default=300.0, gt=0)
    crm_request_timeout_seconds: float = Field(default=30.0, gt=0)
    crm_max_threads: int = Field(default=4, ge=1, le=20)

    @field_validator("crm_salesforce_url")
    @classmethod
    def _https(cls, value: str) -> str:
        if not value.startswith("https://"):
            raise ValueError("must begin with https:// and be the org's My Domain address")
        return value.rstrip("/")

    @field_validator("crm_api_version")
    @classmethod
    def _recent(cls, value: str) -> str:
        if float(value) < 60:
            raise ValueError("must be 60.0 or newer: older versions do not report line item changes")
        return value

    @field_validator("crm_ca_bundle")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("is not a file")
        return value
