"""Jira's webhook resource over HTTP. Its ``self`` addresses are data and never followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jira_sync.errors import JiraUnavailableError
from jira_sync.parse import Json
from jira_sync.site import SiteHttp


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
