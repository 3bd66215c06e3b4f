"""Salesforce record ids: which text is one, and its form of 18 characters.

15 characters tell upper from lower case. The form of 18 adds three, each of which says which of five characters are
upper case, so that it survives systems that do not
(https://help.salesforce.com/s/articleView?id=000385585&type=1).
"""

from __future__ import annotations

import re

OPPORTUNITY = "006"
SHORT, LONG = 15, 18
_SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_LIKELY = re.compile(r"006[A-Za-z0-9]{3}00[A-Za-z0-9]{7}")


def with_checksum(short: str) -> str:
    """The 18-character form of a 15-character id."""
    groups = (short[start : start + 5] for start in range(0, SHORT, 5))
    return short + "".join(map(_sign, groups))


def whole_id(text: str) -> str | None:
    """The 18-character form of an opportunity's id; None when it is none, or when its checksum is wrong."""
    if not (text.startswith(OPPORTUNITY) and text.isascii() and text.isalnum()):
        return None
    if len(text) == SHORT:
        return with_checksum(text)
    return text if len(text) == LONG and with_checksum(text[:SHORT]) == text else None


def is_likely(short: str) -> bool:
    """True for 15 characters that may be taken for an id although nothing around them says so.

    There is no checksum, so caution of our own: after the prefix and three places for the server comes a number whose
    first two digits stay 0 for the first 3 million million records, and digits alone may be any order number.
    """
    return bool(_LIKELY.fullmatch(short)) and not short.isdigit()


def _sign(group: str) -> str:
    return _SIGNS[sum(1 << place for place, letter in enumerate(group) if "A" <= letter <= "Z")]
