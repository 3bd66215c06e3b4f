"""What an answer of Salesforce that is not a result means: one table from status and code to our errors.

Codes: https://developer.salesforce.com/docs/platform/api-rest/guide/errorcodes.md and, for logins,
https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_flow_errors.htm
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from crm_sync.errors import (
    AccessRefused,
    BudgetExhausted,
    LocatorLost,
    LoginDelayed,
    QueryRefused,
    QueryTooLong,
    ReplicationLogLost,
    SalesforceUnavailable,
    SchemaChanged,
    SessionExpired,
)
from troth_chassis.errors import TrothError

_LONGEST_QUOTE = 600


@dataclass(frozen=True, slots=True)
class Fault:
    """The part of an error answer that decides what it means."""

    status: int
    code: str
    message: str

    def __str__(self) -> str:
        words = " ".join(self.message.split())[:_LONGEST_QUOTE]
        return f"Salesforce answered {self.status} {self.code}: {words}".rstrip(": ")


_BY_CODE: Mapping[str, type[TrothError]] = {
    "INVALID_SESSION_ID": SessionExpired,
    "INVALID_AUTH_HEADER": SessionExpired,
    "INVALID_FIELD": SchemaChanged,
    "INVALID_TYPE": SchemaChanged,
    "NOT_FOUND": SchemaChanged,
    "INVALID_QUERY_LOCATOR": LocatorLost,
    "QUERY_TIMEOUT": QueryTooLong,
    "MALFORMED_QUERY": QueryRefused,
    "QUERY_TOO_COMPLICATED": QueryRefused,
    "OPERATION_TOO_LARGE": QueryRefused,
    "INVALID_REPLICATION_DATE": ReplicationLogLost,
    "EXCEEDED_ID_LIMIT": ReplicationLogLost,
    "API_DISABLED_FOR_ORG": AccessRefused,
    "API_CURRENTLY_DISABLED": AccessRefused,
    "INSUFFICIENT_ACCESS": SchemaChanged,
}
_HIDDEN = re.compile(r"No such column '([^']+)' on entity '([^']+)'")
_DAILY_LIMIT = "TotalRequests"
_NOT_FOR_REST = "not valid for use with the REST API"


def error_of(fault: Fault) -> TrothError:
    """The error to raise for an error answer of the REST API."""
    if fault.code == "REQUEST_LIMIT_EXCEEDED":
        daily = _DAILY_LIMIT in fault.message
        return BudgetExhausted(str(fault)) if daily else SalesforceUnavailable(str(fault))
    if _NOT_FOR_REST in fault.message:
        return AccessRefused(f"{fault}; give the integration user the permission API Enabled")
    known = _BY_CODE.get(fault.code)
    if known is AccessRefused:
        return AccessRefused(f"{fault}; give the integration user API Enabled and View All on the objects")
    if known is not None:
        return known(str(fault))
    return SessionExpired(str(fault)) if fault.status == 401 else SalesforceUnavailable(str(fault))


def hidden_field(error: BaseException) -> tuple[str, str] | None:
    """Object and field that an INVALID_FIELD names, or None."""
    found = _HIDDEN.search(str(error))
    return (found[2], found[1]) if found else None


def read_fault(status: int, body: object) -> Fault:
    """Finds code and message in an error body: an array of errors, an OAuth object, or no JSON at all."""
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, Mapping):
        return Fault(status, "", "" if first is None else _without_markup(str(first)))
    code = first.get("errorCode") or first.get("error") or ""
    message = first.get("message") or first.get("error_description") or ""
    return Fault(status, str(code), str(message))


def _without_markup(text: str) -> str:
    return "a page that is not JSON" if text.lstrip().startswith("<") else text


def login_error(fault: Fault) -> TrothError:
    """The error to raise for an error answer of the token endpoint; refusals say the next step."""
    if fault.status >= 500 or fault.status in {406, 420, 429} or not fault.code:
        return SalesforceUnavailable(str(fault))
    if "LOGIN_RATE_EXCEEDED" in f"{fault.code} {fault.message}":
        return LoginDelayed(str(fault))
    return AccessRefused(f"Salesforce refuses the login ({fault.message or fault.code}): {_step(fault)}")


def _step(fault: Fault) -> str:
    words = f"{fault.code} {fault.message}".lower()
    if "no client credentials user" in words:
        return "choose a Run As user in the app's client credentials flow policy"
    if "not installed" in words or "app_not_found" in words:
        return "install the external client app in this org, or correct TROTH_CRM_SALESFORCE_URL"
    if "audience" in words or "unsupported_grant_type" in words or "not supported on this domain" in words:
        return "set TROTH_CRM_SALESFORCE_URL to the org's My Domain address"
    if "client" in words or "secret" in words:
        return "check TROTH_CRM_CLIENT_ID and TROTH_CRM_CLIENT_SECRET"
    return "check the app's client credentials flow and its Run As user"
