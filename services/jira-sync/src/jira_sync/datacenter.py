"""Jira Data Center behind the port: search by offset with the changelogs inside, and documents told in Cloud's words.

Offset pages shift when an issue before them goes or comes
(https://support.atlassian.com/jira/kb/inconsistent-paginated-api-search-result-while-using-jql). So pages are ordered
by creation, which no edit moves, and each begins with the last issue of the page before: when that one is not there,
the scan steps back until it is found again. What came in before it was changed meanwhile, and is the next scan's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jira_sync import dialect
from jira_sync.budget import PriorityBudget
from jira_sync.errors import MissingError, ScanFailedError
from jira_sync.parse import Json, optional_part, text
from jira_sync.reader import EntityKind, ProjectStatus, TokenPage
from jira_sync.sessions import JiraSessions
from jira_sync.site import PLATFORM, SiteHttp, SiteReader, json_items, json_object
from troth_chassis.errors import PoisonError
from troth_chassis.together import together

DEPLOYMENT = "Server"
ORDER = " ORDER BY "
_IDENTITY = frozenset({"id", "key"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins, and the issue that is expected on it because the page before ended with it."""

    start: int = 0
    anchor: str = ""

    @classmethod
    def read(cls, token: str | None) -> Place:
        """From the token of the page before."""
        start, _, anchor = (token or "0:").partition(":")
        return cls(int(start), anchor)

    def token(self) -> str:
        """The token of the page that begins here."""
        return f"{self.start}:{self.anchor}"


