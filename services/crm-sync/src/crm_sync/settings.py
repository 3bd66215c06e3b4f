"""What crm-sync must be told, from ``TROTH_CRM_*`` and the chassis's own variables."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from crm_sync.fields import long_id
from crm_sync.selection import Selection
from troth_chassis.errors import PoisonError
from troth_chassis.settings import ChassisSettings


class CrmSettings(ChassisSettings):
    """Environment of crm-sync. Durations are seconds."""

    own_prefix: str = Field(default="TROTH_CRM_", exclude=True)
    crm_salesforce_url: str
    """The org's My Domain address, such as https://example.my.salesforce.com."""
    crm_client_id: str = Field(min_length=1)
    crm_client_secret: SecretStr | None = Field(default=None, min_length=1)
    crm_client_secret_path: Path | None = None
    """Instead of the secret: a file that is read again when it changes."""
    crm_jwt_key_path: Path | None = Field(default=None, validate_default=True)
    """RSA private key in PEM form, for the JWT bearer flow; read again when it changes."""
    crm_username: str | None = None
    """The integration user the JWT speaks for."""
    crm_login_url: str = "https://login.salesforce.com"
    """Audience of the JWT; https://test.salesforce.com for a sandbox."""
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
    crm_reread_seconds: float = Field(default=900.0, gt=0)
    """In which every open deal is read again: formulas change without a trace."""
    crm_sweep_seconds: float = Field(default=21_600.0, gt=0)
    """Between two full comparisons of what is published with what Salesforce shows."""
    crm_bulk_from: int = Field(default=20_000, ge=1)
    """Deals from which the first full read uses bulk jobs."""
    crm_record_types: str = ""
    """Only deals of these record types (names or ids, with commas); empty for all."""
    crm_excluded_record_types: str = ""
    crm_test_accounts: str = ""
    """Account ids whose deals are left out."""
    crm_created_from: date | None = None
    """Deals created before this day (UTC) are left out."""
    crm_unit_field: str | None = None
    """Field of the opportunity that names its business unit; only those in ``crm_units`` are read."""
    crm_units: str = ""
    crm_request_timeout_seconds: float = Field(default=30.0, gt=0)
    crm_max_threads: int = Field(default=4, ge=1, le=20)

    @property
    def selection(self) -> Selection:
        """Which deals are wanted."""
        return Selection(
            record_types=_listed(self.crm_record_types),
            excluded_record_types=_listed(self.crm_excluded_record_types),
            test_accounts=_listed(self.crm_test_accounts),
            created_from=self.crm_created_from,
            unit_field=self.crm_unit_field,
            units=_listed(self.crm_units),
        )

    @field_validator("crm_jwt_key_path")
    @classmethod
    def _one_login(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        """On a field, not on the whole, so that it is told together with every other problem."""
        ways = (info.data.get("crm_client_secret"), info.data.get("crm_client_secret_path"), value)
        if sum(way is not None for way in ways) != 1:
            raise ValueError(
                "exactly one of TROTH_CRM_CLIENT_SECRET, TROTH_CRM_CLIENT_SECRET_PATH "
                "and TROTH_CRM_JWT_KEY_PATH is required"
            )
        return value

    @model_validator(mode="after")
    def _jwt_speaks_for_somebody(self) -> CrmSettings:
        if self.crm_jwt_key_path and not self.crm_username:
            raise ValueError("TROTH_CRM_USERNAME is required with TROTH_CRM_JWT_KEY_PATH")
        return self

    @model_validator(mode="after")
    def _unit_has_a_field(self) -> CrmSettings:
        if bool(self.crm_units) != bool(self.crm_unit_field):
            raise ValueError("TROTH_CRM_UNIT_FIELD and TROTH_CRM_UNITS are needed together")
        return self

    @field_validator("crm_test_accounts")
    @classmethod
    def _ids(cls, value: str) -> str:
        for each in _listed(value):
            try:
                long_id(each)
            except PoisonError as error:
                raise ValueError(error.reason) from error
        return value

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


def _listed(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())
