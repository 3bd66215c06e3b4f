"""What a deal promises, line by line: each deliverable, its date, who says so, and whether it counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from typing import Literal

from risk_engine.domain.commitments import DEFAULT_POLICY, CommitPolicy, in_force, promise_field
from risk_engine.domain.date_phrases import dates_in
from risk_engine.domain.keys import candidate_keys
from risk_engine.domain.links import (
    BELIEVED,
    DECLARED_CONFIDENCE,
    MOST_SUGGESTED,
    RECORD_CONFIDENCE,
    TEXT_CONFIDENCE,
    Namesakes,
    Resolve,
    several_sites,
)
from risk_engine.domain.model import Deal, Line, Link, Money, Record, commitment_key

Basis = Literal["declared", "record", "field", "line", "close_date", "text"]
Need = Literal["blocker", "strong", "nice"]
State = Literal["in_force", "waiting", "candidate"]
_CONFIDENCE: Mapping[str, float] = {
    "declared": DECLARED_CONFIDENCE,
    "record": RECORD_CONFIDENCE,
    "line": TEXT_CONFIDENCE,
}
_NO_NAMESAKES: Namesakes = {}
_TEXT_DATES = 3
_NEED_WORDS = ("need", "priority", "must", "prio")
_BLOCKER = ("block", "must", "critical", "high", "krav")
_NICE = ("nice", "could", "low", "wish", "önskemål")


@dataclass(frozen=True, slots=True)
class Declared:
    """What somebody said through the API or in a CSV file; it stands until it is withdrawn."""

    deal: str
    title: str
    """The deliverable in words; empty: the whole deal."""
    promised_date: date
    need: Need = "strong"
    issues: tuple[str, ...] = ()
    """Issue keys or ``<site>:<issue id>``."""
    evidence: str = ""
    by: str = ""
    amount: Money | None = None

    @property
    def part(self) -> str:
        """Names the deliverable in its deal, whatever its date."""
        return part_of(self.title)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the ledger. Only what is ``in_force`` is forecast; a ``candidate`` only informs."""

    deal: str
    part: str
    title: str
    promised_date: date
    basis: Basis
    source: str
    """Where it was read: a field, a record, a line, a text; or who declared it."""
    state: State
    need: Need = "strong"
    issues: tuple[str, ...] = ()
    """Issue keys (or ``<site>:<issue id>``) that deliver it; none: all of the deal's."""
    evidence: str = ""
    declared_by: str = ""
    amount: Money | None = None

    @property
    def key(self) -> str:
        """Names the commitment."""
        return commitment_key(self.deal, self.part)


def part_of(title: str) -> str:
    """A short name that is the same however the title is cased and spaced; empty for the whole deal."""
    plain = " ".join(title.split()).casefold()
    return blake2b(plain.encode(), digest_size=6).hexdigest() if plain else ""


def entries_of(
    deal: Deal, declared: Iterable[Declared], today: date, policy: CommitPolicy = DEFAULT_POLICY
) -> tuple[Entry, ...]:
    """Everything the deal promises or seems to, one entry per deliverable; a declaration overrides what is read.

    A service date counts only when its line names an issue or its product is said to commit engineering. A line
    without one shows the close date, as Salesforce's own report does, but never counts by it.
    """
    state: State = "in_force" if in_force(deal, today, policy) else "waiting"
    found: dict[str, Entry] = {}
    for entry in (*_declared(deal, declared, state), *_read(deal, state, policy)):
        found.setdefault(entry.part, entry)
    dates = {entry.promised_date for entry in found.values()}
    for entry in _in_texts(deal, today):
        if entry.promised_date not in dates:
            found[entry.part] = entry
    return tuple(found[part] for part in sorted(found))


