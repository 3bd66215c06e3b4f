"""Gathers what a team's outlook follows from: what it owes to whom, and the sprints its capacity is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo

from risk_engine.domain.book import Promise, TeamInputs, unusual_days
from risk_engine.domain.calendar import IsWorkingDay, day_of, last_day_of_sprint
from risk_engine.domain.capacity import (
    CapacityBasis,
    capacity_basis,
    completed_history,
    pooled_points,
    usual_cadence,
)
from risk_engine.domain.feasibility import OwedLeaf
from risk_engine.domain.model import Deal, Sprint, Team
from risk_engine.store.commitments import CommitmentRow, read_commitments, read_owed
from risk_engine.store.database import Connection
from risk_engine.store.marks import take_join_lock
from risk_engine.store.views import read_deals, read_histories, read_team_sprints

HORIZON = timedelta(days=3_653)
"""Capacity is drawn this far ahead. Dates such as 4000-12-31 mean "never", and would cost gigabytes."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What every evaluation is told: the moment, the calendar, the number of trials."""

    now: datetime
    zone: tzinfo
    is_working_day: IsWorkingDay
    trials: int

    @property
    def today(self) -> date:
        """The day of ``now`` in the configured zone."""
        return day_of(self.now, self.zone)


async def gather_owed(
    connection: Connection, team: str
) -> tuple[list[OwedLeaf], dict[str, CommitmentRow], dict[str, Deal]]:
    """What the team owes, with the commitments and deals it is owed to.

    Deals that were deleted since they were evaluated are left out; their own marks wait already.
    """
    leaves = await read_owed(connection, team)
    commitments = await read_commitments(connection, {deal for leaf in leaves for deal in leaf.deals})
    deals = await read_deals(connection, commitments)
    owed = [replace(leaf, deals=leaf.deals & deals.keys()) for leaf in leaves]
    standing = {deal: row for deal, row in commitments.items() if deal in deals}
    return [leaf for leaf in owed if leaf.deals], standing, deals


async def gather_inputs(
    connection: Connection,
    team: Team,
    owed: Sequence[OwedLeaf],
    commitments: Mapping[str, CommitmentRow],
    terms: Terms,
) -> TeamInputs:
    """Everything the team's outlook follows from, at this moment."""
    sprints = await read_team_sprints(connection, team.key)
    basis = await _basis(connection, sprints)
    cadence = usual_cadence(sprints)
    last = max((row.promised_date for row in commitments.values()), default=terms.today)
    until = min(last, terms.today + HORIZON)
    free, worked = unusual_days(terms.today, until, cadence, terms.is_working_day)
    return TeamInputs(
        team=team.key,
        name=team.name,
        today=terms.today,
        sprint_end=_sprint_end(sprints, terms.zone),
        cadence_days=cadence,
        until=until,
        points=basis.points,
        earlier=basis.earlier,
        cold=basis.cold,
        trials=terms.trials,
        free_weekdays=free,
        worked_weekends=worked,
        owed=tuple(owed),
        promises=tuple(promise_of(commitments[deal]) for deal in sorted(commitments)),
    )


def promise_of(row: CommitmentRow) -> Promise:
    """The commitment as a team sees it."""
    return Promise(row.deal, row.promised_date, row.probability, row.won)


async def _basis(connection: Connection, sprints: Sequence[Sprint]) -> CapacityBasis:
    own = completed_history(sprints)
    basis = capacity_basis(own, ())
    if not basis.cold:
        return basis
    # A sprint that arrives now must find this team's outlook, or be seen by it.
    await take_join_lock(connection)
    return capacity_basis(own, pooled_points(await read_histories(connection)))


def _sprint_end(sprints: Sequence[Sprint], zone: tzinfo) -> date | None:
    ends = [
        last_day_of_sprint(sprint.end, zone)
        for sprint in sprints
        if sprint.state == "active" and sprint.end is not None
    ]
    return max(ends, default=None)
