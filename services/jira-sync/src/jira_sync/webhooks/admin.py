"""Jira's webhook resources over HTTP. Their ``self`` addresses are data and never followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jira_sync.errors import JiraUnavailableError
from jira_sync.paging import all_offset_items
from jira_sync.parse import Json
from jira_sync.reader import OffsetPage
from jira_sync.site import SiteHttp, json_items, json_object

DYNAMIC = "/rest/api/3/webhook"


class HttpWebhookAdmin:
    """The WebhookAdmin of a site."""

    def __init__(self, http: SiteHttp) -> None:
        self._http = http

    async def webhooks(self, path: str) -> Sequence[Json]:
        """GET."""
        rows = await self._ask("GET", path)
        if not isinstance(rows, list):
            raise JiraUnavailableError(f"{path}: not a list of webhooks")
        return [row for row in rows if isinstance(row, dict)]

    async def register(self, path: str, body: Json) -> Json:
        """POST. The daily look finds what an unknown outcome left behind."""
        made = await self._ask("POST", path, json=dict(body))
        return made if isinstance(made, dict) else {}

    async def unregister(self, path: str, webhook_id: str) -> None:
        """DELETE."""
        await self._ask("DELETE", f"{path}/{webhook_id}")

    async def _ask(self, method: str, path: str, *, json: Any = None) -> Any:
        response = await self._http.ask(method, path, json=json)
        return response.json() if response.content else None


class HttpDynamicAdmin:
    """The DynamicAdmin of an app."""

    def __init__(self, http: SiteHttp) -> None:
        self._http = http

    async def webhooks(self) -> Sequence[Json]:
        """GET /webhook, every page."""

        async def page(start: int) -> OffsetPage:
            body = await self._http.object(DYNAMIC, {"startAt": start, "maxResults": 100})
            return OffsetPage(json_items("webhook", body, "values"), body.get("isLast") is True)

        return await all_offset_items(page)

    async def register(self, body: Json) -> Json:
        """POST /webhook."""
        return json_object(await self._http.ask("POST", DYNAMIC, json=dict(body)))

    async def unregister(self, ids: Sequence[int]) -> None:
        """DELETE /webhook."""
        await self._http.ask("DELETE", DYNAMIC, json={"webhookIds": list(ids)})

    async def refresh(self, ids: Sequence[int]) -> Json:
        """PUT /webhook/refresh."""
        return json_object(await self._http.ask("PUT", f"{DYNAMIC}/refresh", json={"webhookIds": list(ids)}))
