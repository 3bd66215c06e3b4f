"""Reads whole tables for the API, a page at a time, each row after the one a page ended with."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, LiteralString

from risk_engine.store.database import Connection


async def _rows(
    connection: Connection, statement: LiteralString, parameters: Mapping[str, Any]
) -> list[dict[str, Any]]:
    result = await connection.execute(
        statement, parameters, prepare=False
    )  # each question has a plan of its own
    names = [column.name for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in await result.fetchall()]


async def read_deal_rows(
    connection: Connection,
    *,
    after: str,
    limit: int,
    account: str | None = None,
    deal: str | None = None,
    below: float | None = None,
) -> list[dict[str, Any]]:
    """Deals in force with what they are worth and how they stand, by key."""
    asked = {"after": after, "limit": limit, "account": account, "deal": deal, "below": below}
    return await _rows(connection, _DEALS, asked)


async def read_team_rows(connection: Connection, *, after: str, limit: int) -> list[dict[str, Any]]:
    """Teams that owe anything, by key."""
    return await _rows(connection, _TEAMS, {"after": after, "limit": limit})


async def read_stakes(
    connection: Connection,
    *,
    after: tuple[Decimal, str] | None,
    limit: int,
    ranked: bool = True,
    deal: str | None = None,
    team: str | None = None,
    issue: str | None = None,
) -> list[dict[str, Any]]:
    """Open issues with the money at stake on them, the most first; with ``deal`` only that deal's part.

    Not ``ranked``: by key, as order and place in it tell amounts.
    """
    amount, key = after or (None, "")
    asked = {"amount": amount if ranked else None, "key": key, "limit": limit, "ranked": ranked}
    asked |= {"deal": deal, "team": team, "issue": issue}
    return await _rows(connection, _STAKES, asked)


async def read_account_rows(
    connection: Connection, *, after: str, limit: int, account: str | None = None
) -> list[dict[str, Any]]:
    """Customers with anything in force, by key."""
    return await _rows(connection, _ACCOUNTS, {"after": after, "limit": limit, "account": account})


async def read_account_name(connection: Connection, account: str) -> str | None:
    """The customer's name on any deal; None where no deal knows the customer."""
    org, _, number = account.rpartition(":")
    result = await connection.execute(
        """
        SELECT coalesce(body->>'account_name', '') FROM deals
        WHERE NOT deleted AND body->>'account_id' = %s AND body->>'org_id' = %s
        ORDER BY version DESC LIMIT 1
        """,
        (number, org),
    )
    row = await result.fetchone()
    return None if row is None else str(row[0])


async def read_assessments(connection: Connection, *, after: str, limit: int) -> list[dict[str, Any]]:
    """Assessments as they were published last, by deal."""
    result = await connection.execute(
        "SELECT body FROM assessments WHERE body IS NOT NULL AND deal_key > %s ORDER BY deal_key LIMIT %s",
        (after, limit),
    )
    return [body for (body,) in await result.fetchall()]


_DEALS: LiteralString = """
    SELECT c.deal_key AS key, d.body->>'name' AS deal_name, d.body->>'account_name' AS account,
        (d.body->>'org_id') || ':' || (d.body->>'account_id') AS account_key, owner.body->>'name' AS owner,
        c.won, w.amount, w.currency, w.converted, w.reporting AS reporting_currency, w.rate_basis AS rate,
        w.unplaced, c.commitments, c.promised_date, stands.p_on_time, stands.forecast_p85
    FROM (
        SELECT deal_key, bool_or(won) AS won, count(*) AS commitments, min(promised_date) AS promised_date
        FROM commitments
        WHERE deal_key > %(after)s AND (%(deal)s::text IS NULL OR deal_key = %(deal)s)
        GROUP BY deal_key
    ) AS c
        JOIN deals d ON d.key = c.deal_key
        LEFT JOIN deal_worth w USING (deal_key)
        LEFT JOIN crm_references owner
            ON owner.key = (d.body->>'org_id') || ':user:' || (d.body->>'owner_id') AND NOT owner.deleted
        LEFT JOIN assessments a USING (deal_key)
        LEFT JOIN LATERAL (
            SELECT min((told->>'p_on_time')::float8) AS p_on_time, max((told->>'forecast_p85')::date) AS forecast_p85
            FROM jsonb_array_elements(a.body->'commitments') AS told
        ) AS stands ON true
    WHERE (%(account)s::text IS NULL OR (d.body->>'org_id') || ':' || (d.body->>'account_id') = %(account)s)
        AND (%(below)s::float8 IS NULL OR stands.p_on_time < %(below)s)
    ORDER BY c.deal_key LIMIT %(limit)s
"""

