"""Third step: everything a team owes, date by date, against what it will probably deliver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from statistics import mean
from typing import Any

from risk_engine.domain.book import TeamInputs, TeamReading, open_book, read_book
from risk_engine.domain.feasibility import DueDate
from risk_engine.domain.finding import Finding
from risk_engine.domain.growth import EPICS_NEEDED
from risk_engine.domain.history import outliers
from risk_engine.domain.model import Floats, deal_of
from risk_engine.domain.ranking import Swap, Verdict
from risk_engine.domain.rules import oversold
from risk_engine.evaluate.inputs import gather_inputs, gather_owed
from risk_engine.evaluate.terms import Terms
from risk_engine.store.commitments import Cover, replace_outlook
from risk_engine.store.database import Connection
from risk_engine.store.marks import add_marks
from risk_engine.store.views import read_team


async def evaluate_one_team(connection: Connection, key: str, terms: Terms) -> Finding | None:
    """Stores the team's outlook, marks its deals, and says whether the team is oversold.

    A board that belongs to another board's team owes nothing itself; what happens on it concerns that team.
    """
    if (lead := terms.registry.lead(key)) != key:
        await add_marks(connection, "team", [lead])
    team = await read_team(connection, key, terms.registry)
    owed, commitments, deals = await gather_owed(connection, key)
    if team is None or not owed:
        await _store(connection, key, terms, None, {}, Cover.of(None, cold=False), {})
        return None
    inputs = await gather_inputs(connection, team, owed, commitments, terms)
    reading = read_book(open_book(inputs))
    promised = {
        key: replace(deals[row.deal], promised_date=row.promised_date) for key, row in commitments.items()
    }
    finding = oversold(reading.outlook, team.name, promised, unit=inputs.unit)
    cover = Cover.of(finding, cold=inputs.cold, verdicts=_verdicts(reading))
    await _store(connection, key, terms, inputs, _body(inputs, reading), cover, reading.outlook.finish)
    return finding


async def _store(
    connection: Connection,
    key: str,
    terms: Terms,
    inputs: TeamInputs | None,
    body: dict[str, Any],
    cover: Cover,
    finish: Mapping[str, Floats],
) -> None:
    touched = await replace_outlook(connection, key, terms.now, body, inputs, cover=cover, finish=finish)
    await add_marks(connection, "forecast", touched)


def _verdicts(reading: TeamReading) -> dict[str, Verdict]:
    """By commitment, what is wrong with its date at this team."""
    return {key: verdict for due, verdict, _ in _dates(reading) if verdict != "feasible" for key in due.deals}


def _dates(reading: TeamReading) -> Iterator[tuple[DueDate, Verdict, float]]:
    return zip(reading.outlook.due, reading.ranking.verdicts, reading.ranking.chances, strict=True)


def _body(inputs: TeamInputs, reading: TeamReading) -> dict[str, Any]:
    """What the API shows of the outlook; money is added when it is read."""
    breaking = reading.outlook.breaking
    return {
        "team": inputs.name,
        "cold": inputs.cold,
        "verdict": reading.ranking.verdict,
        "first_breaking_date": breaking.date.isoformat() if breaking else None,
        "missing_points": str(breaking.missing_points) if breaking else None,
        "overflow_deals": _deals(reading.outlook.overflow_deals),
        "swaps": [_swap(swap) for swap in reading.ranking.swaps],
        "unit": inputs.unit,
        "forecast_errors": dict(inputs.errors),
        "scope_growth": round(mean(inputs.growth), 3) if len(inputs.growth) >= EPICS_NEEDED else None,
        "deal_share": inputs.deal_share,
        "completed": [*inputs.earlier, *inputs.points],
        "history": _history(inputs),
        "dates": [_date(*told) for told in _dates(reading)],
        "deals": [
            {
                "deal": deal_of(part.commitment),
                "commitment": part.commitment,
                "promised_date": part.promised.isoformat(),
                "p_on_time": round(part.p_on_time, 4),
                "p_with_one_more_sprint": round(part.p_with_sprint, 4),
            }
            for part in reading.parts
        ],
    }


def _history(inputs: TeamInputs) -> list[dict[str, Any]]:
    """As it was reported, before it was evened out over working days."""
    stand_out = outliers([one.done(inputs.unit) for one in inputs.past])
    return [
        {
            "key": one.key,
            "closed": one.closed.isoformat(),
            "points": round(one.points, 2),
            "items": round(one.items, 2),
            "working_days": one.working_days,
            "outlier": outlier,
        }
        for one, outlier in zip(inputs.past, stand_out, strict=True)
    ]


def _swap(swap: Swap) -> dict[str, Any]:
    return {"up": swap.up.issue_key, "down": swap.down.issue_key, "for_deals": _deals(swap.up.deals)}


def _deals(commitments: Iterable[str]) -> list[str]:
    return sorted({deal_of(key) for key in commitments})


def _date(due: DueDate, verdict: Verdict, ranked: float) -> dict[str, Any]:
    return {
        "date": due.date.isoformat(),
        "verdict": verdict,
        "probability": round(due.probability, 4),
        "probability_as_ranked": round(ranked, 4),
        "load": round(due.load, 1),
        "capacity": round(due.capacity, 1),
        "missing_points": str(due.missing_points),
        "deals": _deals(due.deals),
    }
