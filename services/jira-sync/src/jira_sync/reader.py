"""The port to Jira: one page or one document per call, as the vendor sent it. No paging, no meaning.

``cloud.py`` implements it for Jira Cloud, ``datacenter.py`` for Data Center; what both do alike is in ``site.py``.
Data Center's documents come in Cloud's words, so nothing behind the port knows which dialect it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from jira_sync.parse import Json

EntityKind = Literal["issue", "sprint", "board", "version", "filter"]
ProjectStatus = Literal["live", "archived", "deleted"]
MOST_RECONCILED = 50


@dataclass(frozen=True, slots=True)
class TokenPage:
    """A page of a token loop. ``is_last`` is None where the vendor did not say."""

    items: tuple[Json, ...]
    token: str | None
    is_last: bool | None = None


@dataclass(frozen=True, slots=True)
class OffsetPage:
    """A page of an agile endpoint; ``total`` is not dependable and not kept."""

    items: tuple[Json, ...]
    is_last: bool


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What the site says of itself."""

    now: datetime
    """The server's time when it answered (header ``Date``), UTC."""
    deployment: str


class JiraReader(Protocol):
    """Reads one site.

    Raises JiraUnavailableError after all tries, AccessLostError on 401, ForbiddenError on 403 and 404 of one entity,
    NotSupportedError when the endpoint is gone (410), ScanFailedError when a search is refused (400).
    """

    @property
    def reconciles(self) -> bool:
        """False where a search cannot be told to look past the index."""
        ...

    @property
    def bulk_changelogs(self) -> bool:
        """False where every changelog is a request of its own."""
        ...

    async def server_info(self) -> ServerInfo:
        """Server time and deployment type."""
        ...

    async def myself(self) -> Json:
        """The account the credentials belong to."""
        ...

    async def fields(self) -> Sequence[Json]:
        """All fields of the site."""
        ...

    async def search(
        self, jql: str, fields: Sequence[str], token: str | None, size: int, reconcile: Sequence[str] = ()
    ) -> TokenPage:
        """One page of issues with exactly these field ids, in an order of the dialect's choosing.

        A dialect may send the complete changelog along in ``changelog``. ``reconcile``: up to 50 issue ids to be looked
        up past the index, the same on every page; only where ``reconciles``.
        """
        ...

    async def find(self, kind: EntityKind, entity_id: str, fields: Sequence[str] = ()) -> Json:
        """One entity, not through the index. MissingError when it is not there."""
        ...

    async def projects(self, status: ProjectStatus) -> Sequence[Json]:
        """All projects in this state that the account sees."""
        ...

    async def approximate_count(self, jql: str) -> int:
        """About how many issues match: for progress only, no proof of completeness."""
        ...

    async def changelogs(self, issue_ids: Sequence[str], token: str | None) -> TokenPage:
        """One page of complete changelogs: items are ``{issueId, changeHistories}``; at most 1,000 issues."""
        ...

    async def remote_links(self, issue_id: str) -> Sequence[Json]:
        """All links of an issue to places outside Jira."""
        ...

    async def comments(self, issue_id: str, start: int) -> OffsetPage:
        """One page of an issue's comments, oldest first."""
        ...

    async def boards(self, start: int) -> OffsetPage:
        """One page of boards the account sees."""
        ...

    async def board_configuration(self, board_id: str) -> Json:
        """Columns and estimation of a board."""
        ...

    async def board_projects(self, board_id: str, start: int) -> OffsetPage:
        """One page of the projects a board's filter selects."""
        ...

    async def sprints(self, board_id: str, states: Sequence[str], start: int) -> OffsetPage:
        """One page of a board's sprints in these states."""
        ...

    async def versions(self, project_key: str) -> Sequence[Json]:
        """All versions of a project."""
        ...
