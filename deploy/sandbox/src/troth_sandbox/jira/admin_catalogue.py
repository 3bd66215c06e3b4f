"""The part of the sandbox's own API that changes boards, projects and versions."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from troth_sandbox.jira import catalogue_writes
from troth_sandbox.jira.answers import Here, answer, body_as
from troth_sandbox.jira.catalogue_writes import BoardEdit, VersionEdit
from troth_sandbox.jira.errors import BadRequestError

router = APIRouter(prefix="/admin")


class Denial(msgspec.Struct, forbid_unknown_fields=True):
    """The status the account gets for a board (null lets it in again), and whether the list still shows it."""

    status: int | None = 403
    listed: bool = True


class ProjectEdit(msgspec.Struct, forbid_unknown_fields=True):
    """`state` is `live`, `archived` or `deleted`; `browsable` false takes the account's access away."""

    state: str | None = None
    browsable: bool | None = None


@router.post("/boards")
async def create_board(here: Here, request: Request) -> Response:
    """A new board."""
    return answer(catalogue_writes.create_board(here.site, await body_as(request, BoardEdit), here.now), 201)


@router.post("/boards/{board_id}")
async def edit_board(here: Here, board_id: int, request: Request) -> Response:
    """Change a board's name or configuration."""
    edit = await body_as(request, BoardEdit)
    return answer(catalogue_writes.edit_board(here.site, board_id, edit, here.now))


@router.delete("/boards/{board_id}")
async def delete_board(here: Here, board_id: int) -> Response:
    """Delete a board."""
    catalogue_writes.delete_board(here.site, board_id, here.now)
    return Response(status_code=204)


@router.post("/boards/{board_id}/forbid")
async def forbid_board(here: Here, board_id: int, request: Request) -> Response:
    """Take the board away from the account, or give it back."""
    denial = await body_as(request, Denial)
    board = msgspec.structs.replace(
        here.site.store.board(board_id), denied=denial.status, listed=denial.listed
    )
    return answer(catalogue_writes.keep_board(here.site, board, here.now))


@router.post("/projects/{id_or_key}")
async def edit_project(here: Here, id_or_key: str, request: Request) -> Response:
    """Archive, trash or restore a project, or take the account's access to it."""
    edit = await body_as(request, ProjectEdit)
    project = here.site.store.project(id_or_key)
    state = edit.state or project.state
    if state not in {"live", "archived", "deleted"}:
        raise BadRequestError(f"A project cannot be {edit.state}.")
    browsable = project.browsable if edit.browsable is None else edit.browsable
    project = msgspec.structs.replace(project, state=state, browsable=browsable)
    here.site.store.catalogue.projects[project.id] = project
    here.site.index.forget_results()
    here.site.write_log.add("project_updated", here.now, project=project)
    return answer(project)


@router.delete("/projects/{id_or_key}")
async def purge_project(here: Here, id_or_key: str) -> Response:
    """Delete a project for ever with all its issues; no event tells of them."""
    catalogue_writes.purge_project(here.site, here.site.store.project(id_or_key), here.now)
    return Response(status_code=204)


@router.post("/versions")
async def create_version(here: Here, request: Request) -> Response:
    """A new version."""
    edit = await body_as(request, VersionEdit)
    return answer(catalogue_writes.create_version(here.site, edit, here.now), 201)


@router.post("/versions/{version_id}")
async def edit_version(here: Here, version_id: str, request: Request) -> Response:
    """Change, release or archive a version."""
    edit = await body_as(request, VersionEdit)
    return answer(catalogue_writes.edit_version(here.site, version_id, edit, here.now))


@router.delete("/versions/{version_id}")
async def delete_version(
    here: Here, version_id: str, merge_to: Annotated[str | None, Query(alias="mergeTo")] = None
) -> Response:
    """Delete a version, or merge it into another one."""
    catalogue_writes.delete_version(here.site, version_id, merge_to, here.now)
    return Response(status_code=204)
