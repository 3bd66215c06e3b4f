"""Imports a CSV file of promises: all good lines in one transaction, every other line told with its fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from risk_engine.declare.desk import Known, LedgerDesk, Outcome, declared_of
from risk_engine.declare.table import Read, Refused, read_table
from risk_engine.domain.ledger import Declared
from risk_engine.domain.model import commitment_key
from risk_engine.problems import ProblemError
from risk_engine.store.ledger import read_declared

MOST_DEALS = 2_000
"""Each is locked until all lines are kept, and PostgreSQL's table of locks holds some 6,000 as it is delivered."""


class Importer:
    """Reads, checks and keeps. A line names a commitment by deal and deliverable; the same again changes nothing."""

    def __init__(self, desk: LedgerDesk) -> None:
        self._desk = desk

    async def take(self, content: bytes, who: str, *, dry_run: bool = False) -> dict[str, Any]:
        """The report, line by line. Raises ProblemError where not even the header can be read."""
        lines = list(read_table(content))
        read = [one for one in lines if isinstance(one, Read)]
        deals = sorted({one.promise.deal for one in read})
        if len(deals) > MOST_DEALS:
            raise ProblemError(
                f"the file speaks of more than {MOST_DEALS:,} deals", field="file", fix="import it in parts"
            )
        async with self._desk.opened(deals) as connection:
            issues = {name for one in read for name in one.promise.issues}
            known = await self._desk.know(connection, deals, issues)
            standing = {
                commitment_key(said.deal, said.part): said
                for group in (await read_declared(connection, deals)).values()
                for said in group
            }
            judged = [_judged(one, known, standing, who) for one in lines]
            news = {key: said for _, key, said, outcome in _kept(judged) if outcome != "unchanged"}
            if news and not dry_run:
                await self._desk.write(connection, list(news.values()), who=who, via="csv")
        return _report(judged, dry_run=dry_run)


Kept = tuple[int, str, Declared, Outcome]


def _judged(one: Read | Refused, known: Known, standing: dict[str, Declared], who: str) -> Refused | Kept:
    """``standing`` learns what the line says: a later line of the same file changes an earlier one."""
    if isinstance(one, Refused):
        return one
    try:
        known.check(one.promise, one.promise.deal)
    except ProblemError as error:
        return Refused(one.line, error.field, error.detail, error.fix)
    said = declared_of(one.promise, who)
    key = commitment_key(said.deal, said.part)
    before = standing.get(key)
    standing[key] = said
    if before is None:
        return one.line, key, said, "added"
    return one.line, key, said, "unchanged" if before == said else "changed"


def _kept(judged: Iterable[Refused | Kept]) -> list[Kept]:
    return [one for one in judged if not isinstance(one, Refused)]


def _report(judged: list[Refused | Kept], *, dry_run: bool) -> dict[str, Any]:
    kept = _kept(judged)
    counts = {
        outcome: sum(one[3] == outcome for one in kept) for outcome in ("added", "changed", "unchanged")
    }
    refused = [asdict(one) for one in judged if isinstance(one, Refused)]
    return {
        "dry_run": dry_run,
        "lines": len(judged),
        **counts,
        "refused": len(refused),
        "kept": [{"line": line, "commitment": key, "outcome": outcome} for line, key, _, outcome in kept],
        "problems": refused,
    }


def lines_of(report: Mapping[str, Any]) -> Iterator[str]:
    """The report in words: every line that was left out, then what was kept."""
    for problem in report["problems"]:
        field = f"{problem['field']}: " if problem["field"] else ""
        yield f"line {problem['line']}: {field}{problem['detail']}; {problem['fix']}"
    verb = "would be " if report["dry_run"] else ""
    yield (
        f"{report['lines']} lines: {verb}{report['added']} added, {report['changed']} changed, "
        f"{report['unchanged']} as they were, {report['refused']} left out"
    )
