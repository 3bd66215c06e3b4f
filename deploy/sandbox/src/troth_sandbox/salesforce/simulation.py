"""Everything one running simulator holds, handed to its routes as one object."""

from dataclasses import dataclass, field
from typing import Any

from troth_sandbox.salesforce.access import Access
from troth_sandbox.salesforce.bulk import Jobs
from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.faults import Faults
from troth_sandbox.salesforce.location import Location
from troth_sandbox.salesforce.logins import Logins
from troth_sandbox.salesforce.org import Org, open_org
from troth_sandbox.salesforce.seed import ConnectedApp, Seed
from troth_sandbox.salesforce.sessions import Cursors, Sessions
from troth_sandbox.salesforce.slow_queries import SlowQueries
from troth_sandbox.salesforce.transactions import Transactions
from troth_sandbox.salesforce.usage import LongCalls, Usage


@dataclass(frozen=True, slots=True)
class Entry:
    """One request as it was received, and the status it got (0: the connection was closed)."""

    at: str
    method: str
    path: str
    query: str
    status: int

    def as_json(self) -> dict[str, Any]:
        """The form of the admin API."""
        return {
            "at": self.at,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "status": self.status,
        }


@dataclass(frozen=True, slots=True)
class Site:
    """One org with its sessions, cursors, allowance, faults and journal."""

    org: Org
    app: ConnectedApp
    sessions: Sessions
    cursors: Cursors
    usage: Usage
    transactions: Transactions
    logins: Logins
    jobs: Jobs
    access: Access
    long_calls: LongCalls
    location: Location = field(default_factory=Location)
    slow_queries: SlowQueries = field(default_factory=SlowQueries)
    faults: Faults = field(default_factory=Faults)
    journal: list[Entry] = field(default_factory=list)

    @property
    def clock(self) -> SettableClock:
        """The org's clock."""
        return self.org.clock


def open_site(seed: Seed, clock: SettableClock) -> Site:
    """A simulator filled from a seed. Raises SeedError."""
    org = open_org(seed, clock)
    return Site(
        org=org,
        app=seed.app,
        sessions=Sessions(clock, seed.org_id, org.user_id),
        cursors=Cursors(clock),
        usage=Usage(clock, seed.daily_api_limit),
        transactions=Transactions(org),
        logins=Logins(clock, seed.app),
        jobs=Jobs(clock),
        access=Access(org),
        long_calls=LongCalls(clock),
    )
