"""Jira Cloud behind the port: token search with reconciliation, and changelogs in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import msgspec

from jira_sync.paging import all_offset_items
from jira_sync.parse import Json
from jira_sync.reader import OffsetPage, ProjectStatus, TokenPage
from jira_sync.site import PAGE, PLATFORM, SiteReader, json_items, json_object

CHANGELOG_PAGE = 10_000
DEPLOYMENT = "Cloud"


class _Author(TypedDict, total=False):
    accountId: Any


_Item = TypedDict(
    "_Item",
    {"field": Any, "fieldId": Any, "from": Any, "fromString": Any, "to": Any, "toString": Any},
    total=False,
)


class _History(TypedDict, total=False):
    id: Any
    author: _Author | None
    created: Any
    items: list[_Item]


class _Histories(TypedDict, total=False):
    issueId: Any
    changeHistories: list[_History]


class _Changelogs(TypedDict, total=False):
    """What planning reads of a bulk answer; two thirds of it are addresses and pictures of the authors."""

    issueChangeLogs: list[_Histories]
    nextPageToken: Any
    isLast: Any


wanted_of_changelogs: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Changelogs)


class CloudReader(SiteReader):
    """The JiraReader of a Cloud site."""

    reconciles = True
    bulk_changelogs = True

    async def search(
        self, jql: str, fields: Sequence[str], token: str | None, size: int, reconcile: Sequence[str] = ()
    ) -> TokenPage:
        """GET /search/jql."""
        params: dict[str, Any] = {"jql": jql, "fields": ",".join(fields), "maxResults": size}
        if token:
            params["nextPageToken"] = token
        if reconcile:
            params["reconcileIssues"] = list(reconcile)
        return self._page("search/jql", await self.http.object(f"{PLATFORM}/search/jql", params), "issues")

    async def projects(self, status: ProjectStatus) -> Sequence[Json]:
        """GET /project/search."""

        async def page(start: int) -> OffsetPage:
            params = {"startAt": start, "maxResults": PAGE, "status": status}
            body = await self.http.object(f"{PLATFORM}/project/search", params)
            return OffsetPage(json_items("project/search", body, "values"), body.get("isLast") is True)

        return self.counted(await all_offset_items(page))

    async def approximate_count(self, jql: str) -> int:
        """POST /search/approximate-count."""
        path = f"{PLATFORM}/search/approximate-count"
        return await self.sessions.call(path, lambda c: int(c.approximate_issue_count(jql) or 0), "POST")

    async def changelogs(self, issue_ids: Sequence[str], token: str | None) -> TokenPage:
        """POST /changelog/bulkfetch; complete, oldest first."""
        body: dict[str, Any] = {"issueIdsOrKeys": list(issue_ids), "maxResults": CHANGELOG_PAGE}
        if token:
            body["nextPageToken"] = token
        response = await self.http.ask("POST", "/rest/api/3/changelog/bulkfetch", json=body)
        return self._page(
            "changelog/bulkfetch", json_object(response, wanted_of_changelogs), "issueChangeLogs"
        )

    def _page(self, name: str, body: Json, key: str) -> TokenPage:
        last = body.get("isLast")
        items = tuple(self.counted(json_items(name, body, key)))
        return TokenPage(items, body.get("nextPageToken") or None, last if isinstance(last, bool) else None)
