"""Mentions of CRM records in a text: addresses in Salesforce, record ids, and what a configured pattern finds.

Pure. A wrong mention links work to a deal it has nothing to do with, so what is not clearly one is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from jira_sync.domain.record_ids import SHORT, is_likely, whole_id
from troth_contracts.jira import ReferenceKind

LONGEST_TEXT = 255
"""Characters of a mention that are kept."""

# Every host Salesforce serves records from, with a company's own domain and a sandbox's name before it: acme.my.…,
# acme--uat.sandbox.lightning.…, na1.…; and what follows, up to what no address in a text, wiki link or tag contains.
_ADDRESS = re.compile(
    r"""(?<![\w.@-]) (?P<host> (?:https?://)? (?:[a-z0-9-]+\.)+
            (?: (?:salesforce|force|cloudforce)\.com | (?:salesforce|force)\.mil | (?:sfcrmapps|sfcrmproducts)\.cn )
            (?::\d+)? )
        (?P<rest> [/?\#] [^\s<>"'|\[\]{}\\^`]* )""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_ID_IN_ADDRESS = re.compile(r"(?<![A-Za-z0-9])006[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?(?![A-Za-z0-9])")
_LONG_ID = re.compile(r"(?<!\w)006[A-Za-z0-9]{15}(?!\w)")
_SHORT_ID = re.compile(
    r"""(?<![^\s(\[{"',;:|>*]) 006[A-Za-z0-9]{12} (?= [\s)\]}"',;:|<*!?] | \.(?!\w) | $ )""", re.VERBOSE
)


@dataclass(frozen=True, slots=True)
class Mention:
    """A CRM record named in a text: by which kind of sign, which record, and as it was written."""

    kind: ReferenceKind
    value: str
    text: str


def mentions(text: str, pattern: re.Pattern[str] | None = None) -> tuple[Mention, ...]:
    """Every record mentioned, each once per kind, in the order of kinds: addresses, ids, pattern.

    An id inside an address is that address; parameters before the id are not kept, they may hold a session.
    """
    found: dict[tuple[str, str], Mention] = {}
    text = _unwrapped(text)
    own = (*_addresses(text), *_ids(_ADDRESS.sub(" ", text))) if _may_hold_id(text) else ()
    for mention in (*own, *_matches(text, pattern)):
        found.setdefault((mention.kind, mention.value), mention)
    named = {mention.value for mention in found.values() if mention.kind == "record_url"}
    return tuple(m for m in found.values() if m.kind != "record_id" or m.value not in named)


def _may_hold_id(text: str) -> bool:
    """Few texts do; the others are not searched. In an address an id may still be percent-encoded."""
    return "006" in text or "%" in text


def _unwrapped(text: str) -> str:
    """Mail filters and logins wrap an address into a parameter of their own, percent-encoded, once or twice."""
    for _ in range(2):
        if "%2" in text:
            text = unquote(text)
    return text


def _addresses(text: str) -> Iterator[Mention]:
    for address in _ADDRESS.finditer(text):
        host, rest = address["host"], unquote(address["rest"])
        for match in _ID_IN_ADDRESS.finditer(rest):
            value = whole_id(match.group(0))
            if value is not None:
                path, question, _ = rest[: match.start()].partition("?")
                written = f"{host}{path}{'?...' if question else ''}{match.group(0)}"
                yield Mention("record_url", value, written[:LONGEST_TEXT])


def _ids(text: str) -> Iterator[Mention]:
    for match in (*_LONG_ID.finditer(text), *_SHORT_ID.finditer(text)):
        written = match.group(0)
        value = whole_id(written)
        if value is not None and (len(written) > SHORT or is_likely(written)):
            yield Mention("record_id", value, written)


def _matches(text: str, pattern: re.Pattern[str] | None) -> Iterator[Mention]:
    """The pattern's first group where it has one."""
    for match in pattern.finditer(text) if pattern else ():
        value = match.group(1 if match.re.groups else 0)
        if value:
            yield Mention("pattern", value[:LONGEST_TEXT], match.group(0)[:LONGEST_TEXT])
