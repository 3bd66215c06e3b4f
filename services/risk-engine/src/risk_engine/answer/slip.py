"""Answers why a promise slips: gathers what is on record since it was made, and says it in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from risk_engine.domain.calendar import day_of
from risk_engine.domain.links import BELIEVED
from risk_engine.domain.registry import Registry
from risk_engine.domain.slip import (
    Cause,
    Pace,
    Promised,
    Slip,
    SlipFacts,
    pace_of,
    present_promise,
    split_delay,
    together,
)
from risk_engine.domain.work import Roster, TypicalSizes, WorkTree, leaves_below, size_leaf, team_of
from risk_engine.problems import ProblemError
from risk_engine.store.alerts import read_assessment
from risk_engine.store.commitments import CommitmentRow, main_commitment, read_commitments, read_finish
from risk_engine.store.database import Connection, Database
from risk_engine.store.history import (
    Injection,
    IssueTimes,
    read_estimates_before,
    read_injections,
    read_issue_times,
    read_promise_steps,
    read_waiting_statuses,
)
from risk_engine.store.views import read_roster, read_team_sprints, read_typical_sizes, read_work_tree
from troth_chassis.clock import Clock

_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Unit:
    """An issue that carries work of the deal, done or not."""

    issue: str
    issue_key: str
    team: str | None
    then: float
    """Its size when the promise was made; 0 when it came later."""
    now: float
    done: bool


@dataclass(frozen=True, slots=True)
class _Record:
    """Everything on record of one deal's slip."""

    promised: Promised
    finish: date
    is_done: bool
    team: str
    team_name: str
    units: tuple[_Unit, ...]
    started: date | None
    injections: tuple[Injection, ...]
    pace: Pace


