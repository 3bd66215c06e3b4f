"""How an issue looks: which fields were asked for, and the vendor form of each."""

from collections.abc import Callable, Iterable

from troth_sandbox.jira.attachment_shapes import COMMENTS_INSIDE, comment_page
from troth_sandbox.jira.clock import agile_stamp
from troth_sandbox.jira.records import Issue, Json, Sprint
from troth_sandbox.jira.render import Renderer

EXPANDABLE = "renderedFields,names,schema,operations,editmeta,changelog,versionedRepresentations"
CHANGELOG_LIMIT = 100
_LISTS = {"labels", "components", "versions", "fixVersions", "issuelinks", "subtasks"}
_ABSENT: object = object()
_Reader = Callable[[Issue], object]


class FieldChoice:
    """The `fields` parameter: ids, `*all`, `*navigable`, and exclusions with a minus sign."""

    def __init__(self, requested: Iterable[str], default: str) -> None:
        asked = [name.strip() for part in requested for name in part.split(",") if name.strip()]
        self._wanted = [name for name in asked if not name.startswith("-")]
        self._excluded = {name[1:] for name in asked if name.startswith("-")}
        if not self._wanted:
            self._wanted = ["*navigable"] if self._excluded and default == "id" else [default]

    @property
    def only_identity(self) -> bool:
        """True when nothing beyond id and key is asked for, which allows the largest pages."""
        return {"id", "key"}.issuperset(self._wanted)

    @property
    def only_id(self) -> bool:
        """True when only the id is asked for: the default of the enhanced search."""
        return set(self._wanted) == {"id"}

    def ids(self, known: list[str], navigable: list[str]) -> list[str]:
        """The chosen field ids, each once; names the site does not know are ignored."""
        chosen: dict[str, None] = {}
        for name in self._wanted:
            group = {"*all": known, "*navigable": navigable}.get(name, [name] if name in known else [])
            chosen |= dict.fromkeys(group)
        return [name for name in chosen if name not in self._excluded]


