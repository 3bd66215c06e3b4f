"""What both dialects do alike: one HTTP way in with our manners, and the endpoints that are the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, cast

import httpx
import msgspec
from jira import JIRA

from jira_sync.budget import PriorityBudget
from jira_sync.errors import BudgetSpentError, JiraUnavailableError
from jira_sync.login import Login
from jira_sync.needs import refusal
from jira_sync.parse import Json, instant
from jira_sync.reader import EntityKind, OffsetPage, ServerInfo
from jira_sync.sessions import UNAUTHORISED, JiraSessions, is_whole_json
from troth_chassis.errors import TransientError
from troth_chassis.http import HttpClient, request_id

PAGE = 50
PLATFORM = "/rest/api/2"
AGILE = "/rest/agile/1.0"
_PATHS: dict[EntityKind, str] = {
    "issue": f"{PLATFORM}/issue",
    "version": f"{PLATFORM}/version",
    "sprint": f"{AGILE}/sprint",
    "board": f"{AGILE}/board",
    "filter": f"{PLATFORM}/filter",
}


class SiteHttp:
    """Asks the site over httpx: the errors of the port, and one more try when a token had ended."""

    def __init__(self, http: HttpClient, login: Login) -> None:
        self._http = http
        self._login = login

    async def get(self, path: str, params: dict[str, Any] | None = None) -> httpx.Response:
        """GET."""
        return await self.ask("GET", path, params=params)

    async def ask(
        self, method: str, path: str, *, params: dict[str, Any] | None = None, json: Any = None
    ) -> httpx.Response:
        """An answer below 300; whatever else there is, is raised as an error of the port."""
        try:
            response = await self._http.request(method, path, params=params, json=json)
            if response.status_code == UNAUTHORISED and await self._renewed(response):
                response = await self._http.request(method, path, params=params, json=json)
        except (JiraUnavailableError, BudgetSpentError):
            raise
        except TransientError as error:
            raise JiraUnavailableError(str(error)) from error
        if response.status_code >= 300:
            raise refusal(f"{method} {path}", response.status_code, request_id(response))
        return response

    async def object(self, path: str, params: dict[str, Any] | None = None) -> Json:
        """GET of a JSON object."""
        return json_object(await self.get(path, params))

    async def _renewed(self, response: httpx.Response) -> bool:
        return await self._login.renewed(response.request.headers.get("Authorization", ""))


class SiteReader:
    """The part of a JiraReader that Cloud and Data Center share. Both ways in share one budget."""

    def __init__(self, sessions: JiraSessions, http: SiteHttp, budget: PriorityBudget) -> None:
        self.sessions = sessions
        self.http = http
        self._budget = budget

    async def server_info(self) -> ServerInfo:
        """Server time from the header ``Date`` or the body's ``serverTime``, whichever is earlier.

        A proxy may remove the header, or set it by a clock of its own: a watermark too late would lose changes.
        """
        response = await self.http.get(f"{PLATFORM}/serverInfo")
        body = json_object(response)
        stamp = response.headers.get("date")
        told = (parsedate_to_datetime(stamp).isoformat() if stamp else None, body.get("serverTime"))
        now = min((instant(time) for time in told if time), default=None)
        if now is None:
            raise JiraUnavailableError("serverInfo: the answer tells no time")
        return ServerInfo(now, str(body.get("deploymentType", "")))

    async def myself(self) -> Json:
        """GET /myself."""
        found = await self.sessions.call(f"{PLATFORM}/myself", lambda client: cast("Json", client.myself()))
        self._budget.received(2)
        return found

    async def fields(self) -> Sequence[Json]:
        """GET /field."""
        found = await self.sessions.call(
            f"{PLATFORM}/field", lambda client: cast("Sequence[Json]", client.fields())
        )
        return self.counted(found)

    async def find(self, kind: EntityKind, entity_id: str, fields: Sequence[str] = ()) -> Json:
        """GET by id; reads the store, not the search index."""
        params = {"fields": ",".join(fields)} if fields else None
        found = await self.http.object(f"{_PATHS[kind]}/{entity_id}", params)
        self._budget.received(1)
        return found

    async def remote_links(self, issue_id: str) -> Sequence[Json]:
        """GET /issue/{id}/remotelink."""
        path = f"{PLATFORM}/issue/{issue_id}/remotelink"
        return self.counted(json_list(path, await self.http.get(path)))

    async def comments(self, issue_id: str, start: int) -> OffsetPage:
        """GET /issue/{id}/comment."""
        params = {"startAt": start, "maxResults": PAGE}
        body = await self.http.object(f"{PLATFORM}/issue/{issue_id}/comment", params)
        items = json_items("comment", body, "comments")
        return self._counted_page(OffsetPage(items, start + len(items) >= int(body.get("total", 0))))

    async def boards(self, start: int) -> OffsetPage:
        """GET /board."""

        def ask(client: JIRA) -> OffsetPage:
            return _result_page(client.boards(startAt=start, maxResults=PAGE))

        return self._counted_page(await self.sessions.call(f"{AGILE}/board", ask))

    async def board_configuration(self, board_id: str) -> Json:
        """GET /board/{id}/configuration."""
        found = await self.http.object(f"{AGILE}/board/{board_id}/configuration")
        self._budget.received(1)
        return found

    async def board_projects(self, board_id: str, start: int) -> OffsetPage:
        """GET /board/{id}/project."""
        params = {"startAt": start, "maxResults": PAGE}
        body = await self.http.object(f"{AGILE}/board/{board_id}/project", params)
        return self._counted_page(
            OffsetPage(json_items("board/project", body, "values"), body.get("isLast") is True)
        )

    async def sprints(self, board_id: str, states: Sequence[str], start: int) -> OffsetPage:
        """GET /board/{id}/sprint."""

        def ask(client: JIRA) -> OffsetPage:
            found = client.sprints(int(board_id), startAt=start, maxResults=PAGE, state=",".join(states))
            return _result_page(found)

        return self._counted_page(await self.sessions.call(f"{AGILE}/board/{board_id}/sprint", ask))

    async def versions(self, project_key: str) -> Sequence[Json]:
        """GET /project/{key}/versions."""

        def ask(client: JIRA) -> Sequence[Json]:
            return [cast("Json", version.raw) for version in client.project_versions(project_key)]

        return self.counted(await self.sessions.call(f"{PLATFORM}/project/{project_key}/versions", ask))

    def spend(self, points: int) -> None:
        """Points spent elsewhere on behalf of this site."""
        self._budget.received(points)

    def counted(self, items: Sequence[Json]) -> Sequence[Json]:
        """The same items; the budget knows of them."""
        self._budget.received(len(items))
        return items

    def _counted_page(self, page: OffsetPage) -> OffsetPage:
        self._budget.received(len(page.items))
        return page


_everything: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def looks_whole(response: httpx.Response) -> bool:
    """False for a page of HTML, for nothing at all, and for JSON that ends in the middle."""
    return is_whole_json(response.status_code, response.content)


def _any_json(response: httpx.Response) -> object:
    """For texts cut in the middle of an emoji, which JSON allows and the faster reader does not; None for no JSON."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def json_object(response: httpx.Response, wanted: msgspec.json.Decoder[Any] | None = None) -> Json:
    """The JSON object of an answer; an HTML page or a cut-off body with status 200 is no answer.

    ``wanted`` names the parts that are needed: the others are not built, unless the answer has another shape.
    """
    try:
        body = (wanted or _everything).decode(response.content)
    except msgspec.ValidationError:
        return json_object(response)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = _any_json(response)
    if not isinstance(body, dict):
        raise JiraUnavailableError(
            f"{response.request.url.path}: not a JSON object{request_id(response)}"
        ) from None
    return body


def json_list(name: str, response: httpx.Response) -> tuple[Json, ...]:
    """The objects of an answer that is a list; anything else is no answer, and never an empty list."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, list):
        raise JiraUnavailableError(f"{name}: not a JSON list{request_id(response)}") from None
    return tuple(entry for entry in body if isinstance(entry, Mapping))


def json_items(name: str, body: Json, key: str) -> tuple[Json, ...]:
    """The list of an answer; one without it is no answer, and never an empty page."""
    values = body.get(key)
    if not isinstance(values, list):
        raise JiraUnavailableError(f"{name}: the answer has no {key!r}")
    return tuple(values)


def _result_page(found: Any) -> OffsetPage:
    return OffsetPage(tuple(resource.raw for resource in found), found.isLast is True)
