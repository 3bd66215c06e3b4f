"""Reads the team registry: a TOML file with one ``[[team]]`` per team that needs a word.

::

    [[team]]
    name = "Atlas"
    boards = ["acme.example:1", "acme.example:7"]   # one team; the first board is its key
    former = ["acme.example:3"]                     # its sprints are the team's past
    split = {board = "acme.example:2", share = 0.4, on = 2026-03-01}
    deal_share = 0.8
    absence = [{from = 2026-12-21, to = 2027-01-03}, {from = 2027-02-01, to = 2027-02-05, share = 0.5}]
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import msgspec

from risk_engine.domain.registry import Absence, Registry, Split, TeamEntry
from troth_chassis.errors import ConfigurationError

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Board = Annotated[str, msgspec.Meta(pattern=r"^.+:[^:]+$")]


class _Absence(msgspec.Struct, forbid_unknown_fields=True, rename={"first": "from", "last": "to"}):
    first: dt.date
    last: dt.date
    share: _Share = 1.0


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    board: _Board
    share: _Share
    on: dt.date


class _Team(msgspec.Struct, forbid_unknown_fields=True):
    boards: Annotated[list[_Board], msgspec.Meta(min_length=1)]
    name: str | None = None
    former: list[_Board] = []
    split: _Split | None = None
    absence: list[_Absence] = []
    deal_share: _Share | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    team: list[_Team] = []


def read_registry(path: Path | None) -> Registry:
    """The registry in the file, an empty one without. Raises ConfigurationError that names the place."""
    if path is None:
        return Registry()
    try:
        told = msgspec.toml.decode(path.read_bytes(), type=_File)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the team registry {path} cannot be read: {error}") from error
    except msgspec.MsgspecError as error:
        raise ConfigurationError(
            f"the team registry {path}: {error}; boards are <site>:<board id>"
        ) from error
    _check(path, told)
    return Registry.of(_entry(team) for team in told.team)


def _check(path: Path, told: _File) -> None:
    seen: set[str] = set()
    for number, team in enumerate(told.team):
        for board in [*team.boards, *team.former]:
            if board in seen:
                raise ConfigurationError(
                    f"the team registry {path}: board {board} of team[{number}] is told twice"
                )
            seen.add(board)
        for place, absence in enumerate(team.absence):
            if absence.last < absence.first:
                raise ConfigurationError(
                    f"the team registry {path}: team[{number}].absence[{place}] ends before it begins"
                )


def _entry(team: _Team) -> TeamEntry:
    return TeamEntry(
        tuple(team.boards),
        team.name,
        tuple(team.former),
        Split(team.split.board, team.split.share, team.split.on) if team.split else None,
        tuple(Absence(one.first, one.last, one.share) for one in team.absence),
        team.deal_share,
    )
