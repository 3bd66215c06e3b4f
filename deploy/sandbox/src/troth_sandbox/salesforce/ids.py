"""Record ids: the 18-character form everywhere, and new ids from a counter so that runs repeat."""

from collections import defaultdict
from functools import lru_cache

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SHORT = 15
LONG = 18


def long_id(text: str) -> str:
    """The 18-character form of a 15-character id; any other text as it is.

    The three characters say which letters of each group of five are capitals.
    """
    if len(text) != SHORT or not text.isalnum():
        return text
    return text + "".join(_capitals(text[start : start + 5]) for start in range(0, SHORT, 5))


@lru_cache(2**17)
def _capitals(group: str) -> str:
    return ALPHABET[
        sum(1 << place for place, letter in enumerate(group) if letter.isascii() and letter.isupper())
    ]


class IdSource:
    """Counts ids per key prefix; `Sim` in the middle keeps them apart from seeded ones."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, int] = defaultdict(int)

    def next(self, prefix: str) -> str:
        """A new 18-character id that starts with the object's three-character key prefix."""
        self._counts[prefix] += 1
        return long_id(f"{prefix}Sim{_digits(self._counts[prefix]):0>9}")


def _digits(number: int) -> str:
    text = ""
    while number:
        number, rest = divmod(number, len(DIGITS))
        text = DIGITS[rest] + text
    return text
