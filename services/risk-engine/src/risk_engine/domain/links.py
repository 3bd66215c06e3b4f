"""Which issues a deal is about, each with the reasons to believe it.

The ladder: declared 1.00; a record of a custom object that holds keys 0.97 (what connectors leave behind); a key field
0.95; the deal named on the issue 0.90; a key in a text 0.85; product and version or epic 0.75; account 0.60. Signs of
different kinds are independent: they combine as 1 - product(1 - c). The last two, and keys copied from another
deal, only suggest: together at most 0.79. Keys in forms and examples, and names of standards, say nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod

from risk_engine.domain.fields import KEY_FIELDS, Answer, FieldScore, Standing, standing_of
from risk_engine.domain.keys import is_standard
from risk_engine.domain.model import Deal, Link
from risk_engine.domain.signs import Sign, signs_of

DECLARED_CONFIDENCE = 1.00
RECORD_CONFIDENCE = 0.97
FIELD_CONFIDENCE = 0.95
NAMED_CONFIDENCE = 0.90
"""The issue itself bears the deal's record id, its address, or its number by the configured pattern."""
TEXT_CONFIDENCE = 0.85
PRODUCT_CONFIDENCE = 0.75
ACCOUNT_CONFIDENCE = 0.60
BELIEVED = 0.80
"""From this confidence on a link stands for work; below it is a suggestion."""
MOST_SUGGESTED = 0.79

Resolve = Callable[[str], str | None]
"""From an issue key, present or former, to the issue (``<site>:<id>``); None when no or more than one is known."""
Namesakes = Mapping[str, tuple[str, ...]]
"""By issue key that several sites have, the issue of each."""


@dataclass(frozen=True, slots=True)
class Naming:
    """An issue (``<site>:<id>``) that names the deal, and where on it: ``description``, ``remote_link``, a field."""

    issue: str
    issue_key: str
    place: str
    account: bool = False
    """It names only the deal's account."""


@dataclass(frozen=True, slots=True)
class ProductMatch:
    """An issue that is an epic, or in a version, named like a product sold on the deal."""

    issue: str
    issue_key: str
    product: str
    target: str
    """What bears the name: ``version Ledger 2.4``."""
    confirmed: bool = False
    ambiguous: bool = False
    """Several versions bear the name, and nothing tells which one was sold."""


