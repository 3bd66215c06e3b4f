"""The part of JQL the site understands, as a parser from text to a small tree; nothing here knows any issue.

Grammar: clauses `field operator value` joined by AND, OR and parentheses, then `ORDER BY` with up to seven fields.
"""

import re
from typing import NoReturn

import msgspec

from troth_sandbox.jira.errors import QueryError

MAX_ORDER_FIELDS = 7
_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<sign>>=|<=|!=|=|>|<|\(|\)|,)|(?P<word>[^\s(),=<>!"']+))"""
)
_COMPARISONS = {"=", "!=", ">", ">=", "<", "<="}


class Word(msgspec.Struct, frozen=True):
    """A value as written; quoting matters for dates and epoch milliseconds."""

    text: str
    quoted: bool = False


class Clause(msgspec.Struct, frozen=True):
    """`field operator values`; field and operator are lower case."""

    field: str
    operator: str
    values: tuple[Word, ...]


class AllOf(msgspec.Struct, frozen=True):
    """Conditions joined by AND."""

    parts: tuple["Condition", ...]


class AnyOf(msgspec.Struct, frozen=True):
    """Conditions joined by OR."""

    parts: tuple["Condition", ...]


Condition = Clause | AllOf | AnyOf


class Order(msgspec.Struct, frozen=True):
    """One field of ORDER BY."""

    field: str
    descending: bool = False


class Query(msgspec.Struct, frozen=True):
    """A parsed query; `where` is None when there is no search restriction."""

    where: Condition | None
    order: tuple[Order, ...]


def parse(text: str) -> Query:
    """The query in `text`; QueryError with Jira's kind of sentence when it does not parse."""
    return _Parser(_tokens(text)).query()


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise QueryError(f"Error in the JQL Query: unexpected character at position {at + 1}.")
        found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return found


class _Parser:
    """Recursive descent over the tokens, one method per rule."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def query(self) -> Query:
        where = None if self._at_end() or self._is_keyword("order") else self._any_of()
        order = self._order_by() if self._is_keyword("order") else ()
        if not self._at_end():
            self._refuse("expecting either 'OR' or 'AND'")
        return Query(where, order)

    def _any_of(self) -> Condition:
        parts = [self._all_of()]
        while self._take_keyword("or"):
            parts.append(self._all_of())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all_of(self) -> Condition:
        parts = [self._term()]
        while self._take_keyword("and"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _term(self) -> Condition:
        if not self._take_sign("("):
            return self._clause()
        inside = self._any_of()
        self._expect_sign(")")
        return inside

    def _clause(self) -> Clause:
        field = self._value().text.lower()
        if self._take_keyword("in"):
            return Clause(field, "in", self._list())
        if self._take_keyword("not"):
            if not self._take_keyword("in"):
                self._refuse("expecting 'in' after 'not'")
            return Clause(field, "not in", self._list())
        kind, sign = self._next()
        if kind != "sign" or sign not in _COMPARISONS:
            self._refuse(f"operator expected after '{field}'")
        return Clause(field, sign, (self._value(),))

    def _list(self) -> tuple[Word, ...]:
        self._expect_sign("(")
        values = [self._value()]
        while self._take_sign(","):
            values.append(self._value())
        self._expect_sign(")")
        return tuple(values)

    def _order_by(self) -> tuple[Order, ...]:
        self._next()
        if not self._take_keyword("by"):
            self._refuse("expecting 'by' after 'order'")
        order = [self._order_field()]
        while self._take_sign(","):
            order.append(self._order_field())
        if len(order) > MAX_ORDER_FIELDS:
            raise QueryError(f"The orderBy clause can contain a maximum of {MAX_ORDER_FIELDS} fields.")
        return tuple(order)

    def _order_field(self) -> Order:
        field = self._value().text.lower()
        if self._take_keyword("desc"):
            return Order(field, descending=True)
        self._take_keyword("asc")
        return Order(field)

    def _value(self) -> Word:
        kind, text = self._next()
        if kind == "quoted":
            return Word(re.sub(r"\\(.)", r"\1", text[1:-1]), quoted=True)
        if kind != "word":
            self._refuse(f"a value was expected, got '{text}'")
        return Word(text)

    def _next(self) -> tuple[str, str]:
        if self._at_end():
            self._refuse("the query ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _at_end(self) -> bool:
        return self._at >= len(self._tokens)

    def _is_keyword(self, word: str) -> bool:
        if self._at_end():
            return False
        kind, text = self._tokens[self._at]
        return kind == "word" and text.lower() == word

    def _take_keyword(self, word: str) -> bool:
        found = self._is_keyword(word)
        self._at += found
        return found

    def _take_sign(self, sign: str) -> bool:
        found = not self._at_end() and self._tokens[self._at] == ("sign", sign)
        self._at += found
        return found

    def _expect_sign(self, sign: str) -> None:
        if not self._take_sign(sign):
            self._refuse(f"'{sign}' expected")

    def _refuse(self, why: str) -> NoReturn:
        raise QueryError(f"Error in the JQL Query: {why}.")
