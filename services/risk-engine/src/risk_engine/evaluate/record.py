"""A team's record: what it finished, sprint by sprint or week by week, over all its boards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from risk_engine.domain.calendar import last_day_of_sprint
from risk_engine.domain.capacity import SPRINTS_REMEMBERED, usual_cadence
from risk_engine.domain.history import PastPeriod, past_sprints, side_by_side
from risk_engine.domain.model import Sprint, Team
from risk_engine.domain.registry import TeamEntry, before_the_split
from risk_engine.evaluate.terms import Terms
from risk_engine.store.database import Connection
from risk_engine.store.past_work import WEEK, read_weeks
from risk_engine.store.views import read_team_sprints

PERIODS_KEPT = 2 * SPRINTS_REMEMBERED


@dataclass(frozen=True, slots=True)
class TeamRecord:
    """``past``: oldest first, as many as carry weight. ``running_until``: the last day of the running sprint."""

    cadence_days: int
    running_until: date | None
    past: tuple[PastPeriod, ...]


async def read_record(connection: Connection, team: Team, entry: TeamEntry, terms: Terms) -> TeamRecord:
    """The team's record at this moment; a team without sprints is measured by its weeks."""
    if not team.is_scrum:
        sunday = terms.today + timedelta(days=6 - terms.today.weekday())
        past = await read_weeks(connection, team, terms.now, terms.zone, terms.is_working_day)
        return TeamRecord(WEEK.days, sunday, past[-PERIODS_KEPT:])
    boards = {board: await read_team_sprints(connection, board) for board in (*entry.boards, *entry.former)}
    own = [sprint for board in entry.boards for sprint in boards[board]]
    cadence = usual_cadence(own)
    past = _past(boards, cadence, terms)
    if entry.split is not None:
        split = entry.split
        source = {split.board: await read_team_sprints(connection, split.board)}
        before = before_the_split(_past(source, cadence, terms), split)
        past = (*before, *(one for one in past if one.closed >= split.on))
    return TeamRecord(cadence, _running_until(own, terms.zone), past[-PERIODS_KEPT:])


def _past(boards: Mapping[str, Sequence[Sprint]], cadence: int, terms: Terms) -> tuple[PastPeriod, ...]:
    return side_by_side(
        [past_sprints(sprints, terms.zone, terms.is_working_day) for sprints in boards.values()], cadence
    )


def _running_until(sprints: Sequence[Sprint], zone: tzinfo) -> date | None:
    ends = [
        last_day_of_sprint(sprint.end, zone)
        for sprint in sprints
        if sprint.state == "active" and sprint.end is not None
    ]
    return max(ends, default=None)