@dataclass(frozen=True, slots=True)
class LinkAnswer:
    """What somebody said of a link; ``issue_key`` is empty when the issue is not known (any more)."""

    answer: Answer
    by: str
    issue_key: str = ""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What must be known beside the deal itself to judge its signs."""

    standings: Mapping[str, Standing] = field(default_factory=dict)
    """Of the org's fields, by place; an unknown one holds keys when its name speaks of Jira."""
    scores: Mapping[str, FieldScore] = field(default_factory=dict)
    namings: tuple[Naming, ...] = ()
    products: tuple[ProductMatch, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    """By issue, the deal (its name) that this one's keys were copied from."""
    forms: Collection[str] = ()
    """Names of texts that stand on the deals of many customers word for word."""
    answers: Mapping[str, LinkAnswer] = field(default_factory=dict)
    """What people said of the deal's links, by issue."""
    namesakes: Namesakes = field(default_factory=dict)

    def said(self, issue: str) -> Answer | None:
        """What people said of the deal's link to the issue."""
        answer = self.answers.get(issue)
        return answer.answer if answer else None


NOTHING = Knowledge()


@dataclass(frozen=True, slots=True)
class _Clue:
    issue: str
    written: str
    kind: str
    basis: str
    confidence: float
    suggests: bool = False
    conflict: str = ""

    @property
    def is_explicit(self) -> bool:
        """Whether it stands where links are meant to stand."""
        return self.kind in ("record", "field", "issue") and not self.suggests


def find_links(deal: Deal, resolve: Resolve, known: Knowledge = NOTHING) -> tuple[Link, ...]:
    """The deal's links and suggestions, one per issue, ordered by issue; keys not in upper case never make one.

    Of several signs of one kind the strongest counts. What somebody rejected is left out.
    """
    clues: dict[str, list[_Clue]] = defaultdict(list)
    for clue in _clues(deal, resolve, known):
        clues[clue.issue].append(clue)
    disagreement = _disagreement(clue for group in clues.values() for clue in group)
    kept = sorted(issue for issue in clues if known.said(issue) != "rejected")
    return tuple(_link(issue, clues[issue], disagreement) for issue in kept)


def several_sites(key: str, issues: Iterable[str]) -> str:
    """The conflict of a key that does not tell which issue it means."""
    return f"{key} is on several sites: {', '.join(issues)}"


def _clues(deal: Deal, resolve: Resolve, known: Knowledge) -> Iterator[_Clue]:
    for sign in signs_of(deal):
        for key in sign.certain_keys:
            issues = _meant(key, resolve, known)
            read = (_read(sign, key, issue, known) for issue in issues)
            unsure = several_sites(key, issues) if len(issues) > 1 else ""
            for clue in (clue for clue in read if clue is not None):
                yield replace(clue, suggests=True, conflict=unsure) if unsure else clue
    for naming in known.namings:
        confidence = ACCOUNT_CONFIDENCE if naming.account else NAMED_CONFIDENCE
        kind, basis = ("account", "account named in") if naming.account else ("issue", "issue")
        yield _Clue(
            naming.issue, naming.issue_key, kind, f"{basis} {naming.place}", confidence, naming.account
        )
    yield from map(_of_product, known.products)
    for issue, said in known.answers.items():
        if said.answer == "confirmed" and said.issue_key:
            yield _Clue(issue, said.issue_key, "declared", f"confirmed by {said.by}", DECLARED_CONFIDENCE)


def _meant(key: str, resolve: Resolve, known: Knowledge) -> tuple[str, ...]:
    """The issues that the key may mean: of those on several sites what people confirmed, else did not reject."""
    issue, namesakes = resolve(key), known.namesakes.get(key, ())
    if issue is not None:
        return (issue,)
    confirmed = tuple(one for one in namesakes if known.said(one) == "confirmed")
    return confirmed or tuple(one for one in namesakes if known.said(one) != "rejected")


def _read(sign: Sign, key: str, issue: str, known: Knowledge) -> _Clue | None:
    """What a key at this place is worth; None: nothing."""
    confidence = _worth(sign, known)
    if confidence is None or _means_something_else(sign, key, known):
        return None
    kind = "text" if confidence == TEXT_CONFIDENCE else sign.kind
    source = known.sources.get(issue)
    if source is None:
        return _Clue(issue, key, kind, sign.place, confidence)
    basis = f"{sign.place} (as on {source}, which it looks copied from)"
    return _Clue(issue, key, kind, basis, confidence, suggests=True)


def _worth(sign: Sign, known: Knowledge) -> float | None:
    if sign.kind == "text":
        return TEXT_CONFIDENCE
    standing = _standing(sign, known)
    if standing in KEY_FIELDS:
        return RECORD_CONFIDENCE if sign.kind == "record" else FIELD_CONFIDENCE
    speaks = known.scores.get(sign.place, FieldScore()).speaks_of_issues
    return TEXT_CONFIDENCE if speaks and not sign.bare and standing != "rejected" else None


def _standing(sign: Sign, known: Knowledge) -> Standing:
    return known.standings.get(sign.place, standing_of(sign.place, FieldScore()))


def _means_something_else(sign: Sign, key: str, known: Knowledge) -> bool:
    """A form that everybody has, or the name of a standard where no key is asked for."""
    asked_for = _standing(sign, known) in ("named", "confirmed")
    return sign.words in known.forms or (is_standard(key) and not asked_for)


def _of_product(match: ProductMatch) -> _Clue:
    basis = f"product {match.product}, {match.target}"
    if match.confirmed:
        return _Clue(match.issue, match.issue_key, "product", f"{basis} (confirmed)", FIELD_CONFIDENCE)
    conflict = f"several versions are named like {match.product}" if match.ambiguous else ""
    return _Clue(match.issue, match.issue_key, "product", basis, PRODUCT_CONFIDENCE, True, conflict)


def _disagreement(clues: Iterable[_Clue]) -> str:
    """Where two kinds of place that are made for links name wholly different issues."""
    named: dict[str, dict[str, str]] = defaultdict(dict)
    for clue in clues:
        if clue.is_explicit:
            named[clue.kind].setdefault(clue.issue, f"{clue.basis} says {clue.written}")
    groups = [named[kind] for kind in sorted(named)]
    for place, one in enumerate(groups):
        for other in groups[place + 1 :]:
            if not one.keys() & other.keys():
                return "; ".join(next(iter(sorted(group.values()))) for group in (one, other))
    return ""


def _link(issue: str, clues: list[_Clue], disagreement: str) -> Link:
    sure = _together(clue for clue in clues if not clue.suggests)
    weak = _together(clue for clue in clues if clue.suggests)
    confidence = 1 - (1 - sure) * (1 - min(weak, MOST_SUGGESTED))
    conflicts = {clue.conflict for clue in clues} | {disagreement for clue in clues if clue.is_explicit}
    return Link(
        issue,
        tuple(sorted({clue.written for clue in clues if clue.written})),
        confidence,
        tuple(sorted({clue.basis for clue in clues})),
        "; ".join(sorted(conflicts - {""})),
    )


def _together(clues: Iterable[_Clue]) -> float:
    best: dict[str, float] = {}
    for clue in clues:
        best[clue.kind] = max(best.get(clue.kind, 0.0), clue.confidence)
    return 1 - prod(1 - best[kind] for kind in sorted(best))
