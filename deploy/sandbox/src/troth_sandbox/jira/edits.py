"""From an edit of fields to the new issue version and the history items Jira would write for it.

Facts from recordings: a sprint item lists ids in `from`/`to` ("76, 79") and names in the texts; number fields leave
`from`/`to` null; Key, Workflow and IssueParentAssociation items have no `fieldId`; fix versions give one item each.
The text of a due date item is unverified.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from troth_sandbox.jira.clock import moment, parse_instant
from troth_sandbox.jira.errors import BadRequestError, NotFoundError
from troth_sandbox.jira.records import ChangeItem, Issue, Json, Project, Status
from troth_sandbox.jira.store import Store

RESOLVED = {"id": "10000", "name": "Done"}
_PEOPLE = {"assignee", "reporter"}
_OPTIONS = {"priority", "resolution", "issuetype"}


class Editor:
    """Collects the consequences of one edit made at `now` (ms)."""

    def __init__(self, store: Store, issue: Issue, now: int) -> None:
        self._store = store
        self._now = now
        self.issue = issue
        self.items: list[ChangeItem] = []

    def apply(self, fields: Json) -> None:
        """Change the fields in the order given; BadRequestError for values that do not exist.

        A status of another category sets or clears the resolution, unless the edit says it itself.
        """
        if "project" in fields:
            self._move(fields["project"], with_status=fields.get("status"))
        for field_id, value in fields.items():
            if field_id != "project":
                self._writer(field_id)(field_id, value)
        if "status" in fields and "resolution" not in fields:
            self._resolve()

    def set_sprints(self, sprint_ids: tuple[int, ...]) -> None:
        """Replace the whole sprint list, closed ones included."""
        field = self._store.sprint_field
        if field is None:
            raise BadRequestError("This site has no sprint field.")
        if sprint_ids == self.issue.sprint_ids:
            return
        before, after = self._sprint_texts(self.issue.sprint_ids), self._sprint_texts(sprint_ids)
        self._note(self._store.fields.name(field), field, before, after, fieldtype="custom")
        self._replace(sprint_ids=sprint_ids)

    def _writer(self, field_id: str) -> Callable[[str, Any], None]:
        special: dict[str, Callable[[str, Any], None]] = {
            "status": lambda _, value: self._status(value),
            "parent": lambda _, value: self._parent(value),
            "labels": lambda _, value: self._labels(value),
            "fixVersions": self._versions,
            "versions": self._versions,
        }
        if field_id == self._store.sprint_field:
            return lambda _, value: self._sprints(value)
        if field_id in _PEOPLE:
            return self._person
        if field_id in _OPTIONS:
            return self._option
        return special.get(field_id, self._plain)

    def _status(self, value: Json) -> None:
        after = self._find_status(value)
        before = self._store.catalogue.statuses[self.issue.status_id]
        if after.id == before.id:
            return
        self._note("status", "status", (before.id, before.name), (after.id, after.name))
        crossed = after.status_category.key != before.status_category.key
        self._replace(
            status_id=after.id, category_changed=self._now if crossed else self.issue.category_changed
        )

    def _find_status(self, value: Json) -> Status:
        known = self._store.catalogue.statuses.values()
        found = next(
            (s for s in known if value.get("id", s.id) == s.id and value.get("name", s.name) == s.name), None
        )
        if found is None:
            raise BadRequestError(f"There is no status {value}.")
        return found

    def _resolve(self) -> None:
        done = self._store.catalogue.statuses[self.issue.status_id].status_category.key == "done"
        resolved = bool(self.issue.fields.get("resolution"))
        if done != resolved:
            self._option("resolution", RESOLVED if done else None)

    def _sprints(self, value: list[int] | int | None) -> None:
        """Closed sprints stay for ever; the rest becomes what is asked for."""
        asked = [value] if isinstance(value, int) else value or []
        known = self._store.catalogue.sprints
        if unknown := [sprint for sprint in asked if sprint not in known]:
            raise BadRequestError(f"There are no sprints {unknown}.")
        closed = [i for i in self.issue.sprint_ids if i in known and known[i].state == "closed"]
        self.set_sprints(tuple(dict.fromkeys([*closed, *asked])))

    def _sprint_texts(self, ids: tuple[int, ...]) -> tuple[str, str]:
        known = self._store.catalogue.sprints
        names = (known[sprint_id].name for sprint_id in ids if sprint_id in known)
        return ", ".join(map(str, ids)), ", ".join(names)

    def _person(self, field_id: str, value: Json | None) -> None:
        before = self.issue.fields.get(field_id)
        self._set(field_id, value, self._person_texts(before), self._person_texts(value))

    def _person_texts(self, value: Json | None) -> tuple[str | None, str | None]:
        if not value:
            return None, None
        user = self._store.catalogue.users.get(value["accountId"])
        if user is None:
            raise BadRequestError(f"User '{value['accountId']}' does not exist.")
        return user.account_id, user.display_name

    def _option(self, field_id: str, value: Json | None) -> None:
        before = self.issue.fields.get(field_id) or {}
        after = value or {}
        if field_id == "resolution":
            at = moment(self._now).isoformat() if value else None
            self._replace(fields=self.issue.fields | {"resolutiondate": at})
        self._set(
            field_id, value, (before.get("id"), before.get("name")), (after.get("id"), after.get("name"))
        )

    def _labels(self, value: list[str]) -> None:
        before = self.issue.fields.get("labels") or []
        self._set("labels", value, ("", " ".join(before)), ("", " ".join(value)))

    def _versions(self, field_id: str, value: list[Json]) -> None:
        name = "Fix Version" if field_id == "fixVersions" else "Version"
        before = [str(ref["id"]) for ref in self.issue.fields.get(field_id) or []]
        after = [str(ref["id"]) for ref in value]
        for gone in (version for version in before if version not in after):
            self._note(name, field_id, (gone, self._version_name(gone)), (None, None))
        for new in (version for version in after if version not in before):
            self._note(name, field_id, (None, None), (new, self._version_name(new)))
        self._replace(fields=self.issue.fields | {field_id: [{"id": version} for version in after]})

    def _version_name(self, version_id: str) -> str:
        if version_id not in self._store.catalogue.versions:
            raise BadRequestError(f"There is no version {version_id}.")
        return self._store.catalogue.versions[version_id].name

    def _parent(self, value: Json | None) -> None:
        after = self._find_parent(value)
        before = self._store.find(self.issue.parent_id) if self.issue.parent_id is not None else None
        if (before.id if before else None) == (after.id if after else None):
            return
        self._note("IssueParentAssociation", None, _issue_texts(before), _issue_texts(after))
        self._replace(parent_id=after.id if after else None)

    def _find_parent(self, value: Json | None) -> Issue | None:
        if not value:
            return None
        try:
            return self._store.issue(str(value.get("id") or value["key"]))
        except NotFoundError as error:
            raise BadRequestError("The parent does not exist.") from error

    def _move(self, value: Json, with_status: Json | None) -> None:
        """Same id, new key; the status item belongs to the move when the workflow forces another one."""
        target = self._store.project(str(value.get("id") or value["key"]))
        old = self._store.catalogue.projects[self.issue.project_id]
        if target.id == old.id:
            return
        self._note("project", "project", (old.id, old.name), (target.id, target.name))
        if with_status:
            self._status(with_status)
        self._note("Workflow", None, _workflow(old), _workflow(target))
        key = self._store.next_key(target)
        self._note("Key", None, (None, self.issue.key), (None, key))
        self._replace(project_id=target.id, key=key)

    def _plain(self, field_id: str, value: object) -> None:
        before = self.issue.fields.get(field_id)
        kind = self._store.fields.schema(field_id).get("type")
        if kind == "date":
            self._set(field_id, value, _date_texts(field_id, before), _date_texts(field_id, value))
        else:
            self._set(field_id, value, (None, _text(before)), (None, _text(value)))

    def _set(
        self,
        field_id: str,
        value: object,
        before: tuple[str | None, str | None],
        after: tuple[str | None, str | None],
    ) -> None:
        if before == after:
            return
        custom = field_id.startswith("customfield_")
        name = self._store.fields.name(field_id) if custom else field_id
        self._note(name, field_id, before, after, fieldtype="custom" if custom else "jira")
        self._replace(fields=self.issue.fields | {field_id: value})

    def _note(
        self,
        name: str,
        field_id: str | None,
        before: tuple[str | None, str | None],
        after: tuple[str | None, str | None],
        fieldtype: str = "jira",
    ) -> None:
        known = field_id if field_id is not None else msgspec.UNSET
        self.items.append(ChangeItem(name, fieldtype, known, before[0], before[1], after[0], after[1]))

    def _replace(self, **changes: Any) -> None:
        self.issue = msgspec.structs.replace(self.issue, **changes)


def _issue_texts(issue: Issue | None) -> tuple[str | None, str | None]:
    return (str(issue.id), issue.key) if issue else (None, None)


def _workflow(project: Project) -> tuple[str, str]:
    return str(int(project.id) + 1000), f"Software Simplified Workflow for Project {project.key}"


def _date_texts(field_id: str, value: object) -> tuple[str | None, str | None]:
    if not value:
        return None, None
    if not field_id.startswith("customfield_"):
        return str(value), f"{value} 00:00:00.0"
    at = moment(parse_instant(str(value)))
    return str(value), f"{at.day}/{at:%b/%y}"


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
