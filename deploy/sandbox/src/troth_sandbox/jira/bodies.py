"""Webhook bodies as recorded sites send them, always in API version 2 form.

Recorded facts: `issue_created` has a changelog of the values set at creation; `issue_deleted` has neither changelog nor
`issue_event_type_name`; sprint and board events name no user; deleted sprints and boards have no `self`;
`board_configuration_changed` carries `configuration` and no board; `oldValue` lacks what was unset.
"""

import msgspec

from troth_sandbox.jira.agile_shapes import board_configuration, shown_board, shown_sprint
from troth_sandbox.jira.issues import FieldChoice, IssueRenderer
from troth_sandbox.jira.records import Board, ChangeItem, History, Issue, Json, Sprint, Version
from troth_sandbox.jira.render import Renderer

_EMPTY: Json = {
    **dict.fromkeys(("aggregatetimeestimate", "aggregatetimeoriginalestimate", "aggregatetimespent")),
    **dict.fromkeys(("lastViewed", "security", "timeestimate", "timeoriginalestimate", "timespent")),
    "aggregateprogress": {"progress": 0, "total": 0},
    "progress": {"progress": 0, "total": 0},
    "attachment": [],
    "timetracking": {},
    "workratio": -1,
}


def issue_body(render: Renderer, issue: Issue, actor: str | None, kind: str | None, log: Json | None) -> Json:
    """`user`, `issue` and, unless it was deleted, its kind of event and the changelog."""
    named = {"issue_event_type_name": kind} if kind else {}
    changelog = {"changelog": log} if log else {}
    return named | {"user": render.user(actor), "issue": _issue(render, issue)} | changelog


def changelog_of(render: Renderer, history: History) -> Json:
    """The changelog of one update."""
    return {"id": str(history.id), "items": render.items(history.items)}


def creation_log(render: Renderer, issue: Issue, number: int) -> Json:
    """The changelog of a new issue: values set at creation, which no later changelog tells."""
    status = render.store.catalogue.statuses[issue.status_id]
    texts = {name: issue.fields.get(name) for name in ("description", "summary")}
    items = [ChangeItem(name, "jira", name, to_text=str(text or "")) for name, text in texts.items()]
    items.append(ChangeItem("Status", "jira", "status", to_id=status.id, to_text=status.name))
    if priority := issue.fields.get("priority"):
        items.append(
            ChangeItem("priority", "jira", "priority", to_id=priority["id"], to_text=priority.get("name"))
        )
    if reporter := render.user((issue.fields.get("reporter") or {}).get("accountId")):
        text = reporter["displayName"]
        items.append(
            ChangeItem(
                "reporter",
                "jira",
                "reporter",
                to_id=reporter.get("accountId") or reporter["name"],
                to_text=text,
            )
        )
    return {
        "id": str(number),
        "items": render.items(tuple(sorted(items, key=lambda item: item.field.lower()))),
    }


def event_kind(history: History | None) -> str:
    """`issue_event_type_name` of an update: moves and changes of status or resolution have names of their own."""
    fields = {item.field for item in history.items} if history else set()
    if "Key" in fields:
        return "issue_moved"
    return "issue_generic" if fields & {"status", "resolution"} else "issue_updated"


def sprint_body(render: Renderer, sprint: Sprint, old: Sprint | None = None, *, gone: bool = False) -> Json:
    """A sprint, and what it was before an update."""
    body = {"sprint": _without_self(shown_sprint(render, sprint), gone=gone)}
    return body | ({"oldValue": shown_sprint(render, old)} if old else {})


def board_body(render: Renderer, board: Board, old: Board | None = None, *, gone: bool = False) -> Json:
    """A board, and what it was before an update."""
    shown = _without_self(_plain_board(render, board), gone=gone)
    return {"board": shown} | ({"oldValue": _plain_board(render, old)} if old else {})


def configuration_body(render: Renderer, board: Board) -> Json:
    """A board's configuration after a change."""
    return {"configuration": board_configuration(render, board)}


def version_body(render: Renderer, version: Version, now: int, merged_to: Version | None = None) -> Json:
    """A version, and the one that took over its issues."""
    merged = {"mergedTo": render.version(merged_to, now)} if merged_to else {}
    return {"version": render.version(version, now)} | merged


def _issue(render: Renderer, issue: Issue) -> Json:
    shown = IssueRenderer(render, FieldChoice([], "*all"), with_changelog=False).whole(issue)
    place = f"{render.rest}/issue/{issue.key}"
    counts = {
        "votes": {"self": f"{place}/votes", "votes": 0, "hasVoted": False},
        "watches": {"self": f"{place}/watchers", "watchCount": 0, "isWatching": False},
    }
    fields = _EMPTY | counts | shown["fields"]
    return {"id": shown["id"], "self": shown["self"], "key": issue.key, "fields": fields}


def _plain_board(render: Renderer, board: Board) -> Json:
    shown = shown_board(render, board)
    return {name: shown[name] for name in ("id", "self", "name", "type")}


def _without_self(shown: Json, *, gone: bool) -> Json:
    return {name: value for name, value in shown.items() if not (gone and name == "self")}


def changed_fields(history: History | None) -> frozenset[str]:
    """Ids of the fields an update touched."""
    items = history.items if history else ()
    return frozenset(item.field_id for item in items if item.field_id is not msgspec.UNSET)
