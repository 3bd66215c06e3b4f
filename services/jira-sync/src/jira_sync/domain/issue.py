"""A REST issue to the contract's issue: the whole of it as planning sees it."""

from __future__ import annotations

from collections.abc import Iterable

from jira_sync.domain.fields import SiteFields
from jira_sync.parse import (
    Json,
    optional_instant,
    optional_part,
    optional_text,
    part,
    parts,
    plain_date,
    points,
    rich_text,
    sound,
    sprint_ids,
    text,
    whole_number,
)
from troth_contracts.jira import FieldEstimate, Issue, IssueLink


def read_issue(site_id: str, document: Json, fields: SiteFields) -> Issue:
    """The issue without its former keys, which only the changelog knows. UnreadableError names a missing field."""
    values = part(document, "fields")
    project, status, kind = part(values, "project"), part(values, "status"), part(values, "issuetype")
    project_id = text(project, "id")
    estimate_field = fields.estimate_of(project_id)
    others = ((name, points(values.get(name))) for name in sorted(fields.estimates) if name != estimate_field)
    return Issue(
        site_id=site_id,
        id=whole_number(document, "id"),
        issue_key=text(document, "key"),
        project_id=project_id,
        project_key=text(project, "key"),
        type_name=text(kind, "name"),
        status_id=text(status, "id"),
        status_category=str(optional_part(status, "statusCategory").get("key") or "undefined"),
        summary=optional_text(values, "summary") or "",
        is_subtask=bool(kind.get("subtask")),
        status_name=optional_text(status, "name"),
        estimate=points(values.get(estimate_field)) if estimate_field else None,
        estimate_field=estimate_field,
        parent_id=optional_text(optional_part(values, "parent"), "id"),
        sprint_ids=sprint_ids(values.get(fields.sprint)) if fields.sprint else (),
        fix_version_ids=tuple(text(version, "id") for version in parts(values, "fixVersions")),
        due_date=plain_date(values.get("duedate")),
        rank=optional_text(values, fields.rank) if fields.rank else None,
        links=tuple(_links(parts(values, "issuelinks"))),
        labels=_labels(values.get("labels")),
        description=rich_text(values.get("description")),
        creator_id=optional_text(optional_part(values, "creator"), "accountId"),
        assignee_id=optional_text(optional_part(values, "assignee"), "accountId"),
        assignee_name=optional_text(optional_part(values, "assignee"), "displayName"),
        created_at=optional_instant(values.get("created")),
        updated_at=optional_instant(values.get("updated")),
        resolved_at=optional_instant(values.get("resolutiondate")),
        other_estimates=tuple(FieldEstimate(field_id=name, points=n) for name, n in others if n is not None),
    )


def _labels(value: object) -> tuple[str, ...]:
    return tuple(sorted(sound(str(label)) for label in value)) if isinstance(value, list) else ()


def _links(documents: Iterable[Json]) -> Iterable[IssueLink]:
    for document in documents:
        kind = str(optional_part(document, "type").get("name") or "")
        outward, inward = optional_part(document, "outwardIssue"), optional_part(document, "inwardIssue")
        if outward.get("id"):
            yield IssueLink(
                type=kind,
                direction="outward",
                issue_id=str(outward["id"]),
                issue_key=optional_text(outward, "key"),
            )
        if inward.get("id"):
            yield IssueLink(
                type=kind,
                direction="inward",
                issue_id=str(inward["id"]),
                issue_key=optional_text(inward, "key"),
            )
