"""What the simulated org answers instead of data; the texts live in errors.yaml.

SalesforceError   any refusal; carries the status and the vendor's body
├── ApiError      REST envelope: an array of {"message", "errorCode"}
└── OAuthError    OAuth envelope: an object {"error", "error_description"}
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


class SalesforceError(Exception):
    """A refusal with its status and JSON body."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


class ApiError(SalesforceError):
    """A refusal in the REST envelope."""


class OAuthError(SalesforceError):
    """A refusal in the OAuth envelope."""


@cache
def _catalogue() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(files(__package__).joinpath("errors.yaml").read_text("utf-8")))


def api_error(name: str, /, **values: object) -> ApiError:
    """The catalogued REST refusal `name`, its placeholders filled."""
    entry = _catalogue()["api"][name]
    body = [{"message": entry["message"].format(**values), "errorCode": entry["code"]}]
    return ApiError(entry["status"], body)


def field_error(name: str, about: Sequence[str], /, **values: object) -> ApiError:
    """The same for a refusal that lists the fields it is about."""
    entry = _catalogue()["api"][name]
    message = entry["message"].format(**values)
    return ApiError(
        entry["status"], [{"message": message, "errorCode": entry["code"], "fields": list(about)}]
    )


def oauth_error(name: str) -> OAuthError:
    """The catalogued OAuth refusal `name`."""
    entry = _catalogue()["oauth"][name]
    return OAuthError(entry["status"], {"error": entry["error"], "error_description": entry["description"]})


def html_page() -> str:
    """The page that the vendor's edge shows instead of JSON when an instance is down."""
    return str(_catalogue()["pages"]["service_not_available"])
