"""First step: which issues each deal is about, from what is written on both sides.

What a field holds, and whether a deal is a copy, depends on other deals. So a deal whose face changed marks those that
look at it, and a field that turned out to hold keys, or not to, marks every deal that fills it. The outcome depends on
the present state alone, whatever came first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from risk_engine.domain.fields import Answer, FieldScore, Standing, contribution, standing_of
from risk_engine.domain.likeness import Kin, likeness, source_of
from risk_engine.domain.links import Knowledge, LinkAnswer, Naming, ProductMatch, find_links
from risk_engine.domain.model import Deal, Line, Link
from risk_engine.domain.products import Bearer, sold
from risk_engine.domain.signs import Sign, signs_of
from risk_engine.store.database import Connection
from risk_engine.store.links import (
    GivenAnswer,
    read_answers,
    read_bearers,
    read_issue_keys,
    read_namings,
    read_stems,
    replace_links,
)
from risk_engine.store.marks import Claim, add_marks, take_join_lock
from risk_engine.store.signs import (
    Face,
    SignRow,
    StoredFace,
    move_scores,
    read_deals_saying,
    read_deals_with,
    read_faces,
    read_forms,
    read_kin,
    read_neighbours,
    read_scores,
    replace_faces,
)
from risk_engine.store.views import Resolved, read_deals, resolve_issue_keys

MOST_OF_A_PRODUCT = 50
"""Issues that one product may suggest on one deal."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A deal with everything that points from it or at it."""

    deal: Deal
    signs: tuple[Sign, ...]
    namings: tuple[Naming, ...]
    products: tuple[ProductMatch, ...]
    face: Face
    answers: Mapping[str, LinkAnswer]

    @property
    def org(self) -> str:
        return _org(self.deal)


@dataclass(frozen=True, slots=True)
class _Around:
    """What else must be known to judge the deals."""

    scores: Mapping[tuple[str, str], FieldScore]
    standings: Mapping[tuple[str, str], Standing]
    kin: Mapping[str, Sequence[Kin]]
    forms: Collection[str]


async def discover_links(connection: Connection, claims: Sequence[Claim]) -> None:
    """Finds the claimed deals' links anew; marks deals whose links changed, and deals that look at these."""
    await take_join_lock(connection)
    keys = [claim.subject for claim in claims]
    before = await read_faces(connection, keys)
    resolved, seen = await _look(connection, list((await read_deals(connection, keys)).values()))
    after = {one.deal.key: one.face for one in seen}
    words = {word for faces in (before, after) for face in faces.values() for word in face.words}
    forms_before = await read_forms(connection, words)
    await replace_faces(connection, keys, after.values())
    others = await _turned_fields(connection, before, after)
    others |= await _neighbours(connection, before, after)
    forms = await read_forms(connection, words)
    others |= set(await read_deals_saying(connection, forms_before ^ forms))
    around = await _around(connection, seen, forms)
    links = {one.deal.key: _links(one, resolved, around) for one in seen}
    await add_marks(connection, "link", others - set(keys))
    await add_marks(connection, "deal", await replace_links(connection, keys, links))


async def _look(connection: Connection, deals: Sequence[Deal]) -> tuple[Resolved, list[_Seen]]:
    signs = {deal.key: signs_of(deal) for deal in deals}
    keys = {key for group in signs.values() for sign in group for key in sign.certain_keys}
    resolved = await resolve_issue_keys(connection, keys)
    namings = await read_namings(connection, deals)
    stems = await read_stems(connection, {line.product for deal in deals for line in deal.lines})
    bearers = await read_bearers(connection, stems.values()) if stems else {}
    answers = await _product_answers(connection, deals)
    said = await _link_answers(connection, deals)
    seen = []
    for deal in deals:
        products = tuple(_products(deal, stems, bearers, answers))
        names = tuple(namings.get(deal.key, ()))
        rows = (
            *_written(signs[deal.key], resolved),
            *(SignRow(f"issue {naming.place}", naming.issue_key, naming.issue) for naming in names),
            *_sold(deal, stems, bearers, products),
            *(SignRow("id", f"id:{name}") for name in _ids(deal)),
            *(SignRow("said", issue, issue) for issue in said.get(deal.key, ())),
        )
        scores = contribution(signs[deal.key], resolved.__contains__)
        seen.append(
            _Seen(deal, signs[deal.key], names, products, _face(deal, scores, rows), said.get(deal.key, {}))
        )
    return resolved, seen


