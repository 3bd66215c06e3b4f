"""Registered webhooks: who wants to hear which events, and until when.

Vendor rules: admin webhooks live for ever, take every event and are signed when they have a secret; dynamic ones are
registered by apps, know the issue, comment and property events only, take a subset of JQL, and expire after 30 days
unless refreshed (https://developer.atlassian.com/cloud/jira/platform/webhooks/ and the platform OpenAPI, `webhook`).
"""

import ipaddress
from urllib.parse import urlsplit

import msgspec

from troth_sandbox.jira.clock import DAY_MS
from troth_sandbox.jira.errors import QueryError
from troth_sandbox.jira.jql import AllOf, AnyOf, Clause, Condition, parse
from troth_sandbox.jira.matching import Reading, predicate
from troth_sandbox.jira.records import Issue, Json

LIFE_MS = 30 * DAY_MS
MOST_DYNAMIC = {"connect": 100, "oauth": 5}
ISSUE_EVENTS = ("jira:issue_created", "jira:issue_updated", "jira:issue_deleted")
DYNAMIC_EVENTS = (
    *ISSUE_EVENTS,
    *("comment_created", "comment_updated", "comment_deleted"),
    *("issue_property_set", "issue_property_deleted"),
)
OTHER_EVENTS = (
    *("sprint_created", "sprint_updated", "sprint_started", "sprint_closed", "sprint_deleted"),
    *("board_created", "board_updated", "board_deleted", "board_configuration_changed"),
    *("jira:version_created", "jira:version_updated", "jira:version_released", "jira:version_unreleased"),
    *("jira:version_deleted", "jira:version_moved", "jira:version_merged"),
)
NEVER_SENT = (
    *("issuelink_created", "issuelink_deleted", "worklog_created", "worklog_updated", "worklog_deleted"),
    *("project_created", "project_updated", "project_deleted", "project_soft_deleted"),
    *("project_restored_deleted", "project_archived", "project_restored_archived"),
    *("user_created", "user_updated", "user_deleted", "attachment_created", "attachment_deleted"),
)
"""Events an administrator may register for and that this site never sends."""
EVENTS = frozenset((*DYNAMIC_EVENTS, *OTHER_EVENTS, *NEVER_SENT))
_DYNAMIC_FIELDS = {"issuekey", "project", "issuetype", "status", "assignee", "reporter", "issue.property"}
_DYNAMIC_OPERATORS = {"=", "!=", "in", "not in"}


class Event(msgspec.Struct, frozen=True):
    """Something that happened at `at` (ms), with its body; `issue` and `fields` (changed ids) are what filters see."""

    name: str
    at: int
    body: Json
    issue: Issue | None = None
    fields: frozenset[str] = frozenset()
    bulk: bool = False


class Registration(msgspec.Struct, frozen=True):
    """One webhook; `expires` (ms) is None for admin ones."""

    id: int
    url: str
    events: tuple[str, ...]
    updated: int
    jql: str = ""
    name: str = ""
    secret: str | None = None
    enabled: bool = True
    exclude_body: bool = False
    field_ids: tuple[str, ...] | None = None
    expires: int | None = None

    def wants(self, event: Event, reading: Reading) -> bool:
        """True when the event is to be delivered here; the JQL filter only counts for issue events."""
        if not self.enabled or event.name not in self.events:
            return False
        if self.expires is not None and event.at >= self.expires:
            return False
        if self.field_ids is not None and event.fields and event.fields.isdisjoint(self.field_ids):
            return False
        return event.issue is None or self._matches(event.issue, reading)

    def _matches(self, issue: Issue, reading: Reading) -> bool:
        where = parse(self.jql).where
        return where is None or predicate(where, reading)(issue)


class Registry:
    """The webhooks of a site by id; admin and dynamic ones have ids of their own."""

    def __init__(self) -> None:
        self.admin: dict[int, Registration] = {}
        self.dynamic: dict[int, Registration] = {}
        self._next = {"admin": 1, "dynamic": 1_000}

    def next_id(self, kind: str) -> int:
        """An id never used before."""
        self._next[kind] += 1
        return self._next[kind] - 1

    def live_dynamic(self, now: int) -> list[Registration]:
        """The dynamic webhooks that have not expired."""
        return [hook for hook in self.dynamic.values() if hook.expires is None or now < hook.expires]

    def interested(self, name: str) -> bool:
        """True when anybody asked for this kind of event."""
        return any(name in hook.events for hook in (*self.admin.values(), *self.dynamic.values()))

    def takers(self, event: Event, reading: Reading) -> list[Registration]:
        """Where the event goes; a filter that names what no longer exists matches nothing."""
        found = []
        for hook in (*self.admin.values(), *self.dynamic.values()):
            try:
                if hook.wants(event, reading):
                    found.append(hook)
            except QueryError:
                continue
        return found


def problems_of_dynamic(events: list[str], jql: str, *, sprints: bool) -> list[str]:
    """Why a dynamic webhook cannot be registered; empty when it can. `sprints`: sprint and version events pass."""
    allowed = EVENTS if sprints else frozenset(DYNAMIC_EVENTS)
    found = [f"The event {name} is unsupported" for name in events if name not in allowed]
    found += [] if events else ["No events were given"]
    try:
        where = parse(jql).where
    except QueryError as error:
        return [*found, *error.messages]
    return found + (_unsupported(where) if where else [])


def _unsupported(condition: Condition) -> list[str]:
    if isinstance(condition, (AllOf, AnyOf)):
        return [problem for part in condition.parts for problem in _unsupported(part)]
    return _unsupported_clause(condition)


def _unsupported_clause(clause: Clause) -> list[str]:
    if clause.field not in _DYNAMIC_FIELDS and not clause.field.startswith("cf["):
        return [f"The clause {clause.field} is unsupported"]
    if clause.operator not in _DYNAMIC_OPERATORS:
        return [f"The operator {clause.operator} is unsupported"]
    return []


def on_loopback(url: str) -> bool:
    """True for http(s) addresses of this machine: the sandbox sends nothing anywhere else."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or parts.hostname is None:
        return False
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return False
