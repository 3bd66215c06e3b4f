"""Asks every endpoint the service needs once, and says of each what is missing: scope, permission or feature."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from jira_sync.domain.fields import SiteFields, discover
from jira_sync.errors import AccessLostError, ForbiddenError, NotSupportedError, ScanFailedError
from jira_sync.paging import all_offset_items
from jira_sync.parse import Json, optional_text, text
from jira_sync.reader import JiraReader
from jira_sync.scan import issue_query

_REFUSALS = (AccessLostError, ForbiddenError, NotSupportedError, ScanFailedError)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried."""

    name: str
    ok: bool
    detail: str = ""


async def probe(reader: JiraReader, projects: Sequence[str]) -> list[Finding]:
    """All findings, in the order the service would need them; JiraUnavailableError when Jira does not answer."""
    try:
        info = await reader.server_info()
        account = await reader.myself()
    except _REFUSALS as error:
        return [
            Finding(
                "credentials", ok=False, detail=f"{error}; check TROTH_JIRA_EMAIL and TROTH_JIRA_API_TOKEN"
            )
        ]
    cloud = info.deployment.lower() == "cloud"
    findings = [Finding("serverInfo", cloud, f"deployment {info.deployment or 'unknown'}")]
    findings.append(Finding("myself", ok=True, detail=optional_text(account, "displayName") or ""))
    fields, found = await _fields(reader)
    findings += found
    findings += await _issues(reader, projects, fields)
    return [*findings, *await _boards(reader), *await _versions(reader, projects)]


async def _fields(reader: JiraReader) -> tuple[SiteFields, list[Finding]]:
    try:
        fields = discover(await reader.fields())
    except _REFUSALS as error:
        return SiteFields(), [Finding("field", ok=False, detail=str(error))]
    return fields, [
        Finding(
            "sprint field",
            fields.sprint is not None,
            fields.sprint or "no field of Jira Software's sprint type",
        ),
        Finding(
            "estimate field", ok=True, detail=", ".join(fields.estimates) or "only where a board names one"
        ),
    ]


async def _issues(reader: JiraReader, projects: Sequence[str], fields: SiteFields) -> list[Finding]:
    try:
        page = await reader.search(issue_query(projects, None), fields.requested(), None, 1)
    except _REFUSALS as error:
        return [Finding("search/jql", ok=False, detail=str(error))]
    ids = [text(issue, "id") for issue in page.items]
    found = [Finding("search/jql", bool(ids), "" if ids else "no issue is visible to this account")]
    return (
        [*found, *await _try("changelog/bulkfetch", lambda: reader.changelogs(ids, None))] if ids else found
    )


async def _boards(reader: JiraReader) -> list[Finding]:
    try:
        boards = await all_offset_items(reader.boards)
    except _REFUSALS as error:
        return [Finding("board", ok=False, detail=f"{error}; needs read:board-scope:jira-software")]
    findings = [Finding("board", bool(boards), f"{len(boards)} visible")]
    for board in boards:
        findings += await _board(reader, board)
    return findings


async def _board(reader: JiraReader, board: Json) -> list[Finding]:
    board_id, name = text(board, "id"), f"board {board['id']} {board.get('name', '')!r}"
    findings = [
        *await _try(f"{name}: configuration", lambda: reader.board_configuration(board_id)),
        *await _try(f"{name}: projects", lambda: reader.board_projects(board_id, 0)),
    ]
    if board.get("type") == "scrum":
        findings += await _try(f"{name}: sprints", lambda: reader.sprints(board_id, ("active",), 0))
    bad = [finding for finding in findings if not finding.ok]
    return bad or [Finding(name, ok=True, detail="configuration, projects, sprints")]


async def _versions(reader: JiraReader, projects: Sequence[str]) -> list[Finding]:
    findings: list[Finding] = []
    for key in projects:
        findings += await _try(f"versions of {key}", partial(reader.versions, key))
    return findings


async def _try(name: str, ask: Callable[[], Awaitable[object]]) -> list[Finding]:
    try:
        await ask()
    except _REFUSALS as error:
        return [Finding(name, ok=False, detail=str(error))]
    return [Finding(name, ok=True)]
