"""Links as derived, what they rest on beside the deal itself, and what people said of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from risk_engine.domain.fields import Answer
from risk_engine.domain.links import Naming
from risk_engine.domain.model import Deal, Link
from risk_engine.domain.products import Bearer
from risk_engine.store.database import Connection

AnswerKind = Literal["field", "product", "link"]
Said = Literal["confirmed", "rejected", "open"]
"""What may be said; ``open`` takes an earlier answer back."""


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """The latest answer on a field (org, place), a product (org:name, version or epic) or a link (deal, issue)."""

    kind: AnswerKind
    subject: str
    target: str
    answer: Answer
    by: str
    note: str
    at: datetime


async def read_links(connection: Connection, deals: Collection[str]) -> dict[str, tuple[Link, ...]]:
    """Links and suggestions by deal, ordered by issue."""
    result = await connection.execute(
        """
        SELECT deal_key, issue, mentions, confidence, basis, conflict FROM links
        WHERE deal_key = ANY(%s) ORDER BY deal_key, issue COLLATE "C"
        """,
        (list(deals),),
    )
    found: dict[str, list[Link]] = defaultdict(list)
    for deal, issue, mentions, confidence, basis, conflict in await result.fetchall():
        found[deal].append(Link(issue, tuple(mentions), confidence, tuple(basis), conflict))
    return {deal: tuple(links) for deal, links in found.items()}


async def replace_links(
    connection: Connection, deals: Collection[str], links: Mapping[str, Sequence[Link]]
) -> list[str]:
    """Writes the links of ``deals``; returns those whose links are others now."""
    before = await read_links(connection, deals)
    changed = sorted(deal for deal in deals if before.get(deal, ()) != tuple(links.get(deal, ())))
    await connection.execute("DELETE FROM links WHERE deal_key = ANY(%s)", (changed,))
    async with connection.cursor() as cursor:
        statement = "COPY links (deal_key, issue, mentions, confidence, basis, conflict) FROM STDIN"
        async with cursor.copy(statement) as copy:
            for deal in changed:
                for link in links.get(deal, ()):
                    row = (list(link.mentions), link.confidence, list(link.basis), link.conflict)
                    await copy.write_row((deal, link.issue, *row))
    return changed


async def read_answers(
    connection: Connection, kind: AnswerKind, subjects: Collection[str]
) -> list[GivenAnswer]:
    """The latest answers that stand, by subject and target."""
    result = await connection.execute(
        """
        SELECT * FROM (
            SELECT DISTINCT ON (subject, target) kind, subject, target, answer, answered_by, note, at
            FROM link_answers WHERE kind = %s AND subject = ANY(%s) ORDER BY subject, target, id DESC
        ) AS latest WHERE answer <> 'open'
        """,
        (kind, list(subjects)),
    )
    return [GivenAnswer(*row) for row in await result.fetchall()]


async def add_answer(
    connection: Connection,
    kind: AnswerKind,
    subject: str,
    target: str,
    *,
    answer: Said,
    by: str,
    note: str,
    at: datetime,
) -> None:
    """Appends an answer; the latest counts."""
    await connection.execute(
        """
        INSERT INTO link_answers (kind, subject, target, answer, answered_by, note, at)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (kind, subject, target, answer, by, note, at),
    )


async def read_issue_keys(connection: Connection, issues: Collection[str]) -> dict[str, str]:
    """Present issue keys by issue (``<site>:<id>``); deleted ones are left out."""
    result = await connection.execute(
        "SELECT key, body->>'issue_key' FROM issues WHERE key = ANY(%s) AND NOT deleted", (list(issues),)
    )
    return dict(await result.fetchall())


async def read_stems(connection: Connection, names: Collection[str]) -> dict[str, str]:
    """Names without version numbers, case and punctuation; those that come to nothing are left out."""
    result = await connection.execute(
        "SELECT name, name_stem(name) FROM unnest(%s::text[]) AS name WHERE length(name_stem(name)) >= 3",
        (sorted(set(names)),),
    )
    return dict(await result.fetchall())


async def read_bearers(connection: Connection, stems: Collection[str]) -> dict[str, list[Bearer]]:
    """Versions with their work, and epics, by the stem of their name; archived ones are left out."""
    result = await connection.execute(
        """
        SELECT stem, 'version ' || v.key, v.body->>'name', (v.body->>'release_date')::date,
            coalesce((v.body->>'released')::boolean, false), i.key, i.body->>'issue_key'
        FROM unnest(%(stems)s::text[]) AS stem JOIN versions v ON name_stem(v.body->>'name') = stem
        LEFT JOIN issues i ON NOT i.deleted AND i.body->>'site_id' = v.body->>'site_id'
            AND i.body ? 'fix_version_ids' AND i.body->'fix_version_ids' ? (v.body->>'id')
            AND NOT coalesce((i.body->>'is_subtask')::boolean, false)
        WHERE NOT v.deleted AND NOT coalesce((v.body->>'archived')::boolean, false)
        UNION ALL
        SELECT stem, 'epic ' || e.key, e.body->>'summary', NULL, e.body->>'status_category' = 'done', e.key,
            e.body->>'issue_key'
        FROM unnest(%(stems)s::text[]) AS stem JOIN issues e ON name_stem(e.body->>'summary') = stem
            AND e.body->>'type_name' = 'Epic'
        WHERE NOT e.deleted
        ORDER BY 1, 2, 6
        """,
        {"stems": sorted(set(stems))},
    )
    grouped: dict[tuple[str, str], Bearer] = {}
    for stem, key, name, release, done, issue, issue_key in await result.fetchall():
        known = grouped.get((stem, key), Bearer(key, name, (), release, done))
        work = (*known.issues, (issue, issue_key)) if issue is not None else known.issues
        grouped[stem, key] = Bearer(key, name, work, release, done)
    found: dict[str, list[Bearer]] = defaultdict(list)
    for (stem, _), bearer in grouped.items():
        found[stem].append(bearer)
    return found


async def read_namings(connection: Connection, deals: Collection[Deal]) -> dict[str, list[Naming]]:
    """The issues that name these deals, one of their records, or (only that) their account, by deal.

    A deal's number, which only a configured pattern finds, is the value of one of its custom fields.
    """
    by_name: dict[str, set[tuple[str, bool]]] = defaultdict(set)
    numbers: dict[str, set[tuple[str, bool]]] = defaultdict(set)
    for deal in deals:
        for name in (deal.id, *(record.id for record in deal.records)):
            by_name[name].add((deal.key, False))
        if deal.account_id:
            by_name[deal.account_id].add((deal.key, True))
        for value in deal.custom.values():
            numbers[value].add((deal.key, False))
    result = await connection.execute(
        """
        SELECT i.key, i.body->>'issue_key', found->>'place', found->>'value', coalesce(found->>'kind', '') = 'pattern'
        FROM issues i, LATERAL jsonb_array_elements(i.body->'crm_references') AS found
        WHERE NOT i.deleted AND i.body ? 'crm_references'
            AND jsonb_path_query_array(i.body, '$.crm_references[*].value') ?| %(names)s
            AND found->>'value' = ANY(%(names)s)
        ORDER BY 1, 3
        """,
        {"names": sorted(by_name.keys() | numbers.keys())},
    )
    namings: dict[str, list[Naming]] = defaultdict(list)
    for issue, issue_key, place, value, is_number in await result.fetchall():
        for deal_key, account in (numbers if is_number else by_name)[value]:
            namings[deal_key].append(Naming(issue, issue_key, place, account))
    return namings
