"""Gathers what a team's outlook follows from: what it owes to whom, and what its capacity is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from risk_engine.domain.book import Promise, TeamInputs, unusual_days
from risk_engine.domain.capacity import CapacityBasis, capacity_basis, pooled_points, usual_days
from risk_engine.domain.feasibility import OwedLeaf
from risk_engine.domain.history import UNITS, Unit, better_unit, evened, unit_errors, unit_scores
from risk_engine.domain.model import Deal, Team, deal_of
from risk_engine.evaluate.record import TeamRecord, read_record
from risk_engine.evaluate.terms import Terms
from risk_engine.store.commitments import CommitmentRow, read_commitments, read_owed
from risk_engine.store.database import Connection
from risk_engine.store.marks import take_join_lock
from risk_engine.store.past_work import read_growth
from risk_engine.store.views import read_deals, read_histories

HORIZON = timedelta(days=3_653)
"""Capacity is drawn this far ahead. Dates such as 4000-12-31 mean "never", and would cost gigabytes."""


async def gather_owed(
    connection: Connection, team: str
) -> tuple[list[OwedLeaf], dict[str, CommitmentRow], dict[str, Deal]]:
    """What the team owes, with the commitments and deals it is owed to.

    Deals that were deleted since they were evaluated are left out; their own marks wait already.
    """
    leaves = await read_owed(connection, team)
    owing = {key for leaf in leaves for key in leaf.deals}
    known = await read_commitments(connection, {deal_of(key) for key in owing})
    deals = await read_deals(connection, {row.deal for row in known.values()})
    standing = {key: row for key, row in known.items() if key in owing and row.deal in deals}
    owed = [replace(leaf, deals=leaf.deals & standing.keys()) for leaf in leaves]
    return [leaf for leaf in owed if leaf.deals], standing, deals


async def gather_inputs(
    connection: Connection,
    team: Team,
    owed: Sequence[OwedLeaf],
    commitments: Mapping[str, CommitmentRow],
    terms: Terms,
) -> TeamInputs:
    """Everything the team's outlook follows from, at this moment."""
    entry = terms.registry.entry(team.key)
    record = await read_record(connection, team, entry, terms)
    capacity = await _capacity(connection, record, terms)
    last = max((row.promised_date for row in commitments.values()), default=terms.today)
    until = min(last, terms.today + HORIZON)
    free, worked = unusual_days(terms.today, until, record.cadence_days, terms.is_working_day)
    return TeamInputs(
        team=team.key,
        name=team.name,
        today=terms.today,
        sprint_end=record.running_until,
        cadence_days=record.cadence_days,
        until=until,
        points=capacity.basis.points,
        earlier=capacity.basis.earlier,
        cold=capacity.basis.cold,
        trials=terms.trials,
        free_weekdays=free,
        worked_weekends=worked,
        owed=tuple(replace(leaf, points=1.0) for leaf in owed) if capacity.unit == "items" else tuple(owed),
        promises=tuple(promise_of(commitments[deal]) for deal in sorted(commitments)),
        unit=capacity.unit,
        errors={unit: round(error, 4) for unit, error in capacity.errors.items()},
        past=record.past,
        absences=tuple(one for one in entry.absences if one.last >= terms.today),
        growth=tuple(await read_growth(connection, team, terms.now)),
        deal_share=terms.deal_share if entry.deal_share is None else entry.deal_share,
    )


def promise_of(row: CommitmentRow) -> Promise:
    """The commitment as a team sees it."""
    return Promise(row.deal, row.promised_date, row.probability, row.won, row.part)


@dataclass(frozen=True, slots=True)
class _Capacity:
    basis: CapacityBasis
    unit: Unit
    errors: Mapping[Unit, float]


async def _capacity(connection: Connection, record: TeamRecord, terms: Terms) -> _Capacity:
    """The unit whose forecasts were better, and what is drawn from; points where other teams' sprints stand in."""
    usual = usual_days(record.cadence_days, terms.today, terms.is_working_day)
    done: dict[Unit, tuple[float, ...]] = {unit: evened(record.past, unit, usual) for unit in UNITS}
    scores = unit_scores(done)
    errors, unit = unit_errors(scores), better_unit(scores)
    basis = capacity_basis(done[unit], ())
    if not basis.cold:
        return _Capacity(basis, unit, errors)
    # A sprint that arrives now must find this team's outlook, or be seen by it.
    await take_join_lock(connection)
    pool = pooled_points((await read_histories(connection)).values())
    return _Capacity(capacity_basis(done["points"], pool), "points", errors)
