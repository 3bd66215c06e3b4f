"""What administrators do to boards and versions."""

import msgspec

from troth_sandbox.jira import news
from troth_sandbox.jira.errors import BadRequestError, NotFoundError
from troth_sandbox.jira.records import Board, Column, Json, Project, Version
from troth_sandbox.jira.site import Site


class BoardEdit(msgspec.Struct, forbid_unknown_fields=True):
    """A new board or changes of one; `name` is needed for a new one."""

    name: str | None = None
    type: str | None = None
    location_project_id: str | None = None
    project_ids: tuple[str, ...] | None = None
    columns: tuple[Column, ...] | None = None
    estimation_field_id: str | None = None
    filter: str | None = None


class VersionEdit(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A new version or changes of one; `name` and `projectId` are needed for a new one."""

    name: str | None = None
    project_id: int | None = None
    released: bool | None = None
    archived: bool | None = None
    release_date: str | None = None
    start_date: str | None = None
    description: str | None = None


def create_board(site: Site, edit: BoardEdit, now: int) -> Board:
    """A new board."""
    if edit.name is None:
        raise BadRequestError("A board needs a name.")
    number = max(site.store.catalogue.boards, default=0) + 1
    return keep_board(site, msgspec.structs.replace(Board(number, edit.name), **_given(edit)), now)


def edit_board(site: Site, board_id: int, edit: BoardEdit, now: int) -> Board:
    """Change a board's name or configuration."""
    return keep_board(site, msgspec.structs.replace(site.store.board(board_id), **_given(edit)), now)


def delete_board(site: Site, board_id: int, now: int) -> None:
    """Delete a board; its sprints stay."""
    board = site.store.board(board_id)
    news.board_deleted(site, board, now)
    del site.store.catalogue.boards[board_id]
    site.write_log.add("board_deleted", now, board=board)


def keep_board(site: Site, board: Board, now: int) -> Board:
    """Store a board and tell it."""
    old = site.store.catalogue.boards.get(board.id)
    site.store.catalogue.boards[board.id] = board
    site.write_log.add("board_updated" if old else "board_created", now, board=board)
    news.board_changed(site, board, old, now)
    return board


def purge_project(site: Site, project: Project, now: int) -> None:
    """Delete a project for ever with all its issues; no event tells of them."""
    for issue in [issue for issue in site.store.issues() if issue.project_id == project.id]:
        site.store.remove(issue.id)
        site.publish(issue.id, None, now)
    del site.store.catalogue.projects[project.id]
    site.index.forget_results()
    site.write_log.add("project_purged", now, project=project)


def create_version(site: Site, edit: VersionEdit, now: int) -> Version:
    """A new version."""
    if edit.name is None or edit.project_id is None:
        raise BadRequestError("A version needs a name and a projectId.")
    site.store.project(str(edit.project_id))
    number = max((int(known) for known in site.store.catalogue.versions), default=10_000) + 1
    version = Version(str(number), edit.project_id, edit.name)
    return _keep_version(site, "created", msgspec.structs.replace(version, **_given(edit)), now)


def edit_version(site: Site, version_id: str, edit: VersionEdit, now: int) -> Version:
    """Change, release or archive a version."""
    old = _version(site, version_id)
    changed = msgspec.structs.replace(old, **_given(edit))
    kind = "updated"
    if changed.released != old.released:
        kind = "released" if changed.released else "unreleased"
    return _keep_version(site, kind, changed, now)


def delete_version(site: Site, version_id: str, merge_to: str | None, now: int) -> None:
    """Delete a version, or merge it into another one; the vendor's page names two events for a merge."""
    version = _version(site, version_id)
    target = _version(site, merge_to) if merge_to else None
    news.version_changed(site, "deleted", version, now, target)
    if target:
        news.version_changed(site, "merged", version, now, target)
    del site.store.catalogue.versions[version_id]
    site.write_log.add("version_deleted", now, version=version, mergedTo=merge_to)


def _keep_version(site: Site, kind: str, version: Version, now: int) -> Version:
    site.store.catalogue.versions[version.id] = version
    site.write_log.add(f"version_{kind}", now, version=version)
    news.version_changed(site, kind, version, now)
    return version


def _version(site: Site, version_id: str) -> Version:
    if version_id not in site.store.catalogue.versions:
        raise NotFoundError(f"Could not find version for id '{version_id}'")
    return site.store.catalogue.versions[version_id]


def _given(edit: BoardEdit | VersionEdit) -> Json:
    return {name: value for name, value in msgspec.structs.asdict(edit).items() if value is not None}
