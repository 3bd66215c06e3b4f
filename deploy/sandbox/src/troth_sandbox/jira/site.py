"""One running site: its store, index, clock and switches, and the due work that the passing of time brings."""

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from troth_sandbox.jira.accounts import Lives
from troth_sandbox.jira.clock import SECOND_MS, SettableClock
from troth_sandbox.jira.faults import FaultPlan
from troth_sandbox.jira.hooks import Event, Registry
from troth_sandbox.jira.index import SearchIndex
from troth_sandbox.jira.limits import Limiter
from troth_sandbox.jira.matching import Reading
from troth_sandbox.jira.outbox import Outbox
from troth_sandbox.jira.records import Issue, Json
from troth_sandbox.jira.render import Renderer
from troth_sandbox.jira.store import Store
from troth_sandbox.jira.tokens import Tokens

_JOURNAL_LENGTH = 50_000


class Switches(msgspec.Struct, forbid_unknown_fields=True):
    """Behaviours on which the vendor's documents disagree or sites differ."""

    bulk_created: str = "string"
    """Form of `created` in bulk changelogs: `string`, `seconds` or `milliseconds` (live unit unverified)."""
    last_page_token: str = "absent"
    """`nextPageToken` of the last page: `absent` or `null`."""
    search_page_cap: int = 100
    """Largest page of a search that asks for fields: the server may return fewer than asked."""
    agile_page_cap: int = 50
    """Largest page of the agile API, whatever is asked for."""
    agile_short_pages: bool = False
    """Agile pages hold fewer rows than `maxResults` although more follow."""
    agile_total: bool = True
    """Whether board pages carry `total`; sprint pages never do."""
    shuffled_changelogs: bool = False
    """Expanded changelogs come in no order, as a tool author saw (the spec says newest first)."""
    sprint_strings: bool = True
    """Data Center's sprint field holds Java `toString` strings as older versions do; off: objects."""
    webhook_path: str = "webhooks"
    """Where admin webhooks are: `/rest/webhooks/1.0/webhook`, or under `jira-webhook` as on newer Data Centers."""
    administrator: bool = True
    """Whether the account may administer the site, so also its admin webhooks."""
    app: str = "none"
    """What the account's credentials belong to: `none` (API token), or an app, `oauth` or `connect`."""
    dynamic_sprint_events: bool = False
    """Dynamic webhooks take sprint and version events too (the vendor's page and OpenAPI disagree)."""
    link_item: str = "RemoteIssueLink"
    """How a changelog calls a link to a place outside Jira; `RemoteWorkItemLink` on newer Cloud sites."""
    links_move_updated: bool = False
    """Whether such a link moves the issue's `updated` and is told by a webhook (unverified either way)."""
    webhook_expiration: str = "integer"
    """Form of `expirationDate`: `integer` (ms, as the schema says) or `string` (as the example has it)."""


class WriteLog:
    """What really happened, in order: the oracle a client cannot read."""

    def __init__(self) -> None:
        self.entries: list[Json] = []

    def add(self, kind: str, at: int, **facts: Any) -> None:
        """One more fact; `at` in milliseconds."""
        self.entries.append({"seq": len(self.entries) + 1, "kind": kind, "at": at, **facts})


class Site:
    """Everything the routes need. `settle` must run before each answer."""

    def __init__(self, store: Store, clock: SettableClock) -> None:
        self.store = store
        self.clock = clock
        self.switches = Switches()
        self.write_log = WriteLog()
        self.lives = Lives(store)
        self.faults = FaultPlan()
        self.limiter = Limiter()
        self.journal: deque[Json] = deque(maxlen=_JOURNAL_LENGTH)
        self.set_lag(0)
        self.last_link = store.latest_link_id()
        self.last_comment = store.latest_comment_id()
        self.base = "http://127.0.0.1"
        self.hooks = Registry()
        app = store.settings.app
        self.tokens = Tokens(app.refresh_token if app else None)
        self.outbox = Outbox(retries=not store.data_center)
        self.index = SearchIndex(store.visible)
        self.index.load(store.issues())
        self.next_history_id = store.latest_history_id() + 1
        self.next_issue_id = store.next_issue_id()
        self._renderers: dict[tuple[str, str], Renderer] = {}
        self._due: list[tuple[int, int, Callable[[int], None]]] = []
        self._scheduled = 0

    def renderer(self, api: str, base: str) -> Renderer:
        """The renderer for an API version and base address."""
        found = self._renderers.setdefault((api, base), Renderer(self.store, api, base))
        found.sprint_strings = self.switches.sprint_strings
        found.shuffled = self.switches.shuffled_changelogs
        return found

    def reading(self, now: int) -> Reading:
        """How the account's JQL is read: in the zone of its own profile, not of the site."""
        users = self.store.catalogue.users
        zone = users[self.store.settings.account.account_id].time_zone
        return Reading(self.store, ZoneInfo(zone), now)

    def publish(self, issue_id: int, version: Issue | None, at: int) -> None:
        """Hand a stored version to the index, which shows it after the lag."""
        late = int(self._random.uniform(0, self._lag_ms)) if self._uniform else self._lag_ms
        self.index.offer(issue_id, version, at + late)

    def set_lag(self, milliseconds: int, *, uniform: bool = False, seed: int = 0) -> None:
        """From now on the index shows a write this much later, or a random part of it when `uniform`."""
        self._lag_ms, self._uniform, self._random = milliseconds, uniform, random.Random(seed)

    @contextmanager
    def lagging(self, seconds: float | None) -> Iterator[None]:
        """Meanwhile the index lags by exactly so much; None leaves the lag as it is."""
        before = self._lag_ms, self._uniform
        if seconds is not None:
            self._lag_ms, self._uniform = int(seconds * SECOND_MS), False
        try:
            yield
        finally:
            self._lag_ms, self._uniform = before

    def announce(self, event: Event) -> None:
        """Tell the webhooks that want to hear it."""
        for hook in self.hooks.takers(event, self.reading(event.at)):
            self.outbox.post(hook, event)

    def schedule(self, at: int, work: Callable[[int], None]) -> None:
        """Run `work(at)` as soon as the clock has reached `at`."""
        self._scheduled += 1
        heapq.heappush(self._due, (at, self._scheduled, work))

    def settle(self) -> int:
        """Do the work that is due, let the index catch up, and return the time in milliseconds."""
        now = self.clock.now()
        while self._due and self._due[0][0] <= now:
            at, _, work = heapq.heappop(self._due)
            work(at)
        self.index.refresh(now)
        return now

    def forget_renderers(self) -> None:
        """Users or settings changed: cached references are stale."""
        self._renderers.clear()
