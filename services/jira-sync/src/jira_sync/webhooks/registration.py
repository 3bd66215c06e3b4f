"""Keeps exactly one webhook of ours registered at Jira: found by its name, never made twice, foreign ones untouched.

Only an administrator's webhook carries sprint events and is signed; an account without that right is told so once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from jira_sync.errors import (
    AccessLostError,
    ForbiddenError,
    MissingError,
    NotSupportedError,
    ScanFailedError,
    UnreadableError,
)
from jira_sync.parse import Json, optional_text

EVENTS = (
    "jira:issue_created",
    "jira:issue_updated",
    "jira:issue_deleted",
    "issuelink_created",
    "issuelink_deleted",
    "sprint_created",
    "sprint_updated",
    "sprint_started",
    "sprint_closed",
    "sprint_deleted",
    "board_created",
    "board_updated",
    "board_deleted",
    "board_configuration_changed",
    "jira:version_released",
    "jira:version_unreleased",
    "jira:version_created",
    "jira:version_updated",
    "jira:version_deleted",
    "jira:version_moved",
)
PATHS = ("/rest/webhooks/1.0/webhook", "/rest/jira-webhook/1.0/webhook")
"""The second is where newer Data Center versions moved it (field case G15)."""
REFUSALS = (AccessLostError, ForbiddenError, NotSupportedError, ScanFailedError, UnreadableError)
"""Scoped tokens are answered 401 by endpoints beyond their scopes, which says nothing about the others."""


class WebhookAdmin(Protocol):
    """Jira's own list of webhooks at one path."""

    async def webhooks(self, path: str) -> Sequence[Json]:
        """Every webhook of the site. MissingError when the resource is not at this path."""
        ...

    async def register(self, path: str, body: Json) -> Json:
        """Makes one."""
        ...

    async def unregister(self, path: str, webhook_id: str) -> None:
        """Removes one."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What our registration should be. ``name`` is ours alone: it is how an orphan is known.

    Without a ``secret`` nothing is signed, and the address has a secret part that ``shown_url`` leaves out.
    """

    name: str
    url: str
    secret: str | None
    shown_url: str = ""

    def body(self) -> Json:
        """What Jira is asked for. The secret goes nowhere else."""
        signed = {} if self.secret is None else {"secret": self.secret}
        return {
            "name": self.name,
            "url": self.url,
            "events": list(EVENTS),
            "filters": {"issue-related-events-section": ""},
            "excludeBody": False,
            **signed,
        }


@dataclass(frozen=True, slots=True)
class Registration:
    """What was found or made. ``problem`` says what a person must do when there is none, ``limits`` what it lacks."""

    webhook_id: str | None
    made: bool = False
    removed: int = 0
    expires_ms: int | None = None
    problem: str | None = None
    limits: str | None = None


async def keep_registered(admin: WebhookAdmin, wanted: Wanted, *, anew: bool = False) -> Registration:
    """Finds ours, removes our orphans, makes one when there is none. Never raises for a refused account.

    ``anew``: whatever is there is replaced, because Jira shows no secret and ours may be another one by now.
    """
    shown = wanted.shown_url or wanted.url
    try:
        path, rows = await _find_path(admin)
        stale = {_id(row) for row in rows} if anew else set[str]()
        made = not any(_is_good(row, wanted) and _id(row) not in stale for row in rows)
        if made:
            await admin.register(path, wanted.body())
            rows = await admin.webhooks(path)  # an unclear outcome may have made two
        ours = [row for row in rows if row.get("name") == wanted.name]
        kept = [row for row in ours if _is_good(row, wanted) and _id(row) not in stale][:1]
        removed = [row for row in ours if row not in kept]
        for row in removed:
            await admin.unregister(path, _id(row))
    except REFUSALS as error:
        return Registration(None, problem=f"{error}; ask an administrator to register {shown}")
    if not kept:
        return Registration(None, problem=f"Jira took the webhook and does not list it: look for {shown}")
    expires = kept[0].get("expirationDate")
    return Registration(_id(kept[0]), made, len(removed), expires if isinstance(expires, int) else None)


async def _find_path(admin: WebhookAdmin) -> tuple[str, Sequence[Json]]:
    for path in PATHS[:-1]:
        try:
            return path, await admin.webhooks(path)
        except MissingError:
            continue
    return PATHS[-1], await admin.webhooks(PATHS[-1])


def _is_good(row: Json, wanted: Wanted) -> bool:
    """Ours, at our URL, switched on, and with every event we live on."""
    events: Any = row.get("events")
    has_all = isinstance(events, list) and set(EVENTS) <= set(events)
    is_ours = row.get("name") == wanted.name and row.get("url") == wanted.url
    return is_ours and row.get("enabled", True) is not False and has_all


def _id(row: Json) -> str:
    """Cloud names the id only in ``self``, which is data: its last part is used, never its address."""
    found = optional_text(row, "id")
    return found or urlsplit(str(row.get("self", ""))).path.rstrip("/").rpartition("/")[2]
