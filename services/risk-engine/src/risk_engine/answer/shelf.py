"""Drawn capacity of the teams that were asked about, kept as long as their inputs stay the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import TypeVar

from risk_engine.domain.book import TeamBook, TeamInputs, open_book
from risk_engine.domain.promise_check import Standing

T = TypeVar("T")
BOOKS_KEPT = 512
"""About half a megabyte each at 2,000 trials."""
STANDINGS_KEPT = 48
"""About two megabytes each."""


class Shelf:
    """Books and standings by the digest of their inputs; the least recently used go first."""

    def __init__(self) -> None:
        self._books: OrderedDict[tuple[str, date], TeamBook] = OrderedDict()
        self._standings: OrderedDict[tuple[str, date], Standing] = OrderedDict()

    def standing(self, digest: str, inputs: Callable[[], TeamInputs], until: date) -> Standing:
        """The team laid out, drawn at least until ``until``; ``inputs`` is called when it must be drawn."""
        key = (digest, _whole_years(until))
        if key not in self._standings:
            self._standings[key] = Standing(self._book(key, inputs))
        return _used(self._standings, key, STANDINGS_KEPT)

    def holds(self, digest: str, until: date) -> bool:
        """Whether it needs no inputs."""
        key = (digest, _whole_years(until))
        return key in self._books or key in self._standings

    def _book(self, key: tuple[str, date], inputs: Callable[[], TeamInputs]) -> TeamBook:
        if key not in self._books:
            told = inputs()
            self._books[key] = open_book(replace(told, until=max(told.until, key[1])))
        return _used(self._books, key, BOOKS_KEPT)


def _whole_years(until: date) -> date:
    """Days of one year share a book: the draws of a shorter one are the first of a longer one."""
    return date(until.year, 12, 31)


def _used(kept: OrderedDict[tuple[str, date], T], key: tuple[str, date], most: int) -> T:
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
    return kept[key]
