"""What people say about teams where boards alone do not tell: several boards, new boards, splits, absences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from risk_engine.domain.history import PastPeriod
from risk_engine.domain.model import Team


@dataclass(frozen=True, slots=True)
class Absence:
    """Part of a team is away, from the first to the last day; ``share`` 1: all of it."""

    first: date
    last: date
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Split:
    """Before ``on`` the team was ``share`` of the team of another board (or of its own, for the one that stayed)."""

    board: str
    share: float
    on: date


@dataclass(frozen=True, slots=True)
class TeamEntry:
    """One team. The first of its boards (``<site>:<board id>``) is its key."""

    boards: tuple[str, ...]
    name: str | None = None
    former: tuple[str, ...] = ()
    """Boards it worked on before: their sprints are its past."""
    split: Split | None = None
    absences: tuple[Absence, ...] = ()
    deal_share: float | None = None
    """What part of its capacity may serve deals."""


@dataclass(frozen=True)
class Registry:
    """The teams somebody said something about; every other board is a team of its own."""

    entries: Mapping[str, TeamEntry] = field(default_factory=dict)
    """By key."""
    leads: Mapping[str, str] = field(default_factory=dict)
    """By board, the key of its team, where that is another board."""

    @classmethod
    def of(cls, entries: Iterable[TeamEntry]) -> Registry:
        """From entries whose boards are distinct."""
        by_key = {entry.boards[0]: entry for entry in entries}
        leads = {board: key for key, entry in by_key.items() for board in entry.boards[1:]}
        return cls(by_key, leads)

    def lead(self, board: str) -> str:
        """The key of the team that works on the board."""
        return self.leads.get(board, board)

    def entry(self, team: str) -> TeamEntry:
        """What is said about the team; nothing but its board when nothing is."""
        return self.entries.get(team, TeamEntry((team,)))

    def teams(self, boards: Mapping[str, Team]) -> dict[str, Team]:
        """The teams of these boards, by key; a team with several works on the projects of all of them."""
        found = {key: team for key, team in boards.items() if self.lead(key) == key}
        for key, entry in self.entries.items():
            own = [boards[board] for board in entry.boards if board in boards]
            if key in found and own:
                projects = tuple(dict.fromkeys(project for board in own for project in board.project_keys))
                found[key] = replace(
                    found[key],
                    name=entry.name or found[key].name,
                    project_keys=projects,
                    is_scrum=any(board.is_scrum for board in own),
                )
        return found


def before_the_split(past: Sequence[PastPeriod], split: Split) -> tuple[PastPeriod, ...]:
    """The team's part of what was done before it was a team of its own."""
    return tuple(
        replace(one, points=one.points * split.share, items=one.items * split.share)
        for one in past
        if one.closed < split.on
    )


def present_share(absences: Iterable[Absence], day: date) -> float:
    """What part of the team is there on the day, 0 to 1."""
    away = sum(absence.share for absence in absences if absence.first <= day <= absence.last)
    return max(0.0, 1.0 - away)
