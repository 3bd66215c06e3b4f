"""From a write to the webhook events that tell it.

Recorded fact: starting a sprint gives `sprint_started` and `sprint_updated` with one timestamp. What an administrator's
reopening sends is unverified; here it is `sprint_updated`.
"""

from troth_sandbox.jira import bodies
from troth_sandbox.jira.hooks import Event
from troth_sandbox.jira.records import Board, History, Issue, Json, Sprint, Version
from troth_sandbox.jira.render import Renderer
from troth_sandbox.jira.site import Site


def issue_created(site: Site, issue: Issue, actor: str | None, now: int) -> None:
    """Its changelog has an id of the common sequence that no changelog operation ever shows (unverified)."""
    if not site.hooks.interested("jira:issue_created"):
        return
    log = bodies.creation_log(_render(site), issue, site.next_history_id)
    site.next_history_id += 1
    _issue_event(site, "created", issue, actor, now, kind="issue_created", log=log)


def issue_updated(
    site: Site, issue: Issue, history: History | None, actor: str | None, now: int, *, bulk: bool
) -> None:
    """Told with the changelog of this one update; a mere touch has none."""
    log = bodies.changelog_of(_render(site), history) if history else None
    kind, fields = bodies.event_kind(history), bodies.changed_fields(history)
    _issue_event(site, "updated", issue, actor, now, kind=kind, log=log, fields=fields, bulk=bulk)


def issue_deleted(site: Site, issue: Issue, now: int) -> None:
    """Told with the last state."""
    _issue_event(site, "deleted", issue, None, now)


def _issue_event(
    site: Site,
    what: str,
    issue: Issue,
    actor: str | None,
    now: int,
    *,
    kind: str | None = None,
    log: Json | None = None,
    fields: frozenset[str] = frozenset(),
    bulk: bool = False,
) -> None:
    name = f"jira:issue_{what}"
    if not site.hooks.interested(name) or not site.store.visible(issue):
        return
    person = actor or site.store.settings.account.account_id
    body = bodies.issue_body(_render(site), issue, person, kind, log)
    if bulk:
        body["bulkOperationMetaData"] = {"bulkOperationId": f"bulk-{now}"}
    site.announce(Event(name, now, body, issue, fields, bulk))


def sprint_changed(site: Site, kind: str, sprint: Sprint, old: Sprint | None, now: int) -> None:
    """`kind` as in the write log."""
    render = _render(site)
    match kind:
        case "sprint_started":
            site.announce(Event(kind, now, bodies.sprint_body(render, sprint)))
            site.announce(Event("sprint_updated", now, bodies.sprint_body(render, sprint, old)))
        case "sprint_updated" | "sprint_reopened":
            site.announce(Event("sprint_updated", now, bodies.sprint_body(render, sprint, old)))
        case _:
            gone = kind == "sprint_deleted"
            site.announce(Event(kind, now, bodies.sprint_body(render, sprint, gone=gone)))


def board_changed(site: Site, board: Board, old: Board | None, now: int) -> None:
    """A new board, a new name, or a new configuration."""
    render = _render(site)
    if old is None:
        site.announce(Event("board_created", now, bodies.board_body(render, board)))
        return
    if old.name != board.name:
        site.announce(Event("board_updated", now, bodies.board_body(render, board, old)))
    if (old.columns, old.estimation_field_id, old.filter) != (
        board.columns,
        board.estimation_field_id,
        board.filter,
    ):
        body = bodies.configuration_body(render, board)
        site.announce(Event("board_configuration_changed", now, body))


def board_deleted(site: Site, board: Board, now: int) -> None:
    """Without `self`, as recorded."""
    site.announce(Event("board_deleted", now, bodies.board_body(_render(site), board, gone=True)))


def version_changed(
    site: Site, kind: str, version: Version, now: int, merged_to: Version | None = None
) -> None:
    """`kind` is `created`, `updated`, `released`, `unreleased`, `deleted` or `merged`."""
    body = bodies.version_body(_render(site), version, now, merged_to)
    site.announce(Event(f"jira:version_{kind}", now, body))


def _render(site: Site) -> Renderer:
    return site.renderer("2", site.base)
