"""One pass over the issues: the query, the pages with their complete changelogs, and each issue as it is to be told.

The query has a lower bound only, in unquoted epoch milliseconds floored to the minute: quoted times are read in the
account's time zone, and an upper bound hides issues that change often. Nothing depends on the order of the pages.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec.structs import replace

from jira_sync.domain.changelog import former_keys, issue_events
from jira_sync.domain.fields import SiteFields
from jira_sync.domain.issue import read_issue
from jira_sync.domain.places import ReferenceRules, references_in
from jira_sync.errors import UnreadableError
from jira_sync.memory import PlanningMemory
from jira_sync.paging import grouped, read_ahead, token_pages, token_pages_from
from jira_sync.parse import Json, parts, text
from jira_sync.reader import JiraReader, TokenPage
from troth_contracts.jira import Issue, IssueEvent

PAGE_SIZE = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MINUTE = datetime(2000, 1, 1, tzinfo=UTC)
"""Bounds a query that names no project: the search refuses unbounded ones."""


@dataclass(frozen=True, slots=True)
class RawIssue:
    """An issue and its complete changelog as the vendor sent them; of Cloud's histories what planning reads."""

    document: Json
    histories: Sequence[Json]
    links: Sequence[Json] | None = None
    """Its links to places outside Jira; None: those that are known stand."""
    links_as_of: str | None = None
    """As of which change they were read."""
    links_pending: bool = False
    """True when they have changed since and are read later."""

    def original(self) -> bytes:
        """For the dead letters."""
        return msgspec.json.encode({"issue": self.document, "histories": list(self.histories)})


@dataclass(frozen=True, slots=True)
class IssuePage:
    """A page of issues, and the token of the next one; None after the last."""

    issues: tuple[RawIssue, ...]
    token: str | None


@dataclass(frozen=True, slots=True)
class IssueTelling:
    """What is to be published of one issue."""

    issue: Issue
    events: tuple[IssueEvent, ...]


def issue_query(projects: Collection[str], since: datetime | None) -> str:
    """JQL for everything changed since then (for everything, None) in these projects (in all, without any)."""
    clauses = [_projects_clause(projects)] if projects else []
    if since is not None or not projects:
        clauses.append(f"updated >= {milliseconds(since or _FIRST_MINUTE) // 60_000 * 60_000}")
    return f"{' AND '.join(clauses)} ORDER BY updated ASC, id ASC"


def project_query(key: str) -> str:
    """JQL for a whole project, newest first; an issue that changes meanwhile keeps its place."""
    return f"{_projects_clause([key])} ORDER BY created DESC, id DESC"


def _projects_clause(keys: Collection[str]) -> str:
    return "project in ({})".format(", ".join(f'"{key}"' for key in sorted(keys)))


async def issue_pages(
    reader: JiraReader, query: str, fields: Sequence[str], reconcile: Sequence[str] = ()
) -> AsyncGenerator[IssuePage, None]:
    """Pages with complete changelogs; the next page and its changelogs are fetched while one is used."""
    async with aclosing(read_ahead(issue_groups(reader, query, fields, reconcile))) as pages:
        async for page in pages:
            yield page


async def issue_groups(
    reader: JiraReader,
    query: str,
    fields: Sequence[str],
    reconcile: Sequence[str] = (),
    *,
    token: str | None = None,
    together: int = 1,
) -> AsyncGenerator[IssuePage, None]:
    """So many pages as one, from ``token`` on: one request gives the changelogs of a thousand issues, not of a page."""

    def search(following: str | None) -> Awaitable[TokenPage]:
        return reader.search(query, fields, following, PAGE_SIZE, reconcile)

    async with aclosing(read_ahead(token_pages_from(search, token))) as pages:
        async for documents, following in grouped(pages, together):
            yield IssuePage(await with_changelogs(reader, documents), following)


async def with_changelogs(reader: JiraReader, documents: Sequence[Json]) -> tuple[RawIssue, ...]:
    """The issues, each with all its histories: those of the page where a dialect sends them along whole."""
    bare = [issue for issue in documents if _whole_changelog(issue) is None]
    histories = await _histories(reader, [str(issue["id"]) for issue in bare if issue.get("id")])
    return tuple(
        RawIssue(issue, histories.get(str(issue.get("id")), ()) if whole is None else whole)
        for issue in documents
        for whole in (_whole_changelog(issue),)
    )


def tell_issue(
    site_id: str, raw: RawIssue, fields: SiteFields, memory: PlanningMemory, rules: ReferenceRules
) -> IssueTelling:
    """The issue with former keys, CRM references and its planning events. UnreadableError when it makes no sense."""
    issue = read_issue(site_id, raw.document, fields)
    try:
        events = issue_events(issue, raw.histories, fields)
    except UnreadableError as error:
        raise UnreadableError(f"{issue.issue_key}: changelog: {error.reason}") from error
    keys = former_keys(issue.issue_key, events, memory.known_keys(issue.id))
    known = memory.link_references(issue.id) if raw.links is None else ()
    issue = replace(
        issue,
        former_keys=keys,
        crm_references=(*references_in(raw.document, fields, rules, raw.links or ()), *known),
        remote_links_as_of=raw.links_as_of,
        remote_links_pending=raw.links_pending,
    )
    return IssueTelling(issue, events)


def _whole_changelog(document: Json) -> Sequence[Json] | None:
    """The histories inside the document; None where there are none or some are cut off."""
    changelog = document.get("changelog")
    if not isinstance(changelog, Mapping):
        return None
    histories = parts(changelog, "histories")
    return histories if len(histories) >= int(changelog.get("total", -1)) >= 0 else None


async def _histories(reader: JiraReader, issue_ids: Sequence[str]) -> Mapping[str, list[Json]]:
    found: dict[str, list[Json]] = {issue_id: [] for issue_id in issue_ids}
    if issue_ids:
        async for page in token_pages(lambda token: reader.changelogs(issue_ids, token)):
            for entry in page:
                found.setdefault(text(entry, "issueId"), []).extend(parts(entry, "changeHistories"))
    return found


def milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
