"""Which version of a product was sold, of those that bear its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from risk_engine.domain.fields import Answer

_NO_ANSWERS: Mapping[str, Answer] = {}
_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_UNDATED = date.max


@dataclass(frozen=True, slots=True)
class Bearer:
    """A version or an epic named like a product; the version's number is left aside in that."""

    key: str
    """``version <site>:<id>`` or ``epic <site>:<id>``."""
    name: str
    issues: tuple[tuple[str, str], ...]
    """(issue, issue key) of the work in it; of an epic the epic itself."""
    release: date | None = None
    done: bool = False
    """Released, or an epic that is done: what is sold from now on is not in it."""

    @property
    def is_version(self) -> bool:
        """Else an epic."""
        return self.key.startswith("version ")

    @property
    def title(self) -> str:
        """``version Ledger 2.4``."""
        return f"{self.key.partition(' ')[0]} {self.name}"


def sold(
    bearers: Iterable[Bearer], words: str, answers: Mapping[str, Answer] = _NO_ANSWERS
) -> tuple[Sequence[Bearer], bool]:
    """What is meant: every open epic and one version; True when several versions may be.

    ``words`` are all that is written on the line: a version whose number they name is meant; else the next release.
    What people confirmed, by key, replaces all that, and stands when it is done too.
    """
    ordered = sorted(bearers, key=lambda bearer: (bearer.release or _UNDATED, bearer.key))
    confirmed = [bearer for bearer in ordered if answers.get(bearer.key) == "confirmed"]
    if confirmed:
        return confirmed, False
    ordered = [bearer for bearer in ordered if not bearer.done and bearer.key not in answers]
    versions = [bearer for bearer in ordered if bearer.is_version]
    epics = [bearer for bearer in ordered if not bearer.is_version]
    wanted = set(_NUMBER.findall(words))
    meant = [version for version in versions if wanted & set(_NUMBER.findall(version.name))]
    first = meant or [version for version in versions if version.release == versions[0].release]
    return (*first, *epics), len(first) > 1