class IssueRenderer:
    """Vendor JSON of issues for one choice of fields."""

    def __init__(self, render: Renderer, choice: FieldChoice, *, with_changelog: bool) -> None:
        self._render = render
        self._store = render.store
        self._choice = choice
        table = self._store.fields
        self.field_ids = choice.ids(table.ids(), table.navigable())
        self._with_changelog = with_changelog
        self._readers = self._known_readers()

    def issue(self, issue: Issue) -> Json:
        """The issue as search shows it: nothing but the id when only that was asked for."""
        if self._choice.only_id and not self._with_changelog:
            return {"id": str(issue.id)}
        return self.whole(issue)

    def whole(self, issue: Issue) -> Json:
        """The issue with its key, links and the chosen fields."""
        rendered: Json = {
            "expand": EXPANDABLE,
            "id": str(issue.id),
            "self": f"{self._render.rest}/issue/{issue.id}",
            "key": issue.key,
        }
        if self._with_changelog:
            limit = max(1, len(issue.histories)) if self._store.data_center else CHANGELOG_LIMIT
            rendered["changelog"] = self._render.changelog(issue, limit)
        if not self._choice.only_identity:
            rendered["fields"] = self._fields(issue)
        return rendered

    def names(self) -> Json:
        """`expand=names`: display names of the chosen fields."""
        return {field_id: self._store.fields.name(field_id) for field_id in self.field_ids}

    def schema(self) -> Json:
        """`expand=schema`: types of the chosen fields."""
        return {field_id: self._store.fields.schema(field_id) for field_id in self.field_ids}

    def _fields(self, issue: Issue) -> Json:
        values = ((field_id, self._value(issue, field_id)) for field_id in self.field_ids)
        return {field_id: value for field_id, value in values if value is not _ABSENT}

    def _value(self, issue: Issue, field_id: str) -> object:
        if reader := self._readers.get(field_id):
            return reader(issue)
        return issue.fields.get(field_id, [] if field_id in _LISTS else None)

    def _known_readers(self) -> dict[str, _Reader]:
        render, store = self._render, self._store
        readers: dict[str, _Reader] = {
            "project": lambda issue: render.project_reference(store.catalogue.projects[issue.project_id]),
            "status": lambda issue: render.status(issue.status_id),
            "issuetype": lambda issue: render.issue_type(issue.type_id) or issue.fields.get("issuetype"),
            "created": lambda issue: render.stamp(issue.created),
            "updated": lambda issue: render.stamp(issue.updated),
            "statuscategorychangedate": lambda issue: render.stamp(issue.category_changed or issue.created),
            "resolutiondate": lambda issue: render.stamp_text(issue.fields.get("resolutiondate")),
            "description": lambda issue: render.rich_text(issue.fields.get("description")),
            "environment": lambda issue: render.rich_text(issue.fields.get("environment")),
            "resolution": lambda issue: self._option(issue.fields.get("resolution"), "resolution"),
            "priority": lambda issue: self._option(issue.fields.get("priority"), "priority"),
            "fixVersions": lambda issue: self._versions(issue.fields.get("fixVersions")),
            "versions": lambda issue: self._versions(issue.fields.get("versions")),
            "comment": self._comments,
            "issuelinks": lambda issue: [self._link(link) for link in issue.fields.get("issuelinks") or []],
            "parent": self._parent,
            "subtasks": self._subtasks,
        }
        readers |= {name: self._person_reader(name) for name in ("assignee", "reporter", "creator")}
        if store.sprint_field:
            readers[store.sprint_field] = self._sprints
        if store.data_center and store.epic_link_field:
            readers[store.epic_link_field] = self._epic_link
        return readers

    def _person_reader(self, name: str) -> _Reader:
        def read(issue: Issue) -> object:
            person = issue.fields.get(name)
            return self._render.user(person["accountId"]) if person else None

        return read

    def _comments(self, issue: Issue) -> Json:
        page = comment_page(self._render, issue, 0, COMMENTS_INSIDE)
        return {"self": f"{self._render.rest}/issue/{issue.id}/comment"} | page

    def _option(self, value: Json | None, kind: str) -> Json | None:
        if not value:
            return None
        rendered: Json = {"self": f"{self._render.rest}/{kind}/{value.get('id', '')}"}
        return rendered | ({"description": ""} if kind == "resolution" else {}) | value

    def _versions(self, references: list[Json] | None) -> list[Json]:
        known = self._store.catalogue.versions
        found = (known[str(ref["id"])] for ref in references or [] if str(ref["id"]) in known)
        return [
            {
                "self": f"{self._render.rest}/version/{version.id}",
                "id": version.id,
                "description": version.description or "",
                "name": version.name,
                "archived": version.archived,
                "released": version.released,
            }
            | ({"releaseDate": version.release_date} if version.release_date else {})
            for version in found
        ]

    def _sprints(self, issue: Issue) -> list[Json] | list[str] | None:
        """Objects with `boardId`, without `self` and `originBoardId`; null when never in a sprint.

        On Data Center texts, unless switched to objects.
        """
        known = self._store.catalogue.sprints
        found = [known[sprint_id] for sprint_id in issue.sprint_ids if sprint_id in known]
        if self._store.data_center and self._render.sprint_strings:
            return [sprint_text(sprint) for sprint in found] or None
        return [sprint_value(sprint) for sprint in found] or None

    def _epic_link(self, issue: Issue) -> str | None:
        """Key of the epic of anything but a sub-task."""
        parent = self._store.find(issue.parent_id) if issue.parent_id is not None else None
        return parent.key if parent and not self._store.is_subtask(issue) else None

    def _parent(self, issue: Issue) -> object:
        if self._store.data_center and not self._store.is_subtask(issue):
            return _ABSENT
        parent = self._store.find(issue.parent_id) if issue.parent_id is not None else None
        return self._reference(parent) if parent else _ABSENT

    def _subtasks(self, issue: Issue) -> list[Json]:
        kinds = self._store.catalogue.issue_types
        children = self._store.children(issue.id)
        return [
            self._reference(child)
            for child in children
            if child.type_id in kinds and kinds[child.type_id].subtask
        ]

    def _link(self, link: Json) -> Json:
        rendered: Json = {"self": f"{self._render.rest}/issueLink/{link.get('id', '')}"} | link
        for side in ("inwardIssue", "outwardIssue"):
            if side in link:
                target = self._store.issue_id(str(link[side].get("id") or link[side]["key"]))
                other = self._store.find(target) if target is not None else None
                rendered[side] = self._reference(other) if other else link[side]
        return rendered

    def _reference(self, issue: Issue) -> Json:
        fields: Json = {
            "summary": issue.fields.get("summary"),
            "status": self._render.status(issue.status_id),
            "issuetype": self._render.issue_type(issue.type_id),
        }
        if priority := self._option(issue.fields.get("priority"), "priority"):
            fields["priority"] = priority
        return {
            "id": str(issue.id),
            "key": issue.key,
            "self": f"{self._render.rest}/issue/{issue.id}",
            "fields": fields,
        }


def sprint_value(sprint: Sprint) -> Json:
    """A sprint inside an issue's field; future sprints have no dates."""
    value: Json = {
        "id": sprint.id,
        "name": sprint.name,
        "state": sprint.state,
        "boardId": sprint.origin_board_id,
        "goal": sprint.goal or "",
    }
    return value | sprint_dates(sprint)


def sprint_text(sprint: Sprint) -> str:
    """The Java `toString` of a sprint, with the keys of a recorded one."""
    dates = sprint_dates(sprint)
    shown = {
        "id": str(sprint.id),
        "rapidViewId": str(sprint.origin_board_id),
        "state": sprint.state.upper(),
        "name": sprint.name,
        **{name: dates.get(name) for name in ("startDate", "endDate", "completeDate")},
        "sequence": str(sprint.id),
        "goal": sprint.goal,
    }
    inside = ",".join(f"{name}={'<null>' if value is None else value}" for name, value in shown.items())
    return f"com.atlassian.greenhopper.service.sprint.Sprint@{0xA88A000 + sprint.id:x}[{inside}]"


def sprint_dates(sprint: Sprint) -> Json:
    """The dates a sprint shows in its state, in UTC with `Z`."""
    if sprint.state == "future":
        return {}
    dates = {"startDate": sprint.start, "endDate": sprint.end}
    if sprint.state == "closed":
        dates["completeDate"] = sprint.completed
    return {name: agile_stamp(at) for name, at in dates.items() if at is not None}
