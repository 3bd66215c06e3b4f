"""Everything the site holds, by id; the source of direct reads, while search goes through the index."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import msgspec

from troth_sandbox.jira.errors import NotFoundError
from troth_sandbox.jira.fields import FieldTable
from troth_sandbox.jira.records import (
    STATE_ORDER,
    Board,
    Comment,
    Issue,
    IssueType,
    Json,
    Project,
    Sprint,
    Status,
    User,
    Version,
)

NO_ISSUE = "Issue does not exist or you do not have permission to see it."


@dataclass(frozen=True)
class AppCredentials:
    """What an OAuth 2.0 app of the site authorizes itself with; the refresh token is the first one."""

    client_id: str
    client_secret: str
    refresh_token: str


@dataclass(frozen=True)
class SiteSettings:
    """The site and the one account that reads it: title, site zone (answers), account (JQL zone), credentials.

    `deployment` is `Cloud` or `Server` (Data Center).
    """

    title: str
    zone: ZoneInfo
    account: User
    email: str
    token: str
    deployment: str = "Cloud"
    cloud_id: str = "sandbox-cloud"
    app: "AppCredentials | None" = None


@dataclass
class Catalogue:
    """What issues refer to."""

    users: dict[str, User] = field(default_factory=dict)
    statuses: dict[str, Status] = field(default_factory=dict)
    issue_types: dict[str, IssueType] = field(default_factory=dict)
    projects: dict[str, Project] = field(default_factory=dict)
    boards: dict[int, Board] = field(default_factory=dict)
    sprints: dict[int, Sprint] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)


class Store:
    """The site's state. Reading raises NotFoundError; writing goes through `put` and `remove`."""

    def __init__(self, settings: SiteSettings, fields: FieldTable, catalogue: Catalogue) -> None:
        self.settings = settings
        self.fields = fields
        self.catalogue = catalogue
        self.sprint_field = fields.sprint_field()
        self.epic_link_field = fields.epic_link_field()
        self._issues: dict[int, Issue] = {}
        self._hidden: set[int] = set()
        self.remote_links: dict[int, list[tuple[int, Json]]] = {}
        self.comments: dict[int, list[Comment]] = {}
        self._id_by_key: dict[str, int] = {}
        self._children: defaultdict[int, set[int]] = defaultdict(set)
        self._revision = 0

    @property
    def data_center(self) -> bool:
        """True when the site speaks the Data Center dialect."""
        return self.settings.deployment == "Server"

    def issues(self) -> Iterable[Issue]:
        """All issues, whatever the state of their project."""
        return self._issues.values()

    def issue(self, id_or_key: str) -> Issue:
        """The issue with this id, key or former key, in any letter case.

        Former keys resolve without a redirect, as the platform spec says of `GET issue`; on a live site unverified.
        """
        issue_id = self.issue_id(id_or_key)
        issue = self._issues.get(issue_id) if issue_id is not None else None
        if issue is None or not self.visible(issue):
            raise NotFoundError(NO_ISSUE)
        return issue

    def find(self, issue_id: int) -> Issue | None:
        """The issue with this id, if it exists."""
        return self._issues.get(issue_id)

    def visible(self, issue: Issue) -> bool:
        """False for issues hidden by security and for those of projects the account cannot look into."""
        project = self.catalogue.projects.get(issue.project_id)
        return project is not None and project.open and issue.id not in self._hidden

    def hide(self, issue_id: int, *, hidden: bool) -> None:
        """Let issue security hide an issue from the account, or show it again."""
        (self._hidden.add if hidden else self._hidden.discard)(issue_id)

    def children(self, issue_id: int) -> list[Issue]:
        """Issues whose parent this is, oldest first."""
        return [self._issues[child] for child in sorted(self._children.get(issue_id, ()))]

    def is_subtask(self, issue: Issue) -> bool:
        """True when the issue type is one of sub-tasks."""
        kind = self.catalogue.issue_types.get(issue.type_id)
        return kind is not None and kind.subtask

    def put(self, issue: Issue) -> Issue:
        """Store a new version and return it with its revision; its key becomes known for ever."""
        self._revision += 1
        issue = msgspec.structs.replace(issue, revision=self._revision)
        self._unlink(self._issues.get(issue.id))
        self._issues[issue.id] = issue
        self._id_by_key[issue.key.upper()] = issue.id
        if issue.parent_id is not None:
            self._children[issue.parent_id].add(issue.id)
        return issue

    def remember_key(self, key: str, issue_id: int) -> None:
        """A former key of an issue."""
        self._id_by_key.setdefault(key.upper(), issue_id)

    def remove(self, issue_id: int) -> None:
        """Delete an issue with its changelog."""
        self._unlink(self._issues.pop(issue_id, None))

    def project(self, id_or_key: str) -> Project:
        """The project with this id or key, whatever its state."""
        found = self.catalogue.projects.get(id_or_key) or self._project_by(lambda p: p.key == id_or_key)
        if found is None:
            raise NotFoundError(f"No project could be found with key '{id_or_key}'.")
        return found

    def board(self, board_id: int) -> Board:
        """The board with this id."""
        if board_id not in self.catalogue.boards:
            raise NotFoundError("The requested board cannot be viewed because it either does not exist.")
        return self.catalogue.boards[board_id]

    def sprint(self, sprint_id: int) -> Sprint:
        """The sprint with this id."""
        if sprint_id not in self.catalogue.sprints:
            raise NotFoundError("Sprint does not exist.")
        return self.catalogue.sprints[sprint_id]

    def board_sprints(self, board_id: int) -> list[Sprint]:
        """Sprints shown on a board: closed, active, future, then as they lie in the backlog."""
        shown = (
            sprint
            for sprint in self.catalogue.sprints.values()
            if sprint.origin_board_id == board_id or board_id in sprint.board_ids
        )
        return sorted(shown, key=lambda sprint: STATE_ORDER[sprint.state])

    def project_versions(self, project_id: str) -> list[Version]:
        """Versions of a project in their own order."""
        return [v for v in self.catalogue.versions.values() if str(v.project_id) == project_id]

    def latest_history_id(self) -> int:
        """The highest changelog id in the site."""
        return max((h.id for issue in self._issues.values() for h in issue.histories), default=10_000)

    def latest_link_id(self) -> int:
        """The highest id of a link to a place outside Jira."""
        return max((number for links in self.remote_links.values() for number, _ in links), default=10_000)

    def latest_comment_id(self) -> int:
        """The highest id of a comment."""
        return max((one.id for comments in self.comments.values() for one in comments), default=10_000)

    def next_issue_id(self) -> int:
        """An issue id never used before."""
        return max(self._id_by_key.values(), default=10_000) + 1

    def next_key(self, project: Project) -> str:
        """The next key of a project; numbers of deleted and moved issues are not used again."""
        prefix = f"{project.key.upper()}-"
        numbers = (int(key[len(prefix) :]) for key in self._id_by_key if key.startswith(prefix))
        return f"{project.key}-{max(numbers, default=0) + 1}"

    # Names for JQL

    def project_id(self, name: str) -> str | None:
        """Id of the live project with this id, key or name."""
        wanted = name.lower()
        found = self._project_by(lambda p: wanted in {p.id, p.key.lower(), p.name.lower()})
        return found.id if found and found.open else None

    def issue_id(self, name: str) -> int | None:
        """Id of the issue with this id, key or former key, deleted ones included."""
        return int(name) if name.isdigit() else self._id_by_key.get(name.upper())

    def sprint_ids(self, name: str) -> list[int]:
        """Ids of the sprints with this id or name."""
        return [s.id for s in self.catalogue.sprints.values() if name in {str(s.id), s.name}]

    def status_ids(self, name: str) -> list[str]:
        """Ids of the statuses with this id or name."""
        return [s.id for s in self.catalogue.statuses.values() if name.lower() in {s.id, s.name.lower()}]

    def type_ids(self, name: str) -> list[str]:
        """Ids of the issue types with this id or name."""
        return [k.id for k in self.catalogue.issue_types.values() if name.lower() in {k.id, k.name.lower()}]

    def _project_by(self, test: Callable[[Project], bool]) -> Project | None:
        return next((p for p in self.catalogue.projects.values() if test(p)), None)

    def _unlink(self, old: Issue | None) -> None:
        if old is not None and old.parent_id is not None:
            self._children[old.parent_id].discard(old.id)
