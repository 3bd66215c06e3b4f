"""The nouns the domain speaks of. Nothing here knows where they came from or how they travel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Severity = Literal["info", "warning", "critical"]
AlertKind = Literal["oversold", "late_forecast", "unlinked_commitment"]
SprintState = Literal["future", "active", "closed"]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in one currency (ISO 4217 code)."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class DealStep:
    """The deal's values from ``at`` (UTC) until the next step; ``probability`` is 0 to 1."""

    at: datetime
    probability: float | None = None
    forecast_category: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One product on a deal; a service date is often just a subscription's start."""

    id: str
    product: str = ""
    """Name of the product, else its id."""
    codes: frozenset[str] = frozenset()
    """Every name of the product: id, name and code."""
    service_date: date | None = None
    total: Money | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a custom object that looks up the deal; its fields as text, by API name."""

    object: str
    id: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Deal:
    """An opportunity. Its flags say what it is; the stage is only a name to show."""

    key: str
    """``<org>:<opportunity id>``."""
    id: str
    name: str
    account: str | None = None
    owner_name: str | None = None
    owner_id: str | None = None
    amount: Money | None = None
    stage: str | None = None
    is_closed: bool = False
    is_won: bool = False
    probability: float = 0.0
    """0 to 1."""
    forecast_category: str | None = None
    close_date: date | None = None
    entered_commit_set: datetime | None = None
    """When the deal came into force this time (UTC)."""
    promised_date: date | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    """Name, NextStep, Description."""
    custom: Mapping[str, str] = field(default_factory=dict)
    """Custom fields by API name."""
    account_id: str | None = None
    created: datetime | None = None
    """When the record was made (UTC)."""
    modified_on: date | None = None
    """The day (UTC) of its last change in the CRM."""
    lines: tuple[Line, ...] = ()
    records: tuple[Record, ...] = ()
    """Records of custom objects that look up the deal."""


@dataclass(frozen=True, slots=True)
class Link:
    """A deal's link to one issue, and why it is believed."""

    issue: str
    """``<site>:<issue id>``."""
    mentions: tuple[str, ...]
    """The issue keys as written on the deal; former keys stay as they are. The present one where it writes none."""
    confidence: float
    basis: tuple[str, ...]
    conflict: str = ""
    """What on the deal or the issue says otherwise; empty: nothing."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """What a deal in force promises, and the issues that deliver it."""

    deal: str
    promised_date: date
    links: tuple[Link, ...] = ()
    """Only those believed enough to stand for work (0.80 and up)."""
    part: str = ""
    """Which deliverable; empty: the whole deal."""
    title: str = ""
    """The deliverable in words; empty: the whole deal."""

    @property
    def key(self) -> str:
        """Names the commitment."""
        return commitment_key(self.deal, self.part)


def commitment_key(deal: str, part: str) -> str:
    """The deal's own key for its whole, else ``<deal>~<part>``."""
    return f"{deal}~{part}" if part else deal


def deal_of(commitment: str) -> str:
    """The deal (key) that the commitment (key) is of."""
    return commitment.partition("~")[0]


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue as planning sees it."""

    key: str
    """``<site>:<issue id>``: identity. ``issue_key`` moves with the project."""
    id: str
    issue_key: str
    project_key: str
    type: str
    done: bool
    former_keys: tuple[str, ...] = ()
    status_id: str = ""
    estimate: Decimal | None = None
    parent: str | None = None
    """Key (``<site>:<id>``) of the parent."""
    sprint_keys: tuple[str, ...] = ()
    """Keys (``<site>:<id>``) of every sprint it is or was in."""
    is_subtask: bool = False
    blocked_by: tuple[str, ...] = ()
    """Keys of the issues that block it, by links of the type "Blocks"."""
    summary: str = ""
    assignee: str | None = None


@dataclass(frozen=True, slots=True)
class Sprint:
    """A sprint with its figures; what was completed is the result at its close."""

    key: str
    id: str
    state: SprintState
    origin_board: str | None = None
    """Key (``<site>:<board id>``) of the board it was made on."""
    boards: tuple[str, ...] = ()
    """Keys of every board that lists it."""
    start: datetime | None = None
    end: datetime | None = None
    """Planned end (UTC)."""
    completed_at: datetime | None = None
    committed_points: float | None = None
    completed_points: float | None = None
    completed_items: int | None = None


@dataclass(frozen=True, slots=True)
class Team:
    """A board: the people whose sprints deliver its projects' issues."""

    key: str
    """``<site>:<board id>``."""
    name: str
    project_keys: tuple[str, ...] = ()
    is_scrum: bool = True
