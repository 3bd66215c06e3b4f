"""From a parsed JQL condition to a predicate over issues, plus the bounds that let an index skip most of them."""

import operator
import re
from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo
from typing import Protocol

import msgspec

from troth_sandbox.jira.clock import EPOCH, MILLISECOND
from troth_sandbox.jira.errors import QueryError
from troth_sandbox.jira.jql import AllOf, AnyOf, Clause, Condition, Order, Word
from troth_sandbox.jira.records import Issue

Predicate = Callable[[Issue], bool]
SortValue = tuple[int | str, ...]

_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_RELATIVE = re.compile(r"(-?)(\d+)([mhdw])")
_DATE_FORMS = ("%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M", "%Y-%m-%d", "%Y/%m/%d")
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_DATES = {"updated": "updated", "updateddate": "updated", "created": "created", "createddate": "created"}
_IDENTITY = {"id", "key", "issue", "issuekey"}
_EQUALITY = {"=", "in"}
_INEQUALITY = {"!=", "not in"}


class Names(Protocol):
    """What a query may name; each lookup answers None or nothing when the site does not know it."""

    def project_id(self, name: str) -> str | None:
        """The project with this id, key or name."""

    def issue_id(self, name: str) -> int | None:
        """The issue with this id, key or former key."""

    def sprint_ids(self, name: str) -> list[int]:
        """Sprints with this id or name."""

    def status_ids(self, name: str) -> list[str]:
        """Statuses with this id or name."""

    def type_ids(self, name: str) -> list[str]:
        """Issue types with this id or name."""


class Reading(msgspec.Struct, frozen=True):
    """How the account's query is read: whose names, in which zone, at which instant (ms)."""

    names: Names
    zone: tzinfo
    now: int


class Bounds(msgspec.Struct, frozen=True):
    """What every match fulfils: an index may look only there. None means unbounded."""

    project_ids: frozenset[str] | None = None
    updated_from: int | None = None


def predicate(condition: Condition, reading: Reading) -> Predicate:
    """True for the issues that fulfil the condition; QueryError for fields and values the site does not know."""
    match condition:
        case AllOf(parts):
            every = [predicate(part, reading) for part in parts]
            return lambda issue: all(test(issue) for test in every)
        case AnyOf(parts):
            some = [predicate(part, reading) for part in parts]
            return lambda issue: any(test(issue) for test in some)
        case Clause():
            return _clause(condition, reading)


def predicates(condition: Condition, reading: Reading) -> list[Predicate]:
    """The condition as tests that must all hold: cheaper one after the other over many issues than joined."""
    parts = condition.parts if isinstance(condition, AllOf) else (condition,)
    return [predicate(part, reading) for part in parts]


def bounds(condition: Condition, reading: Reading) -> Bounds:
    """Project and update bounds that follow from the top-level AND."""
    clauses = condition.parts if isinstance(condition, AllOf) else (condition,)
    projects: frozenset[str] | None = None
    updated: int | None = None
    for clause in clauses:
        if not isinstance(clause, Clause):
            continue
        if clause.field == "project" and clause.operator in _EQUALITY:
            ids = _projects(clause, reading)
            projects = ids if projects is None else projects & ids
        if _DATES.get(clause.field) == "updated" and clause.operator in {">", ">="}:
            at = _instant(clause.values[0], clause.field, reading)
            updated = at if updated is None else max(updated, at)
    return Bounds(projects, updated)


class Column(msgspec.Struct, frozen=True):
    """One value to sort by."""

    read: Callable[[Issue], int | str]
    descending: bool


def sort_columns(order: tuple[Order, ...]) -> list[Column]:
    """What to sort by, ending with the issue id, so that the order is total.

    Without ORDER BY newest first (unverified; the vendor promises no order).
    """
    wanted = order or (Order("id", descending=True),)
    columns = [Column(read, part.descending) for part in wanted for read in _readers(part.field)]
    return [*columns, Column(_READERS["id"][0], wanted[-1].descending)]


def _readers(field: str) -> tuple[Callable[[Issue], int | str], ...]:
    if field not in _READERS:
        raise QueryError(f"Not able to sort using field '{field}'.")
    return _READERS[field]


_KEY: tuple[Callable[[Issue], int | str], ...] = (
    lambda issue: issue.key.rpartition("-")[0],
    lambda issue: issue.number,
)
_ID: tuple[Callable[[Issue], int | str], ...] = (operator.attrgetter("id"),)
_READERS: dict[str, tuple[Callable[[Issue], int | str], ...]] = {
    "updated": (operator.attrgetter("updated"),),
    "created": (operator.attrgetter("created"),),
    "project": (operator.attrgetter("project_id"),),
    "id": _ID,
    "issue": _ID,
    "key": _KEY,
    "issuekey": _KEY,
}