def _written(signs: Iterable[Sign], resolved: Resolved) -> Iterable[SignRow]:
    for sign in signs:
        for key in sign.certain_keys:
            for issue in resolved.several.get(key, (resolved.one.get(key),)):
                yield SignRow(sign.place, key, issue, sign.words)


def _sold(
    deal: Deal,
    stems: Mapping[str, str],
    bearers: Mapping[str, Sequence[Bearer]],
    products: Iterable[ProductMatch],
) -> Iterable[SignRow]:
    """What an arriving product, version or epic, or an issue that joins a version, looks up."""
    for line in deal.lines:
        place = f"product {line.product}"
        for code in line.codes:
            yield SignRow(place, f"product:{code}")
        if line.product in stems:
            yield SignRow(place, f"name:{stems[line.product]}")
            for bearer in bearers.get(stems[line.product], ()):
                yield SignRow(place, bearer.key.replace(" ", ":", 1))
    for match in products:
        yield SignRow(f"product {match.product}", match.issue_key, match.issue)


def _ids(deal: Deal) -> Iterable[str]:
    """By which an issue may name the deal."""
    yield from (deal.id, *(record.id for record in deal.records))
    if deal.account_id:
        yield deal.account_id


def _face(deal: Deal, scores: Mapping[str, FieldScore], rows: tuple[SignRow, ...]) -> Face:
    org = _org(deal)
    return Face(
        deal=deal.key,
        org=org,
        account=f"{org}:{deal.account_id or deal.account or deal.id}",
        likeness=likeness(deal.name),
        name=deal.name,
        created=deal.created,
        lost=deal.is_closed and not deal.is_won,
        scores=scores,
        signs=rows,
    )


def _products(
    deal: Deal,
    stems: Mapping[str, str],
    bearers: Mapping[str, Sequence[Bearer]],
    answers: Mapping[str, Mapping[str, Answer]],
) -> Iterable[ProductMatch]:
    for line in deal.lines:
        said = answers.get(product_subject(deal.key, line.product), {})
        named, several = sold(bearers.get(stems.get(line.product, ""), ()), _words(line), said)
        for bearer in named:
            for issue, issue_key in bearer.issues[:MOST_OF_A_PRODUCT]:
                ambiguous = several and bearer.is_version
                confirmed = said.get(bearer.key) == "confirmed"
                yield ProductMatch(issue, issue_key, line.product, bearer.title, confirmed, ambiguous)


def _words(line: Line) -> str:
    return " ".join((line.product, *sorted(line.codes), line.description))


async def _product_answers(connection: Connection, deals: Iterable[Deal]) -> dict[str, dict[str, Answer]]:
    """By product (subject) and what bears its name."""
    subjects = {product_subject(deal.key, line.product) for deal in deals for line in deal.lines}
    found: dict[str, dict[str, Answer]] = defaultdict(dict)
    for said in await read_answers(connection, "product", subjects) if subjects else ():
        found[said.subject][said.target] = said.answer
    return found


def product_subject(deal: str, product: str) -> str:
    """Names a product of the deal's org, as an answer's subject."""
    return f"{deal.partition(':')[0]}:{product}"


