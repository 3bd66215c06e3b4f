"""What the simulated site answers instead of data.

JiraError               any refusal; carries the status and the vendor's error body
├── BadRequestError     400: a parameter or a body that Jira does not accept
│   └── QueryError      400: JQL that does not parse, is unbounded, or names an unknown field or value
├── ForbiddenError      403: the account may not see it
├── NotFoundError       404: it does not exist, or the account may not know that it does
└── GoneError           410: the operation was removed by the vendor
"""


class JiraError(Exception):
    """A refusal with the status and messages of Jira's `ErrorCollection`."""

    status = 500

    def __init__(self, *messages: str, errors: dict[str, str] | None = None) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages
        self.errors = errors or {}


class BadRequestError(JiraError):
    """The request is not one Jira accepts."""

    status = 400


class QueryError(BadRequestError):
    """The JQL cannot be run."""


class ForbiddenError(JiraError):
    """The account may not see it."""

    status = 403


class NotFoundError(JiraError):
    """It does not exist for this account."""

    status = 404


class GoneError(JiraError):
    """The vendor removed the operation."""

    status = 410
