"""The field list of the site: the system fields every site has, plus what the seed adds, with vendor defaults."""

from collections.abc import Iterable

from troth_sandbox.jira.records import GH_EPIC_LINK, GH_SPRINT, Json

_SYSTEM: tuple[tuple[str, str, str, str | None], ...] = (
    ("summary", "Summary", "string", None),
    ("issuetype", "Issue Type", "issuetype", None),
    ("status", "Status", "status", None),
    ("statuscategorychangedate", "Status Category Changed", "datetime", None),
    ("project", "Project", "project", None),
    ("priority", "Priority", "priority", None),
    ("resolution", "Resolution", "resolution", None),
    ("resolutiondate", "Resolved", "datetime", None),
    ("assignee", "Assignee", "user", None),
    ("reporter", "Reporter", "user", None),
    ("creator", "Creator", "user", None),
    ("created", "Created", "datetime", None),
    ("updated", "Updated", "datetime", None),
    ("duedate", "Due date", "date", None),
    ("labels", "Labels", "array", "string"),
    ("components", "Components", "array", "component"),
    ("versions", "Affects versions", "array", "version"),
    ("fixVersions", "Fix versions", "array", "version"),
    ("issuelinks", "Linked Issues", "array", "issuelinks"),
    ("parent", "Parent", "issuelink", None),
    ("subtasks", "Sub-tasks", "array", "issuelinks"),
    ("description", "Description", "string", None),
    ("environment", "Environment", "string", None),
    ("comment", "Comment", "comments-page", None),
)
_CLAUSES = {
    "issuetype": ["issuetype", "type"],
    "fixVersions": ["fixVersion"],
    "versions": ["affectedVersion"],
}


class FieldTable:
    """Fields by id, in the order the site lists them."""

    def __init__(self, seeded: Iterable[Json]) -> None:
        self._by_id = {field["id"]: field for field in map(_system_field, _SYSTEM)}
        for field in seeded:
            self._by_id[field["id"]] = self._by_id.get(field["id"], {}) | _with_defaults(field)

    def listed(self) -> list[Json]:
        """All fields in vendor form."""
        return list(self._by_id.values())

    def ids(self) -> list[str]:
        """All field ids."""
        return list(self._by_id)

    def navigable(self) -> list[str]:
        """Ids of the fields shown in the issue navigator."""
        return [name for name, field in self._by_id.items() if field["navigable"]]

    def name(self, field_id: str) -> str:
        """Display name; the id itself when the field is unknown."""
        field = self._by_id.get(field_id)
        return str(field["name"]) if field else field_id

    def schema(self, field_id: str) -> Json:
        """The vendor's `schema` object, empty for an unknown field."""
        schema: Json = self._by_id.get(field_id, {}).get("schema", {})
        return schema

    def sprint_field(self) -> str | None:
        """Id of the sprint field, found by its type and never by its name."""
        return self._by_type(GH_SPRINT)

    def epic_link_field(self) -> str | None:
        """Id of Data Center's epic link field."""
        return self._by_type(GH_EPIC_LINK)

    def _by_type(self, kind: str) -> str | None:
        return next((f["id"] for f in self._by_id.values() if f["schema"].get("custom") == kind), None)


def _system_field(row: tuple[str, str, str, str | None]) -> Json:
    field_id, name, kind, items = row
    schema = {"type": kind, "system": field_id} | ({"items": items} if items else {})
    shown = {} if field_id != "comment" else {"navigable": False}
    return _with_defaults({"id": field_id, "name": name, "custom": False, "schema": schema} | shown)


def _with_defaults(field: Json) -> Json:
    field_id = field["id"]
    custom = field.get("custom", str(field_id).startswith("customfield_"))
    clauses = [f"cf[{field_id.rpartition('_')[2]}]", field["name"]] if custom else [field_id]
    return {
        "key": field_id,
        "custom": custom,
        "orderable": True,
        "navigable": True,
        "searchable": True,
        "clauseNames": _CLAUSES.get(field_id, clauses),
        "schema": {"type": "any"},
    } | field
