"""The nouns of a Jira site as frozen values: a change makes a new value, so the search index can hold older ones.

Times are milliseconds since 1970 in UTC. Ids that Jira sends as numeric
strings are integers where they are compared.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

Json = dict[str, Any]
"""A vendor-shaped JSON object; only the edges (seed, edit bodies, rendered answers) hold one."""

GH_SPRINT = "com.pyxis.greenhopper.jira:gh-sprint"
GH_EPIC_LINK = "com.pyxis.greenhopper.jira:gh-epic-link"
STATE_ORDER = {"closed": 0, "active": 1, "future": 2}


class User(msgspec.Struct, frozen=True, rename="camel"):
    """An Atlassian account; Data Center names users by `name` and `key`, here the account id unless given."""

    account_id: str
    display_name: str
    email_address: str = ""
    active: bool = True
    time_zone: str = "UTC"
    name: str | None = None
    key: str | None = None


class StatusCategory(msgspec.Struct, frozen=True, rename="camel"):
    """`new`, `indeterminate`, `done` or `undefined`; the vendor's fixed ids and names are filled in when absent."""

    key: str
    id: int | None = None
    name: str | None = None
    color_name: str | None = None


class Status(msgspec.Struct, frozen=True, rename="camel"):
    """A workflow status."""

    id: str
    name: str
    status_category: StatusCategory
    description: str = ""


class IssueType(msgspec.Struct, frozen=True, rename="camel"):
    """An issue type; level 1 is an epic, 0 a story, -1 a sub-task."""

    id: str
    name: str
    subtask: bool = False
    description: str = ""
    hierarchy_level: int | None = None


class Project(msgspec.Struct, frozen=True, rename="camel"):
    """A project; `state` is `live`, `archived` or `deleted` (in the bin); `browsable` when access is granted."""

    id: str
    key: str
    name: str
    project_type_key: str = "software"
    simplified: bool = False
    style: str = "classic"
    state: str = "live"
    browsable: bool = True

    @property
    def open(self) -> bool:
        """True when the account can see its issues."""
        return self.state == "live" and self.browsable


class Column(msgspec.Struct, frozen=True):
    """A board column and the statuses mapped to it."""

    name: str
    status_ids: tuple[str, ...] = ()


class Board(msgspec.Struct, frozen=True):
    """A board; `denied` is the status the account gets for it (403 or 404), None when it may look.

    `filter` is JQL that narrows the issues of its projects, None when it takes them all.
    """

    id: int
    name: str
    type: str = "scrum"
    location_project_id: str | None = None
    project_ids: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    estimation_field_id: str | None = None
    denied: int | None = None
    listed: bool = True
    filter: str | None = None

    def done_statuses(self) -> frozenset[str]:
        """Statuses of the last column that has any: what the board treats as done."""
        mapped = [column for column in self.columns if column.status_ids]
        return frozenset(mapped[-1].status_ids) if mapped else frozenset()


class Sprint(msgspec.Struct, frozen=True):
    """A sprint; `board_ids` are further boards that show it beside the one it was created on."""

    id: int
    name: str
    state: str
    origin_board_id: int
    start: int | None = None
    end: int | None = None
    completed: int | None = None
    activated: int | None = None
    created: int | None = None
    goal: str | None = None
    board_ids: tuple[int, ...] = ()


class Version(msgspec.Struct, frozen=True, rename="camel"):
    """A project version; dates are plain `yyyy-mm-dd`."""

    id: str
    project_id: int
    name: str
    released: bool = False
    archived: bool = False
    release_date: str | None = None
    start_date: str | None = None
    description: str | None = None


class ChangeItem(
    msgspec.Struct,
    frozen=True,
    rename={
        "field_id": "fieldId",
        "from_id": "from",
        "from_text": "fromString",
        "to_id": "to",
        "to_text": "toString",
    },
):
    """One changed field in vendor form; items without `fieldId` exist (Link, Key, Workflow, IssueParentAssociation)."""

    field: str
    fieldtype: str
    field_id: str | UnsetType = UNSET
    from_id: str | None = None
    from_text: str | None = None
    to_id: str | None = None
    to_text: str | None = None


class History(msgspec.Struct, frozen=True):
    """One changelog entry: who, when, and the items changed together."""

    id: int
    created: int
    author: str | None
    items: tuple[ChangeItem, ...]


class Comment(msgspec.Struct, frozen=True):
    """What somebody wrote on an issue; `body` in version 2 form."""

    id: int
    author: str
    body: str
    created: int


class Issue(msgspec.Struct, frozen=True):
    """One version of an issue; `revision` grows with every write to the site.

    `fields` holds the plain fields in seed form; what the site interprets (project, status, sprints, parent, times)
    stands in attributes of its own. `histories` is oldest first.
    """

    id: int
    key: str
    project_id: str
    status_id: str
    created: int
    updated: int
    fields: Json
    sprint_ids: tuple[int, ...] = ()
    parent_id: int | None = None
    category_changed: int | None = None
    histories: tuple[History, ...] = ()
    revision: int = 0

    @property
    def number(self) -> int:
        """The number in the key, by which Jira sorts keys inside a project."""
        return int(self.key.rpartition("-")[2])

    @property
    def type_id(self) -> str:
        """Id of the issue type, empty when the seed gave none."""
        kind = self.fields.get("issuetype") or {}
        return str(kind.get("id", ""))
