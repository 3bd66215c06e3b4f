"""``risk-engine backtest``: read a folder or the store, score it, write the report, say what it means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from risk_engine.backtest.own_history import boards_of
from risk_engine.backtest.report import broken_bands, report, table
from risk_engine.backtest.rolling_origin import SPRINTS_BEFORE, score_boards
from risk_engine.backtest.sprint_files import BoardHistory, read_sprint_files
from troth_chassis.errors import ConfigurationError


def backtest_folder(folder: Path, out: Path, say: Callable[[str], None]) -> list[str]:
    """Scores the sprints of a folder; returns the bands that do not hold.

    Raises ConfigurationError when nothing can be scored.
    """
    files = read_sprint_files(folder)
    if files.unreadable:
        say(f"{len(files.unreadable)} rows could not be read and are left out: {', '.join(files.unreadable)}")
    return _backtest(files.boards, str(folder), out, say)


def backtest_store(database_url: str, out: Path, say: Callable[[str], None]) -> list[str]:
    """The same over the teams' own closed sprints."""
    return _backtest(asyncio.run(boards_of(database_url)), "the store", out, say)


def _backtest(boards: Sequence[BoardHistory], where: str, out: Path, say: Callable[[str], None]) -> list[str]:
    scores = score_boards(boards)
    if not scores:
        raise ConfigurationError(f"No board in {where} has more than {SPRINTS_BEFORE} sprints: add history")
    result = report(scores)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    for project in sorted({score.project for score in scores}):
        say(f"{project}\n{table(report(score for score in scores if score.project == project))}\n")
    say(f"all projects\n{table(result)}\n")
    say(f"written to {out}")
    return broken_bands(result)
