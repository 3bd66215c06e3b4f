"""How the site's nouns look in platform answers; one renderer per API version and base address.

API version 2 sends rich text as plain text, version 3 as Atlassian Document Format. Times are in the site's zone,
offsets without colon. Self links are data only: clients are not meant to follow them.
"""

import random
from functools import cached_property

import msgspec

from troth_sandbox.jira.clock import moment, parse_instant, site_stamp
from troth_sandbox.jira.errors import NotFoundError
from troth_sandbox.jira.records import (
    ChangeItem,
    History,
    Issue,
    IssueType,
    Json,
    Project,
    Status,
    User,
    Version,
)
from troth_sandbox.jira.store import Store

_CATEGORIES = {
    "undefined": (1, "No Category", "medium-gray"),
    "new": (2, "To Do", "blue-gray"),
    "done": (3, "Done", "green"),
    "indeterminate": (4, "In Progress", "yellow"),
}
_SIZES = ("48x48", "24x24", "16x16", "32x32")


class Renderer:
    """Vendor JSON of users, statuses, projects, versions and changelogs."""

    def __init__(self, store: Store, api: str, base: str) -> None:
        self.store = store
        self.api = api
        self.base = base
        self.shuffled = False
        self.sprint_strings = True
        self._users: dict[str, Json | None] = {}
        self._statuses: dict[str, Json] = {}
        self._projects: dict[Project, Json] = {}

    @cached_property
    def rest(self) -> str:
        """Address of the platform API in this version."""
        return f"{self.base}/rest/api/{self.api}"

    def stamp(self, milliseconds: int) -> str:
        """A platform timestamp in the site's zone."""
        return site_stamp(milliseconds, self.store.settings.zone)

    def stamp_text(self, iso: str | None) -> str | None:
        """A seeded ISO time in platform form."""
        return self.stamp(parse_instant(iso)) if iso else None

    def user(self, account_id: str | None) -> Json | None:
        """A user reference; None when nobody. Users the site does not know keep their id."""
        if account_id is None:
            return None
        if account_id not in self._users:
            known = self.store.catalogue.users.get(account_id) or User(
                account_id, "Former user", active=False
            )
            self._users[account_id] = self._user(known)
        return self._users[account_id]

    def _user(self, user: User) -> Json:
        email = {"emailAddress": user.email_address} if user.email_address else {}
        shown: Json = {
            **email,
            "avatarUrls": self.avatars("useravatar", user.account_id),
            "displayName": user.display_name,
            "active": user.active,
            "timeZone": user.time_zone,
        }
        if self.store.data_center:
            name = user.name or user.account_id
            return {
                "self": f"{self.rest}/user?username={name}",
                "name": name,
                "key": user.key or name,
            } | shown
        place = f"{self.rest}/user?accountId={user.account_id}"
        return {"self": place, "accountId": user.account_id} | shown | {"accountType": "atlassian"}

    def avatars(self, kind: str, of: str) -> Json:
        """The four avatar addresses."""
        return {size: f"{self.base}/secure/{kind}?of={of}&size={size}" for size in _SIZES}

    def status(self, status_id: str) -> Json:
        """A status with its category."""
        if status_id not in self._statuses:
            self._statuses[status_id] = self._status(status_id)
        return self._statuses[status_id]

    def _status(self, status_id: str) -> Json:
        status = self.store.catalogue.statuses.get(status_id)
        if status is None:
            raise NotFoundError(f"The status with id '{status_id}' does not exist.")
        return {
            "self": f"{self.rest}/status/{status.id}",
            "description": status.description,
            "iconUrl": f"{self.base}/",
            "name": status.name,
            "id": status.id,
            "statusCategory": self._category(status),
        }

    def _category(self, status: Status) -> Json:
        own = status.status_category
        number, name, color = _CATEGORIES.get(own.key, _CATEGORIES["undefined"])
        return {
            "self": f"{self.rest}/statuscategory/{own.id or number}",
            "id": own.id or number,
            "key": own.key,
            "colorName": own.color_name or color,
            "name": own.name or name,
        }

    def issue_type(self, type_id: str) -> Json | None:
        """An issue type, None when the site does not know it."""
        kind = self.store.catalogue.issue_types.get(type_id)
        if kind is None:
            return None
        return {
            "self": f"{self.rest}/issuetype/{kind.id}",
            "id": kind.id,
            "description": kind.description,
            "iconUrl": f"{self.base}/images/icons/issuetypes/{kind.id}.png",
            "name": kind.name,
            "subtask": kind.subtask,
            "hierarchyLevel": _level(kind),
        }

    def project_reference(self, project: Project) -> Json:
        """A project as it stands inside an issue."""
        if project not in self._projects:
            self._projects[project] = self._project_reference(project)
        return self._projects[project]

    def _project_reference(self, project: Project) -> Json:
        return {
            "self": f"{self.rest}/project/{project.id}",
            "id": project.id,
            "key": project.key,
            "name": project.name,
            "projectTypeKey": project.project_type_key,
            "simplified": project.simplified,
            "avatarUrls": self.avatars("projectavatar", project.id),
        }

    def project(self, project: Project) -> Json:
        """A project as the project operations list it."""
        state: Json = {} if project.state == "live" else {project.state: True}
        return (
            {"expand": "description,lead,issueTypes,url,projectKeys,permissions,insight"}
            | self.project_reference(project)
            | {"style": project.style, "isPrivate": False, "properties": {}}
            | state
        )

    def version(self, version: Version, now: int) -> Json:
        """A version with a string id; `userReleaseDate` is localised and not meant to be read."""
        rendered: Json = {
            "self": f"{self.rest}/version/{version.id}",
            "id": version.id,
            "name": version.name,
            "archived": version.archived,
            "released": version.released,
            "projectId": version.project_id,
        }
        if version.description is not None:
            rendered["description"] = version.description
        if version.start_date:
            rendered |= {"startDate": version.start_date, "userStartDate": _localised(version.start_date)}
        if version.release_date:
            late = not version.released and version.release_date < f"{moment(now):%Y-%m-%d}"
            rendered |= {
                "releaseDate": version.release_date,
                "userReleaseDate": _localised(version.release_date),
            }
            rendered |= {"overdue": late}
        return rendered

    def history(self, history: History) -> Json:
        """One changelog entry; system changes have no author."""
        author = self.user(history.author)
        return {
            "id": str(history.id),
            **({"author": author} if author else {}),
            "created": self.stamp(history.created),
            "items": self.items(history.items),
        }

    def items(self, items: tuple[ChangeItem, ...]) -> tuple[ChangeItem, ...]:
        """Items in the site's dialect: Data Center gives no `fieldId` (recorded in webhooks) and has epic links."""
        if not self.store.data_center:
            return items
        return tuple(map(self._data_center_item, items))

    def _data_center_item(self, item: ChangeItem) -> ChangeItem:
        if item.field == "IssueParentAssociation" and self.store.epic_link_field:
            item = msgspec.structs.replace(item, field="Epic Link", fieldtype="custom")
        return msgspec.structs.replace(item, field_id=msgspec.UNSET)

    def changelog(self, issue: Issue, limit: int) -> Json:
        """The expanded changelog: newest first unless shuffled, silently cut at `limit`."""
        newest = [self.history(history) for history in reversed(issue.histories[-limit:])]
        if self.shuffled:
            random.Random(issue.id).shuffle(newest)
        return {
            "startAt": 0,
            "maxResults": len(newest),
            "total": len(issue.histories),
            "histories": newest,
        }

    def rich_text(self, text: str | None) -> Json | str | None:
        """Plain text in version 2, a document of paragraphs in version 3."""
        if text is None or self.api == "2":
            return text
        paragraphs = [part for part in text.split("\n\n") if part.strip()]
        return {"type": "doc", "version": 1, "content": [_paragraph(part) for part in paragraphs]}


def _paragraph(text: str) -> Json:
    return {"type": "paragraph", "content": [{"type": "text", "text": text}]}


def _level(kind: IssueType) -> int:
    if kind.hierarchy_level is not None:
        return kind.hierarchy_level
    return -1 if kind.subtask else 1 if kind.name == "Epic" else 0


def _localised(date: str) -> str:
    at = moment(parse_instant(date))
    return f"{at.day}/{at:%b/%y}"
