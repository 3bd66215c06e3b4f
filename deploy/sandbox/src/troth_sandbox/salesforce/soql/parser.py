"""From text to tree, by recursive descent; whatever the subset lacks is MALFORMED_QUERY at its place."""

from troth_sandbox.salesforce.errors import ApiError, api_error
from troth_sandbox.salesforce.soql.tokens import Kind, Token, place, tokenize, unexpected, unquote
from troth_sandbox.salesforce.soql.tree import (
    Aggregate,
    All,
    AnyOf,
    Comparison,
    Condition,
    Function,
    Literal,
    Name,
    Not,
    Operator,
    Order,
    Path,
    Query,
)

MAX_CHARACTERS = 100_000
MAX_STRING = 4_000
MAX_OFFSET = 2_000
MAX_PARENTS = 5
RANGES = {"TODAY": (0, 1), "YESTERDAY": (-1, 1), "TOMORROW": (1, 1)}
COUNTED_RANGES = ("LAST_N_DAYS", "NEXT_N_DAYS")
OPERATORS: dict[str, Operator] = {
    "=": "=",
    "!=": "!=",
    "<>": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
    "LIKE": "LIKE",
    "IN": "IN",
}
FUNCTIONS: dict[str, Function] = {"COUNT": "COUNT", "MIN": "MIN", "MAX": "MAX"}
AFTER_FROM = ("WHERE", "GROUP", "ORDER", "LIMIT", "OFFSET")


def parse(text: str) -> Query:
    """The tree of a query. Raises ApiError with the vendor's error body."""
    if len(text) > MAX_CHARACTERS:
        raise api_error("query_too_long")
    return _Parser(text).query()


