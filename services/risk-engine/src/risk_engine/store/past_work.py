"""Reads what the issues tell of a team's past: its weeks, where it has no sprints, and how finished epics grew."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo

from risk_engine.domain.calendar import IsWorkingDay, business_days_between, day_of
from risk_engine.domain.history import PastPeriod
from risk_engine.domain.model import Team
from risk_engine.store.database import Connection

WEEKS_REMEMBERED = 24
WEEK = timedelta(days=7)
YEAR = timedelta(days=365)


async def read_weeks(
    connection: Connection, team: Team, now: datetime, zone: tzinfo, is_working_day: IsWorkingDay
) -> tuple[PastPeriod, ...]:
    """What was resolved in the team's projects, week by week from the first in which anything was, to the last one.

    For teams without sprints. Epics are left out: their parts count.
    """
    site = team.key.rpartition(":")[0]
    today = day_of(now, zone)
    monday = today - timedelta(days=today.weekday())
    result = await connection.execute(
        """
        SELECT date_trunc('week', (body->>'resolved_at')::timestamptz AT TIME ZONE %(zone)s)::date,
            coalesce(sum((body->>'estimate')::float8), 0), count(*)
        FROM issues i WHERE NOT deleted AND body ? 'resolved_at' AND body->>'site_id' = %(site)s
            AND body->>'project_key' = ANY(%(projects)s) AND (body->>'resolved_at')::timestamptz >= %(since)s
            AND NOT EXISTS (
                SELECT FROM issues part
                WHERE part.body->>'site_id' = i.body->>'site_id' AND part.body->>'parent_id' = i.body->>'id'
            )
        GROUP BY 1
        """,
        {
            "zone": str(zone),
            "site": site,
            "projects": list(team.project_keys),
            "since": now - WEEK * (WEEKS_REMEMBERED + 1),
        },
    )
    done = {start: (points, items) for start, points, items in await result.fetchall()}
    weeks = [monday - WEEK * back for back in range(WEEKS_REMEMBERED, 0, -1)]
    begun = min(done, default=monday)
    return tuple(
        _week(start, *done.get(start, (0.0, 0)), is_working_day) for start in weeks if start >= begun
    )


def _week(start: date, points: float, items: int, is_working_day: IsWorkingDay) -> PastPeriod:
    eve, sunday = start - timedelta(days=1), start + timedelta(days=6)
    worked = business_days_between(eve, sunday, is_working_day)
    return PastPeriod(start.isoformat(), sunday, float(points), float(items), float(worked))


async def read_growth(connection: Connection, team: Team, now: datetime) -> list[float]:
    """How much the team's epics grew that were finished in the last year: all parts by those known at the beginning.

    The beginning is when the first part was done. Only epics of three parts and more say something.
    """
    result = await connection.execute(
        """
        SELECT sum(size), sum(size) FILTER (WHERE created <= begun) FROM (
            SELECT body->>'parent_id' AS parent, coalesce((body->>'estimate')::float8, 1) AS size,
                (body->>'created_at')::timestamptz AS created, (body->>'resolved_at')::timestamptz AS resolved,
                min((body->>'resolved_at')::timestamptz) OVER (PARTITION BY body->>'parent_id') AS begun
            FROM issues WHERE NOT deleted AND body->>'site_id' = %s AND body->>'project_key' = ANY(%s)
                AND body ? 'parent_id' AND body ? 'created_at' AND NOT body ? 'is_subtask'
        ) AS parts
        GROUP BY parent HAVING bool_and(resolved IS NOT NULL) AND max(resolved) >= %s AND count(*) >= 3
        ORDER BY parent
        """,
        (team.key.rpartition(":")[0], list(team.project_keys), now - YEAR),
    )
    return [final / initial for final, initial in await result.fetchall() if initial and initial > 0]
