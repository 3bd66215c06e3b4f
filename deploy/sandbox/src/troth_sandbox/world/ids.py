"""Record ids as the two vendors shape them, counted up so that the same world always has the same ids."""

from __future__ import annotations

from collections import Counter

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_INSTANCE = "5g0"

KEY_PREFIX = {
    "Account": "001",
    "Contact": "003",
    "User": "005",
    "Opportunity": "006",
    "OpportunityContactRole": "00K",
    "OpportunityHistory": "008",
    "OpportunityLineItem": "00k",
    "OpportunityStage": "01J",
    "OpportunityTeamMember": "00q",
    "Organization": "00D",
    "Pricebook2": "01s",
    "PricebookEntry": "01u",
    "Product2": "01t",
    "CurrencyType": "01L",
}
"""First three characters of an id, by object."""


def checksum_suffix(id15: str) -> str:
    """Three characters that tell which letters of a 15-character id are upper case, five at a time."""
    chunks = (id15[start : start + 5] for start in (0, 5, 10))
    return "".join(
        _SUFFIX[sum(1 << place for place, char in enumerate(chunk) if char.isascii() and char.isupper())]
        for chunk in chunks
    )


def salesforce_id(object_name: str, number: int) -> str:
    """The 18-character id of the ``number``-th record of an object."""
    body = ""
    for _ in range(9):
        number, digit = divmod(number, len(_DIGITS))
        body = _DIGITS[digit] + body
    id15 = KEY_PREFIX[object_name] + _INSTANCE + body
    return id15 + checksum_suffix(id15)


class SalesforceIds:
    """Hands out the next id of each object."""

    def __init__(self) -> None:
        self._used: Counter[str] = Counter()

    def next(self, object_name: str) -> str:
        """An id not handed out before."""
        self._used[object_name] += 1
        return salesforce_id(object_name, self._used[object_name])
