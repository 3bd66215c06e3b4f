"""How each recorded file is read: by the functions the service reads that document with, or why it never asks for it."""

from __future__ import annotations

import csv
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from jira_sync.domain.changelog import former_keys, issue_events
from jira_sync.domain.fields import SiteFields, discover
from jira_sync.domain.issue import read_issue
from jira_sync.domain.structure import board_rules, read_board, read_sprint
from jira_sync.domain.timeline import build_timeline
from jira_sync.parse import text
from troth_contracts.jira import Issue, IssueEvent

csv.field_size_limit(sys.maxsize)
MERICO = SiteFields(
    sprint="customfield_10020", epic="customfield_10014", estimates=("customfield_10024", "customfield_10016")
)
"""The fields of DevLake's recorded site, as ``discover`` finds them there."""
IMPROVING_FLOW = SiteFields(sprint="customfield_10020", estimates=("customfield_10016",))
ANY_ISSUE = Issue(
    site_id="site",
    id="13383",
    issue_key="EE-1",
    project_id="10003",
    project_key="EE",
    type_name="Story",
    status_id="1",
    status_category="new",
    summary="Whose changelog is recorded apart",
)
Json = dict[str, Any]
Reader = Callable[[Any], int]
"""Reads one file's content and says how many documents it held."""


def rows(place: Path, *parts: str) -> Iterator[dict[str, str]]:
    """Rows of a table under ``jira``; one recorded table begins with an empty line."""
    with place.joinpath("jira", *parts).open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(itertools.dropwhile(lambda line: not line.strip(), lines))


def documents(place: Path, name: str) -> list[Json]:
    """The answers DevLake recorded in one raw table."""
    return [json.loads(row["data"]) for row in rows(place, "devlake", "raw_tables", name)]


def content(path: Path) -> Any:
    """What a recorded file holds: its JSON, the answers in a raw table, nothing in an empty file."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as lines:
            table = csv.DictReader(itertools.dropwhile(lambda line: not line.strip(), lines))
            return [json.loads(row["data"]) for row in table]
    body = path.read_text(encoding="utf-8")
    return json.loads(body) if body else None


def read(document: Json, fields: SiteFields) -> tuple[Issue, tuple[IssueEvent, ...]]:
    """One issue and its inline changelog."""
    issue = read_issue("site", document, fields)
    return issue, issue_events(issue, document.get("changelog", {}).get("histories", ()), fields)


def _issues(fields: SiteFields) -> Reader:
    def reader(found: Any) -> int:
        listed = found if isinstance(found, list) else found.get("issues", [found])
        for document in listed:
            issue, events = read(document, fields)
            build_timeline(issue, events)
            former_keys(issue.issue_key, events)
        return len(listed)

    return reader


def _histories(found: Sequence[Json]) -> int:
    build_timeline(ANY_ISSUE, issue_events(ANY_ISSUE, found, MERICO))
    return len(found)


def _fields(found: Sequence[Json]) -> int:
    discover(found)
    return len(found)


def _sprints(found: Any) -> int:
    listed = found if isinstance(found, list) else found["values"]
    return len([read_sprint("site", document, ("8",)) for document in listed])


def _boards(found: Json) -> int:
    read_boards = [read_board("site", board, {}, {}, SiteFields()) for board in found["values"]]
    return len(read_boards)


def _configuration(found: Json) -> int:
    board = read_board("site", found, found, {}, SiteFields())
    return len(board_rules(board).mapped)


def _projects(found: Any) -> int:
    listed = found if isinstance(found, list) else [found]
    return len({text(project, "id"): text(project, "key") for project in listed})


READERS: Mapping[str, Reader] = {
    "devlake/raw_tables/_raw_jira_api_issues*.csv": _issues(MERICO),
    "devlake/raw_tables/_raw_jira_external_epics.csv": _issues(MERICO),
    "devlake/*/_raw_jira_api_issue_changelogs.csv": _histories,
    "devlake/raw_tables/_raw_jira_api_issue_fields.csv": _fields,
    "devlake/raw_tables/_raw_jira_api_sprints.csv": _sprints,
    "devlake/raw_tables/_raw_jira_api_projects.csv": _projects,
    "jirametrics/*SP-*.json": _issues(IMPROVING_FLOW),
    "jirametrics/*_configuration.json": _configuration,
    "go-jira/all_boards*.json": _boards,
    "go-jira/all_fields.json": _fields,
    "go-jira/all_projects.json": _projects,
    "go-jira/project.json": _projects,
    "go-jira/board_configuration.json": _configuration,
    "go-jira/sprints*.json": _sprints,
    "go-jira/issues_in_sprint.json": _issues(SiteFields()),
}
"""By path under ``jira``; the webhooks are taken in by the receiver instead."""
NEVER_ASKED: Mapping[str, str] = {
    "*/LICENSE*": "no data",
    "*/NOTICE": "no data",
    "openapi/*.json": "the vendor's description of its API: what the simulator is held to",
    "devlake/snapshot_tables/*.csv": "what DevLake makes of its recordings: what ours is compared with",
    "devlake/issue_changelogs/_tool_*.csv": "what DevLake makes of a special case",
    "devlake/raw_tables/_raw_jira_api_issue_types.csv": "an issue carries its type",
    "devlake/raw_tables/_raw_jira_api_status.csv": "an issue carries its status, a board its columns",
    "devlake/raw_tables/_raw_jira_api_users.csv": "people are told apart by id only",
    "jirametrics/*_meta.json": "written by the collector, not by Jira",
    "jirametrics/*_statuses.json": "an issue carries its status, a board its columns",
    **{
        f"go-jira/{name}.json": "nothing of it bears on planning"
        for name in (
            *(
                "all_filters",
                "all_issuelinktypes",
                "all_permissionschemes",
                "all_priorities",
                "all_resolutions",
            ),
            *(
                "all_roles",
                "all_statuscategories",
                "all_statuses",
                "component_get",
                "favourite_filters",
                "filter",
            ),
            *("my_filters", "no_permissionscheme", "no_permissionschemes", "no_role", "no_roles"),
            *("permissionscheme", "remote_links", "role", "search_filters", "status_category", "transitions"),
        )
    },
}


def matching(name: str, table: Mapping[str, Any]) -> list[str]:
    """Patterns of the table that fit a path."""
    return [pattern for pattern in table if fnmatch(name, pattern)]
