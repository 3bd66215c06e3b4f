"""A Jira site and a Kafka in memory. ``MemorySite`` passes the same contract test as the adapter to the simulator."""

from __future__ import annotations

import copy
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from tests.jira_sync import small_site

from jira_sync.domain.fields import SPRINT_TYPE
from jira_sync.errors import AccessLostError, ForbiddenError, MissingError, ScanFailedError
from jira_sync.parse import Json, instant
from jira_sync.reader import EntityKind, OffsetPage, ProjectStatus, ServerInfo, TokenPage
from troth_chassis.errors import TransientError
from troth_chassis.publisher import Publisher
from troth_chassis.writer import ScopeWriter
from troth_contracts.codec import InRecord, OutRecord, decode
from troth_contracts.topics import Topic
from troth_contracts.values import Contract

NOW = datetime(2026, 11, 25, 10, 0, 30, tzinfo=UTC)
_BOUND = re.compile(r"updated >= (\d+)")
_IDS = re.compile(r"id in \(([^)]*)\)")
_PROJECTS = re.compile(r"project in \(([^)]*)\)")


class MemorySite:
    """A JiraReader over a seed. Tests change ``seed`` as people would, and set the faults they need."""

    reconciles = True
    bulk_changelogs = True

    def __init__(self, seed: dict[str, Any] | None = None) -> None:
        self.seed = copy.deepcopy(seed or small_site.seed())
        self.now = NOW
        self.deployment = "Cloud"
        self.page_cap = 100
        self.agile_cap = 50
        self.changelog_cap = 2
        self.forbidden_boards: set[str] = set()
        self.before: Callable[[str], None] = lambda _name: None
        self.queries: list[str] = []
        self.reconciled: list[tuple[str, ...]] = []
        self.unlisted: set[str] = set()
        """Issues the search does not show."""
        self.asked: list[str] = []

    # What people do

    def issue(self, issue_id: str) -> dict[str, Any]:
        return next(cast("dict[str, Any]", found) for found in self.seed["issues"] if found["id"] == issue_id)

    def change(self, issue_id: str, at: datetime, *items: dict[str, Any], **fields: Any) -> str:
        """Writes fields and one history; returns its id."""
        found = self.issue(issue_id)
        number = 1 + max((int(h["id"]) for i in self.seed["issues"] for h in i["histories"]), default=0)
        found["fields"].update(fields, updated=at.isoformat())
        if items:
            found["histories"].append(small_site.history(number, at.isoformat(), *items))
        return str(number)

    def sprint(self, sprint_id: int) -> dict[str, Any]:
        return next(
            cast("dict[str, Any]", found) for found in self.seed["sprints"] if found["id"] == sprint_id
        )

    # The port

    async def server_info(self) -> ServerInfo:
        self.before("serverInfo")
        return ServerInfo(self.now, self.deployment)

    async def myself(self) -> Json:
        self.before("myself")
        return dict(self.seed["account"])

    async def fields(self) -> Sequence[Json]:
        self.before("field")
        return list(self.seed["fields"])

    async def search(
        self, jql: str, fields: Sequence[str], token: str | None, size: int, reconcile: Sequence[str] = ()
    ) -> TokenPage:
        self.before("search/jql")
        self.queries.append(jql)
        self.reconciled.append(tuple(reconcile))
        start, size = int(token or 0), min(size, self.page_cap)
        found = self._matching(jql)
        items = tuple(self._rendered(issue, fields) for issue in found[start : start + size])
        more = start + size < len(found)
        return TokenPage(items, str(start + size) if more else None, is_last=not more)

    async def find(self, kind: EntityKind, entity_id: str, fields: Sequence[str] = ()) -> Json:
        self.before(f"{kind}/{entity_id}")
        self.asked.append(f"{kind}/{entity_id}")
        if kind == "board" and entity_id in self.forbidden_boards:
            raise ForbiddenError(f"board/{entity_id}: Jira answered 403")
        found = next(
            (
                row
                for row in self.seed[f"{kind}s"]
                if entity_id in (str(row["id"]), row.get("key")) and self._is_live(kind, row)
            ),
            None,
        )
        if found is None:
            raise MissingError(f"{kind}/{entity_id}: Jira answered 404")
        return self._rendered(found, fields) if kind == "issue" else copy.deepcopy(dict(found))

    async def projects(self, status: ProjectStatus) -> Sequence[Json]:
        self.before(f"project/search {status}")
        return [row for row in self.seed["projects"] if row.get("state", "live") == status]

    def _is_live(self, kind: str, row: dict[str, Any]) -> bool:
        if kind != "issue":
            return True
        project_id = row["fields"]["project"]["id"]
        return any(p["id"] == project_id and p.get("state", "live") == "live" for p in self.seed["projects"])

    async def approximate_count(self, jql: str) -> int:
        self.before("approximate-count")
        return len(self._matching(jql))

    async def changelogs(self, issue_ids: Sequence[str], token: str | None) -> TokenPage:
        self.before("changelog/bulkfetch")
        entries = [
            {"issueId": issue["id"], "changeHistories": copy.deepcopy(issue["histories"])}
            for issue in self.seed["issues"]
            if issue["id"] in issue_ids and issue["histories"]
        ]
        start = int(token or 0)
        end = start + self.changelog_cap
        return TokenPage(tuple(entries[start:end]), str(end) if end < len(entries) else None)

    async def remote_links(self, issue_id: str) -> Sequence[Json]:
        self.before(f"issue/{issue_id}/remotelink")
        self.asked.append(f"issue/{issue_id}/remotelink")
        return tuple(copy.deepcopy(self.issue(issue_id).get("remote_links", [])))

    async def comments(self, issue_id: str, start: int) -> OffsetPage:
        self.before(f"issue/{issue_id}/comment")
        comments = self.issue(issue_id).get("comments", [])
        return self._offset([{**comment, "id": str(comment["id"])} for comment in comments], start)

    async def boards(self, start: int) -> OffsetPage:
        self.before("board")
        return self._offset([_plain_board(board) for board in self.seed["boards"]], start)

    async def board_configuration(self, board_id: str) -> Json:
        board = self._board(board_id)
        columns = [
            {"name": column["name"], "statuses": [{"id": status} for status in column["status_ids"]]}
            for column in board["columns"]
        ]
        found: dict[str, Any] = {
            "id": board["id"],
            "name": board["name"],
            "columnConfig": {"columns": columns},
        }
        if field_id := board.get("estimation_field_id"):
            found["estimation"] = {"type": "field", "field": {"fieldId": field_id}}
        return found

    async def board_projects(self, board_id: str, start: int) -> OffsetPage:
        ids = self._board(board_id)["project_ids"]
        return self._offset([project for project in self.seed["projects"] if project["id"] in ids], start)

    async def sprints(self, board_id: str, states: Sequence[str], start: int) -> OffsetPage:
        if self._board(board_id)["type"] == "kanban":
            raise ScanFailedError("400")
        of_board = [
            s
            for s in self.seed["sprints"]
            if int(board_id) in (s["originBoardId"], *s.get("board_ids", ())) and s["state"] in states
        ]
        return self._offset(of_board, start)

    async def versions(self, project_key: str) -> Sequence[Json]:
        self.before(f"versions of {project_key}")
        ids = {int(project["id"]) for project in self.seed["projects"] if project["key"] == project_key}
        return [version for version in self.seed["versions"] if version["projectId"] in ids]

    def _board(self, board_id: str) -> dict[str, Any]:
        self.before(f"board/{board_id}")
        board = next((board for board in self.seed["boards"] if str(board["id"]) == board_id), None)
        if board is None or board_id in self.forbidden_boards:
            raise ForbiddenError(f"board/{board_id}: Jira answered 403")
        return cast("dict[str, Any]", board)

    def _offset(self, items: Sequence[Json], start: int) -> OffsetPage:
        end = start + self.agile_cap
        return OffsetPage(
            tuple(copy.deepcopy(dict(item)) for item in items[start:end]), is_last=end >= len(items)
        )

    def _matching(self, jql: str) -> list[dict[str, Any]]:
        bound, projects = _BOUND.search(jql), _PROJECTS.search(jql)
        keys = {key.strip('" ') for key in projects.group(1).split(",")} if projects else None
        listed = _IDS.search(jql)
        ids = {part.strip() for part in listed.group(1).split(",")} if listed else None
        live = {p["key"] for p in self.seed["projects"] if p.get("state", "live") == "live"}
        if keys is not None and not keys <= live:
            raise ScanFailedError("search/jql: Jira answered 400")  # one that is not there refuses them all
        since = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(bound.group(1)) if bound else 0)
        found = [
            issue
            for issue in self.seed["issues"]
            if (keys is None or issue["fields"]["project"]["key"] in keys)
            and (ids is None or issue["id"] in ids)
            and issue["id"] not in self.unlisted
            and self._is_live("issue", issue)
            and instant(issue["fields"]["updated"]) >= since
        ]
        return sorted(found, key=lambda issue: (instant(issue["fields"]["updated"]), int(issue["id"])))

    def _rendered(self, issue: dict[str, Any], wanted: Sequence[str]) -> Json:
        fields = {name: copy.deepcopy(issue["fields"][name]) for name in wanted if name in issue["fields"]}
        if "id" in fields.get("status", {}):
            name, category = small_site.STATUSES[fields["status"]["id"]]
            fields["status"] |= {"name": name, "statusCategory": {"key": category}}
        sprint_field = next(
            (f["id"] for f in self.seed["fields"] if f["schema"].get("custom") == SPRINT_TYPE), ""
        )
        if ids := fields.get(sprint_field):
            fields[sprint_field] = [{"id": number, "name": f"Sprint {number}"} for number in ids]
        return {"id": issue["id"], "key": issue["key"], "fields": fields}


