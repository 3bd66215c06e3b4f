"""What crm-sync publishes: whole deals, and the reference data they are joined with when read."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from troth_contracts.values import Contract, Instant, Money


class LineItem(Contract, frozen=True):
    """One product on a deal (OpportunityLineItem)."""

    id: str
    product_id: str | None = None
    quantity: Decimal | None = None
    total_price: Money | None = None
    service_date: date | None = None
    description: str | None = None
    source_modified_at: Instant | None = None


class DealRole(Contract, frozen=True):
    """A person on the deal: a team member (has ``user_id``) or a customer contact (has ``contact_id``)."""

    id: str
    role: str | None = None
    user_id: str | None = None
    contact_id: str | None = None
    is_primary: bool = False
    source_modified_at: Instant | None = None


class RelatedRecord(Contract, frozen=True):
    """A record of a custom object that looks up the deal, over one or two hops, as far as it can be read."""

    object: str
    """API name of the custom object."""
    id: str
    fields: dict[str, str] = {}
    """Its fields by API name, as text; empty ones are left out. Dates are ``YYYY-MM-DD``.

    Fields of a record it looks up stand beside them by their path (``Feature__r.Due__c``)."""
    source_modified_at: Instant | None = None


class DealStep(Contract, frozen=True):
    """One row of OpportunityHistory: the deal's values from ``at`` (UTC) on."""

    at: Instant
    stage: str | None = None
    probability: Decimal | None = None
    """Percent, 0 to 100."""
    forecast_category: str | None = None
    amount: Decimal | None = None
    close_date: date | None = None


class Deal(Contract, frozen=True):
    """The whole deal as one document. Owner, stage and product details are joined from ``crm.reference``."""

    org_id: str
    id: str
    """18-character Opportunity id."""
    name: str
    owner_id: str | None = None
    account_id: str | None = None
    account_name: str | None = None
    stage_name: str | None = None
    is_closed: bool = False
    is_won: bool = False
    probability: Decimal | None = None
    """Percent, 0 to 100."""
    forecast_category: str | None = None
    amount: Money | None = None
    close_date: date | None = None
    created_at: Instant | None = None
    source_modified_at: Instant | None = None
    """The record's own SystemModstamp; a field, not the version."""
    next_step: str | None = None
    description: str | None = None
    line_items: tuple[LineItem, ...] = ()
    roles: tuple[DealRole, ...] = ()
    history: tuple[DealStep, ...] = ()
    """Oldest first."""
    custom: dict[str, str] = {}
    """Custom fields by API name, as text; empty ones are left out. Dates are ``YYYY-MM-DD``."""
    related: tuple[RelatedRecord, ...] = ()
    """By object and id."""
    committed_at: Instant | None = None
    """When the history first shows the deal won, in the Commit category or at 70 % or more, UTC."""
    close_date_pushes: int = 0
    """How often the history moves the close date to a later day."""

    @property
    def key(self) -> str:
        """Kafka key: ``<org>:<opportunity id>``."""
        return f"{self.org_id}:{self.id}"


class Stage(Contract, frozen=True, tag="stage"):
    """An OpportunityStage: what a stage name means today."""

    org_id: str
    id: str
    api_name: str
    label: str
    is_closed: bool
    is_won: bool
    is_active: bool = True
    default_probability: Decimal | None = None
    forecast_category: str | None = None


class DatedRate(Contract, frozen=True):
    """A DatedConversionRate: in force for deals closing on ``start`` or later, until the next one."""

    start: date
    rate: Decimal


class CurrencyRate(Contract, frozen=True, tag="currency"):
    """A CurrencyType: ``rate`` units of it make one unit of the corporate currency."""

    org_id: str
    id: str
    code: str
    rate: Decimal
    is_corporate: bool = False
    dated: tuple[DatedRate, ...] = ()
    """Oldest first; empty where the org does not date its rates. A day before the first takes ``rate``."""


class CrmUser(Contract, frozen=True, tag="user"):
    """A Salesforce user, as owner of deals."""

    org_id: str
    id: str
    name: str
    email: str | None = None
    is_active: bool = True


class Product(Contract, frozen=True, tag="product"):
    """A Product2."""

    org_id: str
    id: str
    name: str
    code: str | None = None
    family: str | None = None
    is_active: bool = True


Reference = Stage | CurrencyRate | CrmUser | Product
"""Content of ``crm.reference``; told apart by the field ``type``."""


def reference_key(reference: Reference) -> str:
    """Kafka key: ``<org>:<kind>:<id>``."""
    kind = reference.__struct_config__.tag
    return f"{reference.org_id}:{kind}:{reference.id}"


class SchemaChange(Contract, frozen=True):
    """A field or object that the integration user can read now, or no longer, or whose type is another one.

    An administrator's edit and a permission taken away look the same from here.
    """

    org_id: str
    object: str
    """API name."""
    change: str
    """added, removed or retyped. Later versions may know more."""
    at: Instant
    """Server time of the description that first showed it; it happened since the one before, minutes earlier."""
    field: str | None = None
    """API name, or the path to a field of another object; None for the whole object."""

    @property
    def key(self) -> str:
        """Kafka key: ``<org>:<object>``."""
        return f"{self.org_id}:{self.object}"

    @property
    def event_id(self) -> str:
        """Deterministic: object, field, change and the time it was seen."""
        return f"{self.key}:{self.field or ''}:{self.change}:{round(self.at.timestamp() * 1000)}"
