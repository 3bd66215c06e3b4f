"""What people do to a site: every write stores a new version, tells the index and the write log.

Sprint rules from the software OpenAPI: future to active needs both dates, closing sets `completeDate`, closed sprints
cannot be changed. Carry-over is written three seconds after the close, as recorded sites do; sub-tasks follow their
parent without any history of their own.
"""

import msgspec

from troth_sandbox.jira import news
from troth_sandbox.jira.clock import SECOND_MS, parse_instant
from troth_sandbox.jira.edits import Editor
from troth_sandbox.jira.errors import BadRequestError
from troth_sandbox.jira.records import History, Issue, Json, Sprint
from troth_sandbox.jira.site import Site

CARRY_OVER_MS = 3 * SECOND_MS
_REQUIRED = ("project", "issuetype", "summary")


class SprintEdit(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Changes of a sprint; `move_open_to` names the sprint that takes the unfinished issues at the close."""

    name: str | None = None
    goal: str | None = None
    state: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    origin_board_id: int | None = None
    board_ids: tuple[int, ...] | None = msgspec.field(default=None, name="board_ids")
    move_open_to: int | None = msgspec.field(default=None, name="move_open_to")
    actor: str | None = None


def edit_issue(
    site: Site, id_or_key: str, actor: str | None, fields: Json, now: int, *, bulk: bool = False
) -> Issue:
    """Change fields; without fields it only moves `updated`, as a comment does."""
    issue = site.store.issue(id_or_key)
    editor = Editor(site.store, issue, now)
    editor.apply(fields)
    return _finish(site, editor, actor, now, touch=not fields, bulk=bulk)


def create_issue(site: Site, actor: str | None, fields: Json, now: int) -> Issue:
    """A new issue; values set at creation have no history item."""
    if missing := [name for name in _REQUIRED if name not in fields]:
        raise BadRequestError(f"Fields are missing: {', '.join(missing)}.")
    project = site.store.project(str(fields["project"].get("id") or fields["project"]["key"]))
    author = {"accountId": actor or site.store.settings.account.account_id}
    first = next(s.id for s in site.store.catalogue.statuses.values() if s.status_category.key == "new")
    plain = {"issuetype": fields["issuetype"], "creator": author, "reporter": author}
    key = site.store.next_key(project)
    editor = Editor(site.store, Issue(site.next_issue_id, key, project.id, first, now, now, plain), now)
    editor.apply(
        {name: value for name, value in fields.items() if name not in {"project", "issuetype", "creator"}}
    )
    site.next_issue_id += 1
    issue = _keep(site, _with_parents_sprints(site, editor.issue), now)
    site.write_log.add("issue_created", now, issueId=issue.id, key=issue.key, issue=issue)
    news.issue_created(site, issue, actor, now)
    return issue


def delete_issue(site: Site, id_or_key: str, now: int) -> None:
    """Delete an issue; its changelog goes with it, its event shows the last state."""
    issue = site.store.issue(id_or_key)
    news.issue_deleted(site, issue, now)
    site.store.remove(issue.id)
    site.publish(issue.id, None, now)
    site.write_log.add("issue_deleted", now, issueId=issue.id, key=issue.key)


def create_sprint(site: Site, edit: SprintEdit, now: int) -> Sprint:
    """A new future sprint."""
    if edit.name is None or edit.origin_board_id is None:
        raise BadRequestError("A sprint needs a name and an originBoardId.")
    site.store.board(edit.origin_board_id)
    number = max(site.store.catalogue.sprints, default=0) + 1
    sprint = Sprint(number, edit.name, "future", edit.origin_board_id, created=now)
    return _keep_sprint(site, _edited(sprint, edit), "sprint_created", now)


def edit_sprint(site: Site, sprint_id: int, edit: SprintEdit, now: int) -> Sprint:
    """Change, start, close or (by an administrator) reopen a sprint."""
    sprint = site.store.sprint(sprint_id)
    if sprint.state == "closed" and edit.state != "active":
        raise BadRequestError("A closed sprint cannot be updated.")
    changed = _edited(sprint, edit)
    match sprint.state, edit.state:
        case _, None:
            return _keep_sprint(site, changed, "sprint_updated", now)
        case "future", "active":
            return _start(site, changed, now)
        case "active", "closed":
            return _close(site, changed, edit, now)
        case "closed", "active":
            reopened = msgspec.structs.replace(changed, state="active", completed=None)
            return _keep_sprint(site, reopened, "sprint_reopened", now)
        case before, after if before == after:
            return _keep_sprint(site, changed, "sprint_updated", now)
        case before, after:
            raise BadRequestError(f"A sprint cannot go from {before} to {after}.")


def delete_sprint(site: Site, sprint_id: int, now: int) -> None:
    """Delete a sprint; its issues lose it with a history item."""
    sprint = site.store.sprint(sprint_id)
    for issue in _inside(site, sprint_id):
        editor = Editor(site.store, issue, now)
        editor.set_sprints(tuple(i for i in issue.sprint_ids if i != sprint_id))
        _finish(site, editor, None, now, silent=True)
    news.sprint_changed(site, "sprint_deleted", sprint, None, now)
    del site.store.catalogue.sprints[sprint_id]
    site.write_log.add("sprint_deleted", now, sprint=sprint)


def _start(site: Site, sprint: Sprint, now: int) -> Sprint:
    if sprint.start is None or sprint.end is None:
        raise BadRequestError("A sprint needs startDate and endDate to be started.")
    started = msgspec.structs.replace(sprint, state="active", activated=now)
    return _keep_sprint(site, started, "sprint_started", now)


def _close(site: Site, sprint: Sprint, edit: SprintEdit, now: int) -> Sprint:
    if edit.move_open_to is not None:
        target = site.store.sprint(edit.move_open_to)
        unfinished = [issue.id for issue in _inside(site, sprint.id) if not _finished(site, sprint, issue)]
        carried = _CarryOver(unfinished, sprint.id, target.id, edit.actor)
        site.schedule(now + CARRY_OVER_MS, lambda at: carried.write(site, at))
    closed = msgspec.structs.replace(sprint, state="closed", completed=now)
    return _keep_sprint(site, closed, "sprint_closed", now)


class _CarryOver(msgspec.Struct, frozen=True):
    """Unfinished issues of a closed sprint, on their way to the next one."""

    issue_ids: list[int]
    closed: int
    target: int
    actor: str | None

    def write(self, site: Site, at: int) -> None:
        """The closed sprint's id stays in the list and the next one is appended."""
        for issue in filter(None, map(site.store.find, self.issue_ids)):
            if self.closed in issue.sprint_ids and self.target not in issue.sprint_ids:
                editor = Editor(site.store, issue, at)
                editor.set_sprints((*issue.sprint_ids, self.target))
                _finish(site, editor, self.actor, at, silent=True)


def _inside(site: Site, sprint_id: int) -> list[Issue]:
    """Issues in a sprint that have their own membership, so without sub-tasks."""
    return [i for i in site.store.issues() if sprint_id in i.sprint_ids and not site.store.is_subtask(i)]


def _finished(site: Site, sprint: Sprint, issue: Issue) -> bool:
    board = site.store.catalogue.boards.get(sprint.origin_board_id)
    return board is not None and issue.status_id in board.done_statuses()


def _edited(sprint: Sprint, edit: SprintEdit) -> Sprint:
    changes: Json = {
        "name": edit.name,
        "goal": edit.goal,
        "start": parse_instant(edit.start_date) if edit.start_date else None,
        "end": parse_instant(edit.end_date) if edit.end_date else None,
        "board_ids": edit.board_ids,
    }
    return msgspec.structs.replace(
        sprint, **{name: value for name, value in changes.items() if value is not None}
    )


def _finish(
    site: Site,
    editor: Editor,
    actor: str | None,
    now: int,
    *,
    touch: bool = False,
    bulk: bool = False,
    silent: bool = False,
) -> Issue:
    """Append the history of an edit and store the version; an edit without effect writes nothing.

    `silent` edits are announced by no webhook: consequences of closing or deleting a sprint (unverified).
    """
    if not editor.items and not touch:
        return editor.issue
    issue = msgspec.structs.replace(editor.issue, updated=now)
    history = None
    if editor.items:
        author = actor or site.store.settings.account.account_id
        history = History(site.next_history_id, now, author, tuple(editor.items))
        site.next_history_id += 1
        issue = msgspec.structs.replace(issue, histories=(*issue.histories, history))
    stored = _keep(site, issue, now)
    site.write_log.add("issue_updated", now, issueId=issue.id, key=issue.key, history=history)
    if not silent:
        news.issue_updated(site, stored, history, actor, now, bulk=bulk)
    _follow(site, stored, now)
    return stored


def _with_parents_sprints(site: Site, issue: Issue) -> Issue:
    parent = site.store.find(issue.parent_id) if issue.parent_id is not None else None
    if parent is None or not site.store.is_subtask(issue):
        return issue
    return msgspec.structs.replace(issue, sprint_ids=parent.sprint_ids)


def _follow(site: Site, parent: Issue, now: int) -> None:
    """Sub-tasks take over their parent's sprints silently; that `updated` stays is unverified."""
    for child in site.store.children(parent.id):
        if site.store.is_subtask(child) and child.sprint_ids != parent.sprint_ids:
            _keep(site, msgspec.structs.replace(child, sprint_ids=parent.sprint_ids), now)
            site.write_log.add("issue_followed", now, issueId=child.id, sprintIds=parent.sprint_ids)


def _keep(site: Site, issue: Issue, now: int) -> Issue:
    stored = site.store.put(issue)
    site.publish(stored.id, stored, now)
    return stored


def _keep_sprint(site: Site, sprint: Sprint, kind: str, now: int) -> Sprint:
    old = site.store.catalogue.sprints.get(sprint.id)
    site.store.catalogue.sprints[sprint.id] = sprint
    site.write_log.add(kind, now, sprint=sprint)
    news.sprint_changed(site, kind, sprint, old, now)
    return sprint