def _plain_board(board: dict[str, Any]) -> Json:
    return {name: board[name] for name in ("id", "name", "type")}


@dataclass(frozen=True)
class Stored:
    """A record as it lies in a topic."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass
class MemoryKafka:
    """Committed records in order, and a switch that makes the next commits fail."""

    records: list[OutRecord] = field(default_factory=list)
    transactions: list[list[OutRecord]] = field(default_factory=list)
    failures: int = 0

    async def publish(self, records: Sequence[OutRecord]) -> None:
        if self.failures:
            self.failures -= 1
            raise TransientError("Kafka is down")
        self.records += records
        self.transactions.append(list(records))

    async def read(self, topic: Topic) -> AsyncIterator[Sequence[Stored]]:
        yield [Stored(r.key.encode(), r.value, r.headers) for r in self.records if r.topic == topic.name]

    def told(self, topic: Topic) -> list[InRecord]:
        """Everything ever published on a topic."""
        return [
            decode(r.topic, r.key.encode(), r.value, r.headers) for r in self.records if r.topic == topic.name
        ]

    def latest(self, topic: Topic) -> dict[str, Contract]:
        """The newest body per key."""
        return {record.key: record.body for record in self.told(topic) if record.body is not None}


class MemoryPublisher(Publisher):
    """The real publisher on a Kafka in memory."""

    def __init__(self, kafka: MemoryKafka) -> None:
        super().__init__("memory", cast("ScopeWriter", kafka), source="jira:test")
        self._kafka = kafka

    async def load(self, topics: Sequence[Topic]) -> None:
        names = {topic.name: topic for topic in topics}
        fresh = type(self._mirror)()
        for record in self._kafka.records:
            if record.topic in names:
                fresh.note(names[record.topic], record.key, record.headers)
        self._mirror = fresh


def unauthorised(*names: str) -> Callable[[str], None]:
    """A fault for ``MemorySite.before``: 401 on these calls."""

    def refuse(name: str) -> None:
        if name in names:
            raise AccessLostError(f"{name}: Jira answered 401")

    return refuse
