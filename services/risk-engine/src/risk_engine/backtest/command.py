"""``risk-engine backtest``: read a folder, score it, write the report, say what it means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from risk_engine.backtest.report import broken_bands, report, table
from risk_engine.backtest.rolling_origin import SPRINTS_BEFORE, score_boards
from risk_engine.backtest.sprint_files import read_sprint_files
from troth_chassis.errors import ConfigurationError


def run_backtest(folder: Path, out: Path, say: Callable[[str], None]) -> list[str]:
    """Writes ``out`` and returns the bands that do not hold. Raises ConfigurationError when nothing can be scored."""
    files = read_sprint_files(folder)
    if files.unreadable:
        say(f"{len(files.unreadable)} rows could not be read and are left out: {', '.join(files.unreadable)}")
    scores = score_boards(files.boards)
    if not scores:
        raise ConfigurationError(f"No board in {folder} has more than {SPRINTS_BEFORE} sprints: add history")
    result = report(scores)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    for project in sorted({score.project for score in scores}):
        say(f"{project}\n{table(report(score for score in scores if score.project == project))}\n")
    say(f"all projects\n{table(result)}\n")
    say(f"written to {out}")
    return broken_bands(result)
