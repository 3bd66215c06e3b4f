"""What is written like an issue key, and what only looks like one."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A key stands alone: B7-214 is no part of XB7-214, B7-214-68901 or B7-214.5, but may end a sentence.
_KEY = re.compile(
    r"""(?<![\w-]) (?P<project>[A-Za-z][A-Za-z0-9_]+) - (?P<number>[1-9][0-9]{0,9})
        (?! \w | -\w | [.,]\d | @ )""",
    re.VERBOSE,
)
_ADDRESS = re.compile(r"https?://\S+")
_EXAMPLE = re.compile(
    r"\b(?:e\.\s?g\.|for example|for instance|such as|t\.\s?ex\.?|till exempel|exempelvis|som exempel)[\s:,(]*$",
    re.IGNORECASE,
)
_STANDARD = re.compile(
    r"""(?: AES-(?:128|192|256) | BASE-64 | COVID-19 | CRC-(?:8|16|32|64) | CVE-(?:19|20)\d\d | EN-\d{3,5}
        | GPT-\d | H-26[3-6] | HTTP-[123] | IEC-\d{4,5} | IEEE-\d{3,4} | IPV-[46] | ISO-\d{3,5} | MD-5 | MP-[34]
        | NIS-2 | PCI-\d | RFC-\d{3,4} | RS-(?:232|422|485) | RSA-\d{4} | SHA-(?:[0-3]|224|256|384|512)
        | SOC-[123] | SSL-[23] | TLS-1 | USB-[1-4] | UTF-(?:7|8|16|32) | WPA-[23] | WCAG-[12] )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class KeyMention:
    """Something written like an issue key, in upper case; ``certain`` is False when it was written otherwise."""

    key: str
    certain: bool


def candidate_keys(text: str) -> tuple[KeyMention, ...]:
    """What may be an issue key in ``text``, in order of first mention, each once; one given as an example is none.

    Whether the project and the issue exist is not known here.
    """
    found: dict[str, bool] = {}
    for match in _KEY.finditer(text):
        if _EXAMPLE.search(text, 0, match.start()):
            continue
        written = match.group(0)
        key = written.upper()
        found[key] = found.get(key, False) or written == key
    return tuple(KeyMention(key, certain) for key, certain in found.items())


def is_bare(text: str) -> bool:
    """Whether ``text`` is nothing but keys or addresses with keys in them, as a field made for keys holds them."""
    rest = _KEY.sub(" ", _ADDRESS.sub(lambda found: " " if _KEY.search(found[0]) else found[0], text))
    return not any(letter.isalnum() for letter in rest)


def is_standard(key: str) -> bool:
    """Whether the key is also the name of a well-known standard or the like: in prose that is what it means."""
    return _STANDARD.fullmatch(key) is not None
