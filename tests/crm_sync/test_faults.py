"""Salesforce's error answers and what each means. Bodies as in the reference's table."""

from __future__ import annotations

from typing import Any

import pytest

from crm_sync import errors
from crm_sync.faults import error_of, login_error, read_fault
from troth_chassis.errors import ConfigurationError, TransientError


def body(code: str, message: str = "", **more: Any) -> list[dict[str, Any]]:
    return [{"message": message, "errorCode": code, **more}]


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (401, body("INVALID_SESSION_ID", "Session expired or invalid"), errors.SessionExpired),
        (401, body("INVALID_SESSION_ID", "This session is not valid for use with the REST API"), errors.AccessRefused),
        (401, body("INVALID_AUTH_HEADER", "INVALID_JWT_FORMAT"), errors.SessionExpired),
        (401, {"message": "an object instead of an array"}, errors.SessionExpired),
        (401, "<html>login</html>", errors.SessionExpired),
        (403, body("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), errors.BudgetExhausted),
        (403, body("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."), errors.SalesforceUnavailable),
        (403, body("API_DISABLED_FOR_ORG"), errors.AccessRefused),
        (403, body("API_CURRENTLY_DISABLED"), errors.AccessRefused),
        (403, body("INSUFFICIENT_ACCESS"), errors.SchemaChanged),
        (400, body("MALFORMED_QUERY", "unexpected token: FORM"), errors.QueryRefused),
        (400, body("INVALID_TYPE", "\nselect\n^\nERROR at Row:1:Column:21\nsObject type 'X' is not supported."), errors.SchemaChanged),
        (400, body("INVALID_FIELD", "No such column 'Foo' on entity 'Opportunity'."), errors.SchemaChanged),
        (400, body("INVALID_QUERY_LOCATOR", "invalid query locator"), errors.LocatorLost),
        (400, body("QUERY_TIMEOUT", "Your query request was running for too long."), errors.QueryTooLong),
        (400, body("QUERY_TOO_COMPLICATED"), errors.QueryRefused),
        (400, body("INVALID_REPLICATION_DATE"), errors.ReplicationLogLost),
        (400, body("EXCEEDED_ID_LIMIT"), errors.ReplicationLogLost),
        (404, body("NOT_FOUND", "The requested resource does not exist"), errors.SchemaChanged),
        (406, "", errors.SalesforceUnavailable),
        (420, "<html>setting things up</html>", errors.SalesforceUnavailable),
        (429, "", errors.SalesforceUnavailable),
        (500, body("UNKNOWN_EXCEPTION", "An unexpected error occurred."), errors.SalesforceUnavailable),
        (503, body("SERVER_UNAVAILABLE", "Server too busy"), errors.SalesforceUnavailable),
        (503, "<html>Service Not Available</html>", errors.SalesforceUnavailable),
    ],
)  # fmt: skip
def test_rest_errors(status: int, answer: object, expected: type[Exception]) -> None:
    assert type(error_of(read_fault(status, answer))) is expected


@pytest.mark.parametrize(
    ("answer", "step"),
    [
        ({"error": "invalid_grant", "error_description": "no client credentials user enabled"}, "Run As user"),
        ({"error": "invalid_client", "error_description": "invalid client credentials"}, "TROTH_CRM_CLIENT_SECRET"),
        ({"error": "invalid_client_id", "error_description": "client identifier invalid"}, "TROTH_CRM_CLIENT_ID"),
        ({"error": "app_not_found", "error_description": "External client app is not installed in this org"}, "install"),
        ({"error": "invalid_grant", "error_description": "Audience validation failed"}, "My Domain"),
        ({"error": "invalid_grant", "error_description": "authentication failure"}, "Run As user"),
    ],
)  # fmt: skip
def test_refused_logins_say_the_next_step_in_one_sentence(answer: dict[str, str], step: str) -> None:
    error = login_error(read_fault(400, answer))
    assert isinstance(error, ConfigurationError)
    assert step in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("status", "answer"), [(503, "<html>"), (429, ""), (200, "<html>maintenance</html>")]
)
def test_logins_that_may_work_later_are_no_reason_to_stop(status: int, answer: str) -> None:
    assert isinstance(login_error(read_fault(status, answer)), TransientError)


def test_login_rate_exceeded_waits() -> None:
    error = login_error(
        read_fault(400, {"error": "invalid_grant", "error_description": "LOGIN_RATE_EXCEEDED"})
    )
    assert isinstance(error, errors.LoginDelayed)


def test_a_page_of_html_is_never_quoted() -> None:
    assert "<html>" not in str(error_of(read_fault(503, "<html>Service Not Available</html>")))
