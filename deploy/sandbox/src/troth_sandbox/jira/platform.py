"""The platform API beside search and changelogs: site, account, fields, statuses, projects, versions, issues."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Response

from troth_sandbox.jira import attachment_shapes, attachments
from troth_sandbox.jira.answers import Here, answer
from troth_sandbox.jira.errors import BadRequestError, NotFoundError
from troth_sandbox.jira.issues import FieldChoice, IssueRenderer
from troth_sandbox.jira.paging import offset_page
from troth_sandbox.jira.records import Json, Project, Version
from troth_sandbox.jira.site import Switches

router = APIRouter()
cloud_router = APIRouter()

Start = Annotated[int, Query(alias="startAt", ge=0)]
Size = Annotated[int, Query(alias="maxResults", ge=1)]
BUILD = 100_284
GRANTED = ("BROWSE_PROJECTS", "VIEW_READONLY_WORKFLOW", "VIEW_DEV_TOOLS", "CREATE_ISSUES", "EDIT_ISSUES")
DENIED = ("ADMINISTER", "SYSTEM_ADMIN", "ADMINISTER_PROJECTS", "DELETE_ISSUES", "BULK_CHANGE", "USER_PICKER")
_GLOBAL = {"ADMINISTER", "SYSTEM_ADMIN", "BULK_CHANGE", "USER_PICKER"}
_VERSION_ORDER: dict[str, Callable[[Version], tuple[bool, str]]] = {
    "name": lambda version: (False, version.name),
    "description": lambda version: (False, version.description or ""),
    "releaseDate": lambda version: (version.release_date is None, version.release_date or ""),
    "startDate": lambda version: (version.start_date is None, version.start_date or ""),
    "sequence": lambda _: (False, ""),
}


@router.get("/serverInfo")
async def server_info(here: Here) -> Response:
    """The site; clients tell Cloud from Data Center by `deploymentType`."""
    return answer(_data_center_info(here) if here.site.store.data_center else _cloud_info(here))


def _cloud_info(here: Here) -> Json:
    settings = here.site.store.settings
    return _info(here, "1001.0.0-SNAPSHOT", BUILD) | {
        "displayUrl": here.render.base,
        "scmInfo": "0" * 40,
        "defaultLocale": {"locale": "en_US"},
        "serverTimeZone": settings.zone.key,
    }


def _data_center_info(here: Here) -> Json:
    return _info(here, "9.12.8", 9_120_008) | {"scmInfo": "0" * 40}


def _info(here: Here, version: str, build: int) -> Json:
    numbers = version.partition("-")[0].split(".")
    return {
        "baseUrl": here.render.base,
        "version": version,
        "versionNumbers": [int(number) for number in numbers],
        "deploymentType": here.site.store.settings.deployment,
        "buildNumber": build,
        "buildDate": "2026-01-01T00:00:00.000+0000",
        "serverTime": here.render.stamp(here.now),
        "serverTitle": here.site.store.settings.title,
    }


@router.get("/myself")
async def myself(here: Here) -> Response:
    """The account; its `timeZone` is the one quoted JQL dates are read in."""
    account = here.render.user(here.site.store.settings.account.account_id) or {}
    empty = {"size": 0, "items": []}
    return answer(account | {"locale": "en_US", "groups": empty, "applicationRoles": empty})


@router.get("/mypermissions")
async def my_permissions(here: Here, permissions: str | None = None) -> Response:
    """Which of the asked permissions the account has everywhere."""
    if not permissions:
        raise BadRequestError("The 'permissions' query parameter is required.")
    asked = permissions.split(",")
    if unknown := [key for key in asked if key not in GRANTED + DENIED]:
        raise BadRequestError(f"Unrecognized permission: {', '.join(unknown)}")
    return answer({"permissions": {key: _permission(key, here.site.switches) for key in asked}})


def _permission(key: str, switches: Switches) -> Json:
    return {
        "id": str((GRANTED + DENIED).index(key) + 10),
        "key": key,
        "name": key.replace("_", " ").capitalize(),
        "type": "GLOBAL" if key in _GLOBAL else "PROJECT",
        "description": "",
        "havePermission": key in GRANTED or (key == "ADMINISTER" and switches.administrator),
    }


@router.get("/field")
async def fields(here: Here) -> Response:
    """All fields."""
    return answer(here.site.store.fields.listed())


@router.get("/status")
async def statuses(here: Here) -> Response:
    """All statuses of active workflows."""
    known = here.site.store.catalogue.statuses.values()
    return answer([here.render.status(s.id) | {"untranslatedName": s.name} for s in known])


@cloud_router.get("/project/search")
async def search_projects(
    here: Here,
    *,
    start_at: Start = 0,
    max_results: Size = 50,
    status: Annotated[list[str] | None, Query()] = None,
    keys: Annotated[list[str] | None, Query()] = None,
    query: str = "",
) -> Response:
    """A page of projects ordered by key; only live ones unless `status` says otherwise."""
    states = {part for text in status or ["live"] for part in text.split(",")}
    text = query.lower()
    rows = sorted(
        (
            project
            for project in here.site.store.catalogue.projects.values()
            if project.browsable
            and project.state in states
            and (not keys or project.key in keys)
            and (text in project.key.lower() or text in project.name.lower())
        ),
        key=lambda project: project.key,
    )
    page = offset_page(here.address, rows, start_at, min(max_results, 100))
    return answer(page | {"values": [here.render.project(project) for project in page["values"]]})


@router.get("/project/{id_or_key}")
async def project(here: Here, id_or_key: str) -> Response:
    """One project."""
    return answer(here.render.project(_browsable(here, id_or_key)))


@router.get("/project/{id_or_key}/version")
async def page_of_versions(
    here: Here,
    id_or_key: str,
    *,
    start_at: Start = 0,
    max_results: Size = 50,
    order: Annotated[str, Query(alias="orderBy")] = "sequence",
    status: str = "released,unreleased,archived",
    query: str = "",
) -> Response:
    """A page of a project's versions."""
    states, text = set(status.split(",")), query.lower()
    rows = [
        version
        for version in _ordered(_versions(here, id_or_key), order)
        if _state(version) in states
        and (text in version.name.lower() or text in (version.description or "").lower())
    ]
    page = offset_page(here.address, rows, start_at, min(max_results, 50))
    return answer(page | {"values": [here.render.version(version, here.now) for version in page["values"]]})


