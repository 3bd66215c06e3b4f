"""Second step: everything a team owes, date by date, against what it will probably deliver."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from risk_engine.domain.calendar import IsWorkingDay, day_of, last_day_of_sprint
from risk_engine.domain.capacity import (
    CapacityBasis,
    TeamCapacity,
    capacity_basis,
    capacity_draws,
    completed_history,
    pooled_points,
    sprint_grid,
    usual_cadence,
)
from risk_engine.domain.feasibility import OwedLeaf, TeamOutlook, deal_joins, evaluate_team
from risk_engine.domain.finding import Finding
from risk_engine.domain.model import Flags, Floats, Sprint, Team
from risk_engine.domain.rules import oversold
from risk_engine.store.commitments import (
    CommitmentRow,
    Cover,
    read_commitments,
    read_owed,
    replace_outlook,
)
from risk_engine.store.database import Connection
from risk_engine.store.marks import add_marks, take_join_lock
from risk_engine.store.views import read_deals, read_roster, read_team_sprints

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


async def evaluate_one_team(connection: Connection, key: str, terms: Terms) -> Finding | None:
    """Stores the team's outlook, marks its deals, and says whether the team is oversold."""
    roster = await read_roster(connection)
    team = roster.teams.get(key)
    owed = await read_owed(connection, key) if team else []
    commitments = await read_commitments(connection, {deal for leaf in owed for deal in leaf.deals})
    deals = await read_deals(connection, commitments)
    owed = _standing(owed, deals)
    commitments = {deal: row for deal, row in commitments.items() if deal in deals}
    if team is None or not owed:
        await _store(connection, key, terms, {}, None, {})
        return None
    sprints = await read_team_sprints(connection, key)
    basis = await _basis(connection, sprints, roster.teams)
    capacity = _capacity(key, sprints, basis, terms, max(row.promised_date for row in commitments.values()))
    outlook = evaluate_team(
        key,
        owed,
        {deal: row.promised_date for deal, row in commitments.items()},
        {deal: _joins(row, terms) for deal, row in commitments.items()},
        capacity,
    )
    finding = oversold(outlook, team.name, deals)
    await _store(connection, key, terms, _body(team, basis, outlook), finding, outlook.finish)
    return finding


def _standing(owed: Sequence[OwedLeaf], deals: Collection[str]) -> list[OwedLeaf]:
    """Without the deals that were deleted since they were evaluated; their own marks wait already."""
    kept = (OwedLeaf(leaf.issue, leaf.points, leaf.deals & frozenset(deals)) for leaf in owed)
    return [leaf for leaf in kept if leaf.deals]


async def _store(
    connection: Connection,
    key: str,
    terms: Terms,
    body: dict[str, Any],
    finding: Finding | None,
    finish: Mapping[str, Floats],
) -> None:
    cover = Cover.of(finding, cold=bool(body.get("cold")))
    touched = await replace_outlook(connection, key, terms.now, body, cover=cover, finish=finish)
    await add_marks(connection, "forecast", touched)


def _joins(row: CommitmentRow, terms: Terms) -> Flags:
    return deal_joins(row.deal, row.probability, terms.trials, won=row.won)


async def _basis(
    connection: Connection, sprints: Sequence[Sprint], teams: Mapping[str, Team]
) -> CapacityBasis:
    own = completed_history(sprints)
    basis = capacity_basis(own, ())
    if not basis.cold:
        return basis
    await take_join_lock(
        connection
    )  # a sprint that arrives now must find this team's outlook, or be seen by it
    others = [completed_history(await read_team_sprints(connection, key)) for key in sorted(teams)]
    return capacity_basis(own, pooled_points(others))


def _capacity(
    key: str, sprints: Sequence[Sprint], basis: CapacityBasis, terms: Terms, until: date
) -> TeamCapacity:
    ends = [
        last_day_of_sprint(sprint.end, terms.zone)
        for sprint in sprints
        if sprint.state == "active" and sprint.end is not None
    ]
    grid = sprint_grid(
        terms.today,
        max(ends, default=None),
        usual_cadence(sprints),
        terms.is_working_day,
        min(until, terms.today + HORIZON),
    )
    draws = capacity_draws(key, basis.history, terms.trials, grid.sprints, basis.halving)
    return TeamCapacity(draws, grid, basis.cold)


def _body(team: Team, basis: CapacityBasis, outlook: TeamOutlook) -> dict[str, Any]:
    """What the API shows of the outlook."""
    return {
        "team": team.name,
        "cold": outlook.cold,
        "completed_points": list(basis.history),
        "dates": [
            {
                "date": due.date.isoformat(),
                "probability": round(due.probability, 4),
                "load": round(due.load, 1),
                "capacity": round(due.capacity, 1),
                "missing_points": str(due.missing_points),
                "deals": list(due.deals),
            }
            for due in outlook.due
        ],
    }
