"""Reads typed values out of vendor records; PoisonError names the field that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Context, Decimal
from functools import lru_cache

from crm_sync.soql import parse_time, value_at
from troth_chassis.errors import PoisonError

Record = Mapping[str, object]
"""One row as Salesforce sends it; numbers with a fraction are Decimal."""
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_EXACT = Context(prec=100)
_LARGEST_POWER = 60
_NUMBERS = (int, float, Decimal)
_date = lru_cache(8_192)(date.fromisoformat)
"""Many deals have the same days."""


def long_id(value: str) -> str:
    """The 18-character form of an id: three letters that record which of 15 characters are upper case.

    PoisonError for anything that is no id.
    """
    if len(value) == 18 and value.isascii() and value.isalnum():
        return value
    if len(value) != 15 or not value.isascii() or not value.isalnum():
        raise PoisonError(f"{value[:40]!r} is not a Salesforce id")
    return value + "".join(_checksum(value[start : start + 5]) for start in (0, 5, 10))


def _checksum(part: str) -> str:
    return _ALPHABET[sum(1 << index for index, letter in enumerate(part) if letter.isupper())]


def text(record: Record, field: str) -> str | None:
    """A text that can be sent on; empty is null, as in Salesforce."""
    value = record.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise PoisonError(f"{field} is {_shown(value)}, not a text")
    return _sendable(value)


def _sendable(value: str) -> str | None:
    if value.isascii() and "\0" not in value:
        return value or None
    return _clean(value) or None


def _clean(value: str) -> str:
    """Without NUL; half of a surrogate pair, which JSON can carry and UTF-8 cannot, becomes U+FFFD."""
    whole = value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\x00", "")


def required_text(record: Record, field: str) -> str:
    """A text that must be there."""
    value = text(record, field)
    if value is None:
        raise PoisonError(f"{field} is empty")
    return value


def reference(record: Record, field: str) -> str | None:
    """The id of another record, in 18 characters."""
    value = text(record, field)
    return None if value is None else long_id(value)


def own_id(record: Record) -> str:
    """The record's own id, in 18 characters."""
    return long_id(required_text(record, "Id"))


def number(record: Record, field: str) -> Decimal | None:
    """An exact number in its shortest form, so that 5 and 5.0 are equal in content."""
    value = record.get(field)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        raise PoisonError(f"{field} is {_shown(value)}, not a number")
    return plain(value, field)


def plain(value: float | Decimal, field: str) -> Decimal:
    """``value`` without trailing zeros and without exponent."""
    finite = not isinstance(value, Decimal) or value.is_finite()  # a signalling NaN cannot be looked up
    shortest = _shortest(value) if finite else None
    if shortest is None:
        raise PoisonError(f"{field} is {_shown(value)}, not a number that can be kept")
    return shortest


@lru_cache(8_192, typed=True)
def _shortest(value: float | Decimal) -> Decimal | None:
    """None for what is not finite or too large. Prices, quantities and probabilities come again and again."""
    exact = Decimal(str(value))
    if not exact.is_finite() or abs(exact.adjusted()) > _LARGEST_POWER:
        return None
    return Decimal(format(exact.normalize(_EXACT), "f"))


def day(record: Record, field: str) -> date | None:
    """A date without time or zone."""
    value = text(record, field)
    try:
        return None if value is None else _date(value)
    except ValueError as error:
        raise PoisonError(f"{field} is {_shown(value)}, not a date") from error


def moment(record: Record, field: str) -> datetime | None:
    """A time in UTC."""
    value = text(record, field)
    try:
        return None if value is None else parse_time(value)
    except ValueError as error:
        raise PoisonError(f"{field} is {_shown(value)}, not a time") from error


def flag(record: Record, field: str) -> bool:
    """A checkbox; missing is false."""
    value = record.get(field)
    if value is not None and not isinstance(value, bool):
        raise PoisonError(f"{field} is {_shown(value)}, not true or false")
    return bool(value)


def as_text(record: Record, field: str) -> str | None:
    """Any value as text, also one of another record by its path; None for what is empty or no plain value."""
    value = value_at(record, field)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, _NUMBERS):
        return str(plain(value, field))
    return _sendable(value) if isinstance(value, str) else None


def is_deleted(record: Record) -> bool:
    """Whether the row lies in the recycle bin."""
    return record.get("IsDeleted") is True


def _shown(value: object) -> str:
    return repr(value)[:60]
