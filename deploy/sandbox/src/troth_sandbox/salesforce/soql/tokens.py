"""Words, literals and signs of a SOQL text, each with its place for error messages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from troth_sandbox.salesforce.errors import ApiError, api_error


class Kind(Enum):
    """What a token is."""

    NAME = "name"
    STRING = "string"
    NUMBER = "number"
    DATE = "date"
    DATETIME = "datetime"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the query; `text` is as written, `start` its offset."""

    kind: Kind
    text: str
    start: int

    def says(self, *words: str) -> bool:
        """True when this is one of the given keywords or signs, in any spelling of case."""
        return self.kind in {Kind.NAME, Kind.SIGN} and self.text.upper() in words


_PATTERN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<datetime>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2}))
  | (?P<date>\d{4}-\d{2}-\d{2})(?![\dT])
  | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
  | (?P<string>'(?:[^'\\\n]|\\.)*')
  | (?P<name>[A-Za-z]\w*)
  | (?P<sign><=|>=|!=|<>|[=<>(),.:])
    """,
    re.VERBOSE,
)

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


def tokenize(text: str) -> Iterator[Token]:
    """All tokens and then one END. Raises ApiError MALFORMED_QUERY at the first character that fits nowhere."""
    position = 0
    while position < len(text):
        match = _PATTERN.match(text, position)
        if match is None:
            raise unexpected(text, position, repr(text[position]))
        if match.lastgroup != "space":
            yield Token(Kind(match.lastgroup), match.group(), position)
        position = match.end()
    yield Token(Kind.END, "<EOF>", len(text))


def unquote(text: str) -> str:
    """The value of a string literal as written; a backslash before `%` or `_` stays, for LIKE."""

    def value(match: re.Match[str]) -> str:
        letter = match.group(1)
        if letter in "%_":
            return match.group()
        if len(letter) > 1:
            return chr(int(letter[1:], 16))
        return _ESCAPES.get(letter.lower(), letter)

    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", value, text[1:-1])


def place(text: str, start: int) -> str:
    """The vendor's pointer: the query's line, a caret below the place, and its row and column."""
    row = text.count("\n", 0, start) + 1
    begin = text.rfind("\n", 0, start) + 1
    line = text[begin:].partition("\n")[0]
    column = start - begin
    return f"\n{line}\n{' ' * column}^\nERROR at Row:{row}:Column:{column + 1}\n"


def unexpected(text: str, start: int, shown: str) -> ApiError:
    """MALFORMED_QUERY for something that cannot stand at `start`."""
    return api_error("unexpected_token", place=place(text, start), token=shown)
