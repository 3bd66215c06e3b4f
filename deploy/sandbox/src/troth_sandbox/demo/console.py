"""One coloured log for all processes, and progress bars above it."""

from __future__ import annotations

import json
import threading

from rich.console import Console
from rich.markup import escape

_COLOURS = {
    "crm-sync": "cyan",
    "jira-sync": "green",
    "risk-engine": "magenta",
    "salesforce": "blue",
    "jira": "yellow",
    "receiver": "white",
}
_WORTH_TELLING = ("warning", "error", "critical")


class DemoConsole:
    """Prints lines of children; quiet about routine ones unless ``verbose``."""

    def __init__(self, console: Console, *, verbose: bool) -> None:
        self.console = console
        self._verbose = verbose
        self._lock = threading.Lock()

    def say(self, sentence: str) -> None:
        """A line of the supervisor's own."""
        self.console.print(f"[bold]{'troth':>12}[/] {escape(sentence)}", highlight=False)

    def hear(self, name: str, line: str) -> None:
        """A line of a child process; JSON log lines are shortened to level, event and fields."""
        text, level = _shorten(line)
        if not text or (not self._verbose and level == "debug"):
            return
        colour = _COLOURS.get(name, "white")
        style = "bold red" if level in {"error", "critical"} else "yellow" if level == "warning" else ""
        with self._lock:
            self.console.print(
                f"[{colour}]{name:>12}[/] [{style or 'default'}]{escape(text)}[/]", highlight=False
            )


def _shorten(line: str) -> tuple[str, str]:
    try:
        fields = json.loads(line)
    except ValueError:
        return line, "info"
    if not isinstance(fields, dict):
        return line, "info"
    level = str(fields.pop("level", "info"))
    event = str(fields.pop("event", ""))
    for routine in ("timestamp", "service", "logger"):
        fields.pop(routine, None)
    details = " ".join(f"{name}={value}" for name, value in fields.items())
    return f"{event} {details}".strip(), level
