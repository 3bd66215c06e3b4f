"""What a group of figures is: something that measures, says its numbers, and knows the bounds they must keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figures:
    """What one group measured."""

    numbers: dict[str, Any]
    """For the report file."""
    tables: Sequence[Table] = ()
    broken: Sequence[str] = ()
    """One sentence per bound that does not hold."""


@dataclass(frozen=True)
class Bench:
    """How to measure: ``quick`` is a small try that shows the way, not the figures."""

    console: Console
    quick: bool = False


Group = Callable[[Bench], Figures]
