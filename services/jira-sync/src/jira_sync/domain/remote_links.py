"""What an issue's changelog says of its links to places outside Jira: whether it has any, and when they last changed.

An entry is written when such a link is made, changed or removed, with the link's id in ``to`` or ``from`` (recorded:
``RemoteIssueLink``; newer Cloud sites say ``RemoteWorkItemLink``), but the issue's ``updated`` need not move with it.
So links are asked for only where the changelog has something new about them, which is one request for an issue that has
links and none for the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jira_sync.parse import Json, optional_text, parts, text

_FIELDS = frozenset({"remoteissuelink", "remoteworkitemlink"})


@dataclass(frozen=True, slots=True)
class LinkTrail:
    """``last`` is the id of the newest entry about links, empty without any; ``present`` what is left of them."""

    last: str = ""
    present: frozenset[str] = frozenset()


def link_trail(histories: Iterable[Json]) -> LinkTrail:
    """Reads the whole changelog in the order of its entries' ids."""
    last, present = "", set[str]()
    told = (entry for entry in histories if speaks_of_links(entry) and str(entry.get("id")).isdigit())
    for history in sorted(told, key=lambda entry: int(entry["id"])):
        for item in parts(history, "items"):
            if _is_about_link(item):
                last = text(history, "id")
                present.discard(_link(item, "from", "fromString"))
                present.add(_link(item, "to", "toString"))
    return LinkTrail(last, frozenset(present - {""}))


def speaks_of_links(history: Json) -> bool:
    """True when the entry is about such a link."""
    return any(map(_is_about_link, parts(history, "items")))


def _is_about_link(item: Json) -> bool:
    return str(item.get("field", "")).lower() in _FIELDS


def _link(item: Json, identity: str, words: str) -> str:
    """By id; by its words where an entry has no ids."""
    return optional_text(item, identity) or optional_text(item, words) or ""