def _clause(clause: Clause, reading: Reading) -> Predicate:
    if clause.field in _DATES:
        return _date_clause(clause, reading)
    if clause.operator not in _EQUALITY | _INEQUALITY:
        raise QueryError(f"The operator '{clause.operator}' is not supported by the '{clause.field}' field.")
    if clause.operator in _INEQUALITY:
        return _other_than(clause, reading)
    return _equal(clause, reading)


def _other_than(clause: Clause, reading: Reading) -> Predicate:
    """As in JQL, an issue without any value of the field is not "other": it is left out."""
    same = _equal(clause, reading)
    values = _MEMBERS.get(clause.field)
    return lambda issue: not same(issue) and (values is None or bool(values(issue)))


def _equal(clause: Clause, reading: Reading) -> Predicate:
    if clause.field in _MEMBERS:
        read, wanted = _MEMBERS[clause.field], _member_values(clause, reading)
        return lambda issue: not wanted.isdisjoint(read(issue))
    if clause.field == "project":
        projects = _projects(clause, reading)
        return lambda issue: issue.project_id in projects
    if clause.field in _IDENTITY:
        ids = _issues(clause, reading)
        return lambda issue: issue.id in ids
    if clause.field == "parent":
        parents = _issues(clause, reading)
        return lambda issue: issue.parent_id in parents
    if clause.field == "sprint":
        sprints = _sprints(clause, reading)
        return lambda issue: not sprints.isdisjoint(issue.sprint_ids)
    raise QueryError(f"Field '{clause.field}' does not exist or you do not have permission to view it.")


def _person(field: str) -> Callable[[Issue], list[str]]:
    def read(issue: Issue) -> list[str]:
        person = issue.fields.get(field)
        return [str(person["accountId"])] if person else []

    return read


_MEMBERS: dict[str, Callable[[Issue], list[str]]] = {
    "labels": lambda issue: list(issue.fields.get("labels") or []),
    "status": lambda issue: [issue.status_id],
    "issuetype": lambda issue: [issue.type_id],
    "type": lambda issue: [issue.type_id],
    "assignee": _person("assignee"),
    "reporter": _person("reporter"),
}


def _member_values(clause: Clause, reading: Reading) -> frozenset[str]:
    """Ids of named statuses and types, which must exist; labels and account ids stand for themselves."""
    look_up = {
        "status": reading.names.status_ids,
        "issuetype": reading.names.type_ids,
        "type": reading.names.type_ids,
    }.get(clause.field)
    if look_up is None:
        return frozenset(word.text for word in clause.values)
    found = [(word, look_up(word.text)) for word in clause.values]
    return frozenset(known for word, ids in found for known in ids or [_known(None, word, clause.field)])


def _date_clause(clause: Clause, reading: Reading) -> Predicate:
    if clause.operator not in _COMPARE:
        raise QueryError(f"The operator '{clause.operator}' is not supported by the '{clause.field}' field.")
    compare, at = _COMPARE[clause.operator], _instant(clause.values[0], clause.field, reading)
    if _DATES[clause.field] == "updated":
        return lambda issue: compare(issue.updated, at)
    return lambda issue: compare(issue.created, at)


def _instant(word: Word, field: str, reading: Reading) -> int:
    """Unquoted digits are epoch ms (kept to the millisecond: unverified), the rest is read in the account's zone."""
    if word.text.isdigit() and not word.quoted:
        return int(word.text)
    if relative := _RELATIVE.fullmatch(word.text):
        sign, count, unit = relative.groups()
        return reading.now + (-1 if sign else 1) * int(count) * _UNIT_MS[unit]
    for form in _DATE_FORMS:
        try:
            local = datetime.strptime(word.text, form).replace(tzinfo=reading.zone)
        except ValueError:
            continue
        return (local - EPOCH) // MILLISECOND
    raise QueryError(
        f"Date value '{word.text}' for field '{field}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', "
        "'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. '-5d', '4w 2d'."
    )


def _projects(clause: Clause, reading: Reading) -> frozenset[str]:
    return frozenset(
        _known(reading.names.project_id(word.text), word, clause.field) for word in clause.values
    )


def _known(found: str | None, word: Word, field: str) -> str:
    if found is None:
        raise QueryError(f"The value '{word.text}' does not exist for the field '{field}'.")
    return found


def _issues(clause: Clause, reading: Reading) -> frozenset[int]:
    """Unknown issues match nothing here; whether the vendor answers 400 for them is unverified."""
    found: Iterable[int | None] = (reading.names.issue_id(word.text) for word in clause.values)
    return frozenset(issue_id for issue_id in found if issue_id is not None)


def _sprints(clause: Clause, reading: Reading) -> frozenset[int]:
    ids: set[int] = set()
    for word in clause.values:
        found = reading.names.sprint_ids(word.text)
        if not found:
            raise QueryError(
                f"Sprint with name '{word.text}' does not exist or you do not have permission to view it."
            )
        ids.update(found)
    return frozenset(ids)