@router.get("/project/{id_or_key}/versions")
async def all_versions(here: Here, id_or_key: str) -> Response:
    """All versions of a project at once."""
    return answer([here.render.version(version, here.now) for version in _versions(here, id_or_key)])


@router.get("/version/{version_id}")
async def one_version(here: Here, version_id: str) -> Response:
    """One version of a project the account may see."""
    found = here.site.store.catalogue.versions.get(version_id)
    known = here.site.store.catalogue.projects.get(str(found.project_id)) if found else None
    if found is None or known is None or not known.open:
        raise NotFoundError(f"Could not find version for id '{version_id}'")
    return answer(here.render.version(found, here.now))


@router.get("/issue/{id_or_key}/remotelink")
async def remote_links(
    here: Here, id_or_key: str, global_id: Annotated[str | None, Query(alias="globalId")] = None
) -> Response:
    """Links of an issue to things outside Jira; the one with a `globalId` where that is asked for."""
    found = here.site.store.issue(id_or_key)
    links = here.site.store.remote_links.get(found.id, [])
    told = [attachment_shapes.rendered_link(here.render, found, number, link) for number, link in links]
    if global_id is None:
        return answer(told)
    chosen = next((link for link in told if link.get("globalId") == global_id), None)
    if chosen is None:
        raise NotFoundError("The remote issue link does not exist.")
    return answer(chosen)


@router.get("/issue/{id_or_key}/remotelink/{number}")
async def remote_link(here: Here, id_or_key: str, number: int) -> Response:
    """One link of an issue to something outside Jira."""
    found = here.site.store.issue(id_or_key)
    link = attachments.link_of(here.site, found, number)
    return answer(attachment_shapes.rendered_link(here.render, found, number, link))


@router.get("/issue/{id_or_key}/comment")
async def comments(
    here: Here,
    id_or_key: str,
    start_at: Annotated[int, Query(alias="startAt", ge=0)] = 0,
    max_results: Annotated[int, Query(alias="maxResults", ge=1)] = 100,
) -> Response:
    """A page of an issue's comments, oldest first."""
    found = here.site.store.issue(id_or_key)
    return answer(attachment_shapes.comment_page(here.render, found, start_at, min(max_results, 5_000)))


@router.get("/issue/{id_or_key}")
async def issue(
    here: Here,
    id_or_key: str,
    fields: Annotated[list[str] | None, Query()] = None,
    expand: str = "",
) -> Response:
    """One issue, read from the store and not from the index."""
    found = here.site.store.issue(id_or_key)
    expands = set(expand.split(","))
    choice = FieldChoice(fields or [], default="*all")
    render = IssueRenderer(here.render, choice, with_changelog="changelog" in expands)
    rendered = render.whole(found)
    rendered |= {"names": render.names()} if "names" in expands else {}
    rendered |= {"schema": render.schema()} if "schema" in expands else {}
    return answer(rendered)


def _browsable(here: Here, id_or_key: str) -> Project:
    found = here.site.store.project(id_or_key)
    if not found.browsable:
        raise NotFoundError(f"No project could be found with key '{id_or_key}'.")
    return found


def _versions(here: Here, id_or_key: str) -> list[Version]:
    project = _browsable(here, id_or_key)
    if project.state != "live":
        raise NotFoundError(f"No project could be found with key '{id_or_key}'.")
    return here.site.store.project_versions(project.id)


def _state(version: Version) -> str:
    return "archived" if version.archived else "released" if version.released else "unreleased"


def _ordered(versions: list[Version], order: str) -> list[Version]:
    key = _VERSION_ORDER.get(order.lstrip("+-"))
    if key is None:
        raise BadRequestError(f"The orderBy value '{order}' is not supported.")
    return sorted(versions, key=key, reverse=order.startswith("-"))