def links_of(
    entry: Entry, deal_links: tuple[Link, ...], resolve: Resolve, namesakes: Namesakes = _NO_NAMESAKES
) -> tuple[Link, ...]:
    """The issues that deliver the entry: those it names, as sure as its basis; else the deal's own.

    Of a key that several sites have, the deal's own links tell which issue it means; else each is only suggested.
    """
    if not entry.issues:
        return deal_links
    believed = {link.issue for link in deal_links if link.confidence >= BELIEVED}
    named: dict[str, set[str]] = defaultdict(set)
    conflicts: dict[str, set[str]] = defaultdict(set)
    for name in entry.issues:
        issues = _meant(name, resolve, namesakes, believed)
        for issue in issues:
            named[issue].add(name)
            if len(issues) > 1:
                conflicts[issue].add(several_sites(name, issues))
    return tuple(
        Link(
            issue,
            tuple(sorted(named[issue])),
            min(_CONFIDENCE[entry.basis], MOST_SUGGESTED if issue in conflicts else 1.0),
            (entry.basis,),
            "; ".join(sorted(conflicts.get(issue, ()))),
        )
        for issue in sorted(named)
    )


def _meant(name: str, resolve: Resolve, namesakes: Namesakes, believed: Collection[str]) -> tuple[str, ...]:
    issue = name if ":" in name else resolve(name)
    if issue is not None:
        return (issue,)
    several = namesakes.get(name, ())
    return tuple(one for one in several if one in believed) or several


def _declared(deal: Deal, declared: Iterable[Declared], state: State) -> Iterator[Entry]:
    for one in declared:
        yield Entry(
            deal.key,
            one.part,
            one.title,
            one.promised_date,
            "declared",
            one.by,
            state,
            one.need,
            one.issues,
            one.evidence,
            one.by,
            one.amount,
        )


def _read(deal: Deal, state: State, policy: CommitPolicy) -> Iterator[Entry]:
    field = promise_field(deal.custom)
    if field is not None:
        name, day = field
        yield Entry(deal.key, "", "", day, "field", name, state)
    for record in deal.records:
        yield from _of_record(deal, record, state)
    dated = any(line.service_date for line in deal.lines)
    for line in deal.lines:
        yield from _of_line(deal, line, state, policy, assume=dated or state == "in_force")


def _of_record(deal: Deal, record: Record, state: State) -> Iterator[Entry]:
    field = promise_field(record.fields)
    if field is None:
        return
    name, day = field
    title = record.fields.get("Name", "") or record.id
    yield Entry(
        deal.key,
        f"record-{record.id}",
        title,
        day,
        "record",
        f"{record.object}.{name} {record.id}",
        state,
        _need(record.fields),
        tuple(
            mention.key
            for _, value in sorted(record.fields.items())
            for mention in candidate_keys(value)
            if mention.certain
        ),
    )


def _of_line(deal: Deal, line: Line, state: State, policy: CommitPolicy, *, assume: bool) -> Iterator[Entry]:
    issues = tuple(mention.key for mention in candidate_keys(line.description) if mention.certain)
    part, title = f"line-{line.id}", line.product or line.id
    if line.service_date is not None:
        counts = bool(issues) or bool(line.codes & policy.committing_products)
        yield Entry(
            deal.key,
            part,
            title,
            line.service_date,
            "line",
            f"OpportunityLineItem.ServiceDate {line.id}",
            state if counts else "candidate",
            issues=issues,
            amount=line.total,
        )
    elif assume and deal.close_date is not None:
        source = f"Opportunity.CloseDate, for want of OpportunityLineItem.ServiceDate {line.id}"
        yield Entry(
            deal.key, part, title, deal.close_date, "close_date", source, "candidate", amount=line.total
        )


def _in_texts(deal: Deal, today: date) -> Iterator[Entry]:
    """Dates without a year are those that follow the deal's last change."""
    written = deal.modified_on or today
    for place, text in sorted(deal.texts.items()):
        for number, phrase in enumerate(dates_in(text, written)[:_TEXT_DATES]):
            part = f"text-{place}-{number}"
            yield Entry(
                deal.key, part, phrase.words, phrase.day, "text", place, "candidate", evidence=phrase.words
            )


def _need(fields: Mapping[str, str]) -> Need:
    told = [
        value.lower()
        for name, value in sorted(fields.items())
        if any(word in name.lower() for word in _NEED_WORDS)
    ]
    if any(word in value for value in told for word in _BLOCKER):
        return "blocker"
    return "nice" if any(word in value for value in told for word in _NICE) else "strong"
