"""What is known of one site between scans: the past of its issues, its frame, and which sprints to tell again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from jira_sync.domain.places import ReferenceRules
from jira_sync.domain.plan_changes import SprintNews, deleted
from jira_sync.domain.structure import StartBy
from jira_sync.figures import SprintTelling, is_out_of_reach, tell_sprint
from jira_sync.memory import PlanningMemory
from jira_sync.parse import Json, text
from jira_sync.planning import Planning
from jira_sync.reader import JiraReader
from jira_sync.scan import milliseconds
from jira_sync.scope import LeftOut, Scope
from troth_contracts.jira import PlanChange

DEEP_OVERLAP = timedelta(hours=26)
"""How late the index may be, with clock skew and bulk edits (reference 7)."""


EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


class SiteView:
    """Shared by everything that reads the site; only one task uses it, so it needs no lock."""

    def __init__(
        self,
        site_id: str,
        scope: Scope,
        monotonic: Callable[[], float],
        start_by: StartBy = "activatedDate",
        references: ReferenceRules | None = None,
    ) -> None:
        self.site_id = site_id
        self.scope = scope
        self._monotonic = monotonic
        self._start_by = start_by
        self.references = references or ReferenceRules()
        self._began = 0.0
        self.memory = PlanningMemory()
        self.planning = Planning(scope, comments=self.references.comments)
        self.left_out = LeftOut()
        self.dirty: set[str] = set()
        """Sprints whose figures may have changed."""
        self.version = 0
        """Of what is read now: the server's time in ms, never the same twice."""
        self.server_now = EARLIEST
        """When what is read now began."""
        self.settled_before: datetime | None = None
        """Figures of sprints closed earlier are final."""

    def restore(self, memory: PlanningMemory) -> None:
        """After a start, and after a failed commit."""
        self.memory = memory
        self.planning = Planning(self.scope, comments=self.references.comments)
        self.dirty = set(memory.published)

    def begin(self, server_now: datetime) -> None:
        """A new reading begins."""
        self.server_now = server_now
        self._began = self._monotonic()
        self.version = max(milliseconds(server_now), self.version + 1)

    @property
    def read_until(self) -> datetime:
        """By the server's clock, whose header leaves out the parts of a second, what is read by now is no newer."""
        return self.server_now + timedelta(seconds=self._monotonic() - self._began + 1)

    async def refresh_frame(self, reader: JiraReader, now: float) -> None:
        """Reads fields and boards."""
        memory, planning = self.memory, self.planning
        self.dirty |= await planning.refresh_frame(reader, self.site_id, now, memory.boards, self.server_now)
        for board_id, board in planning.frame.boards.items():
            if board_id not in planning.frame.kept:
                memory.trails.read(board, self.server_now, self.read_until)

    async def refresh_sprints(self, reader: JiraReader, *, full: bool) -> None:
        """Reads the sprints."""
        published = self.memory.published
        self.dirty |= await self.planning.refresh_sprints(reader, self.site_id, published, full=full)
        for sprint in self.planning.seen_now(full=full):
            self.memory.trails.read(sprint, self.server_now, self.read_until)

    def put_sprint(self, document: Json) -> None:
        """Takes one sprint as just read."""
        self.dirty |= self.planning.put_sprint(self.site_id, document)
        sprint = self.planning.sprints.get(text(document, "id"))
        if sprint is not None:
            self.memory.trails.read(sprint, self.server_now, self.read_until)

    def hear(self, sprint_id: str, news: SprintNews) -> None:
        """A webhook's word about a state that no reading may show any more."""
        self.memory.trails.told(sprint_id, news)
        self.dirty.add(sprint_id)

    def sprint_gone(self, sprint_id: str, at: datetime | None) -> PlanChange:
        """The event of a deletion, and the end of its trail; ``at`` where a webhook said when."""
        seen = self.memory.trails.last_seen(sprint_id) if at is None else None
        self.memory.trails.forget(sprint_id)
        return deleted(self.site_id, sprint_id, at or self.read_until, seen)

    def note_read(self, server_now: datetime, reach: timedelta | None, overlap: timedelta) -> None:
        """Everything changed within ``reach`` is read (None: everything there is).

        A change may be indexed hours late: a backfill settles what closed before the deep overlap, a deep pass what
        closed before it began.
        """
        if reach is None:
            self._settle_before(server_now - DEEP_OVERLAP)
        elif reach >= DEEP_OVERLAP:
            self._settle_before(server_now - overlap)

    def _settle_before(self, moment: datetime) -> None:
        self.settled_before = max(self.settled_before or moment, moment)

    async def tell_sprints(self, reader: JiraReader) -> list[SprintTelling]:
        """Every dirty sprint with its figures; of shared ones it is asked which board shows what."""
        memory, frame, filters = self.memory, self.planning.frame, self.planning.filters
        sprints = [
            sprint
            for sprint_id, sprint in self.planning.sprints.items()
            if sprint_id in self.dirty and not self._is_frozen(sprint_id)
        ]
        await filters.look(reader, frame, sprints, memory)
        return [
            tell_sprint(
                sprint,
                frame.boards,
                memory,
                settled_before=self.settled_before,
                start_by=self._start_by,
                selection=filters.selection(sprint, frame, memory.members_of(sprint.id)),
            )
            for sprint in sprints
        ]

    def issue_changed(self, issue_id: str) -> None:
        """Its boards may be others now, and so its sprints' figures on each of them."""
        if self.planning.filters.forget(issue_id):
            self.dirty |= self.memory.sprints_now(issue_id)

    def settle(self, tellings: Sequence[SprintTelling]) -> None:
        """After the commit: what was told is published; what may still change is looked at again."""
        self.memory.project_keys.update(self.planning.frame.projects)
        self.memory.boards.update(self.planning.frame.boards)
        for telling in tellings:
            self.memory.published[telling.sprint.id] = telling.sprint
            self.planning.note_reading(telling.sprint.id, differs=telling.readings_differ)
        self.dirty = {
            sprint_id
            for sprint_id, sprint in self.memory.published.items()
            if sprint.provisional and sprint.state == "closed"
        }

    def _is_frozen(self, sprint_id: str) -> bool:
        """Final figures stand where the past they rest on is gone: too old, or an issue was deleted since."""
        published = self.memory.published.get(sprint_id)
        if published is None or self.planning.sprints[sprint_id].completed_at != published.completed_at:
            return False
        return is_out_of_reach(published, self.server_now) or self.memory.lost_a_part_of(published)
