"""A sprint kept by hand, forward in time, from the write log alone: what somebody watching the board would note.

Rules of the reports (vendor's text, and the public re-implementation its reports were compared with): a change at
exactly the start belongs before it, one at exactly the close inside; what is written after the close does not count;
done at the start and untouched since belongs to another sprint; an unmapped status is not committed; null counts zero.
https://support.atlassian.com/jira/kb/discrepancies-between-velocity-reports-commitment-and-the-sprint-reports-sum-of-story-points-at-the-start-of-the-sprint/
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from troth_sandbox.jira.records import Board, ChangeItem, History, Issue, Json, Sprint
from troth_sandbox.jira.store import Store


@dataclass(frozen=True)
class Moment:
    """How an issue stood from `at` (ms) on."""

    at: int
    sprints: frozenset[int]
    status: str
    estimates: Mapping[str, float]
    """By field id, without those that are null."""


@dataclass
class Watch:
    """One issue during one sprint. Points are of the board's field, 0 where nobody estimated."""

    issue: Issue
    planned: bool = False
    at_start: float | None = None
    """Its estimate when the sprint began; None when it was not there."""
    counts: bool = False
    """Planned with a status that the board shows, and not done already."""
    entered: float | None = None
    """Its estimate when it first came in after the start."""
    elsewhere: bool = False
    stays: bool = False
    done: bool = False
    at_end: float | None = None

    @property
    def matters(self) -> bool:
        """True when it was in the sprint at any time that counts."""
        return self.planned or self.stays or self.entered is not None


@dataclass
class Lives:
    """The moments of every issue, oldest first, as the write log tells them."""

    store: Store
    _moments: dict[int, list[Moment]] = field(default_factory=dict)
    _inside: dict[int, set[int]] = field(default_factory=dict)
    """Issues by sprint they were ever in."""
    _told: int = 0

    def follow(self, log: list[Json]) -> "Lives":
        """Takes in what was logged since the last call."""
        for entry in log[self._told :]:
            match entry["kind"]:
                case "issue_created":
                    self._note(entry["issueId"], self._born(entry["issue"], entry["at"]))
                case "issue_updated" if entry["history"] is not None:
                    self._changed(entry["issueId"], entry["history"])
                case "issue_deleted":
                    self._moments.pop(entry["issueId"], None)
        self._told = len(log)
        return self

    def watched(self, sprint: Sprint, board: Board, until: int) -> list[Watch]:
        """Every issue that matters to the sprint, by id; sub-tasks follow their parents and never count."""
        self._take_seeds()
        found = []
        for issue_id in sorted(self._inside.get(sprint.id, ())):
            issue, moments = self.store.find(issue_id), self._moments.get(issue_id)
            if issue is not None and moments and not self.store.is_subtask(issue):
                watch = _watch(issue, moments, sprint, board, until)
                found += [watch] if watch.matters else []
        return found

    def _take_seeds(self) -> None:
        """What a seed brought along has its histories only: their first values are what it began with."""
        for issue in self.store.issues():
            if issue.id not in self._moments:
                self._note(issue.id, *self._seeded(issue))

    def _note(self, issue_id: int, *moments: Moment) -> None:
        self._moments.setdefault(issue_id, []).extend(moments)
        for moment in moments:
            for sprint_id in moment.sprints:
                self._inside.setdefault(sprint_id, set()).add(issue_id)

    def _born(self, issue: Issue, at: int) -> Moment:
        numbers = {
            name: value for name in self._fields() if (value := _number(issue.fields.get(name))) is not None
        }
        return Moment(at, frozenset(issue.sprint_ids), issue.status_id, numbers)

    def _seeded(self, issue: Issue) -> list[Moment]:
        moments = [self._born(issue, issue.created)]
        for history in reversed(issue.histories):
            moments[0] = self._after(moments[0], history.items, issue.created, backwards=True)
        for history in issue.histories:
            moments.append(self._after(moments[-1], history.items, history.created))
        return moments

    def _changed(self, issue_id: int, history: History) -> None:
        """Of what a seed brought along nothing is kept before it is asked for: its own histories have it all."""
        moments = self._moments.get(issue_id)
        if moments:
            self._note(issue_id, self._after(moments[-1], history.items, history.created))

    def _after(
        self, moment: Moment, items: Iterable[ChangeItem], at: int, *, backwards: bool = False
    ) -> Moment:
        sprints, status, numbers = moment.sprints, moment.status, dict(moment.estimates)
        for item in items:
            value, text = (item.from_id, item.from_text) if backwards else (item.to_id, item.to_text)
            if item.field_id == self.store.sprint_field:
                sprints = frozenset(int(part) for part in (value or "").split(",") if part.strip())
            elif item.field_id == "status":
                status = value or status
            elif item.field_id in self._fields():
                numbers.pop(str(item.field_id), None)
                if (number := _number(text)) is not None:
                    numbers[str(item.field_id)] = number
        return Moment(at, sprints, status, numbers)

    def _fields(self) -> set[str]:
        boards = self.store.catalogue.boards.values()
        return {board.estimation_field_id for board in boards if board.estimation_field_id}


def _watch(issue: Issue, moments: list[Moment], sprint: Sprint, board: Board, until: int) -> Watch:
    start = sprint.activated if sprint.activated is not None else sprint.start or 0
    done, name = board.done_statuses(), board.estimation_field_id or ""
    mapped = {status for column in board.columns for status in column.status_ids}
    watch, now, crossed, done_at_start = Watch(issue), None, False, False
    for moment in (m for m in moments if m.at <= start):
        now = moment
    if now is not None:
        done_at_start = now.status in done
        watch.planned = sprint.id in now.sprints
        watch.at_start = now.estimates.get(name, 0.0) if watch.planned else None
        watch.counts = watch.planned and now.status in mapped
    for moment in (m for m in moments if start < m.at <= until):
        was_in = now is not None and sprint.id in now.sprints
        if sprint.id in moment.sprints and not was_in and watch.entered is None:
            watch.entered = moment.estimates.get(name, 0.0)
        crossed |= now is not None and (now.status in done) != (moment.status in done)
        now = moment
    watch.elsewhere = done_at_start and not crossed
    watch.counts = watch.counts and not watch.elsewhere
    if now is not None:
        watch.stays, watch.done = sprint.id in now.sprints, now.status in done
        watch.at_end = now.estimates.get(name, 0.0)
    return watch


def _number(value: object) -> float | None:
    try:
        return None if value in (None, "") else float(str(value))
    except ValueError:
        return None
