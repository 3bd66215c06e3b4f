"""Asks every endpoint the service needs once, and says of each what is missing: scope, permission or feature.

``jira-sync check`` asks for all boards too. A start asks for what nothing works without (``admit``): a forbidden board
is quarantined, a forbidden search is told in one sentence with everything else that is missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from jira_sync.domain.fields import SiteFields, discover
from jira_sync.errors import (
    AccessLostError,
    AccessMissingError,
    CredentialsError,
    ForbiddenError,
    NotSupportedError,
    ScanFailedError,
)
from jira_sync.login_choice import LoginKind
from jira_sync.paging import all_offset_items
from jira_sync.parse import Json, optional_text, text
from jira_sync.reader import JiraReader
from jira_sync.scan import issue_query
from troth_chassis.errors import ConfigurationError
from troth_chassis.together import together

_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)
NOT_THERE = "is not there or hidden from the account: mend TROTH_JIRA_PROJECTS, or grant 'Browse projects'"
"""Said of a project that the configuration names."""
_REFUSALS = (AccessLostError, ForbiddenError, NotSupportedError, ScanFailedError)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried; ``refused`` when Jira said no, not when there is only nothing there."""

    name: str
    ok: bool
    detail: str = ""
    refused: bool = False


async def greet(reader: JiraReader, login: LoginKind) -> list[Finding]:
    """Whom and what we talk to. CredentialsError, or NotSupportedError when the site is not what the login is for."""
    try:
        info = await reader.server_info()
        _expect(info.deployment, login)
        account = await reader.myself()
    except (AccessLostError, ForbiddenError) as error:
        raise CredentialsError(
            f"Jira does not accept the credentials: check {login.settings} ({error})"
        ) from error
    return [
        Finding("serverInfo", ok=True, detail=f"deployment {info.deployment}, {login.value}"),
        Finding("myself", ok=True, detail=optional_text(account, "displayName") or ""),
    ]


def _expect(deployment: str, login: LoginKind) -> None:
    if deployment.lower() != login.deployment.lower():
        raise NotSupportedError(
            f"the site calls itself {deployment or 'nothing'!r} and the login ({login.value}) is for"
            f" {login.deployment!r}: mend TROTH_JIRA_URL or choose another login"
        )


async def admit(reader: JiraReader, login: LoginKind, projects: Sequence[str]) -> None:
    """Returns when the service can work here. AccessMissingError names all that is refused."""
    await greet(reader, login)

    async def fields() -> list[Finding]:
        return (await _fields(reader))[1]

    async def issues() -> list[Finding]:
        there, roster = await _projects(reader, projects)
        return [*roster, *await _issues(reader, there, SiteFields())]

    found = await together(fields(), issues(), _try("board", lambda: reader.boards(0)))
    refused = [finding.detail for group in found for finding in group if finding.refused]
    if refused:
        raise AccessMissingError("the account lacks access: " + "; ".join(refused))


async def probe(reader: JiraReader, login: LoginKind, projects: Sequence[str]) -> list[Finding]:
    """All findings, in the order the service would need them; JiraUnavailableError when Jira does not answer."""
    try:
        findings = await greet(reader, login)
    except ConfigurationError as error:
        return [Finding("login", ok=False, detail=str(error), refused=True)]
    fields, found = await _fields(reader)
    there, roster = await _projects(reader, projects)
    findings += [*found, *roster, *await _issues(reader, there, fields), *await _links(reader, there)]
    return [*findings, *await _boards(reader), *await _versions(reader, there)]


async def _fields(reader: JiraReader) -> tuple[SiteFields, list[Finding]]:
    try:
        fields = discover(await reader.fields())
    except _REFUSALS as error:
        return SiteFields(), [_refused("field", error)]
    sprint = fields.sprint or "no field of Jira Software's sprint type"
    estimates = ", ".join(fields.estimates) or "only where a board names one"
    return fields, [
        Finding("sprint field", fields.sprint is not None, sprint),
        Finding("estimate field", ok=True, detail=estimates),
    ]


async def _projects(reader: JiraReader, wanted: Sequence[str]) -> tuple[Sequence[str], list[Finding]]:
    """Those of the wanted projects that are there. One that is not is named and done without, unless none is."""
    try:
        visible = {text(project, "key") for project in await reader.projects("live")}
    except _REFUSALS as error:
        return wanted, [_refused("project", error)]
    there = [key for key in wanted if key in visible]
    missing = [
        Finding(f"project {key}", ok=False, detail=f"{key} {NOT_THERE}", refused=not there)
        for key in wanted
        if key not in visible
    ]
    return there, [Finding("project", bool(visible), f"{len(visible)} visible"), *missing]


async def _issues(reader: JiraReader, projects: Sequence[str], fields: SiteFields) -> list[Finding]:
    try:
        page = await reader.search(issue_query(projects, _ALWAYS), fields.requested(), None, 1)
    except _REFUSALS as error:
        return [_refused("search", error)]
    ids = [text(issue, "id") for issue in page.items]
    if not ids:
        return [Finding("search", ok=False, detail="no issue is visible to this account")]
    issue, changelog = await together(
        _try("issue", lambda: reader.find("issue", ids[0], ("summary",))),
        _try("changelog", lambda: reader.changelogs(ids[:1], None)),
    )
    return [Finding("search", ok=True), *issue, *changelog]


async def _links(reader: JiraReader, projects: Sequence[str]) -> list[Finding]:
    """Without them CRM references on links are not found; everything else works."""
    try:
        page = await reader.search(issue_query(projects, _ALWAYS), ("id",), None, 1)
    except _REFUSALS:
        return []
    return [
        finding
        for issue in page.items
        for finding in await _try("remote links", partial(reader.remote_links, text(issue, "id")))
    ]


async def _boards(reader: JiraReader) -> list[Finding]:
    try:
        boards = await all_offset_items(reader.boards)
    except _REFUSALS as error:
        return [_refused("board", error)]
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
    if board.get("type") == "kanban":
        findings.append(Finding("no sprints needed: a kanban board has none", ok=True))
    else:
        findings.append(await _sprints(reader, board, name))
    bad = [finding for finding in findings if not finding.ok]
    asked = ", ".join(finding.name.removeprefix(f"{name}: ") for finding in findings)
    return bad or [Finding(name, ok=True, detail=asked)]


async def _sprints(reader: JiraReader, board: Json, name: str) -> Finding:
    """A team-managed board (``simple``) may have sprints; without them it answers 400, which is no fault."""
    try:
        await reader.sprints(text(board, "id"), ("active",), 0)
    except _REFUSALS as error:
        if board.get("type") != "scrum" and isinstance(error, ScanFailedError):
            return Finding("no sprints: they are not switched on", ok=True)
        return _refused(f"{name}: sprints", error)
    return Finding("sprints", ok=True)


async def _versions(reader: JiraReader, projects: Sequence[str]) -> list[Finding]:
    findings: list[Finding] = []
    for key in projects:
        findings += await _try(f"versions of {key}", partial(reader.versions, key))
    return findings


async def _try(name: str, ask: Callable[[], Awaitable[object]]) -> list[Finding]:
    try:
        await ask()
    except _REFUSALS as error:
        return [_refused(name, error)]
    return [Finding(name, ok=True)]


def _refused(name: str, error: Exception) -> Finding:
    return Finding(name, ok=False, detail=str(error), refused=True)
