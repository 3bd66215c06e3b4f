"""What the boards of a folder delivered, sprint after sprint, read from ``*_iteration_<t>.csv`` files.

The form is that of Choetkiertikul et al., "Predicting Delivery Capability in Iterative Software Development",
https://doi.org/10.1109/TSE.2017.2693989: one row per sprint as of ``t`` percent of its planned duration. The points
delivered in the end are the same in every file of a project, so one file per project is read, the earliest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from troth_chassis.errors import ConfigurationError

_FILE = re.compile(r"(?P<project>.+)_iteration_(?P<percent>\d+)\.csv")
_LEFT = ["boardid", "sprintid", "name"]
_DELIVERED = ("vel_starttime", "vel_added", "vel_removed", "vel_diff")


@dataclass(frozen=True, slots=True)
class BoardHistory:
    """Points a board delivered per sprint, in the order of the sprints' ids."""

    project: str
    board: int
    delivered: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SprintFiles:
    """All boards of a folder, and the rows (``file:line``) that could not be read."""

    boards: tuple[BoardHistory, ...]
    unreadable: tuple[str, ...] = ()


def read_sprint_files(folder: Path) -> SprintFiles:
    """Every board under ``folder``. Raises ConfigurationError when it holds no such file or one of another form."""
    boards: list[BoardHistory] = []
    unreadable: list[str] = []
    for project, file in _one_file_per_project(folder):
        sprints, bad = _read(file)
        boards += _histories(project, sprints)
        unreadable += [f"{file.name}:{line}" for line in bad]
    return SprintFiles(tuple(boards), tuple(unreadable))


def _one_file_per_project(folder: Path) -> list[tuple[str, Path]]:
    earliest: dict[tuple[Path, str], tuple[int, Path]] = {}
    for file in sorted(folder.rglob("*_iteration_*.csv")):
        if named := _FILE.fullmatch(file.name):
            key, entry = (file.parent, named["project"]), (int(named["percent"]), file)
            earliest[key] = min(earliest.get(key, entry), entry)
    if not earliest:
        raise ConfigurationError(
            f"{folder} holds no <project>_iteration_<t>.csv: give a folder of sprints, make backtest DATA=<folder>"
        )
    return [(project, file) for (_, project), (_, file) in sorted(earliest.items())]


def _read(file: Path) -> tuple[list[tuple[int, int, float]], list[int]]:
    """Board, sprint and delivered points of each row, and the lines that are no such row."""
    header, *lines = _lines(file)
    figures = _figures(file, header)
    sprints: list[tuple[int, int, float]] = []
    unreadable: list[int] = []
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        try:
            sprints.append(_sprint(line.split(","), figures))
        except (ValueError, IndexError):
            unreadable.append(number)
    return sprints, unreadable


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").splitlines() or [""]
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigurationError(f"{file} cannot be read: {problem}") from problem


def _figures(file: Path, header: str) -> list[int]:
    """Where the four figures stand, counted from the right: names may have commas and no quotes."""
    columns = [column.strip().strip('"').lower() for column in header.split(",")]
    missing = [name for name in (*_LEFT, *_DELIVERED) if name not in columns]
    if missing or columns[: len(_LEFT)] != _LEFT:
        raise ConfigurationError(
            f"{file} has no sprint figures: it must begin with {', '.join(_LEFT)} and have {', '.join(_DELIVERED)}"
        )
    return [columns.index(name) - len(columns) for name in _DELIVERED]


def _sprint(columns: Sequence[str], figures: Iterable[int]) -> tuple[int, int, float]:
    start, added, removed, difference = (float(columns[figure]) for figure in figures)
    return int(columns[0]), int(columns[1]), start + added - removed + difference


def _histories(project: str, sprints: Iterable[tuple[int, int, float]]) -> list[BoardHistory]:
    boards: dict[int, list[float]] = {}
    for board, _, delivered in sorted(sprints):
        boards.setdefault(board, []).append(delivered)
    return [BoardHistory(project, board, tuple(delivered)) for board, delivered in sorted(boards.items())]