class DataCenterReader(SiteReader):
    """The JiraReader of a Data Center site."""

    reconciles = False
    """There is one index and no way past it but a direct read."""
    bulk_changelogs = False

    def __init__(self, sessions: JiraSessions, http: SiteHttp, budget: PriorityBudget) -> None:
        super().__init__(sessions, http, budget)
        self._names: dialect.FieldNames | None = None
        self._ids_by_key: dict[str, str | None] = {}

    async def myself(self) -> Json:
        """GET /myself."""
        return dialect.person(await super().myself())

    async def fields(self) -> Sequence[Json]:
        """GET /field; epics that could not be found are looked for again."""
        found = await super().fields()
        self._names = dialect.field_names(found)
        self._ids_by_key = {key: value for key, value in self._ids_by_key.items() if value}
        return found

    async def search(
        self,
        jql: str,
        fields: Sequence[str],
        token: str | None,
        size: int,
        reconcile: Sequence[str] = (),  # noqa: ARG002  (see reconciles)
    ) -> TokenPage:
        """POST /search; every issue with its complete changelog unless only ids are asked for."""
        place = Place.read(token)
        names = await self._field_names()
        body: dict[str, Any] = {
            "jql": _by_creation(jql),
            "startAt": place.start,
            "maxResults": size + bool(place.anchor),
            "fields": [*fields, *([names.epic] if names.epic and "parent" in fields else [])],
        }
        if not _IDENTITY.issuperset(fields):
            body["expand"] = ["changelog"]
        found = json_object(await self.http.ask("POST", f"{PLATFORM}/search", json=body))
        items = json_items("search", found, "issues")
        self.counted(items)
        page = _follow(place, items, int(found.get("total", 0)), size)
        return TokenPage(await self._told(page.items), page.token, page.is_last)

    async def find(self, kind: EntityKind, entity_id: str, fields: Sequence[str] = ()) -> Json:
        """GET by id; an issue with its complete changelog."""
        if kind != "issue":
            return await super().find(kind, entity_id, fields)
        names = await self._field_names()
        wanted = [*fields, *([names.epic] if names.epic and "parent" in fields else [])]
        params = {"expand": "changelog"} | ({"fields": ",".join(wanted)} if fields else {})
        found = await self.http.object(f"{PLATFORM}/issue/{entity_id}", params)
        return (await self._told((found,)))[0]

    async def projects(self, status: ProjectStatus) -> Sequence[Json]:
        """GET /project. Versions that do not list archived projects show them as gone; a trash there is not."""
        if status == "deleted":
            return ()
        params = {"includeArchived": "true"} if status == "archived" else None
        rows = (await self.http.get(f"{PLATFORM}/project", params)).json()
        if not isinstance(rows, list):
            raise ScanFailedError("project: the answer is not a list")
        return [row for row in self.counted(rows) if bool(row.get("archived")) == (status == "archived")]

    async def approximate_count(self, jql: str) -> int:
        """POST /search without any issue: here the total is exact."""
        body = {"jql": jql, "maxResults": 0, "fields": ["id"]}
        return int(json_object(await self.http.ask("POST", f"{PLATFORM}/search", json=body)).get("total", 0))

    async def changelogs(self, issue_ids: Sequence[str], token: str | None) -> TokenPage:  # noqa: ARG002
        """One issue after the other: only for those whose page did not carry its changelog."""
        found = await together(*(self._changelog(issue_id) for issue_id in issue_ids))
        return TokenPage(tuple(entry for entry in found if entry is not None), None, is_last=True)

    async def _changelog(self, issue_id: str) -> Json | None:
        try:
            document = await self.find("issue", issue_id, ("id",))
        except MissingError:
            return None
        changelog = optional_part(document, "changelog")
        histories = changelog.get("histories") or []
        if len(histories) < int(changelog.get("total", 0)):
            raise ScanFailedError(
                f"issue {issue_id}: Jira cuts its changelog off at {len(histories)} entries"
            )
        return {"issueId": issue_id, "changeHistories": histories} if histories else None

    async def _field_names(self) -> dialect.FieldNames:
        if self._names is None:
            await self.fields()
        return self._names or dialect.FieldNames()

    async def _told(self, documents: Sequence[Json]) -> tuple[Json, ...]:
        names = await self._field_names()
        known = self._ids_by_key
        known.update((str(d["key"]), str(d["id"])) for d in documents if d.get("key") and d.get("id"))
        unknown = sorted(dialect.epic_keys(documents, names) - known.keys())
        if unknown:
            known.update(await self._ids_of(unknown))
        return tuple(dialect.issue(document, names, known) for document in documents)

    async def _ids_of(self, keys: Sequence[str]) -> dict[str, str | None]:
        """In one request; one by one where a single key that is not there fails them all."""
        body = {"jql": f"key in ({', '.join(keys)})", "maxResults": len(keys), "fields": ["id"]}
        try:
            found = json_object(await self.http.ask("POST", f"{PLATFORM}/search", json=body))
        except ScanFailedError:
            return {key: await self._id_of(key) for key in keys}
        rows = json_items("search", found, "issues")
        return dict.fromkeys(keys) | {text(row, "key"): text(row, "id") for row in rows}

    async def _id_of(self, key: str) -> str | None:
        try:
            return text(await self.http.object(f"{PLATFORM}/issue/{key}", {"fields": "id"}), "id")
        except PoisonError:
            return None


def _by_creation(jql: str) -> str:
    """The query in an order that no edit moves; newest first where it asks for that."""
    where, _, order = jql.partition(ORDER)
    return f"{where}{ORDER}{order if order.startswith('created ') else 'created ASC, id ASC'}"


def _follow(place: Place, items: Sequence[Json], total: int, size: int) -> TokenPage:
    """The page without its anchor, and where the next one begins; a page that lost its anchor leads back."""
    ids = [str(issue.get("id")) for issue in items]
    is_lost = bool(place.anchor) and place.anchor not in ids
    if is_lost and place.start > 0:
        return TokenPage(tuple(items), Place(max(0, place.start - size), place.anchor).token())
    kept = tuple(issue for issue, issue_id in zip(items, ids, strict=True) if issue_id != place.anchor)
    end = place.start + len(items)
    if end >= total:
        return TokenPage(kept, None, is_last=True)
    if not items:
        raise ScanFailedError(f"search: an empty page at {place.start} of {total} issues")
    return TokenPage(kept, Place(end - 1, ids[-1]).token())
