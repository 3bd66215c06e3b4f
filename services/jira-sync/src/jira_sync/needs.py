"""What each endpoint needs: the scope of an app or scoped token, and the permission of the account behind it.

Scopes: https://developer.atlassian.com/cloud/jira/software/scopes-for-oauth-2-3LO-and-forge-apps/ (granular) with the
classic ones beside them; reports about the agile ones conflict, so the start tries every endpoint (``probe.py``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jira_sync.errors import (
    AccessLostError,
    ForbiddenError,
    MissingError,
    NotSupportedError,
    ScanFailedError,
)
from troth_chassis.errors import TrothError

_BROWSE = "permission 'Browse projects'"


@dataclass(frozen=True, slots=True)
class Need:
    """What lets an account use an endpoint."""

    scope: str
    permission: str

    def sentence(self) -> str:
        """For people."""
        return f"needs scope {self.scope} where the token has scopes, and {self.permission}"


_NEEDS: tuple[tuple[re.Pattern[str], Need], ...] = tuple(
    (re.compile(pattern), Need(scope, permission))
    for pattern, scope, permission in (
        (
            r"/board/[^/]+/sprint|/agile/1.0/sprint",
            "read:sprint:jira-software",
            "the board shared with the account and " + _BROWSE,
        ),
        (
            r"/board/[^/]+/project",
            "read:board-scope:jira-software with read:project:jira",
            "the board shared with the account",
        ),
        (r"/agile/1.0/board", "read:board-scope:jira-software", "the board shared with the account"),
        (r"/(myself|user)", "read:jira-user", "a licence for Jira"),
        (
            r"/remotelink",
            "read:jira-work with read:issue.remote-link:jira",
            _BROWSE + ", and issue linking switched on",
        ),
        (r"/search|/changelog|/issue", "read:jira-work with read:issue-details:jira", _BROWSE),
        (r"/project|/version", "read:jira-work with read:project:jira", _BROWSE),
        (
            r"/api/\d/webhook",
            "read:jira-work with manage:jira-webhook",
            "a consent given by the app's owner",
        ),
        (r"/webhook", "none: an administrator's login", "permission 'Administer Jira'"),
        (r"/", "read:jira-work", _BROWSE),
    )
)


def need_of(request: str) -> Need:
    """What the endpoint needs; ``request`` is method and path."""
    return next(need for pattern, need in _NEEDS if pattern.search(request))


def refusal(request: str, status: int, trace: str) -> TrothError:
    """The error of the port for a final 4xx answer; it names what is missing."""
    sentence = f"{request}: Jira answered {status}{trace}"
    if status == 401:
        return AccessLostError(f"{sentence}; {need_of(request).sentence()}")
    if status == 404:
        return MissingError(sentence)
    if status == 403:
        return ForbiddenError(f"{sentence}; {need_of(request).sentence()}")
    if status == 410:
        return NotSupportedError(f"{sentence}: this endpoint was removed by the vendor, update jira-sync")
    return ScanFailedError(sentence)