class _Parser:
    """One pass over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(tokenize(text))
        self._next = 0

    def query(self) -> Query:
        self._expect("SELECT")
        fields, aggregates, count_only = self._selection()
        self._expect("FROM")
        source = self._source()
        where = self._any() if self._take("WHERE") else None
        group = self._group() if self._take("GROUP") else None
        order = self._ordering() if self._take("ORDER") else ()
        limit = self._count() if self._take("LIMIT") else None
        offset = self._offset() if self._take("OFFSET") else 0
        if self._peek().kind is not Kind.END:
            raise self._unexpected()
        return Query(self._text, source, fields, aggregates, count_only, where, group, order, limit, offset)

    def _selection(self) -> tuple[tuple[Path, ...], tuple[Aggregate, ...], bool]:
        if self._peek().says("COUNT") and self._peek(1).says("(") and self._peek(2).says(")"):
            self._next += 3
            return (), (), True
        fields: list[Path] = []
        aggregates: list[Aggregate] = []
        while True:
            if self._peek(1).says("("):
                aggregates.append(self._aggregate())
            else:
                fields.append(self._path())
            if not self._take(","):
                return tuple(fields), tuple(aggregates), False

    def _aggregate(self) -> Aggregate:
        function = FUNCTIONS.get(self._peek().text.upper())
        if function is None:
            raise self._unexpected(1)
        self._next += 1
        self._expect("(")
        path = self._path()
        self._expect(")")
        alias = self._name() if self._peek().kind is Kind.NAME and not self._peek().says("FROM") else None
        return Aggregate(function, path, alias.text if alias else None)

    def _source(self) -> Name:
        token = self._name()
        # An alias may follow the object; the subset refuses it together with everything else it lacks.
        return Name(token.text, token.start)

    def _any(self) -> Condition:
        """Conditions under one kind of joint; AND and OR together need parentheses (U)."""
        first = self._condition()
        for word, join in (("AND", All), ("OR", AnyOf)):
            if self._peek().says(word):
                parts = [first]
                while self._take(word):
                    parts.append(self._condition())
                if self._peek().says("AND", "OR"):
                    raise self._unexpected()
                return join(tuple(parts))
        return first

    def _condition(self) -> Condition:
        if self._take("NOT"):
            return Not(self._condition())
        if self._take("("):
            inside = self._any()
            self._expect(")")
            return inside
        return self._comparison()

    def _comparison(self) -> Comparison:
        path = self._path()
        denied = self._take("NOT")
        token = self._peek()
        operator = OPERATORS.get(token.text.upper()) if token.kind in {Kind.NAME, Kind.SIGN} else None
        if operator is None or (denied and operator != "IN"):
            raise self._unexpected()
        self._next += 1
        if operator == "IN":
            return Comparison(path, "NOT IN" if denied else "IN", self._list())
        return Comparison(path, operator, (self._literal(),))

    def _list(self) -> tuple[Literal, ...]:
        self._expect("(")
        values = [self._literal()]
        while self._take(","):
            values.append(self._literal())
        self._expect(")")
        return tuple(values)

    def _literal(self) -> Literal:
        token = self._peek()
        self._next += 1
        if token.kind is Kind.STRING and len(unquote(token.text)) <= MAX_STRING:
            return Literal("string", unquote(token.text), token.start)
        if token.kind is Kind.NUMBER:
            return Literal("number", token.text, token.start)
        if token.kind is Kind.DATE:
            return Literal("date", token.text, token.start)
        if token.kind is Kind.DATETIME:
            return Literal("datetime", token.text, token.start)
        word = token.text.upper()
        if token.says("TRUE", "FALSE"):
            return Literal("boolean", word, token.start)
        if token.says("NULL"):
            return Literal("null", word, token.start)
        if token.says(*RANGES):
            first, length = RANGES[word]
            return Literal("range", word, token.start, first, length)
        if token.says(*COUNTED_RANGES):
            return self._counted_range(word, token.start)
        self._next -= 1
        raise self._unexpected()

    def _counted_range(self, word: str, start: int) -> Literal:
        """LAST_N_DAYS:n is the n days before today and today; NEXT_N_DAYS:n the n days after today."""
        self._expect(":")
        days = self._count()
        if word == "LAST_N_DAYS":
            return Literal("range", word, start, -days, days + 1)
        return Literal("range", word, start, 1, days)

    def _group(self) -> Path:
        self._expect("BY")
        return self._path()

    def _ordering(self) -> tuple[Order, ...]:
        self._expect("BY")
        keys = [self._order()]
        while self._take(","):
            keys.append(self._order())
        return tuple(keys)

    def _order(self) -> Order:
        path = self._path()
        descending = self._take("DESC")
        if not descending:
            self._take("ASC")
        nulls_last = False
        if self._take("NULLS"):
            nulls_last = self._take("LAST")
            if not nulls_last:
                self._expect("FIRST")
        return Order(path, descending, nulls_last)

    def _count(self) -> int:
        token = self._peek()
        if token.kind is not Kind.NUMBER or not token.text.isdigit():
            raise self._unexpected()
        self._next += 1
        return int(token.text)

    def _offset(self) -> int:
        token = self._peek()
        value = self._count()
        if value > MAX_OFFSET:
            raise api_error("offset_too_large", place=place(self._text, token.start))
        return value

    def _path(self) -> Path:
        first = self._name()
        parts = [first.text]
        while self._take("."):
            parts.append(self._name().text)
        if len(parts) > MAX_PARENTS + 1:
            raise unexpected(self._text, first.start, repr(".".join(parts)))
        return Path(tuple(parts), first.start)

    def _name(self) -> Token:
        token = self._peek()
        if token.kind is not Kind.NAME or token.says("SELECT", "FROM", *AFTER_FROM, "AND", "OR", "NOT"):
            raise self._unexpected()
        self._next += 1
        return token

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def _take(self, word: str) -> bool:
        if not self._peek().says(word):
            return False
        self._next += 1
        return True

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._unexpected()

    def _unexpected(self, ahead: int = 0) -> ApiError:
        token = self._peek(ahead)
        shown = token.text if token.kind is Kind.END else f"'{token.text}'"
        return unexpected(self._text, token.start, shown)
