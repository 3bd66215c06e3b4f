"""The errors of crm-sync, each a kind of what every loop understands.

SalesforceTrouble, a TransientError (try again later)
├── SalesforceUnavailable   no usable answer: network, 5xx, an HTML page, a body cut short
├── SessionExpired          401: the token is no longer valid
├── LocatorLost             the rest of a result can no longer be fetched: restart the page chain
├── BudgetExhausted         the org's API calls of the day are used up: pause, do not ask again soon
├── LoginDelayed            the next login is not allowed yet
├── SchemaChanged           a field or object that was described is gone: describe again
│   └── ObjectRefused       a query over one object is refused: leave that object or its field out
├── QueryTooLong            Salesforce gave up after 120 s: ask for less time at once
├── JobLost                 a bulk job failed or is forgotten: make it anew
├── QueryRefused            Salesforce does not accept the query as written
└── ReplicationLogLost      deletions that old can no longer be listed
ConfigurationError (a person must act)
├── AccessRefused           Salesforce rejects the credentials or the permissions
└── StateLost               the watermarks are gone although deals were published
PoisonError                 one record can never be published as it is (from the chassis)
"""

from __future__ import annotations

from troth_chassis.errors import ConfigurationError, TransientError


class SalesforceTrouble(TransientError):
    """Salesforce did not do what was asked; what is published is not in doubt."""


class SalesforceUnavailable(SalesforceTrouble):
    """No usable answer: the network, a 5xx, an HTML page or a body cut short."""


class SessionExpired(SalesforceTrouble):
    """Salesforce no longer accepts the access token."""


class LocatorLost(SalesforceTrouble):
    """The next page cannot be fetched; a new query must continue from the last row."""


class BudgetExhausted(SalesforceTrouble):
    """The org's daily API calls are used up; every further call counts too."""


class LoginDelayed(SalesforceTrouble):
    """Too many logins failed, or the last one is too recent."""


class SchemaChanged(SalesforceTrouble):
    """A field or object known from describe is no longer there for this user."""


class ObjectRefused(SchemaChanged):
    """Salesforce refuses a query over one object; the others are not in doubt."""

    def __init__(self, source: str, fields: tuple[str, ...], reason: str) -> None:
        super().__init__(reason)
        self.source = source
        self.fields = fields


class QueryTooLong(SalesforceTrouble):
    """Salesforce gave a query up; a smaller window may pass."""


class JobLost(SalesforceTrouble):
    """A bulk job failed, was aborted or is older than a week; a new one must be made."""


class QueryRefused(SalesforceTrouble):
    """Salesforce does not accept a query or request as it is written; its own words are in the text."""


class ReplicationLogLost(SalesforceTrouble):
    """The deletion log does not reach back to the asked time."""


class AccessRefused(ConfigurationError):
    """Salesforce rejects the credentials or the user's permissions; the text names the next step."""


class StateLost(ConfigurationError):
    """The state topic is empty although deals were published."""
