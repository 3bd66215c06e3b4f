"""Webhooks of an OAuth app: unsigned, gone after 30 days, and perhaps without sprints.

Rules: registration answers 200 with errors per webhook; one URL per app, five webhooks per app, user and tenant; the
filter is a subset of JQL and may not be empty; the vendor's page lists sprint events, its OpenAPI does not
(https://developer.atlassian.com/cloud/jira/platform/webhooks/), so they are asked for first, and done without after.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

from jira_sync.errors import ScanFailedError
from jira_sync.parse import Json, instant, optional_text, parts, text
from jira_sync.scan import milliseconds
from jira_sync.webhooks.registration import EVENTS, REFUSALS, Registration

REFRESH_AT = timedelta(days=10)
"""Of remaining life; three weeks of daily looks have missed it before anything is lost."""
ISSUE_EVENTS = ("jira:issue_created", "jira:issue_updated", "jira:issue_deleted")
WIDE_EVENTS = tuple(name for name in EVENTS if name.startswith(("jira:issue_", "sprint_", "jira:version_")))
WITHOUT_SPRINTS = "no sprint events for this app: the poll finds what happens to sprints"


class DynamicAdmin(Protocol):
    """The app's own list of webhooks."""

    async def webhooks(self) -> Sequence[Json]:
        """Every webhook of the app."""
        ...

    async def register(self, body: Json) -> Json:
        """Asks for some; the answer has a result for each."""
        ...

    async def unregister(self, ids: Sequence[int]) -> None:
        """Removes some."""
        ...

    async def refresh(self, ids: Sequence[int]) -> Json:
        """Thirty more days; the answer has the new end."""
        ...


@dataclass(frozen=True, slots=True)
class WantedDynamic:
    """What our registration should be. ``shown_url`` is the address without its secret part."""

    url: str
    shown_url: str
    projects: tuple[str, ...]

    @property
    def jql(self) -> str:
        """The filter: all wanted projects."""
        return "project in ({})".format(", ".join(f'"{key}"' for key in sorted(self.projects)))


async def keep_dynamic(admin: DynamicAdmin, wanted: WantedDynamic, now: datetime) -> Registration:
    """Finds ours, removes our orphans, makes one when there is none, and keeps it alive. Never raises for a refusal."""
    try:
        return await _kept(admin, wanted, now)
    except REFUSALS as error:
        return Registration(None, problem=f"{error}; {wanted.shown_url} is not registered, the poll goes on")


async def _kept(admin: DynamicAdmin, wanted: WantedDynamic, now: datetime) -> Registration:
    rows = await admin.webhooks()
    orphans = [row for row in rows if row.get("url") != wanted.url and _is_ours(row, wanted)]
    await _remove(admin, orphans)  # before: an app has one URL
    good = [row for row in rows if _is_good(row, wanted)]
    made = not good
    if made:
        await _register(admin, wanted)
        good = [row for row in await admin.webhooks() if _is_good(row, wanted)]
    if not good:
        raise ScanFailedError("Jira took the webhook and does not list it")
    kept = max(good, key=_expires)
    double = [row for row in rows if row.get("url") == wanted.url and row.get("id") != kept.get("id")]
    await _remove(admin, double)
    expires = _expires(kept)
    if expires - now < REFRESH_AT:
        expires = instant((await admin.refresh([_id(kept)])).get("expirationDate"))
    limits = None if "sprint_closed" in _events(kept) else WITHOUT_SPRINTS
    removed = len(orphans) + len(double)
    return Registration(text(kept, "id"), made, removed, milliseconds(expires), limits=limits)


async def _register(admin: DynamicAdmin, wanted: WantedDynamic) -> None:
    """With sprints, else without; ScanFailedError has Jira's words when not even that is taken."""
    problems: list[str] = []
    for events in (WIDE_EVENTS, ISSUE_EVENTS):
        body = {"url": wanted.url, "webhooks": [{"events": list(events), "jqlFilter": wanted.jql}]}
        results = parts(await admin.register(body), "webhookRegistrationResult")
        problems = [str(problem) for result in results for problem in result.get("errors") or ()]
        if results and not problems:
            return
    raise ScanFailedError(f"Jira refuses the webhook: {'; '.join(problems) or 'it gave no result'}")


async def _remove(admin: DynamicAdmin, rows: Collection[Json]) -> None:
    if rows:
        await admin.unregister([_id(row) for row in rows])


def _is_good(row: Json, wanted: WantedDynamic) -> bool:
    fits = row.get("url") == wanted.url and row.get("jqlFilter") == wanted.jql
    return fits and set(ISSUE_EVENTS) <= _events(row)


def _is_ours(row: Json, wanted: WantedDynamic) -> bool:
    """The same path on another host: where this service was before. Others' stay, and Jira's refusal names them."""
    return urlsplit(str(row.get("url", ""))).path == urlsplit(wanted.url).path


def _events(row: Json) -> set[str]:
    events = row.get("events")
    return {str(event) for event in events} if isinstance(events, list) else set()


def _expires(row: Json) -> datetime:
    """Milliseconds by the schema, text by its example (reference 10.1)."""
    return instant(optional_text(row, "expirationDate"))


def _id(row: Json) -> int:
    return int(text(row, "id"))
