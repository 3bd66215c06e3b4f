"""What people look at before they answer: links, fields and products, each with the reason it is there."""

from __future__ import annotations

from typing import Any

from risk_engine.store.database import Connection


async def list_links(
    connection: Connection,
    *,
    deal: str | None = None,
    issue: str | None = None,
    at_least: float = 0.0,
    below: float = 2.0,
    limit: int,
    offset: int,
) -> list[dict[str, Any]]:
    """Links and suggestions, by deal and issue; ``issue`` is ``<site>:<id>`` or an issue key."""
    result = await connection.execute(
        """
        SELECT l.deal_key, d.body->>'name', l.issue, i.body->>'issue_key', i.body->>'summary', l.mentions,
            l.confidence, l.basis, l.conflict,
            EXISTS (SELECT FROM commitments c WHERE c.deal_key = l.deal_key)
        FROM links l JOIN deals d ON d.key = l.deal_key LEFT JOIN issues i ON i.key = l.issue
        WHERE (%(deal)s::text IS NULL OR l.deal_key = %(deal)s)
            AND (%(issue)s::text IS NULL OR l.issue = %(issue)s OR i.body->>'issue_key' = %(issue)s)
            AND l.confidence >= %(at_least)s AND l.confidence < %(below)s
        ORDER BY l.deal_key, l.issue LIMIT %(limit)s OFFSET %(offset)s
        """,
        {
            "deal": deal,
            "issue": issue,
            "at_least": at_least,
            "below": below,
            "limit": limit,
            "offset": offset,
        },
    )
    names = (
        *("deal", "deal_name", "issue", "issue_key", "summary", "mentions", "confidence", "basis"),
        *("conflict", "promises_in_force"),
    )
    return [dict(zip(names, row, strict=True)) for row in await result.fetchall()]


async def list_products(connection: Connection) -> list[dict[str, Any]]:
    """Products sold and the versions and epics named like them, with how many deals sell the product."""
    result = await connection.execute(
        r"""
        SELECT f.org, substr(s.place, 9), regexp_replace(s.sign, '^(version|epic):', '\1 '),
            coalesce(v.body->>'name', e.body->>'summary'), count(DISTINCT s.deal_key)
        FROM signs s JOIN faces f USING (deal_key)
        LEFT JOIN versions v ON 'version:' || v.key = s.sign AND NOT v.deleted
        LEFT JOIN issues e ON 'epic:' || e.key = s.sign AND NOT e.deleted
        WHERE s.sign LIKE 'version:%' OR s.sign LIKE 'epic:%'
        GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3
        """
    )
    names = ("org", "product", "target", "name", "deals")
    return [dict(zip(names, row, strict=True)) for row in await result.fetchall()]


async def count_deals(connection: Connection) -> dict[str, int]:
    """Deals by org."""
    result = await connection.execute("SELECT org, count(*) FROM faces GROUP BY org")
    return dict(await result.fetchall())


async def read_deals_selling(connection: Connection, org: str, product: str) -> list[str]:
    """Deals (keys) of the org with the product on a line."""
    result = await connection.execute(
        "SELECT DISTINCT deal_key FROM signs JOIN faces USING (deal_key) WHERE org = %s AND place = %s",
        (org, f"product {product}"),
    )
    return [key for (key,) in await result.fetchall()]


async def exists(connection: Connection, table: str, key: str) -> bool:
    """Whether the store holds a living record of the key."""
    result = await connection.execute(
        f"SELECT 1 FROM {table} WHERE key = %s AND NOT deleted",  # noqa: S608  (table names are the callers' own)
        (key,),
    )
    return await result.fetchone() is not None
