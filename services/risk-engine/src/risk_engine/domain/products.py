"""Which version of a product was sold, of those that bear its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_UNDATED = date.max


@dataclass(frozen=True, slots=True)
class Bearer:
    """An open version, or an open epic, named like a product; the version's number is left aside in that."""

    key: str
    """``version <site>:<id>`` or ``epic <site>:<id>``."""
    name: str
    issues: tuple[tuple[str, str], ...]
    """(issue, issue key) of the work in it; of an epic the epic itself."""
    release: date | None = None

    @property
    def is_version(self) -> bool:
        """Else an epic."""
        return self.key.startswith("version ")

    @property
    def title(self) -> str:
        """``version Ledger 2.4``."""
        return f"{self.key.partition(' ')[0]} {self.name}"


def sold(bearers: Iterable[Bearer], words: str) -> tuple[Sequence[Bearer], bool]:
    """Every epic, and of the versions the one meant; True when several may be meant.

    ``words`` are all that is written on the line: a version whose number they name is meant; else the next release.
    """
    ordered = sorted(bearers, key=lambda bearer: (bearer.release or _UNDATED, bearer.key))
    versions = [bearer for bearer in ordered if bearer.is_version]
    epics = [bearer for bearer in ordered if not bearer.is_version]
    wanted = set(_NUMBER.findall(words))
    meant = [version for version in versions if wanted & set(_NUMBER.findall(version.name))]
    first = meant or [version for version in versions if version.release == versions[0].release]
    return (*first, *epics), len(first) > 1