async def _turned_fields(
    connection: Connection, before: Mapping[str, StoredFace], after: Mapping[str, Face]
) -> set[str]:
    """Deals that fill a field which is taken for something else now."""
    moved = await move_scores(connection, before, after.values())
    answers = await _field_answers(connection, {org for org, _ in moved})
    turned: dict[str, set[str]] = defaultdict(set)
    for (org, place), (was, now) in moved.items():
        said = answers.get((org, place))
        answer = said.answer if said else None
        same = standing_of(place, was, answer) == standing_of(place, now, answer)
        if not same or was.speaks_of_issues != now.speaks_of_issues:
            turned[org].add(place)
    found: set[str] = set()
    for org, places in turned.items():
        found.update(await read_deals_with(connection, org, places))
    return found


async def _field_answers(connection: Connection, orgs: Collection[str]) -> dict[tuple[str, str], GivenAnswer]:
    return {(said.subject, said.target): said for said in await read_answers(connection, "field", orgs)}


async def _neighbours(
    connection: Connection, before: Mapping[str, StoredFace], after: Mapping[str, Face]
) -> set[str]:
    """Deals of the same accounts about the same issues as those whose face changed: copies, or what was copied."""
    changed = [
        face
        for key in before.keys() | after.keys()
        if _digest(before.get(key)) != _digest(after.get(key))
        for face in (before.get(key), after.get(key))
        if face is not None
    ]
    issues = {issue for face in changed for issue in face.issues}
    if not issues:
        return set()
    return set(await read_neighbours(connection, {face.account for face in changed}, issues))


def _digest(face: StoredFace | Face | None) -> str:
    return face.digest if face is not None else ""


async def _around(connection: Connection, seen: Sequence[_Seen], forms: Collection[str]) -> _Around:
    orgs = {one.org for one in seen}
    scores = await read_scores(connection, orgs)
    answers = await _field_answers(connection, orgs)
    standings = {}
    for (org, place), score in scores.items():
        said = answers.get((org, place))
        standings[org, place] = standing_of(place, score, said.answer if said else None)
    issues = {issue for one in seen for issue in one.face.issues}
    accounts = {one.face.account for one in seen if one.face.issues}
    kin = await read_kin(connection, accounts, issues) if issues else {}
    return _Around(scores, standings, kin, forms)


async def _link_answers(connection: Connection, deals: Iterable[Deal]) -> dict[str, dict[str, LinkAnswer]]:
    """By deal and issue; an issue that is not known (any more) has no key."""
    said = await read_answers(connection, "link", [deal.key for deal in deals])
    keys = await read_issue_keys(connection, {answer.target for answer in said}) if said else {}
    found: dict[str, dict[str, LinkAnswer]] = defaultdict(dict)
    for answer in said:
        told = LinkAnswer(answer.answer, answer.by, keys.get(answer.target, ""))
        found[answer.subject][answer.target] = told
    return found


def _links(one: _Seen, resolved: Resolved, around: _Around) -> tuple[Link, ...]:
    places = {sign.place for sign in one.signs}
    known = Knowledge(
        standings={
            place: around.standings[one.org, place]
            for place in places
            if (one.org, place) in around.standings
        },
        scores={
            place: around.scores[one.org, place] for place in places if (one.org, place) in around.scores
        },
        namings=one.namings,
        products=one.products,
        sources=_sources(one, around.kin.get(one.face.account, ())),
        forms=around.forms,
        answers=one.answers,
        namesakes=resolved.several,
    )
    return find_links(one.deal, resolved.one.get, known)


def _sources(one: _Seen, kin: Sequence[Kin]) -> dict[str, str]:
    """By issue, the name of the deal that this one's keys of it were copied from."""
    own = next((deal for deal in kin if deal.deal == one.deal.key), None)
    others = [deal for deal in kin if deal.deal != one.deal.key]
    if own is None or not others:
        return {}
    written: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in one.face.signs:
        if row.issue is not None and not row.place.startswith(("issue ", "product ")):
            written[row.issue].add((row.place, row.sign))
    found = {}
    for issue, places in written.items():
        source = source_of(own, others, places)
        if source is not None:
            found[issue] = source.name
    return found


def _org(deal: Deal) -> str:
    return deal.key.partition(":")[0]
