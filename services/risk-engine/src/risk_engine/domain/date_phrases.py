"""Dates that people write into texts, in Swedish and English: "by 30 June", "senast v. 23", "slutet av Q2".

General date parsers read "we", "may" and "sat" as days and know neither weeks nor quarters, so this is a small
grammar of its own: a day counts only as a whole date, or as a month, week, quarter or half-year after a word such as
"by" or "senast". What it finds only ever informs.
"""

from __future__ import annotations

import contextlib
import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

_NAMES = (
    ("jan", "january", "januari"),
    ("feb", "february", "februari"),
    ("mar", "march", "mars"),
    ("apr", "april"),
    ("may", "maj"),
    ("jun", "june", "juni"),
    ("jul", "july", "juli"),
    ("aug", "august", "augusti"),
    ("sep", "sept", "september"),
    ("oct", "okt", "october", "oktober"),
    ("nov", "november"),
    ("dec", "december"),
)
_MONTHS = {name: number for number, names in enumerate(_NAMES, 1) for name in names}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_YEAR = r"(?:,?\s+(?P<year>20\d\d))?"
_BY = (
    r"\b(?:by|before|until|till|no\s+later\s+than|latest|due|deliver(?:y|ed)?|ready|live"
    r"|senast|innan|före|leverans|levereras|klart?|färdigt?|driftsätts)\b"
)
_FILL = r"(?:\s*:?\s+(?:the|den|in|i|by|on|till|senast|innan|före|under|date)\b){0,3}\s*:?\s+"
_PART = (
    r"(?:(?P<part>end|start|beginning|middle|mid|early|late|slutet|början|mitten)(?:\s+(?:of|av|på))?[\s-]+)?"
)
_END = r"\b(?:end|slutet)\s+(?:of|av|på)\s+"
_LEAD = rf"(?:{_BY}{_FILL}{_PART}|{_END})"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th|:e|:a)?"
_NAME = rf"(?P<name>{_MONTH})\b"


@dataclass(frozen=True, slots=True)
class Phrase:
    """A date as it was written; a period stands for its last day, its start or its middle where that is said."""

    day: date
    words: str


def dates_in(text: str, written: date) -> tuple[Phrase, ...]:
    """The dates in ``text``, each once, in order; without a year the first that is not before ``written``."""
    found = sorted(_found(text, written), key=lambda hit: (hit[0], -hit[1]))
    phrases: dict[date, Phrase] = {}
    end = -1
    for start, stop, day in found:
        if start >= end:
            phrases.setdefault(day, Phrase(day, " ".join(text[start:stop].split())))
            end = stop
    return tuple(phrases.values())


def _found(text: str, written: date) -> Iterator[tuple[int, int, date]]:
    for pattern, read in _FORMS:
        for match in pattern.finditer(text):
            day = _valid(read, match, written)
            if day is not None:
                yield match.start(), match.end(), day


Read = Callable[[re.Match[str], date], date]


def _valid(read: Read, match: re.Match[str], written: date) -> date | None:
    try:
        return read(match, written)
    except (ValueError, StopIteration):  # there is no such day
        return None


def _whole(match: re.Match[str], _written: date) -> date:
    return date(int(match["year"]), int(match["month"]), int(match["day"]))


def _day_of_month(match: re.Match[str], written: date) -> date:
    month, day = _MONTHS[match["name"].lower()], int(match["day"])
    return _next(match, written, lambda year: date(year, month, day))


def _month(match: re.Match[str], written: date) -> date:
    month = _MONTHS[match["name"].lower()]
    return _next(match, written, lambda year: _within(match, _first(year, month), _last(year, month)))


def _quarter(match: re.Match[str], written: date) -> date:
    last = 3 * int(match["number"])
    return _next(match, written, lambda year: _within(match, _first(year, last - 2), _last(year, last)))


def _half(match: re.Match[str], written: date) -> date:
    last = 6 * int(match["number"])
    return _next(match, written, lambda year: _within(match, _first(year, last - 5), _last(year, last)))


def _week(match: re.Match[str], written: date) -> date:
    """ISO 8601 weeks end for work on Friday."""
    number = int(match["number"])
    return _next(match, written, lambda year: date.fromisocalendar(year, number, 5))


def _next(match: re.Match[str], written: date, of_year: Callable[[int], date]) -> date:
    if match["year"]:
        return of_year(int(match["year"]))
    return next(day for day in _years(written.year, of_year) if day >= written)


def _years(first: int, of_year: Callable[[int], date]) -> Iterator[date]:
    """The day in each year that has it, a leap day in one of eight."""
    for year in range(first, first + 9):
        with contextlib.suppress(ValueError):
            yield of_year(year)


def _within(match: re.Match[str], first: date, last: date) -> date:
    part = (match["part"] or "").lower()
    if part in ("start", "beginning", "early", "början"):
        return first + (last - first) // 3
    if part in ("middle", "mid", "mitten"):
        return first + (last - first) // 2
    return last


def _first(year: int, month: int) -> date:
    return date(year, month, 1)


def _last(year: int, month: int) -> date:
    return date(year, month, monthrange(year, month)[1])


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_FORMS: tuple[tuple[re.Pattern[str], Read], ...] = (
    (_form(r"(?<![\w./-])(?P<year>20\d\d)-(?P<month>\d\d)-(?P<day>\d\d)(?![\w-]|\s\d\d:)"), _whole),
    (_form(rf"{_LEAD}{_DAY}\s+(?:of\s+)?{_NAME}{_YEAR}"), _day_of_month),
    (_form(rf"{_LEAD}{_NAME}\s+{_DAY}\b{_YEAR}"), _day_of_month),
    (_form(rf"(?<![#\w]){_DAY}\s+(?:of\s+)?{_NAME},?\s+(?P<year>20\d\d)\b"), _day_of_month),
    (_form(rf"\b{_NAME}\s+{_DAY},?\s+(?P<year>20\d\d)\b"), _day_of_month),
    (_form(rf"{_LEAD}{_NAME}(?!\s+\d{{1,2}}\b){_YEAR}"), _month),
    (_form(rf"{_LEAD}(?:Q|(?:kvartal|quarter)\s+)(?P<number>[1-4])\b{_YEAR}"), _quarter),
    (_form(rf"{_LEAD}H(?P<number>[12])\b{_YEAR}"), _half),
    (_form(rf"{_LEAD}(?:week|vecka|v\.?|w)\s*(?P<number>\d{{1,2}})\b{_YEAR}"), _week),
)
