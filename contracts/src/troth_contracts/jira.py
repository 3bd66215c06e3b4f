"""What jira-sync publishes: issues, sprints, boards and versions as they are, and what happened to them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from hashlib import blake2b
from typing import Literal

from troth_contracts.values import Contract, Instant

SprintState = Literal["future", "active", "closed"]
SprintEffect = Literal[
    "started",
    "closed",
    "scope_added",
    "scope_removed",
    "estimate_changed",
    "issue_done",
    "issue_reopened",
]
ReferenceKind = Literal["record_url", "record_id", "pattern"]


class IssueLink(Contract, frozen=True):
    """A link between two issues, told from this issue's side."""

    type: str
    direction: Literal["inward", "outward"]
    issue_id: str
    issue_key: str | None = None


class CrmReference(Contract, frozen=True):
    """A CRM record found on an issue, with the place it was found."""

    place: str
    """``remote_link``, ``field:<field id>``, ``summary``, ``description`` or ``comment``."""
    value: str
    """The record's 18-character id, or the deal's number as written."""
    kind: ReferenceKind | None = None
    """What it was known by; None where the writer did not say."""
    text: str | None = None
    """As written: the address, the id, or what the configured pattern matched."""
    place_name: str | None = None
    """How people call the place: the field's name, the remote link's title."""


class FieldEstimate(Contract, frozen=True):
    """An estimate in another field than the issue's own: another board may count in it."""

    field_id: str
    points: Decimal


class Issue(Contract, frozen=True):
    """The whole issue as planning sees it. Identity is the numeric id; keys move."""

    site_id: str
    id: str
    issue_key: str
    project_id: str
    project_key: str
    type_name: str
    status_id: str
    status_category: str
    """Jira's own: new, indeterminate, done or undefined. Board-done is joined from ``jira.boards``."""
    summary: str
    former_keys: tuple[str, ...] = ()
    is_subtask: bool = False
    status_name: str | None = None
    estimate: Decimal | None = None
    """In the unit of ``estimate_field``; None when nobody estimated."""
    estimate_field: str | None = None
    parent_id: str | None = None
    sprint_ids: tuple[str, ...] = ()
    """Every sprint the issue is or was in, oldest first."""
    fix_version_ids: tuple[str, ...] = ()
    due_date: date | None = None
    rank: str | None = None
    links: tuple[IssueLink, ...] = ()
    labels: tuple[str, ...] = ()
    description: str | None = None
    creator_id: str | None = None
    assignee_id: str | None = None
    assignee_name: str | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None
    resolved_at: Instant | None = None
    crm_references: tuple[CrmReference, ...] = ()
    remote_links_as_of: str | None = None
    """As of which change its links to places outside Jira were read: what the writer compares, not a time."""
    remote_links_pending: bool = False
    """They have changed and are yet to be read: CRM references on them may be missing."""
    other_estimates: tuple[FieldEstimate, ...] = ()
    """Values of further estimate fields of the site, by field id."""

    @property
    def key(self) -> str:
        """Kafka key: ``<site>:<issue id>``."""
        return f"{self.site_id}:{self.id}"


class IssueEvent(Contract, frozen=True):
    """One planning-relevant changelog item. Identity: (history id, item index)."""

    site_id: str
    issue_id: str
    issue_key: str
    history_id: str
    item_index: int
    field: str
    """One of sprint, status, estimate, version, due_date, assignee, summary, description, parent, key."""
    at: Instant
    field_id: str | None = None
    actor_id: str | None = None
    from_value: str | None = None
    from_text: str | None = None
    to_value: str | None = None
    to_text: str | None = None

    @property
    def key(self) -> str:
        """Kafka key: the issue's."""
        return f"{self.site_id}:{self.issue_id}"

    @property
    def event_id(self) -> str:
        """Deterministic CloudEvents id."""
        return f"{self.key}:{self.history_id}:{self.item_index}"


class SprintIssue(Contract, frozen=True):
    """An issue's part in a sprint figure."""

    issue_id: str
    points: Decimal


class SprintFigures(Contract, frozen=True):
    """A frozen sum over a sprint's issues (unit: the board's estimate)."""

    points: Decimal
    issue_count: int
    issues: tuple[SprintIssue, ...] = ()


class BoardShare(Contract, frozen=True):
    """One board's part of a sprint that several boards with different filters share."""

    board_id: str
    commitment: SprintFigures
    added: SprintFigures
    removed: SprintFigures
    result: SprintFigures | None = None


