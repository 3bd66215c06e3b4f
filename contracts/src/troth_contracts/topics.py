"""Every topic Troth uses, declared once: key, content, partitions, cleanup, retention."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from types import UnionType
from typing import Literal

from troth_contracts import crm, jira, risk, sync
from troth_contracts.values import Contract

DEFAULT_PARTITIONS = 12
DELETE_RETENTION = timedelta(days=30)
"""How long a tombstone is kept, and how long readers remember a deletion."""
SERVICES = ("crm-sync", "jira-sync", "risk-engine")


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. ``content`` is None where the value is another system's bytes."""

    name: str
    key: str
    cleanup: Literal["compact", "delete"]
    content: type[Contract] | UnionType | None
    ce_type: str
    about: str
    kind: Literal["state", "event", "bytes"] = "state"
    retention: timedelta | None = None
    partitions: int = DEFAULT_PARTITIONS

    def config(self) -> dict[str, str]:
        """Broker settings that make the declaration true."""
        settings: dict[str, str] = {"cleanup.policy": self.cleanup}
        if self.cleanup == "compact":
            settings["delete.retention.ms"] = _milliseconds(DELETE_RETENTION)
        if self.retention is not None:
            settings["retention.ms"] = _milliseconds(self.retention)
        return settings


def _milliseconds(span: timedelta) -> str:
    return str(int(span.total_seconds() * 1000))


_YEAR = timedelta(days=400)

OPPORTUNITIES = Topic(
    "crm.opportunities", "org:opportunity", "compact", crm.Deal, "troth.crm.opportunity.v1", "the whole deal"
)
REFERENCE = Topic(
    "crm.reference",
    "org:kind:id",
    "compact",
    crm.Reference,
    "troth.crm.reference.v1",
    "stages, currencies, users, products; joined when read",
)
SCHEMA_CHANGES = Topic(
    "crm.schema-changes",
    "org:object",
    "delete",
    crm.SchemaChange,
    "troth.crm.schema-change.v1",
    "fields and objects that came, went, or changed their type for the integration user",
    kind="event",
    retention=_YEAR,
    partitions=1,
)
ISSUES = Topic(
    "jira.issues",
    "site:issue",
    "compact",
    jira.Issue,
    "troth.jira.issue.v1",
    "the whole issue as planning sees it",
)
ISSUE_EVENTS = Topic(
    "jira.issue-events",
    "site:issue",
    "delete",
    jira.IssueEvent,
    "troth.jira.issue-event.v1",
    "every planning-relevant changelog item",
    kind="event",
    retention=_YEAR,
)
SPRINTS = Topic(
    "jira.sprints",
    "site:sprint",
    "compact",
    jira.Sprint,
    "troth.jira.sprint.v1",
    "sprint with commitment at start and result at close",
)
SPRINT_EVENTS = Topic(
    "jira.sprint-events",
    "site:sprint",
    "delete",
    jira.SprintEvent,
    "troth.jira.sprint-event.v1",
    "started, closed, scope added and removed, estimates, done",
    kind="event",
    retention=_YEAR,
)
PLAN_CHANGES = Topic(
    "jira.plan-changes",
    "site:entity:id",
    "delete",
    jira.PlanChange,
    "troth.jira.plan-change.v1",
    "sprints created, renamed, re-dated, reopened, deleted; boards configured anew",
    kind="event",
    retention=_YEAR,
)
BOARDS = Topic(
    "jira.boards",
    "site:board",
    "compact",
    jira.Board,
    "troth.jira.board.v1",
    "board (team), columns, estimation field",
)
VERSIONS = Topic(
    "jira.versions",
    "site:version",
    "compact",
    jira.Version,
    "troth.jira.version.v1",
    "version with release state and date",
)
SYNC_STATUS = Topic(
    "sync.status",
    "service:scope",
    "compact",
    sync.SyncStatus,
    "troth.sync.status.v1",
    "completeness and freshness of each sync scope",
    partitions=1,
)
ASSESSMENTS = Topic(
    "risk.assessments",
    "org:opportunity",
    "compact",
    risk.Assessment,
    "troth.risk.assessment.v1",
    "promised, committed and forecast date of each deal",
)
ALERTS = Topic(
    "risk.alerts",
    "alert id",
    "delete",
    risk.AlertTransition,
    "troth.risk.alert.v1",
    "every transition of every alert",
    kind="event",
    retention=_YEAR,
)


def state_topic(service: str) -> Topic:
    """The service's own memory: its watermarks."""
    about = f"watermarks of {service}"
    return Topic(
        f"{service}.state",
        "stream",
        "compact",
        sync.Watermark,
        "troth.sync.watermark.v1",
        about,
        partitions=1,
    )


def dead_letter_topic(service: str) -> Topic:
    """Records ``service`` could not use: original bytes, reason in the headers."""
    return Topic(
        f"{service}.dead-letters",
        "as the source",
        "delete",
        None,
        "troth.dead-letter.v1",
        f"original bytes and reason of what {service} could not use",
        kind="bytes",
        retention=timedelta(days=30),
        partitions=1,
    )


def inbox_topic(service: str) -> Topic:
    """What outside senders told ``service``: verified original bytes, waiting to be looked at."""
    return Topic(
        f"{service}.inbox",
        "site:kind:id",
        "delete",
        None,
        "troth.inbox.v1",
        f"verified webhooks and requests waiting for {service}",
        kind="bytes",
        retention=timedelta(days=7),
        partitions=1,
    )


CRM_STATE = state_topic("crm-sync")
JIRA_STATE = state_topic("jira-sync")
JIRA_INBOX = inbox_topic("jira-sync")

TOPICS: tuple[Topic, ...] = (
    OPPORTUNITIES,
    REFERENCE,
    SCHEMA_CHANGES,
    ISSUES,
    ISSUE_EVENTS,
    SPRINTS,
    SPRINT_EVENTS,
    PLAN_CHANGES,
    BOARDS,
    VERSIONS,
    SYNC_STATUS,
    ASSESSMENTS,
    ALERTS,
    CRM_STATE,
    JIRA_STATE,
    JIRA_INBOX,
    *(dead_letter_topic(service) for service in SERVICES),
)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
