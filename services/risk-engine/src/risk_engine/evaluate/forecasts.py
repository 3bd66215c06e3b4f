"""Last step: each deal over all its teams: the assessment, and the alerts about the deal itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

import msgspec

from risk_engine.domain.book import joins_of
from risk_engine.domain.calendar import day_of
from risk_engine.domain.feasibility import DealOutlook, evaluate_deal
from risk_engine.domain.finding import Finding
from risk_engine.domain.links import BELIEVED
from risk_engine.domain.model import Commitment, Deal, Floats
from risk_engine.domain.ranking import Verdict
from risk_engine.domain.rules import late_forecast, unlinked_commitment
from risk_engine.domain.seeds import SEED
from risk_engine.evaluate.inputs import promise_of
from risk_engine.evaluate.terms import Terms
from risk_engine.store.alerts import read_firing
from risk_engine.store.commitments import (
    CommitmentRow,
    Cover,
    read_commitments,
    read_committed_dates,
    read_covers,
    read_digests,
    read_finish,
    read_team_names,
)
from risk_engine.store.database import Connection
from risk_engine.store.views import read_deals
from troth_contracts.codec import content_hash
from troth_contracts.risk import Assessment, CommitmentAssessment, DealLink


@dataclass(frozen=True, slots=True)
class DealResult:
    """What one deal came to. ``assessment`` is None when it promises nothing (any more)."""

    deal: str
    assessment: Assessment | None
    late: Finding | None
    unlinked: Finding | None
    waits_for: tuple[str, ...] = ()
    """Teams that were not evaluated yet; they mark the deal again."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """By team, the digest of the inputs that the assessment rests on."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Everything the deals' teams contribute."""

    finish: Mapping[str, Mapping[str, Floats]]
    names: Mapping[str, str]
    covers: Mapping[str, Cover]
    firing: frozenset[str]
    committed: Mapping[str, date]
    digests: Mapping[str, str]


async def evaluate_forecasts(connection: Connection, keys: Sequence[str], terms: Terms) -> list[DealResult]:
    """Results of the deals, in the order of ``keys``; nothing is written."""
    rows = await read_commitments(connection, keys)
    promised: dict[str, list[CommitmentRow]] = defaultdict(list)
    for row in sorted(rows.values(), key=lambda row: (row.promised_date, row.key)):
        promised[row.deal].append(row)
    deals = await read_deals(connection, promised)
    known = await _known(connection, rows, terms.trials)
    return [
        _result(deals[key], promised[key], known, terms)
        if key in promised and key in deals
        else DealResult(key, None, None, None)
        for key in keys
    ]


async def _known(connection: Connection, rows: Mapping[str, CommitmentRow], trials: int) -> _Known:
    teams = sorted({team for row in rows.values() for team in row.teams})
    blocking = {blocker.team for row in rows.values() for blocker in row.blockers if blocker.team}
    covers = await read_covers(connection, teams)
    prints = [cover.as_finding(team).fingerprint for team, cover in covers.items()]
    return _Known(
        await read_finish(connection, rows, trials),
        await read_team_names(connection, blocking.union(teams)),
        covers,
        await read_firing(connection, prints),
        await read_committed_dates(connection, {row.deal for row in rows.values()}),
        await read_digests(connection, teams),
    )


def _result(deal: Deal, rows: Sequence[CommitmentRow], known: _Known, terms: Terms) -> DealResult:
    """``rows``: everything the deal promises, by date."""
    judged = [_judged(deal, row, known, terms) for row in rows]
    assessment = _assessment(deal, judged, known, terms)
    unlinked = next((one.unlinked for one in judged if one.unlinked is not None), None)
    waits_for = tuple(sorted({team for one in judged for team in one.waits_for}))
    if waits_for:
        return DealResult(deal.key, assessment, None, unlinked, waits_for)
    late = min((one.late for one in judged if one.late is not None), key=_silence, default=None)
    teams = {team for one in judged if one.outlook is not None for team in one.row.teams}
    inputs = {team: known.digests[team] for team in sorted(teams) if team in known.digests}
    return DealResult(deal.key, assessment, late, unlinked, inputs=inputs)


def _silence(finding: Finding) -> tuple[bool, bool, float]:
    """Of several late promises the deal's alert speaks of one that nobody speaks of yet, the least likely first."""
    return finding.inhibited_by is not None, not finding.holds, finding.probability or 0.0


@dataclass(frozen=True, slots=True)
class _Judged:
    """One promise, and what is known of it; ``outlook`` is None where no link is believed or a team is missing."""

    row: CommitmentRow
    outlook: DealOutlook | None
    late: Finding | None
    unlinked: Finding | None
    waits_for: tuple[str, ...]