class Sprint(Contract, frozen=True):
    """A sprint with what was committed at its start and completed at its close."""

    site_id: str
    id: str
    name: str
    state: SprintState
    origin_board_id: str | None = None
    board_ids: tuple[str, ...] = ()
    """Boards that list it; membership is not identity."""
    goal: str | None = None
    planned_start_at: Instant | None = None
    planned_end_at: Instant | None = None
    activated_at: Instant | None = None
    completed_at: Instant | None = None
    commitment: SprintFigures | None = None
    """Estimates at the start of what was in the sprint at the start."""
    added: SprintFigures | None = None
    removed: SprintFigures | None = None
    result: SprintFigures | None = None
    """Estimates at the close of what was done at the close."""
    provisional: bool = True
    commitment_by_report: SprintFigures | None = None
    """The vendor's report counts it differently from the vendor's text; None where both agree."""
    readings_differ: bool = False
    first_commitment: SprintFigures | None = None
    """The first final commitment, kept beside a later correction; None when nothing was corrected."""
    first_result: SprintFigures | None = None
    """The first final result, kept beside a later correction."""
    subtask_ids: tuple[str, ...] = ()
    """Sub-tasks that are in it through their parents (at the close, or now); they carry no points."""
    created_at: Instant | None = None
    shares: tuple[BoardShare, ...] = ()
    """Each board's own part, by its filter; empty while one filter selects everything. The figures above are of the
    issues on at least one of the boards."""
    off_board: SprintFigures | None = None
    """Committed or added work of a shared sprint that none of its boards shows; it counts in no figure."""

    @property
    def key(self) -> str:
        """Kafka key: ``<site>:<sprint id>``."""
        return f"{self.site_id}:{self.id}"


class SprintEvent(Contract, frozen=True):
    """Something that happened to a sprint: it started, closed, or its scope changed."""

    site_id: str
    sprint_id: str
    effect: SprintEffect
    at: Instant
    issue_id: str | None = None
    issue_key: str | None = None
    points: Decimal | None = None
    points_before: Decimal | None = None
    actor_id: str | None = None
    history_id: str | None = None
    item_index: int | None = None
    in_active_sprint: bool = False

    @property
    def key(self) -> str:
        """Kafka key: the sprint's."""
        return f"{self.site_id}:{self.sprint_id}"

    @property
    def event_id(self) -> str:
        """Deterministic: history id, item, sprint and effect; ``created:`` when no history item exists."""
        if self.history_id is not None:
            return f"{self.site_id}:{self.history_id}:{self.item_index}:{self.sprint_id}:{self.effect}"
        if self.issue_id is not None:
            return f"{self.site_id}:created:{self.issue_id}:{self.sprint_id}"
        return f"{self.site_id}:{self.sprint_id}:{self.effect}:{int(self.at.timestamp() * 1000)}"


class PlanChange(Contract, frozen=True):
    """Something that happened to a sprint or a board itself, seen by a webhook or between two readings."""

    site_id: str
    entity: Literal["sprint", "board"]
    entity_id: str
    change: str
    """Of a sprint: created, renamed, redated, goal_changed, reopened, deleted. Of a board: columns_changed,
    estimation_changed. Later versions may know more. That a sprint started or closed is in ``jira.sprint-events``."""
    at: Instant
    """When it happened; where only two readings show it, when it had happened at the latest."""
    ordinal: int = 1
    """How many times this entity has come to ``to_value`` by such a change: a return is a new change."""
    not_before: Instant | None = None
    """Where only two readings show it, the earlier of them; None when ``at`` is exact."""
    from_seen_until: Instant | None = None
    """When the reading that last showed ``from_value`` was over."""
    to_seen_from: Instant | None = None
    """When the reading that first showed ``to_value`` began; it was over by ``at``."""
    from_value: str | None = None
    to_value: str | None = None

    @property
    def key(self) -> str:
        """Kafka key: ``<site>:<entity>:<id>``."""
        return f"{self.site_id}:{self.entity}:{self.entity_id}"

    @property
    def event_id(self) -> str:
        """Deterministic: entity, change, the value it came to, and the how-manieth time; never the time."""
        value = blake2b((self.to_value or "").encode(), digest_size=8).hexdigest()
        return f"{self.key}:{self.change}:{value}:{self.ordinal}"


class BoardColumn(Contract, frozen=True):
    """A column of a board with the statuses mapped to it."""

    name: str
    status_ids: tuple[str, ...] = ()


class BoardConfiguration(Contract, frozen=True):
    """What a board counted by until a change."""

    until: Instant
    columns: tuple[BoardColumn, ...] = ()
    estimation_field: str | None = None


class Board(Contract, frozen=True):
    """A board, which is how Jira knows a team."""

    site_id: str
    id: str
    name: str
    type: str
    project_ids: tuple[str, ...] = ()
    project_keys: tuple[str, ...] = ()
    columns: tuple[BoardColumn, ...] = ()
    estimation_field: str | None = None
    former: tuple[BoardConfiguration, ...] = ()
    """Earlier configurations as far as they were seen, oldest first: a closed sprint keeps the rules of its time."""

    @property
    def key(self) -> str:
        """Kafka key: ``<site>:<board id>``."""
        return f"{self.site_id}:{self.id}"

    @property
    def done_status_ids(self) -> tuple[str, ...]:
        """Statuses of the last column that has any: what the board treats as done."""
        mapped = [column.status_ids for column in self.columns if column.status_ids]
        return mapped[-1] if mapped else ()


class Version(Contract, frozen=True):
    """A version (release) of a project."""

    site_id: str
    id: str
    project_id: str
    name: str
    released: bool = False
    archived: bool = False
    release_date: date | None = None

    @property
    def key(self) -> str:
        """Kafka key: ``<site>:<version id>``."""
        return f"{self.site_id}:{self.id}"
