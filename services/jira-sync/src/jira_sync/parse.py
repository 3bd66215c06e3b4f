"""Vendor scalars to values: every date form Jira uses, estimates in every spelling, lists of ids.

Kept apart because each form was once somebody's data loss; nothing here knows what the values mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from jira_sync.errors import UnreadableError

Json = Mapping[str, Any]
"""A vendor-shaped document, a ``dict`` at every level; it stays at the edge and becomes a contract type in one step."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR, _LAST_YEAR = 2000, 2100
_MILLISECONDS_FROM = 100_000_000_000
"""As seconds this is the year 5138, as milliseconds 1973: a larger number is milliseconds."""
_SPRINT_TEXT_ID = re.compile(r"[\[,]\s*id=(\d+)")
_MAX_POINTS = Decimal(10) ** 12


def instant(value: object) -> datetime:
    """UTC time from ISO 8601 (``Z``, offset with or without colon) or an epoch in seconds or milliseconds.

    The bulk changelog's schema says text, its example is an integer; both occur. UnreadableError otherwise.
    """
    moment = _from_epoch(value) if _is_number(value) else _from_text(value)
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise UnreadableError(f"time {value!r} is outside the years 2000 to 2100")
    return moment


def optional_instant(value: object) -> datetime | None:
    """Like ``instant``; None for what is absent."""
    return None if value in (None, "") else instant(value)


def planned_instant(value: object) -> datetime | None:
    """A time that people typed: None when absent or no time (the year 26), so that a slip costs one field only."""
    try:
        return optional_instant(value)
    except UnreadableError:
        return None


def plain_date(value: object) -> date | None:
    """A date without time; None when absent or out of range, so that a bad value costs one field only."""
    if not isinstance(value, str):
        return None
    try:
        found = date.fromisoformat(value[:10])
    except ValueError:
        return None
    return found if _FIRST_YEAR <= found.year <= _LAST_YEAR else None


def points(value: object) -> Decimal | None:
    """An estimate from a number or a text; 5, 5.0 and "5" are equal. None when absent or no finite number."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number) > _MAX_POINTS:
        return None
    return Decimal(int(number)) if number == number.to_integral_value() else number.normalize()


def id_list(value: object) -> frozenset[str]:
    """Ids from the ``"76, 79"`` of a changelog item; empty when absent. Never used on names: they hold commas."""
    if value is None:
        return frozenset()
    parts = [part.strip() for part in str(value).split(",")]
    if any(part and not part.isdigit() for part in parts):
        raise UnreadableError(f"{value!r} is not a list of ids")
    return frozenset(part for part in parts if part)


def sprint_ids(value: object) -> tuple[str, ...]:
    """Sprint ids of an issue's sprint field, ascending: objects (Cloud), ``toString`` texts or bare ids."""
    if value is None:
        return ()
    entries = value if isinstance(value, list) else [value]
    return by_number({_sprint_id(entry) for entry in entries if entry is not None})


def by_number(ids: Iterable[str]) -> tuple[str, ...]:
    """Numeric id strings in numeric order."""
    return tuple(sorted(ids, key=int))


def rich_text(value: object) -> str | None:
    """Plain text of a description: wiki text as it is, an ADF document by its text nodes."""
    if value is None or isinstance(value, str):
        return sound(value or "") or None
    return sound("".join(_adf_texts(value))).strip() or None


def linked_text(value: object) -> str:
    """All words of a text with the addresses behind its links and cards, which ``rich_text`` leaves out."""
    if isinstance(value, str):
        return sound(value)
    return sound("\n".join(("".join(_adf_texts(value)), *_adf_addresses(value))))


def sound(value: str) -> str:
    """Without NUL, which stores refuse; half of a surrogate pair, which UTF-8 cannot carry, becomes U+FFFD."""
    if not value.isascii():
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value.replace("\x00", "") if "\x00" in value else value


def text(document: Json, name: str) -> str:
    """A required text or number, as text; UnreadableError names the field."""
    value = document.get(name)
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise UnreadableError(f"field {name!r} is missing")


def whole_number(document: Json, name: str) -> str:
    """A required id, which is a number although Jira often sends it as a text; UnreadableError names the field."""
    found = text(document, name)
    if not (found.isascii() and found.isdigit()):
        raise UnreadableError(f"field {name!r} is {found[:80]!r} and not a number")
    return found


def optional_text(document: Json, name: str) -> str | None:
    """A text or number as text, None when absent."""
    value = document.get(name)
    return None if value is None else sound(str(value))


def part(document: Json, name: str) -> Json:
    """A required nested object; UnreadableError names it."""
    value = document.get(name)
    if not isinstance(value, dict):
        raise UnreadableError(f"object {name!r} is missing")
    return value


def optional_part(document: Json, name: str) -> Json:
    """A nested object, empty when absent."""
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def parts(document: Json, name: str) -> Sequence[Json]:
    """The objects of a list, none when absent."""
    value = document.get(name)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return "-" not in value and value.strip().isdigit() and len(value.strip()) >= 9
    return isinstance(value, int | float) and not isinstance(value, bool)


def _from_epoch(value: object) -> datetime:
    number = int(float(str(value))) if isinstance(value, float) else int(str(value))
    unit = "milliseconds" if abs(number) >= _MILLISECONDS_FROM else "seconds"
    try:
        return _EPOCH + timedelta(**{unit: number})
    except OverflowError as error:
        raise UnreadableError(f"time {value!r} is out of range") from error


def _from_text(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value).strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UnreadableError(f"time {value!r} is not ISO 8601") from error


def _sprint_id(entry: object) -> str:
    if isinstance(entry, Mapping):
        return whole_number(entry, "id")
    if isinstance(entry, int):
        return str(entry)
    found = _SPRINT_TEXT_ID.search(str(entry))
    if found is None:
        raise UnreadableError(f"sprint {str(entry)[:80]!r} carries no id")
    return found.group(1)


def _adf_addresses(node: object) -> Iterable[str]:
    """Of links (a mark on a text) and of inline, block and embed cards."""
    if not isinstance(node, Mapping):
        return
    for attributes in (
        optional_part(node, "attrs"),
        *(optional_part(m, "attrs") for m in parts(node, "marks")),
    ):
        yield from (address for name in ("href", "url") if isinstance(address := attributes.get(name), str))
    for child in node.get("content") or ():
        yield from _adf_addresses(child)


def _adf_texts(node: object) -> Iterable[str]:
    if not isinstance(node, Mapping):
        return
    if isinstance(node.get("text"), str):
        yield node["text"]
    for child in node.get("content") or ():
        yield from _adf_texts(child)
    if node.get("type") in ("paragraph", "heading", "hardBreak", "listItem"):
        yield "\n"
