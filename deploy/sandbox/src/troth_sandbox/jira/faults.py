"""Planned misbehaviour: which requests it strikes, and what they get instead of an honest answer."""

import random
import re
from typing import Literal

import msgspec

PageFault = Literal[
    "repeated_token", "empty_page", "expired_token", "token_and_last", "no_is_last", "max_results_ignored"
]


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which requests: `path` is searched in path and query; `nth` skips earlier ones; `times` None means for ever.

    `share` strikes only that share of them, drawn with `seed`.
    """

    path: str = ""
    method: str | None = None
    nth: int | None = None
    times: int | None = 1
    share: float | None = None
    seed: int = 0

    def fits(self, method: str, target: str) -> bool:
        """True when the request is of this kind."""
        return (self.method in {None, method}) and re.search(self.path, target) is not None


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens instead.

    `delay` in seconds comes first; `reset` cuts the connection; `truncate` halves the honest body; `html`, `status` or
    `body` replace the answer, with `headers` added. `page` spoils a page of a token loop and leaves the rest honest.
    """

    status: int | None = None
    body: object = None
    headers: dict[str, str] = {}
    delay: float = 0.0
    html: bool = False
    truncate: bool = False
    reset: bool = False
    page: PageFault | None = None

    @property
    def replaces(self) -> bool:
        """True when the honest answer is not given at all."""
        return self.status is not None or self.html or self.body is not None

    def content(self) -> tuple[bytes, str]:
        """Body and media type of the replacement."""
        if isinstance(self.body, str):
            text = self.body
        elif self.html:
            text = "<!DOCTYPE html><html><body><h1>Something went wrong</h1></body></html>"
        else:
            body = self.body if self.body is not None else {"errorMessages": ["Planned fault."], "errors": {}}
            text = msgspec.json.encode(body).decode()
        return text.encode(), "text/html" if self.html else "application/json;charset=UTF-8"


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A match and its act."""

    match: Match
    act: Act


class FaultPlan:
    """The planned faults, first match wins."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._seen: list[int] = []
        self._dice: list[random.Random] = []

    def add(self, faults: list[Fault]) -> None:
        """Plan more faults; raises re.error for a path that is no regular expression."""
        for fault in faults:
            re.compile(fault.match.path)
        self._faults += faults
        self._seen += [0] * len(faults)
        self._dice += [random.Random(fault.match.seed) for fault in faults]

    def clear(self) -> None:
        """Behave from now on."""
        self._faults.clear()
        self._seen.clear()
        self._dice.clear()

    def strike(self, method: str, target: str) -> Act | None:
        """The act for this request, counted as used."""
        for at, fault in enumerate(self._faults):
            if not fault.match.fits(method, target):
                continue
            if fault.match.share is not None and self._dice[at].random() >= fault.match.share:
                continue
            self._seen[at] += 1
            first = fault.match.nth or 1
            spent = fault.match.times is not None and self._seen[at] >= first + fault.match.times
            if self._seen[at] >= first and not spent:
                return fault.act
        return None