class SlipDesk:
    """Reads only: nothing it says is kept, so it follows from the records at any time."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        zone: tzinfo,
        trials: int,
        registry: Registry | None = None,
    ) -> None:
        self._database = database
        self._registry = registry or Registry()
        self._clock = clock
        self._zone = zone
        self._trials = trials

    async def answer(self, deal: str) -> dict[str, Any]:
        """Why the deal's promise slips. Raises ProblemError where nothing in force is known of it."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            record = await self._record(connection, deal, now)
        if record is None:
            return {
                "deal": deal,
                "late": None,
                "explanation": ["No team owes its work, so no day is forecast."],
            }
        facts = _facts(record, day_of(now, self._zone), self._zone)
        return _told(deal, record, facts, split_delay(facts))

    async def _record(self, connection: Connection, deal: str, now: datetime) -> _Record | None:
        row = main_commitment(await read_commitments(connection, [deal]), deal)
        promised = present_promise(await read_promise_steps(connection, row.key)) if row else None
        if row is None or promised is None:
            raise ProblemError(
                f"{deal} promises nothing in force", fix="check the key: <org>:<opportunity id>", status=404
            )
        roots = [link.issue for link in row.links if link.confidence >= BELIEVED]
        roster = await read_roster(connection, self._registry)
        tree = await read_work_tree(connection, roots, roster.done)
        units = await _units(connection, roots, tree, roster, promised.at)
        last = await self._last(connection, row, units)
        if last is None:
            return None
        team, finish, is_done = last
        own = tuple(unit for unit in units if unit.team == team)
        times = await read_issue_times(
            connection, [unit.issue for unit in own], await read_waiting_statuses(connection, team)
        )
        begun = [one.begun for one in times.values() if one.begun is not None]
        boards = [await read_team_sprints(connection, each) for each in self._registry.entry(team).boards]
        until = min(now, _latest(times)) if is_done else now
        return _Record(
            promised,
            finish,
            is_done,
            team,
            roster.teams[team].name if team in roster.teams else team,  # the board may just have gone
            own,
            day_of(min(begun), self._zone) if begun else None,
            tuple(
                await read_injections(
                    connection,
                    [one.key for sprints in boards for one in sprints],
                    list(tree.issues),
                    promised.at,
                    until,
                )
            ),
            together(pace_of(sprints, promised.at) for sprints in boards),
        )

    async def _last(
        self, connection: Connection, row: CommitmentRow, units: Sequence[_Unit]
    ) -> tuple[str, date, bool] | None:
        """The team that is done last, its day, and whether that is a fact; None where no team has any of the work."""
        if units and all(unit.done for unit in units):
            times = await read_issue_times(connection, [unit.issue for unit in units], ())
            ended = [
                (at, unit.team) for unit in units if unit.team and (at := times[unit.issue].done) is not None
            ]
            return (max(ended)[1], day_of(max(ended)[0], self._zone), True) if ended else None
        found = await read_assessment(connection, row.deal)
        finish = (await read_finish(connection, [row.key], self._trials)).get(row.key, {})
        if found is None or not finish or found.body.get("forecast_p50") is None:
            return None
        team = max(sorted(finish), key=lambda name: float(sorted(finish[name])[len(finish[name]) // 2]))
        return team, date.fromisoformat(found.body["forecast_p50"]), False


def _latest(times: Mapping[str, IssueTimes]) -> datetime:
    return max(one.done for one in times.values() if one.done is not None)


async def _units(
    connection: Connection, roots: Sequence[str], tree: WorkTree, roster: Roster, promised_at: datetime
) -> list[_Unit]:
    """The issues that carry the deal's work, as if none were done yet, with their size then and now."""
    fresh = WorkTree.of(replace(issue, done=False) for issue in tree.issues.values())
    leaves = leaves_below(roots, fresh)
    keys = [leaf.issue.key for leaf in leaves]
    changed = await read_estimates_before(connection, keys, promised_at)
    times = await read_issue_times(connection, keys, ())
    unsized = any(leaf.estimate is None for leaf in leaves) or None in changed.values()
    typical = await read_typical_sizes(connection, roster) if unsized else TypicalSizes()
    units = []
    for leaf in leaves:
        key, team = leaf.issue.key, team_of(leaf.issue, roster, tree)
        before = replace(leaf, estimate=changed.get(key, leaf.estimate))
        created = times[key].created
        came_later = created is not None and created > promised_at
        then = 0.0 if came_later else size_leaf(before, team, typical).points
        now = size_leaf(leaf, team, typical).points
        units.append(_Unit(key, leaf.issue.issue_key, team, then, now, tree.issues[key].done))
    return units


def _facts(record: _Record, today: date, zone: tzinfo) -> SlipFacts:
    return SlipFacts(
        made=day_of(record.promised.at, zone),
        first=record.promised.first,
        present=record.promised.present,
        finish=record.finish,
        started=record.started or today,
        points_then=sum(unit.then for unit in record.units),
        points_now=sum(unit.now for unit in record.units),
        injected=max(sum(one.points for one in record.injections), 0.0),
        pace=record.pace.usual,
    )


def _told(deal: str, record: _Record, facts: SlipFacts, slip: Slip) -> dict[str, Any]:
    return {
        "deal": deal,
        "late": slip.days > 0,
        "delay_days": slip.days,
        "promised_date": facts.present.isoformat(),
        "first_promised_date": facts.first.isoformat(),
        "promised_on": facts.made.isoformat(),
        "finish_date": facts.finish.isoformat(),
        "finish_basis": "done" if record.is_done else "forecast_p50",
        "team": record.team,
        "started_on": record.started.isoformat() if record.started else None,
        "points_at_promise": round(facts.points_then, 2),
        "points_now": round(facts.points_now, 2),
        "injected_points": round(facts.injected, 2),
        "usual_points_per_day": round(record.pace.usual, 3),
        "points_per_day_since": None if record.pace.since is None else round(record.pace.since, 3),
        "parts": {cause: str(days) for cause, days in slip.parts.items()},
        "explanation": list(_sentences(record, facts, slip)),
    }


def _sentences(record: _Record, facts: SlipFacts, slip: Slip) -> Iterator[str]:
    done = "was done" if record.is_done else "is forecast to be done (p50)"
    if not slip.days:
        yield f"Promised for {facts.present}; it {done} on {facts.finish}: not late."
        return
    yield (
        f"Promised for {facts.present}; it {done} on {facts.finish}: {slip.days} days late. "
        f"{record.team_name} is last."
    )
    largest = sorted(slip.parts.items(), key=lambda part: (-part[1], part[0]))
    for cause, days in largest:
        if days:
            yield f"{_rounded(days)} of the days: {_why(cause, record, facts)}."


def _rounded(days: Decimal) -> str:
    return f"{days.normalize():f}"


def _why(cause: Cause, record: _Record, facts: SlipFacts) -> str:
    match cause:
        case "date_pulled_in":
            return f"the promised date was pulled in, from {facts.first} to {facts.present}"
        case "never_fitted":
            return (
                f"it never fitted; on {facts.made} it was {facts.points_then:g} points, "
                f"{facts.points_then / facts.pace:.0f} days of work at the team's usual pace"
                if facts.pace
                else f"it was promised on {facts.made}, after the day it was promised for"
            )
        case "late_start":
            begun = f"began on {record.started}" if record.started else "has not begun"
            return f"a late start; work on it {begun}"
        case "scope_growth":
            return f"scope grew from {facts.points_then:g} to {facts.points_now:g} points ({_grown(record.units)})"
        case "injected_work":
            return f"{facts.injected:g} points of other work came into running sprints ({_came(record.injections)})"
        case "lost_capacity":
            return f"capacity that did not go into this work; {_paces(record.pace)}"


def _grown(units: Sequence[_Unit]) -> str:
    grown = sorted((unit for unit in units if unit.now > unit.then), key=lambda unit: unit.then - unit.now)
    return _named([f"{unit.issue_key}: {unit.then:g} to {unit.now:g}" for unit in grown])


def _came(injections: Sequence[Injection]) -> str:
    added = sorted((one for one in injections if one.points > 0), key=lambda one: -one.points)
    return _named([f"{one.issue_key}: {one.points:g}" for one in added])


def _named(items: Sequence[str]) -> str:
    more = f", and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return ", ".join(items[:_NAMED]) + more


def _paces(pace: Pace) -> str:
    if not pace.usual:
        return "the team never closed a sprint, so nothing says what is usual"
    if pace.since is None:
        return f"usual are {pace.usual:.1f} points a day, and no sprint was closed since"
    return f"the team did {pace.since:.1f} points a day since, where {pace.usual:.1f} are usual"
