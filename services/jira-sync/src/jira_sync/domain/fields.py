"""Which custom field means what on this site: found by type, never by a translated or doubled name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from jira_sync.parse import Json, optional_part

SPRINT_TYPE = "com.pyxis.greenhopper.jira:gh-sprint"
EPIC_TYPE = "com.pyxis.greenhopper.jira:gh-epic-link"
RANK_TYPE = "com.pyxis.greenhopper.jira:gh-lexo-rank"
TEAM_POINTS_TYPE = "com.pyxis.greenhopper.jira:jsw-story-points"
_POINT_NAMES = ("story points", "story point estimate")
MOST_TEXTS = 100
"""Text fields that are read; their ids travel in an address, which servers do not take at any length."""
URL_TYPE = "com.atlassian.jira.plugin.system.customfieldtypes:url"
_SYSTEM = (
    "summary",
    "description",
    "project",
    "issuetype",
    "status",
    "created",
    "updated",
    "duedate",
    "parent",
    "labels",
    "fixVersions",
    "issuelinks",
    "assignee",
    "creator",
    "resolutiondate",
)


@dataclass(frozen=True, slots=True)
class SiteFields:
    """The site's fields that planning needs. ``estimates`` is every candidate, the site-wide default first."""

    sprint: str | None = None
    rank: str | None = None
    epic: str | None = None
    """The old parent field: only changelogs still speak of it."""
    estimates: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    """Name by id of the custom fields that hold addresses or text, addresses first."""
    texts_beyond: tuple[str, ...] = ()
    """Ids of those that are too many."""
    comments: bool = False
    """True when comments are read too."""
    by_project: Mapping[str, str] = field(default_factory=dict)
    """Estimate field by project id, from the configuration of the project's boards."""
    by_boards: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """All of them, in ascending order."""

    def estimate_of(self, project_id: str) -> str | None:
        """The estimate field of a project's issues; the site's default where no board names one."""
        return self.by_project.get(project_id) or (self.estimates[0] if self.estimates else None)

    def counted_in(self, project_id: str) -> tuple[str, ...]:
        """Every field in which a board counts the project's issues, their own first; the default where none does."""
        own = self.estimate_of(project_id)
        return tuple(dict.fromkeys((*([own] if own else ()), *self.by_boards.get(project_id, ()))))

    def requested(self) -> tuple[str, ...]:
        """Field ids a search asks for."""
        custom = [name for name in (self.sprint, self.rank, *self.estimates) if name and name not in _SYSTEM]
        return (*_SYSTEM, *dict.fromkeys((*custom, *self.texts, *(("comment",) if self.comments else ()))))


def discover(fields: Sequence[Json]) -> SiteFields:
    """Sprint and rank by ``schema.custom``; estimates by the team-managed type, then by name (reference 3.5)."""
    named = [entry for entry in fields if _name(entry) in _POINT_NAMES and _type(entry) == "number"]
    texts = _texts(fields)
    candidates = [*_of_type(fields, TEAM_POINTS_TYPE), *(str(entry["id"]) for entry in named)]
    return SiteFields(
        sprint=next(iter(_of_type(fields, SPRINT_TYPE)), None),
        rank=next(iter(_of_type(fields, RANK_TYPE)), None),
        epic=next(iter(_of_type(fields, EPIC_TYPE)), None),
        estimates=tuple(dict.fromkeys(candidates)),
        texts=dict(texts[:MOST_TEXTS]),
        texts_beyond=tuple(field_id for field_id, _ in texts[MOST_TEXTS:]),
    )


def with_boards(found: SiteFields, estimates: Iterable[tuple[Sequence[str], str]]) -> SiteFields:
    """Adds what board configurations say: (project ids, field id) per board; the first board of a project wins."""
    by_project: dict[str, str] = {}
    by_boards: dict[str, set[str]] = {}
    extra: list[str] = []
    for project_ids, field_id in estimates:
        extra.append(field_id)
        for project_id in project_ids:
            by_project.setdefault(project_id, field_id)
            by_boards.setdefault(project_id, set()).add(field_id)
    return replace(
        found,
        estimates=tuple(dict.fromkeys((*found.estimates, *extra))),
        by_project=by_project,
        by_boards={project_id: tuple(sorted(ids)) for project_id, ids in by_boards.items()},
    )


def _texts(fields: Sequence[Json]) -> list[tuple[str, str]]:
    """Custom fields with the schema type of text, which those for addresses have too."""
    found = [
        (
            str(optional_part(entry, "schema").get("custom")) != URL_TYPE,
            str(entry["id"]),
            str(entry.get("name") or ""),
        )
        for entry in fields
        if _type(entry) == "string" and optional_part(entry, "schema").get("custom")
    ]
    return [(field_id, name) for _, field_id, name in sorted(found)]


def _of_type(fields: Sequence[Json], custom: str) -> list[str]:
    return [str(entry["id"]) for entry in fields if optional_part(entry, "schema").get("custom") == custom]


def _type(entry: Json) -> object:
    return optional_part(entry, "schema").get("type")


def _name(entry: Json) -> str:
    return str(entry.get("untranslatedName") or entry.get("name") or "").strip().lower()