def _judged(deal: Deal, row: CommitmentRow, known: _Known, terms: Terms) -> _Judged:
    believed = tuple(link for link in row.links if link.confidence >= BELIEVED)
    commitment = Commitment(deal.key, row.promised_date, believed, row.part, row.title)
    unlinked = unlinked_commitment(
        deal,
        commitment,
        row.links,
        entered=day_of(row.entered_at, terms.zone),
        today=terms.today,
        is_working_day=terms.is_working_day,
    )
    finish = known.finish.get(row.key, {})
    waits_for = tuple(team for team in row.teams if team not in finish)
    if not believed or waits_for:
        return _Judged(row, None, None, unlinked, waits_for)
    outlook = evaluate_deal(
        row.key,
        {team: finish[team] for team in row.teams},
        joins_of(promise_of(row), terms.trials),
        row.promised_date,
    )
    return _Judged(row, outlook, _late(deal, commitment, outlook, row, known, terms), unlinked, ())


def _late(
    deal: Deal, commitment: Commitment, outlook: DealOutlook, row: CommitmentRow, known: _Known, terms: Terms
) -> Finding | None:
    covers = {team: known.covers[team] for team in row.teams if team in known.covers}
    return late_forecast(
        replace(deal, promised_date=row.promised_date),
        commitment,
        outlook,
        today=terms.today,
        oversold=[cover.as_finding(team) for team, cover in covers.items()],
        firing=known.firing,
        team_names=known.names,
        cold_teams=[team for team, cover in covers.items() if cover.cold],
    )


def _assessment(deal: Deal, judged: Sequence[_Judged], known: _Known, terms: Terms) -> Assessment:
    commitments = tuple(_told(one.row, one.outlook, known) for one in judged)
    main = next((one for one in commitments if one.key == deal.key), commitments[0])
    return Assessment(
        deal_key=deal.key,
        deal_name=deal.name,
        as_of=terms.now,
        in_force=True,
        promised_date=main.promised_date,
        committed_date=main.committed_date,
        forecast_p50=main.forecast_p50,
        forecast_p85=main.forecast_p85,
        forecast_p95=main.forecast_p95,
        p_on_time=main.p_on_time,
        links=main.links,
        teams=main.teams,
        drivers=main.drivers,
        seed=SEED,
        trials=terms.trials,
        commitments=commitments,
    )


def _told(row: CommitmentRow, outlook: DealOutlook | None, known: _Known) -> CommitmentAssessment:
    chance = outlook.p_on_time if outlook else None
    return CommitmentAssessment(
        key=row.key,
        title=row.title,
        basis=row.basis,
        need=row.need,
        promised_date=row.promised_date,
        committed_date=known.committed.get(row.key),
        forecast_p50=outlook.p50 if outlook else None,
        forecast_p85=outlook.p85 if outlook else None,
        forecast_p95=outlook.p95 if outlook else None,
        p_on_time=None if chance is None else round(chance, 4),
        links=tuple(
            DealLink(
                issue_key=", ".join(link.mentions),
                issue_id=link.issue,
                confidence=round(link.confidence, 4),
                basis=link.basis,
                conflict=link.conflict,
            )
            for link in row.links
        ),
        teams=tuple(known.names.get(team, team) for team in row.teams),
        drivers=_drivers(outlook, row, known),
    )


_WRONG: Mapping[Verdict, str] = {
    "infeasible": "more is due there by the date than fits, in any order",
    "misordered": "it would fit there, but other work is ranked before it",
}


def _drivers(outlook: DealOutlook | None, row: CommitmentRow, known: _Known) -> tuple[str, ...]:
    parts = outlook.parts if outlook else ()
    drivers = [f"{_name(part.team, known)}: {part.p_on_time:.2f} alone" for part in parts]
    for team, cover in sorted(known.covers.items()):
        wrong = _WRONG.get(cover.verdicts.get(row.key, "feasible")) if team in row.teams else None
        if wrong is not None:
            drivers.append(f"{_name(team, known)}: {wrong}")
    for blocker in row.blockers:
        whose = f"of {_name(blocker.team, known)}" if blocker.team else "on no board"
        drivers.append(f"{blocker.issue_key} is blocked by {blocker.by} {whose}: not simulated")
    if row.boardless:
        drivers.append(f"{row.boardless} open issues are on no board and not counted")
    return tuple(drivers)


def _name(team: str, known: _Known) -> str:
    return known.names.get(team, team)


def digest_of(assessment: Assessment) -> str:
    """Of what must differ before an assessment is published again: everything but the moment it was made."""
    told = msgspec.structs.replace(assessment, as_of=_ANY_MOMENT)
    return content_hash(msgspec.json.encode(told, order="deterministic"))


_ANY_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
