"""Jira Cloud behind the port: ``jira`` for what it can do one page at a time, httpx for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any, cast

import httpx
from jira import JIRA

from jira_sync.errors import JiraUnavailableError, ScanFailedError
from jira_sync.paging import all_offset_items
from jira_sync.parse import Json, instant
from jira_sync.reader import EntityKind, OffsetPage, ProjectStatus, ServerInfo, TokenPage
from jira_sync.sessions import JiraSessions, refusal
from troth_chassis.errors import TransientError
from troth_chassis.http import HttpClient, request_id

AGILE_PAGE = 50
CHANGELOG_PAGE = 10_000
_PATHS = {
    "issue": "/rest/api/2/issue",
    "version": "/rest/api/2/version",
    "sprint": "/rest/agile/1.0/sprint",
    "board": "/rest/agile/1.0/board",
}


class CloudReader:
    """The JiraReader of a Cloud site. Both ways in share one budget."""

    reconciles = True

    def __init__(self, sessions: JiraSessions, http: HttpClient) -> None:
        self._sessions = sessions
        self._http = http

    @property
    def http(self) -> HttpClient:
        """For resources beside the port; the same budget."""
        return self._http

    async def server_info(self) -> ServerInfo:
        """Server time from the header ``Date``; the body's ``serverTime`` only where a proxy removed it."""
        response = await self._get("/rest/api/2/serverInfo")
        body = _object(response)
        stamp = response.headers.get("date")
        now = _http_date(stamp) if stamp else body.get("serverTime")
        return ServerInfo(instant(now), str(body.get("deploymentType", "")))

    async def myself(self) -> Json:
        """GET /myself."""
        return await self._sessions.call("myself", lambda client: cast("Json", client.myself()))

    async def fields(self) -> Sequence[Json]:
        """GET /field."""
        return await self._sessions.call("field", lambda client: cast("Sequence[Json]", client.fields()))

    async def search(
        self, jql: str, fields: Sequence[str], token: str | None, size: int, reconcile: Sequence[str] = ()
    ) -> TokenPage:
        """GET /search/jql. The ids go as one text: as a list the client would translate them through field names."""

        def ask(client: JIRA) -> Any:
            return client.enhanced_search_issues(
                jql,
                nextPageToken=token,
                maxResults=size,
                fields=[",".join(fields)],
                reconcileIssues=[int(issue_id) for issue_id in reconcile],
                json_result=True,
            )

        return _token_page("search/jql", await self._sessions.call("search/jql", ask), "issues")

    async def find(self, kind: EntityKind, entity_id: str, fields: Sequence[str] = ()) -> Json:
        """GET by id; reads the store, not the search index."""
        params = {"fields": ",".join(fields)} if fields else None
        return _object(await self._get(f"{_PATHS[kind]}/{entity_id}", params))

    async def projects(self, status: ProjectStatus) -> Sequence[Json]:
        """GET /project/search."""

        async def page(start: int) -> OffsetPage:
            params = {"startAt": start, "maxResults": AGILE_PAGE, "status": status}
            body = _object(await self._get("/rest/api/2/project/search", params))
            return OffsetPage(_items("project/search", body, "values"), body.get("isLast") is True)

        return await all_offset_items(page)

    async def approximate_count(self, jql: str) -> int:
        """POST /search/approximate-count."""
        name = "search/approximate-count"
        return await self._sessions.call(name, lambda client: int(client.approximate_issue_count(jql) or 0))

    async def changelogs(self, issue_ids: Sequence[str], token: str | None) -> TokenPage:
        """POST /changelog/bulkfetch; complete, oldest first."""
        body: dict[str, Any] = {"issueIdsOrKeys": list(issue_ids), "maxResults": CHANGELOG_PAGE}
        if token:
            body["nextPageToken"] = token
        response = await self._ask("POST", "/rest/api/3/changelog/bulkfetch", json=body)
        return _token_page("changelog/bulkfetch", _object(response), "issueChangeLogs")

    async def boards(self, start: int) -> OffsetPage:
        """GET /board."""

        def ask(client: JIRA) -> OffsetPage:
            return _result_page(client.boards(startAt=start, maxResults=AGILE_PAGE))

        return await self._sessions.call("board", ask)

    async def board_configuration(self, board_id: str) -> Json:
        """GET /board/{id}/configuration."""
        return _object(await self._get(f"/rest/agile/1.0/board/{board_id}/configuration"))

    async def board_projects(self, board_id: str, start: int) -> OffsetPage:
        """GET /board/{id}/project."""
        params = {"startAt": start, "maxResults": AGILE_PAGE}
        body = _object(await self._get(f"/rest/agile/1.0/board/{board_id}/project", params))
        return OffsetPage(_items("board/project", body, "values"), body.get("isLast") is True)

    async def sprints(self, board_id: str, states: Sequence[str], start: int) -> OffsetPage:
        """GET /board/{id}/sprint."""

        def ask(client: JIRA) -> OffsetPage:
            found = client.sprints(
                int(board_id), startAt=start, maxResults=AGILE_PAGE, state=",".join(states)
            )
            return _result_page(found)

        return await self._sessions.call(f"board/{board_id}/sprint", ask)

    async def versions(self, project_key: str) -> Sequence[Json]:
        """GET /project/{key}/versions."""

        def ask(client: JIRA) -> Sequence[Json]:
            return [cast("Json", version.raw) for version in client.project_versions(project_key)]

        return await self._sessions.call(f"project/{project_key}/versions", ask)

    async def _get(self, path: str, params: dict[str, Any] | None = None) -> httpx.Response:
        return await self._ask("GET", path, params=params)

    async def _ask(
        self, method: str, path: str, *, params: dict[str, Any] | None = None, json: Any = None
    ) -> httpx.Response:
        try:
            response = await self._http.request(method, path, params=params, json=json)
        except TransientError as error:
            raise JiraUnavailableError(str(error)) from error
        if response.status_code >= 300:
            raise refusal(f"{method} {path}", response.status_code, request_id(response))
        return response


def _http_date(stamp: str) -> str:
    return parsedate_to_datetime(stamp).isoformat()


def _object(response: httpx.Response) -> Json:
    """The JSON object of an answer; an HTML page or a cut-off body with status 200 is no answer."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise JiraUnavailableError(
            f"{response.request.url.path}: not a JSON object{request_id(response)}"
        ) from None
    return body


def _items(name: str, body: Json, key: str) -> tuple[Json, ...]:
    values = body.get(key)
    if not isinstance(values, list):
        raise JiraUnavailableError(f"{name}: the answer has no {key!r}")
    return tuple(values)


def _token_page(name: str, body: Any, key: str) -> TokenPage:
    if not isinstance(body, dict):
        raise ScanFailedError(f"{name}: the site offers no token search (is it Jira Cloud?)")
    last = body.get("isLast")
    return TokenPage(
        _items(name, body, key), body.get("nextPageToken") or None, last if isinstance(last, bool) else None
    )


def _result_page(found: Any) -> OffsetPage:
    return OffsetPage(tuple(resource.raw for resource in found), found.isLast is True)
