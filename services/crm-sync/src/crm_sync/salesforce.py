"""The port to Salesforce: the few questions crm-sync asks, and the shape of the answers.

``rest.py`` answers them over the network; tests answer them from memory and pass the same contract test.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Protocol

from crm_sync.fields import Record
from crm_sync.soql import Query


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a result. A page may hold any number of rows, also none; only ``next_url`` tells the end."""

    records: tuple[Record, ...]
    total: int
    next_url: str | None
    server_time: datetime
    """Salesforce's clock when it answered, UTC, whole seconds."""


@dataclass(frozen=True, slots=True)
class Deletions:
    """Ids deleted in a window, hard deletions included."""

    ids: tuple[str, ...]
    covered_until: datetime
    """Where the next window must begin; may lie before the asked end."""


@dataclass(frozen=True, slots=True)
class Described:
    """A field as describe tells it."""

    name: str
    type: str
    custom: bool
    filterable: bool
    label: str
    target: str | None = None
    """The one object that a lookup refers to."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """An object that refers to another one by ``field``."""

    name: str
    field: str


class Description(tuple[Described, ...]):  # noqa: SLOT001  (a tuple has no room for slots)
    """The fields of an object, and what looks it up."""

    lookups: tuple[Lookup, ...] = ()
    replicateable: bool = True
    """Whether its deletions can be asked for."""

    @classmethod
    def of(
        cls, fields: Iterable[Described], lookups: Iterable[Lookup] = (), *, replicateable: bool = True
    ) -> Description:
        """A description."""
        made = cls(fields)
        made.lookups = tuple(lookups)
        made.replicateable = replicateable
        return made


@dataclass(frozen=True, slots=True)
class JobState:
    """How far a bulk job is."""

    done: bool
    failed: str | None = None
    """Why there will never be a result."""
    rows: int | None = None
    """Of the whole result, once the job is done; None where Salesforce does not say."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """A part of a bulk job's result as CSV with a header, at its beginning; the reader of it closes the file."""

    file: IO[bytes]
    rows: int
    """How many there must be; fewer means that the end is missing."""
    next: str | None
    """Locator of the page behind it; it can be read again for as long as the job is kept, a week."""


class SalesforceReader(Protocol):
    """Read-only access to one org. Every call may raise a TransientError or AccessRefused of ``errors.py``."""

    @property
    def server_time(self) -> datetime:
        """Salesforce's clock in the newest answer, UTC."""
        ...

    async def org_id(self) -> str:
        """18-character id of the org the session belongs to."""
        ...

    async def renew(self) -> None:
        """Log in again before the next question: the org may live at another address now."""
        ...

    async def query(self, query: Query) -> Page:
        """First page of the result; deleted rows that are still in the recycle bin are included."""
        ...

    async def more(self, next_url: str) -> Page:
        """A further page; LocatorLost when the chain must be restarted."""
        ...

    async def describe(self, name: str) -> Description:
        """Fields of an object that this user may read; SchemaChanged when the object is not there.

        Asked again, it costs few bytes while nothing changed.
        """
        ...

    async def deleted(self, name: str, start: datetime, end: datetime) -> Deletions:
        """Deletions of an object in the window; ReplicationLogLost when it begins too far back."""
        ...

    async def start_job(self, query: Query) -> str:
        """Id of a new bulk job; QueryRefused where bulk jobs are not to be had for it. Deleted rows included."""
        ...

    async def job(self, job_id: str) -> JobState:
        """How far a job is; JobLost when Salesforce no longer knows it."""
        ...

    async def job_page(self, job_id: str, locator: str | None, rows: int) -> JobPage:
        """At most ``rows`` rows of a job's result, from the beginning for None; JobLost when it is gone."""
        ...