_TEAMS: LiteralString = """
    SELECT team AS key, body->>'team' AS team, body->>'verdict' AS verdict,
        (body->>'first_breaking_date')::date AS first_breaking_date,
        (body->>'missing_points')::numeric AS missing_points,
        jsonb_array_length(body->'overflow_deals') AS overflow_deals, (body->>'cold')::boolean AS cold, as_of
    FROM outlooks WHERE inputs IS NOT NULL AND team > %(after)s ORDER BY team LIMIT %(limit)s
"""

_STAKES: LiteralString = """
    SELECT * FROM (
        SELECT n.issue AS key, i.body->>'issue_key' AS issue, i.body->>'summary' AS summary, max(n.team) AS team,
            max(n.points) AS points, coalesce(sum(n.stake), 0) AS at_stake, max(w.reporting) AS currency,
            array_agg(DISTINCT n.deal_key ORDER BY n.deal_key) AS deals, min(c.promised_date) AS promised_date
        FROM deal_issues n
            JOIN commitments c USING (commitment)
            JOIN issues i ON i.key = n.issue
            LEFT JOIN deal_worth w ON w.deal_key = n.deal_key
        WHERE n.points IS NOT NULL AND (%(deal)s::text IS NULL OR n.deal_key = %(deal)s)
            AND (%(team)s::text IS NULL OR n.team = %(team)s)
            AND (%(issue)s::text IS NULL OR n.issue = %(issue)s)
        GROUP BY n.issue, i.body->>'issue_key', i.body->>'summary'
    ) AS staked
    WHERE CASE
        WHEN %(amount)s::numeric IS NULL THEN key > %(key)s
        ELSE at_stake < %(amount)s OR (at_stake = %(amount)s AND key > %(key)s)
    END
    ORDER BY CASE WHEN %(ranked)s THEN at_stake END DESC, key LIMIT %(limit)s
"""

_ACCOUNTS: LiteralString = """
    SELECT * FROM (
        SELECT (d.body->>'org_id') || ':' || (d.body->>'account_id') AS key,
            max(d.body->>'account_name') AS account, count(*) AS deals, sum(c.commitments)::int AS commitments,
            sum(w.converted) AS converted, max(w.reporting) AS reporting_currency,
            count(*) FILTER (WHERE w.amount IS NOT NULL AND w.converted IS NULL) AS unconverted_deals,
            min(c.promised_date) AS promised_date, min(stands.p_on_time) AS p_on_time
        FROM (
            SELECT deal_key, count(*) AS commitments, min(promised_date) AS promised_date
            FROM commitments GROUP BY deal_key
        ) AS c
            JOIN deals d ON d.key = c.deal_key
            LEFT JOIN deal_worth w USING (deal_key)
            LEFT JOIN assessments a USING (deal_key)
            LEFT JOIN LATERAL (
                SELECT min((told->>'p_on_time')::float8) AS p_on_time
                FROM jsonb_array_elements(a.body->'commitments') AS told
            ) AS stands ON true
        WHERE d.body->>'account_id' IS NOT NULL
        GROUP BY 1
    ) AS summed
    WHERE key > %(after)s AND (%(account)s::text IS NULL OR key = %(account)s)
    ORDER BY key LIMIT %(limit)s
"""
