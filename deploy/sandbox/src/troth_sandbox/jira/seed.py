"""Reading the seed file: what a site holds when it starts. Times are ISO 8601 in UTC."""

from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from troth_sandbox.errors import SeedError
from troth_sandbox.jira.clock import parse_instant
from troth_sandbox.jira.fields import FieldTable
from troth_sandbox.jira.records import (
    Board,
    ChangeItem,
    Comment,
    History,
    Issue,
    IssueType,
    Json,
    Project,
    Sprint,
    Status,
    User,
    Version,
)
from troth_sandbox.jira.store import AppCredentials, Catalogue, SiteSettings, Store

_INTERPRETED = {"project", "status", "created", "updated", "parent", "statuscategorychangedate"}


class _Site(msgspec.Struct, rename="camel"):
    title: str = "Jira"
    time_zone: str = msgspec.field(default="UTC", name="time_zone")
    deployment: Literal["Cloud", "Server"] = "Cloud"
    cloud_id: str = msgspec.field(default="sandbox-cloud", name="cloud_id")


class _Auth(msgspec.Struct):
    email: str
    token: str
    app: AppCredentials | None = None


class _Sprint(msgspec.Struct, rename="camel"):
    id: int
    name: str
    state: str
    origin_board_id: int
    start_date: str | None = None
    end_date: str | None = None
    complete_date: str | None = None
    activated_date: str | None = None
    created_date: str | None = None
    goal: str | None = None
    board_ids: tuple[int, ...] = msgspec.field(default=(), name="board_ids")


class _History(msgspec.Struct):
    id: str
    created: str
    items: tuple[ChangeItem, ...]
    author: Json | None = None


class _Comment(msgspec.Struct):
    id: int
    author: str
    body: str
    created: str


class _Issue(msgspec.Struct):
    id: str
    key: str
    fields: dict[str, Any]
    histories: list[_History] = []
    remote_links: list[Json] = []
    comments: list[_Comment] = []


class _Seed(msgspec.Struct):
    site: _Site
    account: User
    auth: _Auth
    users: list[User] = []
    fields: list[Json] = []
    statuses: list[Status] = []
    issue_types: list[IssueType] = []
    projects: list[Project] = []
    boards: list[Board] = []
    sprints: list[_Sprint] = []
    versions: list[Version] = []
    issues: list[_Issue] = []


def load(path: Path) -> Store:
    """The store described by a seed file; SeedError says what the file lacks."""
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise SeedError(f"The seed file {path} cannot be read: {error.strerror}.") from error


def parse(content: bytes) -> Store:
    """The store described by the bytes of a seed file; SeedError says what they lack."""
    try:
        seed = msgspec.json.decode(content, type=_Seed)
        return _store(seed)
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        raise SeedError(f"The Jira seed is not usable: {error}.") from error


def _store(seed: _Seed) -> Store:
    settings = SiteSettings(
        seed.site.title,
        ZoneInfo(seed.site.time_zone),
        seed.account,
        seed.auth.email,
        seed.auth.token,
        seed.site.deployment,
        seed.site.cloud_id,
        seed.auth.app,
    )
    store = Store(settings, FieldTable(seed.fields), _catalogue(seed))
    for issue in sorted(seed.issues, key=lambda issue: int(issue.id)):
        _add(store, issue)
    return store


def _catalogue(seed: _Seed) -> Catalogue:
    people = [*seed.users, seed.account]
    return Catalogue(
        users={user.account_id: user for user in people},
        statuses={status.id: status for status in seed.statuses},
        issue_types={kind.id: kind for kind in seed.issue_types},
        projects={project.id: project for project in seed.projects},
        boards={board.id: board for board in seed.boards},
        sprints={sprint.id: _sprint(sprint) for sprint in seed.sprints},
        versions={version.id: version for version in seed.versions},
    )


def _sprint(seed: _Sprint) -> Sprint:
    return Sprint(
        id=seed.id,
        name=seed.name,
        state=seed.state,
        origin_board_id=seed.origin_board_id,
        start=_instant(seed.start_date),
        end=_instant(seed.end_date),
        completed=_instant(seed.complete_date),
        activated=_instant(seed.activated_date),
        created=_instant(seed.created_date),
        goal=seed.goal,
        board_ids=seed.board_ids,
    )


def _add(store: Store, seed: _Issue) -> None:
    histories = tuple(sorted(map(_history, seed.histories), key=lambda h: (h.created, h.id)))
    fields = {name: value for name, value in seed.fields.items() if name not in _INTERPRETED}
    sprints = fields.pop(store.sprint_field, None) if store.sprint_field else None
    parent = seed.fields.get("parent")
    created = parse_instant(seed.fields["created"])
    category_changed = _instant(seed.fields.get("statuscategorychangedate"))
    issue = Issue(
        id=int(seed.id),
        key=seed.key,
        project_id=_project_id(store, seed.fields["project"]),
        status_id=str(seed.fields["status"]["id"]),
        created=created,
        updated=_instant(seed.fields.get("updated")) or created,
        fields=fields,
        sprint_ids=tuple(int(sprint) for sprint in sprints or ()),
        parent_id=int(parent["id"]) if parent else None,
        category_changed=category_changed,
        histories=histories,
    )
    store.put(issue)
    store.remote_links[issue.id] = [(link["id"], _without_id(link)) for link in seed.remote_links]
    store.comments[issue.id] = [
        Comment(one.id, one.author, one.body, parse_instant(one.created)) for one in seed.comments
    ]
    for key in _former_keys(histories):
        store.remember_key(key, issue.id)


def _without_id(link: Json) -> Json:
    return {name: value for name, value in link.items() if name != "id"}


def _project_id(store: Store, reference: Json) -> str:
    return str(reference["id"]) if "id" in reference else store.project(reference["key"]).id


def _history(seed: _History) -> History:
    author = seed.author["accountId"] if seed.author else None
    return History(int(seed.id), parse_instant(seed.created), author, seed.items)


def _former_keys(histories: tuple[History, ...]) -> list[str]:
    items = (item for history in histories for item in history.items if item.field == "Key")
    return [item.from_text for item in items if item.from_text]


def _instant(text: str | None) -> int | None:
    return parse_instant(text) if text else None
